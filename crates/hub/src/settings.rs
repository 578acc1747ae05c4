//! Where the Hub is, where its files are kept, and how patient a download is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::environment::Environment;
use crate::error::HubError;

/// Time that a silent connection has, unless a variable says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where the Hub is, where its files are kept, and how patient a download is.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address of the Hub, without a slash at its end.
    pub endpoint: String,
    /// What proves who asks, for repositories that not everyone may read.
    pub token: Option<String>,
    /// Folder of the cache, which need not exist.
    pub cache: PathBuf,
    /// Whether nothing may be fetched.
    pub offline: bool,
    /// How often a request is made that fails in a way that may pass.
    pub tries: u32,
    /// Time before the second try; before each further one it is doubled.
    pub first_wait: Duration,
    /// Time after which a connection that is not there, or over which nothing comes, is given up.
    pub timeout: Duration,
}

impl Settings {
    /// The settings of this process, by the variables that the Hub's programs share: `HF_ENDPOINT`,
    /// `HF_TOKEN` (or `HUGGING_FACE_HUB_TOKEN`), `HF_TOKEN_PATH`, `HF_HUB_DISABLE_IMPLICIT_TOKEN`, `HF_HOME` (else
    /// `huggingface` in `XDG_CACHE_HOME`), `HF_HUB_CACHE` (or `HUGGINGFACE_HUB_CACHE`), `HF_HUB_OFFLINE` (or
    /// `TRANSFORMERS_OFFLINE`), `HF_HUB_DOWNLOAD_TIMEOUT`. An empty variable counts as none, white space around a
    /// value as nothing; in paths a `~` at the beginning and `$NAME` are replaced.
    pub fn from_env() -> Self {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let environment = Environment { variable };
        let text = |name| environment.text(name);
        let home = environment.path("HF_HOME").unwrap_or_else(|| {
            let own = || environment.home().join(".cache");
            let caches = environment.path("XDG_CACHE_HOME").unwrap_or_else(own);
            caches.join("huggingface")
        });
        let stored = || {
            let other = environment.path("HF_TOKEN_PATH");
            let file = other.unwrap_or_else(|| home.join("token"));
            let token = std::fs::read_to_string(file).ok()?;
            let token = token.trim_start_matches('\u{feff}').trim().to_string();
            (!token.is_empty()).then_some(token)
        };
        let given = || text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN"));
        let token = match environment.is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            true => None,
            false => given().or_else(stored),
        };
        let cache = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"];
        let cache = cache.into_iter().find_map(|name| environment.path(name));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let timeout = text("HF_HUB_DOWNLOAD_TIMEOUT").map_or(TIMEOUT, |seconds| {
            // What is no time is refused with the rest, by `check`.
            let seconds = seconds.parse().unwrap_or(0.0);
            Duration::try_from_secs_f64(seconds).unwrap_or_default()
        });
        let offline = match text("HF_HUB_OFFLINE") {
            Some(_) => environment.is_true("HF_HUB_OFFLINE"),
            None => environment.is_true("TRANSFORMERS_OFFLINE"),
        };
        Self {
            endpoint: endpoint.trim_end_matches('/').to_string(),
            token,
            cache: cache.unwrap_or_else(|| home.join("hub")),
            offline,
            tries: 4,
            first_wait: Duration::from_millis(500),
            timeout,
        }
    }
}

impl Settings {
    /// Refuses what no request can be made with.
    ///
    /// # Errors
    ///
    /// A token with a character that no token has, an address that is none of a web server, and no time to wait; no
    /// secret is shown.
    pub fn check(&self) -> Result<(), HubError> {
        let refuse = |name, problem: String| Err(HubError::Setting { name, problem });
        let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\'';
        let is_token = |token: &String| token.bytes().all(allowed);
        if self.token.as_ref().is_some_and(|token| !is_token(token)) {
            return refuse(
                "HF_TOKEN",
                "the token, or the file that holds it, has a space, a quote, a line break or another character that no token has: set it to the token alone".into(),
            );
        }
        if self.timeout.is_zero() {
            let problem = "must be a number of seconds above 0";
            return refuse("HF_HUB_DOWNLOAD_TIMEOUT", problem.into());
        }
        if is_address(&self.endpoint) {
            return Ok(());
        }
        let shown: String = self.shown_endpoint().chars().take(100).collect();
        refuse(
            "HF_ENDPOINT",
            format!("must be http:// or https:// and the name of a server, got {shown:?}"),
        )
    }

    /// The address without the user and password that may stand in it.
    pub(crate) fn shown_endpoint(&self) -> String {
        let (scheme, rest) = self
            .endpoint
            .split_once("://")
            .unwrap_or(("", &self.endpoint));
        // A password may hold a slash: everything up to the last @ goes.
        let rest = rest.rsplit('@').next().unwrap_or_default();
        match scheme {
            "" => rest.to_string(),
            scheme => format!("{scheme}://{rest}"),
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        // A token belongs in no log.
        f.debug_struct("Settings")
            .field("endpoint", &self.shown_endpoint())
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// Whether a text is the address of a server of the web.
fn is_address(text: &str) -> bool {
    let schemes = ["http://", "https://"];
    let Some(rest) = schemes.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let server = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match server.rsplit_once(':') {
        // The colons of an address of six bytes or more stand in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (server, None),
    };
    let in_host = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    !host.is_empty()
        && host.chars().all(in_host)
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
