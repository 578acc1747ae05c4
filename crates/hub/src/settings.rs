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
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Settings {
        Settings::from_variables(&|name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn variables_say_where_the_hub_and_its_cache_are() {
        let settings = of(&[("HF_HOME", "/h"), ("HF_ENDPOINT", "http://a:1/")]);
        assert_eq!(settings.endpoint, "http://a:1");
        assert_eq!(settings.cache, PathBuf::from("/h/hub"));
        assert!(!settings.offline);
        let settings = of(&[("HF_HUB_CACHE", "/c"), ("HF_HUB_OFFLINE", "true")]);
        assert_eq!(settings.cache, PathBuf::from("/c"));
        assert!(settings.offline);
        let settings = of(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "")]);
        assert_eq!(settings.cache, PathBuf::from("/x/huggingface/hub"));
    }

    #[test]
    fn empty_variables_count_as_none() {
        let settings = of(&[
            ("HF_ENDPOINT", ""),
            ("HF_HUB_OFFLINE", ""),
            ("HF_TOKEN", ""),
        ]);
        assert_eq!(settings.endpoint, "https://huggingface.co");
        assert!(!settings.offline);
    }

    #[test]
    fn a_token_is_read_from_its_file_and_shown_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "hf_stored\n").unwrap();
        let path = file.to_str().unwrap();
        let stored = of(&[("HF_TOKEN_PATH", path)]);
        assert_eq!(stored.token.as_deref(), Some("hf_stored"));
        let given = of(&[("HF_TOKEN_PATH", path), ("HF_TOKEN", "hf_given")]);
        assert_eq!(given.token.as_deref(), Some("hf_given"));
        let shown = format!("{given:?}");
        assert!(!shown.contains("hf_given"), "got {shown}");
        let none = [("HF_TOKEN", "a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        assert_eq!(of(&none).token, None);
    }

    #[test]
    fn a_token_counts_whatever_stands_around_it_and_under_its_old_name_too() {
        for (variables, want) in [
            (&[("HF_TOKEN", " hf_a\r\n")][..], Some("hf_a")),
            (
                &[("HF_TOKEN", "\n"), ("HUGGING_FACE_HUB_TOKEN", "b")],
                Some("b"),
            ),
            (
                &[("HF_TOKEN", "a"), ("HUGGING_FACE_HUB_TOKEN", "b")],
                Some("a"),
            ),
            (
                &[("HF_TOKEN", "a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "0")],
                Some("a"),
            ),
            (
                &[
                    ("HF_TOKEN", "a"),
                    ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "false"),
                ],
                Some("a"),
            ),
            (
                &[("HF_TOKEN", "a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "Yes")],
                None,
            ),
        ] {
            let mut variables = variables.to_vec();
            variables.push(("HF_HOME", "/nowhere"));
            let got = of(&variables).token;
            assert_eq!(
                got.as_deref(),
                want,
                "{variables:?}: got {got:?}, want {want:?}"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "\u{feff}hf_b\r\n").unwrap();
        let got = of(&[("HF_HOME", folder.path().to_str().unwrap())]).token;
        assert_eq!(got.as_deref(), Some("hf_b"), "got {got:?}");
    }

    #[test]
    fn paths_are_read_as_a_shell_would() {
        let variables = [("HOME", "/me"), ("BIG", "/disk"), ("HF_TOKEN", "a")];
        for (name, value, want) in [
            ("HF_HOME", "~/hf", "/me/hf/hub"),
            ("HF_HOME", "~", "/me/hub"),
            ("HF_HOME", "$BIG/hf", "/disk/hf/hub"),
            ("HF_HOME", "/a/${BIG}x~/$NONE/hf", "/a//diskx~/$NONE/hf/hub"),
            ("HF_HOME", "/a b/$", "/a b/$/hub"),
            ("HF_HUB_CACHE", "$HOME/c", "/me/c"),
            ("XDG_CACHE_HOME", "~/x", "/me/x/huggingface/hub"),
            ("HF_HUB_CACHE", "~other/c", "~other/c"),
        ] {
            let got = of(&[&variables[..], &[(name, value)]].concat()).cache;
            assert_eq!(
                got,
                PathBuf::from(want),
                "{name}={value}: got {got:?}, want {want}"
            );
        }
    }

    #[test]
    fn offline_and_patience_are_words_and_seconds() {
        for (variables, want) in [
            (&[("HF_HUB_OFFLINE", "on")][..], true),
            (&[("HF_HUB_OFFLINE", " Yes ")], true),
            (&[("HF_HUB_OFFLINE", "0")], false),
            (&[("TRANSFORMERS_OFFLINE", "1")], true),
            (
                &[("HF_HUB_OFFLINE", "no"), ("TRANSFORMERS_OFFLINE", "1")],
                false,
            ),
        ] {
            let got = of(variables).offline;
            assert_eq!(got, want, "{variables:?}: got {got}, want {want}");
        }
        let timeout = |value| of(&[("HF_HUB_DOWNLOAD_TIMEOUT", value), ("HF_TOKEN", "a")]);
        assert_eq!(timeout("2.5").timeout, Duration::from_millis(2500));
        for value in ["0", "-1", "soon", "NaN", "1e400"] {
            let got = timeout(value).check().unwrap_err().to_string();
            let want = "HF_HUB_DOWNLOAD_TIMEOUT: must be a number of seconds above 0";
            assert_eq!(got, want, "{value}: got {got}, want {want}");
        }
    }

    #[test]
    fn what_no_request_can_be_made_with_is_refused_and_no_secret_shown() {
        for token in ["hf_se\ncret", "hf_secret\u{1}", "hf secret", "'hf_secret'"] {
            let got = of(&[("HF_TOKEN", token)]).check().unwrap_err().to_string();
            assert!(got.starts_with("HF_TOKEN: "), "got {got}");
            assert!(!got.contains("cret"), "got {got}");
        }
        for endpoint in [
            "nonsense",
            "ftp://me:secret@x",
            "http://",
            "http://me:secret@",
            "http://me:sec/secret@a b",
            "http://a:99999",
            "http://a b",
            "http://[::1]:x",
        ] {
            let got = of(&[("HF_ENDPOINT", endpoint)]).check().unwrap_err();
            let got = got.to_string();
            let want = "HF_ENDPOINT: must be http:// or https://";
            assert!(got.starts_with(want), "got {got}");
            assert!(!got.contains("secret"), "got {got}");
        }
        let sound = of(&[("HF_ENDPOINT", "http://me:secret@a:1/x"), ("HF_TOKEN", "a")]);
        sound.check().unwrap();
        assert_eq!(sound.shown_endpoint(), "http://a:1/x");
    }
}
