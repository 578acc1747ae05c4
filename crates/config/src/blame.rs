//! Who set the value that an error is about.

use crate::error::ConfigError;

/// Names the last override that set the key an error is about, or one beside it.
pub(crate) fn blame(error: ConfigError, places: &[(String, String)]) -> ConfigError {
    let section = |key: &str| {
        key.rsplit_once('.')
            .map_or(String::new(), |(s, _)| format!("{s}."))
    };
    let about = |key: &str| begins_with_key(&error.message, key);
    let exact = places.iter().rfind(|(key, _)| about(key));
    let beside = || {
        let within = |key: &String| !section(key).is_empty() && about(&section(key));
        places.iter().rfind(|(key, _)| within(key))
    };
    match exact.or_else(beside) {
        Some((_, place)) => ConfigError::new(place, error.message),
        None => error,
    }
}

/// Whether a message is about `key` or something within it: `d` is no beginning of `data`.
fn begins_with_key(message: &str, key: &str) -> bool {
    let rest = message.strip_prefix(key);
    // A section ends with its dot.
    let whole = |rest: &str| key.ends_with('.') || !rest.starts_with(is_of_a_name);
    rest.is_some_and(whole)
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blamed(message: &str, keys: &[&str]) -> String {
        let places = keys
            .iter()
            .map(|key| ((*key).into(), format!("--set {key}")));
        let places: Vec<(String, String)> = places.collect();
        blame(ConfigError::new("file", message), &places).to_string()
    }

    #[test]
    fn a_key_is_not_blamed_for_another_that_begins_like_it() {
        let got = blamed("data: unknown data set nope", &["data", "d"]);
        assert!(got.starts_with("--set data:"), "got {got}");
        let got = blamed("sampler.d must be positive", &["sampler.d", "sampler"]);
        assert!(got.starts_with("--set sampler"), "got {got}");
        let got = blamed("scoring.num_samples must be 2 or more", &["scoring.num"]);
        assert!(
            got.starts_with("--set scoring.num"),
            "a neighbour: got {got}"
        );
        let got = blamed("seeds must be numbers", &["seed"]);
        assert!(got.starts_with("file:"), "got {got}");
    }
}
