//! A sweep as its file holds it, and what `--set` changes in it.

use std::path::PathBuf;

use pfgmpp_config::{ConfigError, ConfigKind, Configuration, Override, yaml};
use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use crate::Jobs;
use crate::slurm::SlurmConfig;

/// A sweep file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SweepFile {
    /// Name of the sweep; its results go to `runs/<name>`.
    pub name: String,
    /// What the sweep asks, in a sentence, for the report.
    pub description: String,
    /// The configuration that every run starts from, relative to this file, or several by name.
    pub base: Base,
    /// Runs at a time: a number, or `auto` for as many as there are cores.
    pub jobs: Jobs,
    /// Dotted configuration keys, each with its list of values; the runs are their product. Setups
    /// may have more of their own.
    #[serde(default)]
    pub axes: Mapping,
    /// What each run's model is sampled with besides, in place of `evaluations` of the configuration.
    #[serde(default)]
    pub evaluations: Option<Value>,
    /// What each run asks Slurm for, with `--launcher slurm`.
    #[serde(default)]
    pub slurm: SlurmConfig,
}

impl Configuration for SweepFile {
    const KIND: ConfigKind = ConfigKind::Sweep;
}

/// The configurations that runs start from.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) enum Base {
    One(PathBuf),
    /// Setups by name, which is the runs' value on the axis `setup`.
    Setups(Vec<(String, SetupFile)>),
}

/// One of several setups.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetupFile {
    /// Its configuration, relative to the sweep file.
    pub config: PathBuf,
    /// Axes of this setup alone, slower than the common ones.
    #[serde(default)]
    pub axes: Mapping,
    /// Which runs of the sweep train the models that this setup samples: their values on `setup` and
    /// on axes, those on common axes being a run's own where they are not named.
    pub checkpoint_of: Option<Mapping>,
}

impl TryFrom<Value> for Base {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let wanted = "base: must be a file, or names with a file each, such as {small: a.yaml, large: b.yaml}";
        match value {
            Value::String(path) => Ok(Self::One(path.into())),
            Value::Mapping(setups) if !setups.is_empty() => {
                let setups = setups.into_iter().map(|(name, setup)| {
                    let name = name.as_str().ok_or(wanted)?.to_string();
                    check_setup_name(&name)?;
                    let setup = SetupFile::read(setup).map_err(|e| below(&name, &e))?;
                    Ok((name, setup))
                });
                setups.collect::<Result<_, String>>().map(Self::Setups)
            }
            _ => Err(wanted.to_string()),
        }
    }
}

/// The message of a setup, with the keys that lead to it.
fn below(name: &str, message: &str) -> String {
    let begins_with_key = message
        .split_once(": ")
        .is_some_and(|(key, _)| !key.contains(' '));
    match begins_with_key {
        true => format!("base.{name}.{message}"),
        false => format!("base.{name}: {message}"),
    }
}

/// A setup's name is part of the names of its runs' folders.
fn check_setup_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.chars().all(allowed) {
        return Ok(());
    }
    Err(format!(
        "base: a setup's name must be letters, digits, -, _ and ., got {name:?}"
    ))
}

impl Base {
    /// The same with paths that start from the working directory.
    fn located_here(mut self) -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        match &mut self {
            Self::One(config) => *config = here.join(&*config),
            Self::Setups(setups) => {
                for (_, setup) in setups {
                    setup.config = here.join(&setup.config);
                }
            }
        }
        self
    }

    /// The setups, one without a name where there is one base.
    pub fn setups(&self) -> Vec<(Option<String>, SetupFile)> {
        match self {
            Self::One(config) => {
                let setup = SetupFile {
                    config: config.clone(),
                    ..SetupFile::default()
                };
                vec![(None, setup)]
            }
            Self::Setups(setups) => {
                let named = setups.iter().cloned();
                named.map(|(name, setup)| (Some(name), setup)).collect()
            }
        }
    }
}

impl SetupFile {
    /// Reads a setup.
    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::String(path) => Ok(Self {
                config: path.into(),
                ..Self::default()
            }),
            Value::Mapping(_) => yaml::from_value(&value, "").map_err(|e| e.message),
            _ => Err("must be a file, or a section with config: a file".to_string()),
        }
    }
}

impl SweepFile {
    /// Takes in the override if it is about an axis: `axes.KEY`, wherever the file has that axis, or
    /// `base.SETUP.axes.KEY`. Gives any other one back.
    pub fn take(&mut self, other: Override) -> Result<Option<Override>, ConfigError> {
        if let Some(key) = other.key.strip_prefix("axes.") {
            self.set_axis(key, &other.value);
            return Ok(None);
        }
        if other.key == "base" {
            let base = Base::try_from(other.value);
            // On the command line a path starts from where it is typed.
            let base = base.map(Base::located_here);
            self.base = base.map_err(|message| ConfigError::new(&other.origin, message))?;
            return Ok(None);
        }
        let of_setup = other.key.strip_prefix("base.");
        match of_setup.and_then(|rest| rest.split_once(".axes.")) {
            Some((setup, key)) => self.set_axis_of(setup, key, &other).map(|()| None),
            None => Ok(Some(other)),
        }
    }

    fn set_axis(&mut self, key: &str, value: &Value) {
        let mut owners: Vec<&mut Mapping> = Vec::new();
        if let (false, Base::Setups(setups)) = (self.axes.contains_key(key), &mut self.base) {
            let axes = setups.iter_mut().map(|(_, setup)| &mut setup.axes);
            owners.extend(axes.filter(|axes| axes.contains_key(key)));
        }
        if owners.is_empty() {
            owners.push(&mut self.axes);
        }
        for axes in owners {
            axes.insert(key.into(), value.clone());
        }
    }

    fn set_axis_of(&mut self, name: &str, key: &str, by: &Override) -> Result<(), ConfigError> {
        let setups: &mut [(String, SetupFile)] = match &mut self.base {
            Base::One(_) => &mut [],
            Base::Setups(setups) => setups,
        };
        let names: Vec<String> = setups.iter().map(|(name, _)| name.clone()).collect();
        let Some((_, setup)) = setups.iter_mut().find(|(other, _)| other == name) else {
            let message = match names.as_slice() {
                [] => format!("no setup `{name}`: the sweep has one base: set axes.{key}"),
                names => format!("no setup `{name}`: accepted are {}", names.join(", ")),
            };
            return Err(ConfigError::new(&by.origin, message));
        };
        setup.axes.insert(key.into(), by.value.clone());
        Ok(())
    }
}
