//! Who set the value that an error is about.

use crate::error::ConfigError;

/// Names the last override that set the key an error is about, or one beside it.
pub(crate) fn blame(error: ConfigError, places: &[(String, String)]) -> ConfigError {
    let section = |key: &str| {
        key.rsplit_once('.')
            .map_or(String::new(), |(s, _)| format!("{s}."))
    };
    let about = |key: &str| error.message.starts_with(key);
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
