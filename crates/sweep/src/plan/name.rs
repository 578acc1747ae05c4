//! Names of runs and sweeps, which are also names of folders.

use std::collections::HashSet;

use pfgmpp_config::ConfigError;

use super::Point;

/// The longest name that every file system takes, with room for a temporary prefix.
const MAX_NAME: usize = 200;

/// The run's name, with nothing in it that a file name cannot hold.
pub(super) fn point_name(values: &[(String, String)]) -> String {
    let parts: Vec<String> = values
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let allowed = |c: char| c.is_alphanumeric() || "=,.-+_".contains(c);
    parts
        .join(",")
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

/// Refuses names that are too long for a folder, or not of their own.
pub(super) fn check_points(points: &[Point], origin: &str) -> Result<(), ConfigError> {
    let mut names = HashSet::new();
    for Point { name, .. } in points {
        if name.len() > MAX_NAME {
            let message = format!(
                "axes: a run's name would have {} bytes, up to {MAX_NAME} are accepted",
                name.len()
            );
            return Err(ConfigError::new(origin, message));
        }
        if !names.insert(name) {
            let message =
                format!("axes: two runs would be named {name}: each needs a value of its own");
            return Err(ConfigError::new(origin, message));
        }
    }
    Ok(())
}

/// Refuses a sweep's name that is none of a folder.
pub(super) fn check_name(name: &str, origin: &str) -> Result<(), ConfigError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed) {
        return Ok(());
    }
    Err(ConfigError::new(
        origin,
        format!("name: must be letters, digits, -, _ and ., not first, got {name:?}"),
    ))
}
