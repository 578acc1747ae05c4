//! Where the Hub is, where its files are kept, and how patient a download is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::HubError;

/// Where the Hub is, where its files are kept, and how patient a download is.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address of the Hub, without a slash at its end.
    pub endpoint: String,
    /// What proves who asks, for repositories that not everyone may read; `None` leaves it to hf-hub, which
    /// looks for one by the same variables.
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
    /// `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_DISABLE_IMPLICIT_TOKEN`, `HF_HOME` (else `huggingface` in
    /// `XDG_CACHE_HOME`), `HF_HUB_CACHE` (or `HUGGINGFACE_HUB_CACHE`), `HF_HUB_OFFLINE`. An empty variable
    /// counts as none.
    pub fn from_env() -> Self {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let given = |name| variable(name).filter(|value| !value.is_empty());
        let text = |name| given(name).and_then(|value| value.into_string().ok());
        let home = given("HF_HOME").map(PathBuf::from).unwrap_or_else(|| {
            let own = || std::env::home_dir().unwrap_or_default().join(".cache");
            let caches = given("XDG_CACHE_HOME").map_or_else(own, PathBuf::from);
            caches.join("huggingface")
        });
        let stored = || {
            let other = given("HF_TOKEN_PATH").map(PathBuf::from);
            let file = other.unwrap_or_else(|| home.join("token"));
            let token = std::fs::read_to_string(file).ok()?.trim().to_string();
            (!token.is_empty()).then_some(token)
        };
        let token = match given("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            Some(_) => None,
            None => text("HF_TOKEN").or_else(stored),
        };
        let cache = given("HF_HUB_CACHE").or_else(|| given("HUGGINGFACE_HUB_CACHE"));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let offline = text("HF_HUB_OFFLINE").unwrap_or_default().to_uppercase();
        Self {
            endpoint: endpoint.trim_end_matches('/').to_string(),
            token,
            cache: cache.map_or_else(|| home.join("hub"), PathBuf::from),
            offline: ["1", "ON", "YES", "TRUE"].contains(&offline.as_str()),
            tries: 4,
            first_wait: Duration::from_millis(500),
            timeout: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// Refuses what no request can be made with.
    ///
    /// # Errors
    ///
    /// A token with a character that no token has, and an address that is none of a web server; neither
    /// secret is shown.
    pub fn check(&self) -> Result<(), HubError> {
        let visible = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
        if self.token.as_ref().is_some_and(|token| !visible(token)) {
            let problem = "the token, or the file that holds it, has a space, a line break or another character that no token has: set it to the token alone";
            return Err(HubError::Setting {
                name: "HF_TOKEN",
                problem: problem.into(),
            });
        }
        let schemes = ["http://", "https://"];
        let mut rests = schemes.iter().filter_map(|s| self.endpoint.strip_prefix(s));
        let is_host = |rest: &str| {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            !host.is_empty() && !host.starts_with(':')
        };
        let plain = self.endpoint.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && rests.any(is_host) && self.is_address() {
            return Ok(());
        }
        let shown: String = self.shown_endpoint().chars().take(100).collect();
        Err(HubError::Setting {
            name: "HF_ENDPOINT",
            problem: format!("must be http:// or https:// and the name of a server, got {shown:?}"),
        })
    }

    #[cfg(feature = "http")]
    fn is_address(&self) -> bool {
        reqwest::Url::parse(&self.endpoint).is_ok()
    }

    #[cfg(not(feature = "http"))]
    fn is_address(&self) -> bool {
        true
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
    fn what_no_request_can_be_made_with_is_refused_and_no_secret_shown() {
        for token in ["hf_se\ncret", "hf_secret\u{1}", "hf secret"] {
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
