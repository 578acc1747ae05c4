//! Which of a sweep's runs a call takes.

use std::fmt;
use std::str::FromStr;

use pfgmpp_config::ConfigError;

use crate::Plan;

/// The runs that one call executes; the others are left to other calls, on this machine or another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// All of them.
    #[default]
    All,
    /// One part of several.
    Shard(Shard),
    /// Those of these names.
    Only(Vec<String>),
}

/// Every `of`-th run, from run `number` on, counted from 1: `2/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!(
                "must be a shard and how many there are, such as 1/8 to 8/8, got {text}"
            )),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Share {
    /// For each run of the plan, whether it is taken.
    ///
    /// # Errors
    ///
    /// A name that no run has.
    pub fn of(&self, plan: &Plan) -> Result<Vec<bool>, ConfigError> {
        let names = || plan.points.iter().map(|point| &point.name);
        if let Self::Only(only) = self {
            let unknown = only.iter().find(|only| !names().any(|name| name == *only));
            if let Some(unknown) = unknown {
                let near = names().next().map_or("", String::as_str);
                let message =
                    format!("no run {unknown} in this sweep, whose runs have names such as {near}");
                return Err(ConfigError::new(&plan.name, message));
            }
        }
        let takes = |(index, name): (usize, &String)| match self {
            Self::All => true,
            Self::Shard(shard) => index % shard.of == shard.number - 1,
            Self::Only(only) => only.contains(name),
        };
        Ok(names().enumerate().map(takes).collect())
    }

    /// Whether other calls take the rest.
    #[must_use]
    pub fn is_part(&self) -> bool {
        *self != Self::All
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_read_as_they_are_shown() {
        let shard: Shard = "2/8".parse().unwrap();
        assert_eq!(
            (shard.number, shard.of, shard.to_string()),
            (2, 8, "2/8".to_string())
        );
        for text in [
            "", "2", "0/8", "9/8", "1/0", "-1/3", "1/2/3", "a/b", "1.5/2",
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains("such as 1/8 to 8/8"), "{text}: got {error}");
        }
    }
}
