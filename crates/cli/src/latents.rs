//! Latent states that a flag names.

use std::path::Path;

use candle_core::{Device, Tensor};
use pfgmpp_run::{LatentFile, SamplingModel};

use crate::failure::Failure;

/// The latent states in the file at `path`, `[n, C, H, W]` on `device`, and the class of each for a model that has classes:
/// those `asked` for in turn, else those of the file.
///
/// # Errors
///
/// A file that holds no states of the model, and a model with classes where neither says which.
pub fn read(
    path: &Path,
    model: &SamplingModel,
    asked: Option<&[usize]>,
    device: &Device,
) -> Result<(Tensor, Option<Vec<usize>>), Failure> {
    let refused = |e: String| Failure::bad_input(format!("--latents {}: {e}", path.display()));
    let file = LatentFile::read(path, model.shape()).map_err(refused)?;
    let states = file.states.to_device(device)?;
    let label_dim = model.label_dim();
    if label_dim == 0 {
        return Ok((states, None));
    }
    let num = states.dim(0)?;
    let classes = match (asked, file.classes) {
        (Some(asked), _) => asked.iter().copied().cycle().take(num).collect(),
        (None, Some(classes)) => classes,
        (None, None) => {
            let message = "does not say of which classes its states are: give --class, such as --class 3 or 0,3,5";
            return Err(refused(message.to_string()));
        }
    };
    match classes.iter().find(|class| **class >= label_dim) {
        None => Ok((states, Some(classes))),
        Some(class) => Err(refused(format!(
            "class {class}: the model has {label_dim} classes, from 0"
        ))),
    }
}
