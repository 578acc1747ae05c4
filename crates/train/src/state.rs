//! Everything a run needs to go on as if it had never stopped.
//!
//! Random numbers are functions of the seed and of `nimg`, so no generator has to be saved.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use pfgmpp_checkpoint::{read_tensors, write_tensors};
use pfgmpp_nn::Parameters;
use pfgmpp_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::adam::Adam;
use crate::ema::Ema;
use crate::error::TrainError;

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
}

const POSITION: &str = "position";

/// Writes the state, whole or not at all.
pub(crate) fn save(
    path: &Path,
    parameters: &Parameters,
    adam: &Adam,
    ema: &Ema,
    position: &Position,
) -> Result<(), TrainError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
    }
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    for (key, var) in slots(parameters, adam, ema) {
        tensors.insert(key, var.as_detached_tensor());
    }
    let json = serde_json::to_string(position).expect("a position has string keys");
    let metadata = HashMap::from([(POSITION.to_string(), json)]);
    Ok(write_tensors(path, &tensors, Some(metadata))?)
}

/// Restores the state into `parameters`, `adam` and `ema`; `None` when there is no file.
pub(crate) fn load(
    path: &Path,
    parameters: &Parameters,
    adam: &mut Adam,
    ema: &Ema,
    device: &Device,
) -> Result<Option<Position>, TrainError> {
    if !path.exists() {
        return Ok(None);
    }
    let bad = |message: String| TrainError::State {
        path: path.to_path_buf(),
        message,
    };
    let (tensors, metadata) = read_tensors(path, device).map_err(|e| bad(e.to_string()))?;
    let position: Position = metadata
        .get(POSITION)
        .and_then(|json| serde_json::from_str(json).ok())
        .ok_or_else(|| bad("no position".to_string()))?;
    for (key, var) in slots(parameters, adam, ema) {
        let tensor = tensors
            .get(&key)
            .ok_or_else(|| bad(format!("no tensor {key}")))?;
        var.set(tensor).map_err(|e| bad(format!("{key}: {e}")))?;
    }
    adam.set_steps(position.steps);
    Ok(Some(position))
}

/// Every variable of the state under the key that it has in the file.
fn slots(parameters: &Parameters, adam: &Adam, ema: &Ema) -> Vec<(String, Var)> {
    let weights = parameters.vars().into_iter();
    let weights = weights.map(|(name, var)| (format!("weights/{name}"), var));
    let moments = adam.moments().flat_map(|(name, m, v)| {
        let first = (format!("adam_m/{name}"), m.clone());
        [first, (format!("adam_v/{name}"), v.clone())]
    });
    let average = ema
        .vars()
        .map(|(name, var)| (format!("ema/{name}"), var.clone()));
    weights.chain(moments).chain(average).collect()
}
