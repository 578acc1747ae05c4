//! Everything a run needs to go on as if it had never stopped.
//!
//! Random numbers are functions of the seed and of `nimg`, so no generator has to be saved.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use pfgmpp_checkpoint::{CheckpointError, Seal, read_sealed_tensors, write_sealed_tensors};
use pfgmpp_nn::Parameters;
use pfgmpp_store::make_one;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::adam::Adam;
use crate::averages::Averages;
use crate::ema::{Ema, Profile};
use crate::error::TrainError;
use crate::identity::{FINGERPRINT, HELD_OUT, difference};

/// Where training stands, beside the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Images seen.
    pub nimg: u64,
    /// Steps of the optimizer.
    pub steps: u64,
    /// Sum of the losses that count for `train_loss`, as the bits of an `f64`.
    pub tail_sum: u64,
    /// The number of those losses.
    pub tail_count: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Steps that were left out because they were not finite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// Those among them since the last step that was taken.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped_in_a_row: u64,
    /// Measurements of the error on held-out data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

/// What was found on held-out data while training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Images seen at the last measurement.
    pub last_nimg: u64,
    /// Images seen at the best one.
    pub best_nimg: u64,
    /// The lowest error, as the bits of an `f64`.
    best_error: u64,
}

impl Validation {
    /// What is known after another measurement; an error that is not a number is above all others.
    #[must_use]
    pub fn and(before: Option<Self>, nimg: u64, error: f64) -> Self {
        let error = if error.is_nan() { f64::INFINITY } else { error };
        let best = before.filter(|before| before.best_error() <= error);
        Self {
            last_nimg: nimg,
            best_nimg: best.map_or(nimg, |best| best.best_nimg),
            best_error: best.map_or(error.to_bits(), |best| best.best_error),
        }
    }

    /// The lowest error.
    #[must_use]
    pub fn best_error(&self) -> f64 {
        f64::from_bits(self.best_error)
    }
}

/// Whether there is nothing to say, as versions before this one said nothing.
fn is_zero(count: &u64) -> bool {
    *count == 0
}

const POSITION: &str = "position";
/// Whose state it is; states of the version before do not say.
const RUN: &str = "run";

/// Writes the state of the training `run`, whole or not at all, and only if all of it is finite.
pub(crate) fn save(
    path: &Path,
    parameters: &Parameters,
    adam: &Adam,
    averages: &Averages,
    position: &Position,
    run: &Map<String, Value>,
) -> Result<(), TrainError> {
    let slots = slots(parameters, adam, averages);
    // From such a state every resume would fail as this run does; the one before it still stands.
    for (name, var) in &slots {
        if !is_finite(var)? {
            let (nimg, name) = (position.nimg, name.clone());
            return Err(TrainError::NotFinite { nimg, name });
        }
    }
    if let Some(folder) = path.parent() {
        make_one(folder)?;
    }
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    for (key, var) in slots {
        tensors.insert(key, var.as_detached_tensor());
    }
    let position = serde_json::to_string(position).expect("a position has string keys");
    let run = serde_json::to_string(run).expect("names are strings");
    let metadata = [(POSITION, position), (RUN, run)];
    let metadata = metadata.map(|(name, text)| (name.to_string(), text));
    Ok(write_sealed_tensors(path, &tensors, metadata.into())?)
}

/// What a state says beside its tensors.
#[derive(Debug, PartialEq)]
pub(crate) struct Restored {
    /// Where it stands.
    pub position: Position,
    /// Whether it knows what data it was trained on.
    pub knows_its_data: bool,
    /// The fingerprint of the data that it was measured on, where it knows them.
    pub held_out: Option<String>,
}

