//! The network that a training starts from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use pfgmpp_checkpoint::{Checkpoint, Tensors};
use pfgmpp_nn::Parameters;
use serde::{Deserialize, Serialize};

/// The end of the name of what tells a network how an image was augmented.
const AUGMENTATION: &str = "map_augment.weight";

/// A checkpoint whose weights a training starts from, in a configuration its reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct StartFrom {
    /// What names it: a path, or `hf://owner/name`.
    pub reference: String,
    /// Where it lies, once it was looked for.
    pub path: Option<PathBuf>,
}

impl StartFrom {
    /// Where it lies: what names it is its path unless it was looked for.
    pub fn place(&self) -> &Path {
        self.path.as_deref().unwrap_or(self.reference.as_ref())
    }
}

impl From<String> for StartFrom {
    fn from(reference: String) -> Self {
        let path = None;
        Self { reference, path }
    }
}

impl From<StartFrom> for String {
    fn from(start: StartFrom) -> Self {
        start.reference
    }
}

/// Sets `parameters` to the weights of `checkpoint`; says why they do not fit, and sets nothing then.
///
/// A network that is told of augmentation and comes from one that is not starts as if it were not told; the other way
/// round what told it is left out.
pub(crate) fn start_from(
    parameters: &Parameters,
    checkpoint: &Checkpoint,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let own: HashMap<String, Tensor> = parameters.tensors().into_iter().collect();
    let is_augmentation = |name: &str| name.ends_with(AUGMENTATION);
    let mut weights: Tensors = checkpoint.network_weights();
    weights.retain(|name, _| !is_augmentation(name) || own.contains_key(name));
    for (name, tensor) in &own {
        if is_augmentation(name) && !weights.contains_key(name) {
            weights.insert(name.clone(), tensor.zeros_like()?);
        }
    }
    Ok(parameters.load(&weights)?)
}
