//! Addresses as texts: what is put into them, and where a redirection leads.

use std::fmt::Write;

/// A text as one segment of a path: everything but letters, digits and `-._~` is percent-encoded.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            // Writing to a text cannot fail.
            _ => write!(out, "%{byte:02X}").unwrap_or_default(),
        }
    }
    out
}

/// A name with folders as a path.
pub(super) fn path(name: &str) -> String {
    let segments: Vec<String> = name.split('/').map(segment).collect();
    segments.join("/")
}

/// Scheme, server and port of an address of the web.
pub(super) fn origin(address: &str) -> Option<&str> {
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|scheme| address.starts_with(scheme))?;
    let rest = &address[scheme.len()..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (end > 0).then(|| &address[..scheme.len() + end])
}

/// The address that `location` names as seen from `address`; none if it is not of the web.
pub(super) fn join(address: &str, location: &str) -> Option<String> {
    let location = location.split('#').next().unwrap_or_default();
    if origin(location).is_some() {
        return Some(location.to_string());
    }
    let here = origin(address)?;
    if let Some(rest) = location.strip_prefix("//") {
        let scheme = here.split("//").next()?;
        return join(address, &format!("{scheme}//{rest}"));
    }
    if location.starts_with('/') {
        return Some(format!("{here}{location}"));
    }
    // A scheme that is not of the web, or a name beside the last one.
    if location.split('/').next()?.contains(':') {
        return None;
    }
    let path = address.split(['?', '#']).next()?;
    let folder = match path[here.len()..].rfind('/') {
        Some(end) => &path[..=here.len() + end],
        None => &format!("{here}/"),
    };
    Some(format!("{folder}{location}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_so_that_a_server_reads_them_back() {
        for (name, want) in [
            ("unet/a-b_c.d~e", "unet/a-b_c.d~e"),
            ("a b#?%/é", "a%20b%23%3F%25/%C3%A9"),
        ] {
            let got = path(name);
            assert_eq!(got, want, "got {got}, want {want}");
        }
        assert_eq!(segment("refs/pr/1"), "refs%2Fpr%2F1");
    }

    #[test]
    fn redirections_lead_where_the_standard_says() {
        let from = "https://a.b:1/x/y?q=1";
        for (location, want) in [
            ("https://c/z", Some("https://c/z")),
            ("//c/z", Some("https://c/z")),
            ("/z?r=/2#f", Some("https://a.b:1/z?r=/2")),
            ("z", Some("https://a.b:1/x/z")),
            ("file:///etc/passwd", None),
            ("ftp://c/z", None),
            ("https://", None),
        ] {
            let got = join(from, location);
            assert_eq!(
                got.as_deref(),
                want,
                "{location}: got {got:?}, want {want:?}"
            );
        }
        assert_eq!(join("http://a", "z").as_deref(), Some("http://a/z"));
    }

    #[test]
    fn an_origin_is_scheme_server_and_port() {
        for (address, want) in [
            ("http://a:1/x", Some("http://a:1")),
            ("https://a?x", Some("https://a")),
            ("http://", None),
            ("a/x", None),
        ] {
            let got = origin(address);
            assert_eq!(got, want, "{address}: got {got:?}, want {want:?}");
        }
    }
}