/// Restores the state of the training `run` into `parameters`, `adam` and `averages`; `None` when there is no file.
pub(crate) fn load(
    path: &Path,
    parameters: &Parameters,
    adam: &mut Adam,
    averages: &Averages,
    run: &Map<String, Value>,
    device: &Device,
) -> Result<Option<Restored>, TrainError> {
    if !path.exists() {
        return Ok(None);
    }
    let bad = |message: String| TrainError::State {
        path: path.to_path_buf(),
        message,
    };
    let read = read_sealed_tensors(path, device).map_err(|e| match e {
        CheckpointError::Checksum { .. } => {
            bad("it is damaged: its checksum is not that of its content".to_string())
        }
        other => {
            let (text, place) = (other.to_string(), format!("{}: ", path.display()));
            bad(text.strip_prefix(&place).unwrap_or(&text).to_string())
        }
    });
    let (tensors, metadata, seal) = read?;
    let there = run_of(&metadata, seal).map_err(bad)?;
    check_run(&there, run, path, bad)?;
    let position: Position = metadata
        .get(POSITION)
        .and_then(|json| serde_json::from_str(json).ok())
        .ok_or_else(|| bad("no position".to_string()))?;
    let slots = slots(parameters, adam, averages);
    let known: HashSet<&str> = slots.iter().map(|(key, _)| key.as_str()).collect();
    let foreign = tensors.keys().filter(|key| !known.contains(key.as_str()));
    if let Some(key) = foreign.min() {
        return Err(bad(format!("this run has no tensor {key}")));
    }
    for (key, var) in &slots {
        let tensor = tensors
            .get(key)
            .ok_or_else(|| bad(format!("no tensor {key}")))?;
        var.set(tensor).map_err(|e| bad(format!("{key}: {e}")))?;
    }
    adam.set_steps(position.steps);
    let held_out = there.get(HELD_OUT).and_then(Value::as_str);
    Ok(Some(Restored {
        position,
        knows_its_data: there.contains_key(FINGERPRINT),
        held_out: held_out.map(str::to_string),
    }))
}

/// What the state says of the training that it is of, nothing if it is of the first version; one whose checksum was lost
/// is refused.
fn run_of(metadata: &HashMap<String, String>, seal: Seal) -> Result<Map<String, Value>, String> {
    match (metadata.get(RUN), seal) {
        (None, _) => Ok(Map::new()),
        (Some(_), Seal::Absent) => Err("it is damaged: its checksum is gone".to_string()),
        (Some(there), Seal::Right) => {
            serde_json::from_str(there).map_err(|_| "it does not say whose it is".to_string())
        }
    }
}

/// Refuses the state of another training `there` than `run`, and of other data.
fn check_run(
    there: &Map<String, Value>,
    run: &Map<String, Value>,
    path: &Path,
    bad: impl Fn(String) -> TrainError,
) -> Result<(), TrainError> {
    // Last, because other data of another name, shape or number are better told by those.
    let without = |run: &Map<String, Value>| {
        let mut run = run.clone();
        let data = run.remove(FINGERPRINT);
        run.remove(HELD_OUT);
        (run, data)
    };
    let ((there, data_there), (here, data_here)) = (without(there), without(run));
    if let Some(difference) = difference(&there, &here) {
        return Err(bad(format!("it is of another run: {difference}")));
    }
    match (data_there, data_here) {
        (Some(there), Some(here)) if there != here => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
            Err(TrainError::OtherData {
                path: path.to_path_buf(),
                name: run.get("data").map(text).unwrap_or_default(),
                there: text(&there),
                here: text(&here),
            })
        }
        _ => Ok(()),
    }
}

/// Whether every value is: zero times what is not is not a number.
fn is_finite(tensor: &Tensor) -> candle_core::Result<bool> {
    let rest = (tensor * 0.0)?.sum_all()?.to_dtype(DType::F32)?;
    Ok(rest.to_scalar::<f32>()? == 0.0)
}

/// Every variable of the state under the key that it has in the file.
fn slots(parameters: &Parameters, adam: &Adam, averages: &Averages) -> Vec<(String, Var)> {
    let weights = parameters.vars().into_iter();
    let weights = weights.map(|(name, var)| (format!("weights/{name}"), var));
    let moments = adam.moments().flat_map(|(name, m, v)| {
        let first = (format!("adam_m/{name}"), m.clone());
        [first, (format!("adam_v/{name}"), v.clone())]
    });
    let averages = averages.iter().enumerate().flat_map(|(i, ema)| {
        let folder = folder(i, ema);
        ema.vars()
            .map(move |(name, var)| (format!("{folder}/{name}"), var.clone()))
    });
    weights.chain(moments).chain(averages).collect()
}

/// Where an average stands in the file: the first as ever, others by how long they remember, so that none is
/// taken for another.
fn folder(i: usize, ema: &Ema) -> String {
    match (i, ema.profile()) {
        (0, _) => "ema".to_string(),
        (_, Profile::HalfLife(config)) => format!("ema@{},{}", config.half_life, config.ramp_up),
        (_, Profile::Power(profile)) => format!("ema@sigma_rel={}", profile.sigma_rel()),
    }
}

#[cfg(test)]
mod tests;
