//! How many runs go on at a time.

use serde::Deserialize;
use serde_yaml::Value;

/// How many runs go on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Jobs {
    /// As many as there are cores, each on one of them.
    Auto,
    /// This many.
    Fixed(usize),
}

impl TryFrom<Value> for Jobs {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match &value {
            Value::String(text) => text.parse(),
            Value::Number(number) => number.to_string().parse(),
            _ => Err("jobs must be a positive whole number or auto".to_string()),
        }
    }
}

impl std::fmt::Display for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(jobs) => jobs.fmt(f),
        }
    }
}

impl std::str::FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(jobs) if (1..=1024).contains(&jobs) => Ok(Self::Fixed(jobs)),
            _ => Err(format!("jobs must be from 1 to 1024, or auto, got {text}")),
        }
    }
}
