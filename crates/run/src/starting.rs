//! The checkpoint that a training starts from.

use std::path::Path;

use candle_core::Device;
use pfgmpp_checkpoint::{Checkpoint, LoadOptions, Loaded, Source};
use pfgmpp_config::ConfigError;
use pfgmpp_train::{Trainer, TrainerConfig};

use crate::error::RunError;
use crate::resolved::Weights;

/// `model` with the network of the checkpoint at `path`, which it starts from and `reference` names.
///
/// # Errors
///
/// A checkpoint that cannot be read, and a network in the configuration that is another.
pub(crate) fn with_network_of(
    path: &Path,
    reference: &str,
    model: &TrainerConfig,
) -> Result<TrainerConfig, RunError> {
    let there = Source::open(path)?.load(&LoadOptions::default(), &Device::Cpu)?;
    let there = there.checkpoint.config.network;
    if model.network.as_ref().is_some_and(|own| *own != there) {
        let message =
            format!("must be that of {reference}, which training.start_from names, or left out");
        return Err(ConfigError::new("network", message).into());
    }
    let mut model = model.clone();
    model.training.start_from = Some(reference.to_string());
    model.network = Some(there);
    Ok(model)
}

/// Gives `trainer` the `weights` that `model` starts from; says what was taken, nothing where training starts from random
/// weights.
///
/// # Errors
///
/// A checkpoint that cannot be read, or whose weights do not fit.
pub(crate) fn start(
    trainer: &mut Trainer,
    model: &TrainerConfig,
    weights: &Weights,
) -> Result<Vec<String>, RunError> {
    let (Some(reference), Some(place)) = (&model.training.start_from, weights.place()) else {
        return Ok(Vec::new());
    };
    let source = Source::open(place)?;
    let Loaded { checkpoint, notes } = source.load(&LoadOptions::default(), &Device::Cpu)?;
    trainer.start_from(&checkpoint)?;
    let mut all = vec![taken(reference, &checkpoint, model)];
    if checkpoint.config.prediction != model.prediction() {
        all.push(format!(
            "{reference}: was trained under another preconditioning than the configuration's: its first estimates will be off"
        ));
    }
    all.extend(notes);
    Ok(all)
}

/// What is taken of a checkpoint, in a sentence.
fn taken(reference: &str, checkpoint: &Checkpoint, model: &TrainerConfig) -> String {
    let config = &checkpoint.config;
    let seen = match config.training.nimg {
        0 => String::new(),
        nimg => format!(" on {nimg} images"),
    };
    let at = match config.d == model.d {
        true => String::new(),
        false => format!(", goes on at D = {}", model.d),
    };
    format!(
        "training starts from the weights of {reference}, trained{seen} at D = {}{at}; moments and averages begin anew",
        config.d
    )
}
