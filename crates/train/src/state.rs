//! Everything a run needs to go on as if it had never stopped.
//!
//! Random numbers are functions of the seed and of `nimg`, so no generator has to be saved.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use pfgmpp_checkpoint::{read_tensors, write_tensors};
use pfgmpp_nn::Parameters;
use pfgmpp_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::adam::Adam;
use crate::averages::Averages;
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
    averages: &Averages,
    position: &Position,
) -> Result<(), TrainError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(StoreError::io(parent))?;
    }
    let mut tensors: HashMap<String, Tensor> = HashMap::new();
    for (key, var) in slots(parameters, adam, averages) {
        tensors.insert(key, var.as_detached_tensor());
    }
    let json = serde_json::to_string(position).expect("a position has string keys");
    let metadata = HashMap::from([(POSITION.to_string(), json)]);
    Ok(write_tensors(path, &tensors, Some(metadata))?)
}

/// Restores the state into `parameters`, `adam` and `averages`; `None` when there is no file.
pub(crate) fn load(
    path: &Path,
    parameters: &Parameters,
    adam: &mut Adam,
    averages: &Averages,
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
    Ok(Some(position))
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
    match (i, ema.config()) {
        (0, _) => "ema".to_string(),
        (_, config) => format!("ema@{},{}", config.half_life, config.ramp_up),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adam::AdamConfig;
    use crate::ema::EmaConfig;
    use candle_nn::Init;

    const OPTIMIZER: AdamConfig = AdamConfig {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-8,
        lr_ramp_up: 0.0,
    };

    const POSITION_OF_A_RUN: Position = Position {
        nimg: 640,
        steps: 10,
        tail_sum: 0,
        tail_count: 0,
        seconds: 1.5,
    };

    fn ema(half_life: f64) -> EmaConfig {
        EmaConfig {
            half_life,
            ramp_up: 0.05,
        }
    }

    /// A training of one parameter with averages of these half-lives, each average at another value.
    fn training(half_lives: &[f64]) -> (Parameters, Adam, Averages) {
        let parameters = Parameters::new(0, &Device::Cpu);
        let init = Init::Const(1.0);
        parameters
            .builder()
            .get_with_hints(3, "weight", init)
            .unwrap();
        let adam = Adam::new(OPTIMIZER, &parameters).unwrap();
        let mut averages = Averages::new(ema(half_lives[0]), &parameters).unwrap();
        for &half_life in &half_lives[1..] {
            averages.track(ema(half_life), &parameters).unwrap();
        }
        for average in averages.iter() {
            let value = Tensor::full(average.config().half_life as f32, 3, &Device::Cpu).unwrap();
            average.var(0).set(&value).unwrap();
        }
        (parameters, adam, averages)
    }

    /// The first value of each average that a training with averages of `after` finds where one with those of
    /// `before` saved its state.
    fn restored(before: &[f64], after: &[f64]) -> Result<Vec<f32>, TrainError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        let (parameters, adam, averages) = training(before);
        save(&path, &parameters, &adam, &averages, &POSITION_OF_A_RUN)?;
        load_values(&path, after)
    }

    fn load_values(path: &Path, half_lives: &[f64]) -> Result<Vec<f32>, TrainError> {
        let (parameters, mut adam, averages) = training(half_lives);
        for average in averages.iter() {
            let zeros = average.var(0).zeros_like().unwrap();
            average.var(0).set(&zeros).unwrap();
        }
        let position = load(path, &parameters, &mut adam, &averages, &Device::Cpu)?;
        assert_eq!(position, Some(POSITION_OF_A_RUN));
        assert_eq!(adam.steps(), POSITION_OF_A_RUN.steps);
        let value = |ema: &Ema| ema.tensors()["weight"].to_vec1::<f32>().unwrap()[0];
        Ok(averages.iter().map(value).collect())
    }

    #[test]
    fn every_average_is_restored_to_its_own_place() {
        let got = restored(&[500.0, 7.0, 80.0], &[500.0, 80.0, 7.0]).unwrap();
        assert_eq!(got, [500.0, 80.0, 7.0]);
    }

    #[test]
    fn averages_that_do_not_match_the_state_are_refused_by_name() {
        for (before, after, want) in [
            (&[500.0, 7.0][..], &[500.0][..], "ema@7,0.05/weight"),
            (&[500.0][..], &[500.0, 7.0][..], "ema@7,0.05/weight"),
            (&[500.0, 8.0][..], &[500.0, 7.0][..], "ema@8,0.05/weight"),
        ] {
            let error = restored(before, after).unwrap_err().to_string();
            assert!(error.contains(want), "got {error}, want {want} in it");
        }
    }

    #[test]
    fn a_state_written_before_there_were_several_averages_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        let three = |value: f32| Tensor::full(value, 3, &Device::Cpu).unwrap();
        let tensors: HashMap<String, Tensor> = [
            ("weights/weight", 1.0),
            ("adam_m/weight", 2.0),
            ("adam_v/weight", 3.0),
            ("ema/weight", 4.0),
        ]
        .map(|(key, value)| (key.to_string(), three(value)))
        .into();
        let json =
            r#"{"nimg":640,"steps":10,"tail_sum":0,"tail_count":0,"seconds":1.5}"#.to_string();
        let metadata = HashMap::from([(POSITION.to_string(), json)]);
        write_tensors(&path, &tensors, Some(metadata)).unwrap();
        assert_eq!(load_values(&path, &[500.0]).unwrap(), [4.0]);
    }
}
