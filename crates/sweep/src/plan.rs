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
    /// The configuration that every run starts from, relative to this file, or several by name.
    base: Base,
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

/// The configurations that runs start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
enum Base {
    One(PathBuf),
    /// Setups by name, which is the runs' value on the axis [`SETUP`].
    Setups(Vec<(String, PathBuf)>),
}

/// The axis of several base configurations.
const SETUP: &str = "setup";

impl TryFrom<Value> for Base {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, &'static str> {
        let text = |value: &Value| value.as_str().map(str::to_string);
        let wanted = "base must be a file, or names with a file each, such as {small: a.yaml, large: b.yaml}";
        match &value {
            Value::String(path) => Ok(Self::One(path.into())),
            Value::Mapping(setups) if !setups.is_empty() => {
                let setup = |(name, path)| Some((text(name)?, text(path)?.into()));
                let setups: Option<_> = setups.iter().map(setup).collect();
                setups.map(Self::Setups).ok_or(wanted)
            }
            _ => Err(wanted),
        }
    }
}

impl From<Base> for Value {
    fn from(base: Base) -> Self {
        let text = |path: PathBuf| Self::String(path.display().to_string());
        match base {
            Base::One(path) => text(path),
            Base::Setups(setups) => {
                let pairs = setups.into_iter();
                Self::Mapping(
                    pairs
                        .map(|(name, path)| (name.into(), text(path)))
                        .collect(),
                )
            }
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
        let overrides: Vec<Override> = assignments
            .into_iter()
            .filter(|(_, (key, _))| !key.starts_with("axes."))
            .map(|(text, (key, value))| Override {
                origin: format!("--set {text}"),
                key,
                value,
            })
            .collect();
        if let Some(clash) = overrides
            .iter()
            .find(|o| axes.iter().any(|a| a.key == o.key))
        {
            let (key, file) = (&clash.key, path.display());
            let message = format!("{key} is an axis of {file}: set axes.{key}=[...]");
            return Err(ConfigError::new(&clash.origin, message));
        }
        let setups = match file.base {
            Base::One(base) => vec![(None, base)],
            Base::Setups(setups) => setups
                .into_iter()
                .map(|(name, base)| (Some(name), base))
                .collect(),
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let setups = setups
            .into_iter()
            .map(|(name, base)| Setup::read(name, &folder.join(base), &overrides))
            .collect::<Result<Vec<_>, _>>()?;
        check_overrides(&overrides, &setups)?;
        let mut points = Vec::new();
        for setup in &setups {
            RunConfig::read(&setup.base, &setup.places)?;
            points.extend(product(&axes, setup, &origin)?);
        }
        check_points(&points, &origin)?;
        Ok(Self {
            name: file.name,
            description: file.description,
            jobs: file.jobs,
            points,
        })
    }
}

/// A `--set` that is for the configurations.
struct Override {
    origin: String,
    key: String,
    value: Value,
}

/// One configuration that runs start from.
struct Setup {
    /// Its name, if there are several.
    name: Option<String>,
    base: Document,
    /// The keys that were set in it, each with who set it.
    places: Vec<(String, String)>,
    /// The first override that it has no key for.
    refused: Option<ConfigError>,
}

impl Setup {
    fn read(
        name: Option<String>,
        path: &Path,
        overrides: &[Override],
    ) -> Result<Self, ConfigError> {
        let (base, _) = Document::read::<RunConfig>(path)?;
        let mut setup = Self {
            name,
            base,
            places: Vec::new(),
            refused: None,
        };
        for Override { origin, key, value } in overrides {
            match setup.base.set(key, value.clone(), origin) {
                Ok(()) => setup.places.push((key.clone(), origin.clone())),
                Err(error) => setup.refused = setup.refused.or(Some(error)),
            }
        }
        Ok(setup)
    }
}

/// Refuses an override that no setup has a key for; where there are several, one is enough.
fn check_overrides(overrides: &[Override], setups: &[Setup]) -> Result<(), ConfigError> {
    for Override { origin, key, .. } in overrides {
        let set = |setup: &Setup| {
            setup
                .places
                .iter()
                .any(|place| place == &(key.clone(), origin.clone()))
        };
        if !setups.iter().any(set) {
            let refused = setups.iter().find_map(|setup| setup.refused.clone());
            return Err(refused.unwrap_or_else(|| ConfigError::new(origin, "no such key")));
        }
    }
    Ok(())
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
fn product(axes: &[Axis], setup: &Setup, origin: &str) -> Result<Vec<Point>, ConfigError> {
    let runs: usize = axes.iter().map(|axis| axis.values.len()).product();
    let mut points = Vec::new();
    for run in 0..runs {
        let mut document = setup.base.clone();
        let mut rest = run;
        let mut chosen = Vec::new();
        for axis in axes.iter().rev() {
            chosen.push((axis, rest % axis.values.len()));
            rest /= axis.values.len();
        }
        chosen.reverse();
        let mut places = setup.places.clone();
        for &(axis, index) in &chosen {
            let value = &axis.values[index];
            let place = format!("{origin}: axes.{}[{index}]", axis.key);
            document.set(&axis.key, value.clone(), &place)?;
            places.push((axis.key.clone(), place));
        }
        let config = RunConfig::read(&document, &places)?;
        let setup = setup
            .name
            .iter()
            .map(|name| (SETUP.to_string(), name.clone()));
        let axes = chosen.iter().map(|(axis, index)| {
            let value = &axis.values[*index];
            (axis.key.clone(), value_name(&axis.key, value, &config))
        });
        let values: Vec<_> = setup.chain(axes).collect();
        points.push(Point {
            name: point_name(&values),
            values,
            config,
        });
    }
    Ok(points)
}

/// Refuses names that are too long for a folder, or not of their own.
fn check_points(points: &[Point], origin: &str) -> Result<(), ConfigError> {
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

/// A value as text; D in its one spelling, so that `1`, `1.0` and `1e0` are one run.
fn value_name(key: &str, value: &Value, config: &RunConfig) -> String {
    match value {
        _ if key == "d" => config.model.d().to_string(),
        _ if key == "sampler.d" => config.d().to_string(),
        _ if key == "data" => config.data.name(),
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
