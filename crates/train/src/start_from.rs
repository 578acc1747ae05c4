//! The network that a training starts from.

use std::collections::HashMap;

use candle_core::Tensor;
use pfgmpp_checkpoint::{Checkpoint, Tensors};
use pfgmpp_nn::Parameters;

/// The end of the name of what tells a network how an image was augmented.
const AUGMENTATION: &str = "map_augment.weight";

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
