//! The checkpoint that a training starts from.

use candle_core::Device;
use pfgmpp_checkpoint::{Checkpoint, LoadOptions, Loaded, Resolved, Source, resolve};
use pfgmpp_config::ConfigError;
use pfgmpp_hub::Hub;
use pfgmpp_train::{Trainer, TrainerConfig};

use crate::error::RunError;

/// Finds the checkpoint that `model` starts from, and takes over its network. `begun` is what a run that goes on began
/// with, if it is to be the same.
///
/// # Errors
///
/// A checkpoint that is not there or cannot be read, and a network in the configuration that is another.
pub(crate) fn find_start(
    model: &mut TrainerConfig,
    begun: Option<String>,
    hub: &Hub,
) -> Result<(), RunError> {
    let Some(start) = &mut model.training.start_from else {
        return Ok(());
    };
    let named = begun.unwrap_or_else(|| start.reference.clone());
    let Resolved { path, reference } = resolve(named.as_ref(), hub)?;
    let there = Source::open(&path)?.load(&LoadOptions::default(), &Device::Cpu)?;
    (start.reference, start.path) = (reference, Some(path));
    let there = there.checkpoint.config.network;
    match &model.network {
        Some(network) if *network != there => {
            let message = format!(
                "must be that of {}, which training.start_from names, or left out",
                start.reference
            );
            Err(ConfigError::new("network", message).into())
        }
        _ => {
            model.network = Some(there);
            Ok(())
        }
    }
}

/// Gives `trainer` the weights that `model` starts from; says what was taken, nothing where training starts from random
/// weights.
///
/// # Errors
///
/// A checkpoint that cannot be read, or whose weights do not fit.
pub(crate) fn start(trainer: &mut Trainer, model: &TrainerConfig) -> Result<Vec<String>, RunError> {
    let Some(start) = &model.training.start_from else {
        return Ok(Vec::new());
    };
    let source = Source::open(start.place())?;
    let Loaded { checkpoint, notes } = source.load(&LoadOptions::default(), &Device::Cpu)?;
    trainer.start_from(&checkpoint)?;
    let mut all = vec![taken(&start.reference, &checkpoint, model)];
    if checkpoint.config.prediction != model.prediction() {
        all.push(format!(
            "{}: was trained under another preconditioning than the configuration's: its first estimates will be off",
            start.reference
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
