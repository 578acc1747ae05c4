//! From a sweep file to an ordered list of runs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use pfgmpp_train::RunConfig;
use pfgmpp_train::yaml::{ConfigError, Document, parse_assignment};
use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

/// More runs than anyone means to start.
const MAX_POINTS: usize = 10_000;

/// A sweep as its file holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepFile {
    /// Name of the sweep; its results go to `runs/<name>`.
    name: String,
    /// What the sweep asks, in a sentence, for the report.
    description: String,
    /// The configuration that every run starts from, relative to this file.
    base: PathBuf,
    /// Runs at a time: a number, or `auto` for as many as there are cores.
    jobs: Jobs,
    /// Dotted configuration keys, each with its list of values; the runs are their product.
    axes: Mapping,
}

/// How many runs go on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "String")]
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

impl From<Jobs> for String {
    fn from(jobs: Jobs) -> Self {
        jobs.to_string()
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

/// The longest name that every file system takes, with room for a temporary prefix.
const MAX_NAME: usize = 200;

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Stable, readable and unique: `d=128,seed=0`. Also the name of the run's folder.
    pub name: String,
    /// Each axis and this run's value on it, as text.
    pub values: Vec<(String, String)>,
    /// The complete configuration.
    pub config: RunConfig,
}

/// The runs of a sweep, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name of the sweep.
    pub name: String,
    /// What the sweep asks.
    pub description: String,
    /// Runs at a time.
    pub jobs: Jobs,
    /// The runs, first axis slowest.
    pub points: Vec<Point>,
}

impl Plan {
    /// Reads a sweep file and the configuration it starts from, with `KEY=VALUE` overrides.
    ///
    /// A key under `axes.` changes an axis; any other key changes the configuration of every run.
    ///
    /// # Errors
    ///
    /// Anything in the files or overrides that is not accepted, with the place where it stands.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let assignments: Vec<(&String, (String, Value))> = overrides
            .iter()
            .map(|text| Ok((text, parse_assignment(text)?)))
            .collect::<Result<_, ConfigError>>()?;
        let (mut document, _) = Document::read::<SweepFile>(path)?;
        for (text, (key, value)) in &assignments {
            if key.starts_with("axes.") {
                set_axis(&mut document, key, value, text)?;
            }
        }
        let origin = path.display().to_string();
        let file: SweepFile = document.to(&origin)?;
        check_name(&file.name, &origin)?;
        let axes = read_axes(&file.axes, &origin)?;
        let base_path = path.parent().unwrap_or(Path::new("")).join(&file.base);
        let (mut base, _) = Document::read::<RunConfig>(&base_path)?;
        let mut places = Vec::new();
        for (text, (key, value)) in assignments {
            if key.starts_with("axes.") {
                continue;
            }
            let origin = format!("--set {text}");
            if axes.iter().any(|axis| axis.key == key) {
                let message = format!(
                    "{key} is an axis of {}: set axes.{key}=[...]",
                    path.display()
                );
                return Err(ConfigError::new(origin, message));
            }
            base.set(&key, value, &origin)?;
            places.push((key, origin));
        }
        RunConfig::read(&base, &places)?;
        Ok(Self {
            name: file.name,
            description: file.description,
            jobs: file.jobs,
            points: product(&axes, &base, &origin)?,
        })
    }
}

/// One axis of a sweep.
struct Axis {
    key: String,
    values: Vec<Value>,
}

/// Replaces or adds an axis.
fn set_axis(
    document: &mut Document,
    key: &str,
    value: &Value,
    text: &str,
) -> Result<(), ConfigError> {
    let name = key.strip_prefix("axes.").unwrap_or(key);
    let mut axes = document.to::<SweepFile>(&format!("--set {text}"))?.axes;
    axes.insert(Value::from(name), value.clone());
    document.set("axes", Value::Mapping(axes), &format!("--set {text}"))
}

