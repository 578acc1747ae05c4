//! The weights of a folder of diffusers, in one file or in parts.

use std::path::Path;

use candle_core::Device;
use pfgmpp_pickle::Id;

use crate::fit::Shapes;
use crate::foreign::{self, Weights};
use crate::source::{Source, open_torch, renamed};
use crate::torch::TorchError;
use crate::{CheckpointError, Tensors, tensors};

/// The weights of a folder of diffusers, from one file or from all of its parts.
pub(crate) fn read_weights(weights: &Weights, device: &Device) -> Result<Tensors, CheckpointError> {
    match weights {
        Weights::One(path) => Source::open(path)?.tensors(device),
        Weights::Parts { index, parts } => {
            let mut all = Tensors::new();
            for (part, wanted) in parts {
                let read = Source::open(part)?.tensors(device)?;
                if let Some(name) = wanted.iter().find(|name| !read.contains_key(*name)) {
                    return Err(not_in_part(index, part, name));
                }
                all.extend(read);
            }
            Ok(all)
        }
    }
}

/// The shapes of the weights of a folder of diffusers, under their names here.
pub(crate) fn weights_shapes(weights: &Weights) -> Result<Shapes, CheckpointError> {
    let of = |path: &Path| match Source::open(path)? {
        Source::Safetensors(path) => tensors::shapes(&path),
        Source::Torch(path) => {
            let file = open_torch(&path)?;
            let found = foreign::find(&file, None, &mut Vec::new());
            let shape =
                |(name, id): (&String, &Id)| Ok((name.clone(), file.tensor(*id, name)?.shape));
            let shapes = found.and_then(|found| {
                let shapes: Result<Shapes, TorchError> =
                    found.tensors()?.iter().map(shape).collect();
                Ok(shapes?)
            });
            shapes.map_err(CheckpointError::foreign(&path))
        }
        other => Err(CheckpointError::Foreign {
            remedy: None,
            path: other.path().to_path_buf(),
            message: "a folder in place of a file of weights".into(),
        }),
    };
    match weights {
        Weights::One(path) => of(path).map(renamed),
        Weights::Parts { index, parts } => {
            let mut all = Shapes::new();
            for (part, wanted) in parts {
                let shapes = of(part)?;
                if let Some(name) = wanted.iter().find(|name| !shapes.contains_key(*name)) {
                    return Err(not_in_part(index, part, name));
                }
                all.extend(shapes);
            }
            Ok(renamed(all))
        }
    }
}

fn not_in_part(index: &Path, part: &Path, name: &str) -> CheckpointError {
    let part = part.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    CheckpointError::Foreign {
        remedy: None,
        path: index.to_path_buf(),
        message: format!("{name} is not in {part}, where weight_map says it is"),
    }
}
