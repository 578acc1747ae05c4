//! The proxies that the environment names: `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, in small letters
//! or capitals, as curl and the Hub's other programs read them.

use ureq::http::Uri;
use ureq::typestate::WithoutBody;
use ureq::{Proxy, ProxyProtocol, RequestBuilder};

use super::fault::Fault;

/// The proxies that the environment names.
#[derive(Default)]
pub(super) struct Proxies {
    http: Option<String>,
    https: Option<String>,
    /// Servers that are asked directly, without dots before them; `*` for all.
    none: Vec<String>,
}

impl Proxies {
    pub(super) fn from_env() -> Self {
        Self::from_variables(&|name| std::env::var(name).ok())
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| {
            let either = variable(name).or_else(|| variable(&name.to_uppercase()));
            either.filter(|value| !value.trim().is_empty())
        };
        let none = given("no_proxy").unwrap_or_default();
        let none = none.split([',', ' ']).filter(|entry| !entry.is_empty());
        Self {
            http: given("http_proxy").or_else(|| given("all_proxy")),
            https: given("https_proxy").or_else(|| given("all_proxy")),
            none: none
                .map(|entry| entry.trim_start_matches('.').to_lowercase())
                .collect(),
        }
    }

    /// The proxy for an address, if it is not asked directly.
    fn of(&self, address: &Uri) -> Option<&str> {
        let proxy = match address.scheme_str() {
            Some("https") => self.https.as_deref(),
            _ => self.http.as_deref(),
        };
        let host = address.host().unwrap_or_default().to_lowercase();
        let direct = |entry: &String| {
            let rest = host.strip_suffix(entry.as_str());
            entry == "*" || rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        proxy.filter(|_| !self.none.iter().any(direct))
    }

    /// The request as it has to be made, and the proxy through which a connection has to be asked for. To a proxy
    /// of the web a request without encryption is handed over as it is: many grant connections to port 443 alone.
    pub(super) fn on_the_way(
        &self,
        request: RequestBuilder<WithoutBody>,
    ) -> Result<(RequestBuilder<WithoutBody>, Option<Proxy>), Fault> {
        let Some(address) = request.uri_ref().cloned() else {
            return Ok((request, None));
        };
        let Some(text) = self.of(&address) else {
            return Ok((request, None));
        };
        let unusable = || Fault::Unreachable("the proxy that the environment names is none".into());
        let proxy = Proxy::new(text).map_err(|_| unusable())?;
        let is_web = matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
        if !is_web || address.scheme_str() != Some("http") {
            return Ok((request, Some(proxy)));
        }
        let host = address.authority().map(ToString::to_string);
        let handed = Uri::builder()
            .scheme(proxy.uri().scheme_str().unwrap_or("http"))
            .authority(proxy.uri().authority().map_or("", |at| at.as_str()))
            .path_and_query(address.to_string())
            .build();
        let handed = handed.map_err(|_| unusable())?;
        let request = request.uri(handed).header("host", host.unwrap_or_default());
        Ok((request, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], address: &str) -> Option<String> {
        let proxies = Proxies::from_variables(&|name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_string())
        });
        proxies.of(&address.parse().unwrap()).map(str::to_string)
    }

    #[test]
    fn the_scheme_says_which_variable_names_the_proxy() {
        let all = [
            ("http_proxy", "http://p:1"),
            ("HTTPS_PROXY", "http://p:2"),
            ("all_proxy", "socks5://p:3"),
        ];
        for (variables, address, want) in [
            (&all[..], "http://a/x", Some("http://p:1")),
            (&all, "https://a/x", Some("http://p:2")),
            (&all[2..], "https://a/x", Some("socks5://p:3")),
            (&all[..1], "https://a/x", None),
            (&[("http_proxy", " ")], "http://a/x", None),
        ] {
            let got = of(variables, address);
            assert_eq!(
                got.as_deref(),
                want,
                "{address}: got {got:?}, want {want:?}"
            );
        }
    }

    #[test]
    fn servers_that_need_no_proxy_are_asked_directly() {
        for (entry, address, direct) in [
            ("127.0.0.1", "http://127.0.0.1:80/x", true),
            ("b.c", "http://a.B.c/x", true),
            (".b.c, d", "http://d/x", true),
            ("b.c", "http://ab.c/x", false),
            ("*", "http://a/x", true),
            ("", "http://a/x", false),
        ] {
            let got = of(&[("http_proxy", "p"), ("no_proxy", entry)], address);
            assert_eq!(got.is_none(), direct, "{entry}, {address}: got {got:?}");
        }
    }
}
