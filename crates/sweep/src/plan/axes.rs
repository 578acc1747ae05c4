//! The axes of a sweep, and the text of a value on one.

use pfgmpp_config::{ConfigError, RunConfig, yaml};
use pfgmpp_kernel::Dimension;
use serde_yaml::{Mapping, Value};

/// More runs than anyone means to start.
const MAX_POINTS: usize = 10_000;

/// One axis of a sweep.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub key: String,
    pub values: Vec<Value>,
    /// Where it stands: `sweep.yaml: axes.d`.
    pub place: String,
}

/// Reads the mapping `section` of the file `origin`.
pub(super) fn read(axes: &Mapping, origin: &str, section: &str) -> Result<Vec<Axis>, ConfigError> {
    let axis = |(key, values): (&Value, &Value)| {
        let key = key.as_str().unwrap_or_default().to_string();
        let bad = |message: &str| ConfigError::new(origin, format!("{section}.{key}: {message}"));
        let values = values.as_sequence().ok_or_else(|| {
            let got = yaml::shown(values);
            bad(&format!(
                "must be a list of values, such as [1, 128, inf], got {got}"
            ))
        })?;
        if values.is_empty() {
            return Err(bad("is empty: list at least one value"));
        }
        Ok(Axis {
            values: values.clone(),
            place: format!("{origin}: {section}.{key}"),
            key,
        })
    };
    axes.iter().map(axis).collect()
}

/// Refuses more runs than anyone means to start.
pub(super) fn check_runs<'a>(
    setups: impl Iterator<Item = &'a [Axis]>,
    origin: &str,
) -> Result<(), ConfigError> {
    let runs = |axes: &[Axis]| {
        let mut lengths = axes.iter().map(|axis| axis.values.len());
        lengths.try_fold(1usize, usize::checked_mul)
    };
    let mut all = setups.map(runs);
    match all.try_fold(0usize, |sum, runs| sum.checked_add(runs?)) {
        Some(runs) if runs <= MAX_POINTS => Ok(()),
        _ => {
            let message = format!("axes: more than {MAX_POINTS} runs: shorten an axis");
            Err(ConfigError::new(origin, message))
        }
    }
}

/// Every choice of one value on each axis, first axis slowest.
pub(super) fn choices(axes: &[Axis]) -> Vec<Vec<(&Axis, usize)>> {
    let mut all: Vec<Vec<(&Axis, usize)>> = vec![Vec::new()];
    for axis in axes {
        let mut longer = Vec::with_capacity(all.len() * axis.values.len());
        for choice in &all {
            for index in 0..axis.values.len() {
                longer.push([choice.as_slice(), &[(axis, index)]].concat());
            }
        }
        all = longer;
    }
    all
}

impl Axis {
    /// The value at `index` as text; D in its one spelling, so that `1`, `1.0` and `1e0` are one run.
    ///
    /// A choice with settings is known by its key, and by its settings where the axis has that choice several times.
    pub fn text(&self, index: usize, config: &RunConfig) -> String {
        let value = &self.values[index];
        match self.key.as_str() {
            "d" => config.model.d().map_or_else(String::new, |d| d.to_string()),
            "sampler.d" => config.d().to_string(),
            "data" => config.data.name(),
            key => {
                let text = plain_name(key, value);
                let same = |other: &&Value| plain_name(key, other) == text;
                match self.values.iter().filter(same).count() {
                    1 => text,
                    _ => with_settings(value).unwrap_or(text),
                }
            }
        }
    }
}

/// `unipc: {order: 2, variant: bh2}` as `unipc+order=2+variant=bh2`; `None` of a value that is no choice with settings.
fn with_settings(value: &Value) -> Option<String> {
    let map = value.as_mapping().filter(|map| map.len() == 1)?;
    let (key, settings) = map.iter().next()?;
    let settings = match settings {
        Value::Mapping(map) => {
            let entries = map.iter();
            let text = |(key, value)| format!("+{}={}", value_text(key), value_text(value));
            entries.map(text).collect()
        }
        other => format!("+{}", value_text(other)),
    };
    Some(value_text(key) + &settings)
}

/// As [`Axis::text`] where neither a configuration nor the axis is at hand.
pub(super) fn plain_name(key: &str, value: &Value) -> String {
    if ["d", "sampler.d"].contains(&key)
        && let Ok(d) = serde_yaml::from_value::<Dimension>(value.clone())
    {
        return d.to_string();
    }
    value_text(value)
}

/// `[1, 2, 2]` is `1-2-2`, `{a: 1, b: 2}` is `a=1+b=2`.
fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        // The choice `log_normal: {...}` is known by its key.
        Value::Mapping(map) if map.len() == 1 => {
            let key = map.keys().next().and_then(Value::as_str);
            key.unwrap_or_default().to_string()
        }
        Value::Mapping(map) => {
            let entries = map.iter();
            let entries =
                entries.map(|(key, value)| format!("{}={}", value_text(key), value_text(value)));
            entries.collect::<Vec<_>>().join("+")
        }
        Value::Sequence(list) => list.iter().map(value_text).collect::<Vec<_>>().join("-"),
        other => yaml::to_line(other),
    }
}

#[cfg(test)]
mod tests {
    use super::{plain_name, with_settings};

    #[test]
    fn a_choice_that_stands_twice_is_named_by_its_settings() {
        for (text, want) in [
            (
                "{unipc: {order: 2, variant: bh2}}",
                Some("unipc+order=2+variant=bh2"),
            ),
            ("{levels: [8.5, 1, 0]}", Some("levels+8.5-1-0")),
            ("{rounded: {}}", Some("rounded")),
            ("heun", None),
            ("{a: 1, b: 2}", None),
        ] {
            let got = with_settings(&serde_yaml::from_str(text).unwrap());
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn values_are_named_as_they_are_read_aloud() {
        for (text, want) in [
            ("[1, 2, 2]", "1-2-2"),
            ("[[1, 2], [3]]", "1-2-3"),
            ("{a: 1, b: [2, 3]}", "a=1+b=2-3"),
            ("{log_normal: {p_mean: 1}}", "log_normal"),
            ("0.00001", "0.00001"),
            ("true", "true"),
            ("[]", ""),
            ("null", "null"),
        ] {
            let got = plain_name("x", &serde_yaml::from_str(text).unwrap());
            assert_eq!(got, want, "{text}");
        }
    }
}