fn read_axes(axes: &Mapping, origin: &str) -> Result<Vec<Axis>, ConfigError> {
    if axes.is_empty() {
        let message = "axes: no axis: name at least one, such as d: [1, 128, inf]";
        return Err(ConfigError::new(origin, message));
    }
    let mut read = Vec::new();
    for (key, values) in axes {
        let key = key.as_str().unwrap_or_default().to_string();
        let bad = |message: &str| ConfigError::new(origin, format!("axes.{key}: {message}"));
        let values = values
            .as_sequence()
            .ok_or_else(|| bad("must be a list of values, such as [1, 128, inf]"))?;
        if values.is_empty() {
            return Err(bad("is empty: list at least one value"));
        }
        read.push(Axis {
            values: values.clone(),
            key,
        });
    }
    let runs = read
        .iter()
        .try_fold(1usize, |runs, axis| runs.checked_mul(axis.values.len()));
    match runs {
        Some(runs) if runs <= MAX_POINTS => Ok(read),
        _ => Err(ConfigError::new(
            origin,
            format!("axes: more than {MAX_POINTS} runs: shorten an axis"),
        )),
    }
}

/// Every combination of the axes' values, first axis slowest, each a checked configuration.
fn product(axes: &[Axis], base: &Document, origin: &str) -> Result<Vec<Point>, ConfigError> {
    let runs: usize = axes.iter().map(|axis| axis.values.len()).product();
    let mut names = HashSet::new();
    let mut points = Vec::new();
    for run in 0..runs {
        let mut document = base.clone();
        let mut rest = run;
        let mut chosen = Vec::new();
        for axis in axes.iter().rev() {
            chosen.push((axis, rest % axis.values.len()));
            rest /= axis.values.len();
        }
        chosen.reverse();
        let mut places = Vec::new();
        for &(axis, index) in &chosen {
            let value = &axis.values[index];
            let place = format!("{origin}: axes.{}[{index}]", axis.key);
            document.set(&axis.key, value.clone(), &place)?;
            places.push((axis.key.clone(), place));
        }
        let config = RunConfig::read(&document, &places)?;
        let values: Vec<_> = chosen
            .iter()
            .map(|(axis, index)| {
                let value = &axis.values[*index];
                (axis.key.clone(), value_name(&axis.key, value, &config))
            })
            .collect();
        let name = point_name(&values);
        if name.len() > MAX_NAME {
            let message = format!(
                "axes: a run's name would have {} bytes, up to {MAX_NAME} are accepted",
                name.len()
            );
            return Err(ConfigError::new(origin, message));
        }
        if !names.insert(name.clone()) {
            let message =
                format!("axes: two runs would be named {name}: each needs a value of its own");
            return Err(ConfigError::new(origin, message));
        }
        points.push(Point {
            name,
            values,
            config,
        });
    }
    Ok(points)
}

/// A value as text; D in its one spelling, so that `1`, `1.0` and `1e0` are one run.
fn value_name(key: &str, value: &Value, config: &RunConfig) -> String {
    match value {
        _ if key == "d" => config.d.to_string(),
        Value::String(text) => text.clone(),
        // The choice `log_normal: {...}` is known by its key.
        Value::Mapping(map) if map.len() == 1 => {
            let key = map.keys().next().and_then(Value::as_str);
            key.unwrap_or_default().to_string()
        }
        other => serde_yaml::to_string(other)
            .unwrap_or_default()
            .trim()
            .replace("\n- ", "-")
            .replace('\n', ","),
    }
}

/// The run's name, with nothing in it that a file name cannot hold.
fn point_name(values: &[(String, String)]) -> String {
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

fn check_name(name: &str, origin: &str) -> Result<(), ConfigError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed) {
        return Ok(());
    }
    Err(ConfigError::new(
        origin,
        format!("name: must be letters, digits, -, _ and ., not first, got {name:?}"),
    ))
}
