//! Runs that sample what another run of the same sweep trains.

use pfgmpp_config::{CheckpointSource, ConfigError, ModelConfig};
use serde_yaml::{Mapping, Value};

use super::Point;
use super::axes::plain_name;
use super::setup::{SETUP, Setup};

/// Names, in the configuration of each run of a setup with `checkpoint_of`, the run that trains its model.
pub(super) fn name_providers(
    points: &mut [Point],
    setups: &[Setup],
    common: &Mapping,
    origin: &str,
) -> Result<(), ConfigError> {
    let shared: Vec<&str> = common.keys().filter_map(Value::as_str).collect();
    for setup in setups {
        let (Some(name), Some(wanted)) = (&setup.name, &setup.checkpoint_of) else {
            continue;
        };
        let bad = |message: String| {
            ConfigError::new(origin, format!("base.{name}.checkpoint_of: {message}"))
        };
        let wanted = read(wanted, setups).map_err(bad)?;
        for index in 0..points.len() {
            if points[index].value(SETUP) != Some(name) {
                continue;
            }
            let mut wanted = wanted.clone();
            let own = points[index].values.iter();
            let own = own.filter(|(key, _)| shared.contains(&key.as_str()));
            for (key, value) in own {
                if wanted.iter().all(|(other, _)| other != key) {
                    wanted.push((key.clone(), value.clone()));
                }
            }
            let run = find(points, &wanted).map_err(bad)?;
            match &mut points[index].config.model {
                ModelConfig::Checkpoint { source } => *source = CheckpointSource::Run(run),
                _ => {
                    let message = "the configuration does not sample a checkpoint, which is what \
                                   model: {checkpoint: ...} says";
                    return Err(bad(message.to_string()));
                }
            }
        }
    }
    Ok(())
}

/// The values that a `checkpoint_of` asks for, as text.
fn read(wanted: &Mapping, setups: &[Setup]) -> Result<Vec<(String, String)>, String> {
    let text = |(key, value): (&Value, &Value)| {
        let key = key.as_str().unwrap_or_default().to_string();
        let value = plain_name(&key, value);
        (key, value)
    };
    let wanted: Vec<(String, String)> = wanted.iter().map(text).collect();
    let names: Vec<&str> = setups.iter().filter_map(|s| s.name.as_deref()).collect();
    let accepted = format!("accepted are {}", names.join(", "));
    let Some((_, name)) = wanted.iter().find(|(key, _)| key == SETUP) else {
        return Err(format!(
            "setup: is missing, the one that trains the model: {accepted}"
        ));
    };
    let Some(setup) = setups.iter().find(|s| s.name.as_ref() == Some(name)) else {
        return Err(format!("no setup `{name}`: {accepted}"));
    };
    for (key, _) in wanted.iter().filter(|(key, _)| key != SETUP) {
        if setup.axes.iter().all(|axis| axis.key != *key) {
            let axes: Vec<&str> = setup.axes.iter().map(|axis| axis.key.as_str()).collect();
            let axes = axes.join(", ");
            return Err(format!(
                "no axis `{key}` of setup {name}: accepted are {axes}"
            ));
        }
    }
    Ok(wanted)
}

/// The one run that has the `wanted` values.
fn find(points: &[Point], wanted: &[(String, String)]) -> Result<String, String> {
    let fits = |point: &&Point| {
        let has = |(key, value): &(String, String)| point.value(key) == Some(value);
        wanted.iter().all(has)
    };
    let found: Vec<&Point> = points.iter().filter(fits).collect();
    let pairs = wanted.iter().map(|(key, value)| format!("{key}={value}"));
    let asked = pairs.collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [one] => Ok(one.name.clone()),
        [] => Err(format!("the sweep has no run with {asked}")),
        [first, second, ..] => Err(format!(
            "{} runs have {asked}, such as {} and {}: name a value on each axis",
            found.len(),
            first.name,
            second.name
        )),
    }
}

/// Finds the run that each run names as its checkpoint.
pub(super) fn link(points: &mut [Point], origin: &str) -> Result<(), ConfigError> {
    for index in 0..points.len() {
        let ModelConfig::Checkpoint {
            source: CheckpointSource::Run(wanted),
        } = &points[index].config.model
        else {
            continue;
        };
        let bad = |message: &str| {
            let name = &points[index].name;
            let message = format!("{name}: model.checkpoint.run: {wanted} {message}");
            Err(ConfigError::new(origin, message))
        };
        match points.iter().position(|point| point.name == *wanted) {
            None => return bad("is no run of this sweep"),
            Some(at) if points[at].config.trained().is_none() => {
                return bad("trains nothing, so it has no checkpoint");
            }
            Some(at) => points[index].provider = Some(at),
        }
    }
    Ok(())
}
