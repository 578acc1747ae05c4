//! Checkpoints written for other programs: the inverse of how theirs are read.

mod diffusers;
mod edm;

use std::path::Path;

use candle_core::{DType, Result, Tensor};
use pfgmpp_kernel::Dimension;
use pfgmpp_nn::Prediction;
use pfgmpp_store::write_file;
use pfgmpp_transfer::{NoiseLevel, Preconditioning};
use serde_json::Value;

use crate::card::prediction_name;
use crate::checkpoint::write_folder;
use crate::{Checkpoint, CheckpointConfig, CheckpointError, Metadata, Tensors, write_tensors};

/// How another program keeps a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A pipeline folder of diffusers, with a `UNet2DModel` and its scheduler.
    Diffusers,
    /// A safetensors file with the state dictionary of EDM's preconditioned network (`EDMPrecond` and its kin).
    EdmStateDict,
}

impl Layout {
    /// The other program, in words.
    fn program(self) -> &'static str {
        match self {
            Self::Diffusers => "diffusers",
            Self::EdmStateDict => "EDM's code",
        }
    }
}

/// A checkpoint as another program keeps it, not yet written.
pub struct Export {
    weights: Tensors,
    metadata: Metadata,
    /// Where in the folder the weights lie; nowhere for weights that are all there is.
    place: Option<&'static str>,
    /// Descriptions beside the weights, by their place in the folder.
    files: Vec<(&'static str, Value)>,
    /// What a user of it must know, a sentence each.
    pub notes: Vec<String>,
}

/// What of a checkpoint the other program does not have.
struct NoCounterpart(String);

impl Export {
    /// Puts `checkpoint` as `layout` has it; `path` is where it comes from, for errors.
    ///
    /// # Errors
    ///
    /// A network, a preconditioning or a D that the other program does not have, by name.
    pub fn new(
        checkpoint: &Checkpoint,
        layout: Layout,
        path: &Path,
    ) -> std::result::Result<Self, CheckpointError> {
        let config = &checkpoint.config;
        let weights = in_f32(&checkpoint.weights);
        let made = weights.map(|weights| match layout {
            Layout::Diffusers => diffusers::export(config, weights),
            Layout::EdmStateDict => edm::export(config, weights),
        });
        let made = made.map_err(|source| CheckpointError::Weights {
            path: path.to_path_buf(),
            source,
        })?;
        made.map_err(|NoCounterpart(what)| CheckpointError::NoCounterpart {
            path: path.to_path_buf(),
            what,
            program: layout.program(),
        })
    }

    /// Writes it to `path`, whole or not at all: a folder or a file, as the layout has it.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn write(&self, path: &Path) -> std::result::Result<(), CheckpointError> {
        let metadata = Some(self.metadata.clone());
        let Some(place) = self.place else {
            return write_tensors(path, &self.weights, metadata);
        };
        let io = CheckpointError::io;
        write_folder(path, |folder| {
            for (name, value) in &self.files {
                let file = folder.join(name);
                let parent = file.parent().unwrap_or(folder);
                std::fs::create_dir_all(parent).map_err(io(&file))?;
                let text = format!("{value:#}\n");
                write_file(&file, text.as_bytes()).map_err(io(&file))?;
            }
            write_tensors(&folder.join(place), &self.weights, metadata)
        })
    }
}

/// The weights in numbers of 32 bits, in which they are evaluated.
fn in_f32(weights: &Tensors) -> Result<Tensors> {
    let one = |(name, tensor): (&String, &Tensor)| {
        let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
        Ok((name.clone(), tensor))
    };
    weights.iter().map(one).collect()
}

/// The preconditioning, where the other programs have one like it at all.
///
/// They know the nominal noise level and nothing of a second image; at D = inf the levels are one.
fn preconditioning(
    config: &CheckpointConfig,
) -> std::result::Result<&Preconditioning, NoCounterpart> {
    if config.data.image_channels() > 0 {
        let what = "a network of pairs, which is shown a second image,";
        return Err(NoCounterpart(what.into()));
    }
    if !config.d_list.is_empty() {
        return Err(NoCounterpart(
            "a network for many D, which is told D,".into(),
        ));
    }
    let Prediction::Denoised(preconditioning) = &config.prediction else {
        return Err(NoCounterpart(
            "a network that predicts original PFGM's field".into(),
        ));
    };
    let noise = preconditioning.noise();
    if config.d != Dimension::Infinite && noise != NoiseLevel::Nominal {
        let level = match noise {
            NoiseLevel::Effective => "effective",
            _ => "posterior",
        };
        return Err(NoCounterpart(format!(
            "preconditioning {} at the {level} noise level at D = {}",
            preconditioning_name(config),
            config.d
        )));
    }
    Ok(preconditioning)
}

/// A preconditioning that the other program does not have.
fn no_preconditioning(config: &CheckpointConfig, why: &str) -> NoCounterpart {
    let name = preconditioning_name(config);
    NoCounterpart(format!("preconditioning {name}{why}"))
}

fn preconditioning_name(config: &CheckpointConfig) -> String {
    let name = prediction_name(&config.prediction);
    name.trim_start_matches("denoised, ").to_owned()
}

/// What a user must know of the values that black and white stand for, where they are not the usual ones.
fn note_range(config: &CheckpointConfig, usual: [f64; 2], program: &str, notes: &mut Vec<String>) {
    let [low, high] = config.data.range;
    if [low, high] != usual {
        let [min, max] = usual;
        notes.push(format!(
            "images of this network run from {low} to {high}: {program} takes {min} to {max} for black and white"
        ));
    }
}
