//! Weights by name, without the modules they belong to.

use std::collections::BTreeMap;

use pfgmpp_nn::Prediction;
use pfgmpp_transfer::Preconditioning;

use super::{ForeignError, Module};
use crate::pickle::{Id, Value};
use crate::torch::TorchFile;
use crate::{CheckpointConfig, Tensors};

/// Where programs keep what samples, the best first.
const WEIGHTS: [&str; 7] = [
    "ema",
    "model_ema",
    "ema_state_dict",
    "net",
    "model",
    "state_dict",
    "model_state_dict",
];

/// What a file holds: a module, or tensors by name.
pub(crate) enum Contents<'a> {
    Module(Module<'a>),
    Tensors(BTreeMap<String, Id>),
}

/// Finds the weights in a file: at its root, or under one of the usual names.
pub(crate) fn state_dict(file: &TorchFile) -> Result<Contents<'_>, ForeignError> {
    let root = file.pickle.root();
    let named = |name| file.pickle.entry(root, name);
    let candidates = WEIGHTS.into_iter().filter_map(named).chain([root]);
    candidates
        .clone()
        .find_map(|id| contents(file, id))
        .ok_or_else(|| ForeignError::Contents {
            found: file.pickle.describe(root),
            wanted: "a network, or tensors by name",
        })
}

fn contents(file: &TorchFile, id: Id) -> Option<Contents<'_>> {
    if let Some(module) = Module::new(file, id)
        && module.attribute("_modules").is_some()
    {
        return Some(Contents::Module(module));
    }
    let entries = file.pickle.entries(id)?;
    let tensors: BTreeMap<String, Id> = entries
        .iter()
        .filter(|(_, value)| matches!(file.pickle.get(*value), Value::Call(_)))
        .filter_map(|(key, value)| Some((file.pickle.text(*key)?.to_owned(), *value)))
        .collect();
    // A dictionary of mostly other things is not one of weights.
    (!tensors.is_empty() && 2 * tensors.len() >= entries.len())
        .then_some(Contents::Tensors(tensors))
}

/// The weights under the names that this program uses: the network's below `model.`.
pub(crate) fn named_as_here(tensors: Tensors) -> Tensors {
    let all = |prefix: &str| tensors.keys().all(|name| name.starts_with(prefix));
    // `DistributedDataParallel` puts every name below `module.`.
    let skip = if all("module.") { "module.".len() } else { 0 };
    let below = tensors
        .keys()
        .any(|name| name[skip..].starts_with("model."));
    let rename = |name: String| match (&name[skip..], below) {
        (rest, true) => rest.to_owned(),
        (rest, false) => format!("model.{rest}"),
    };
    tensors
        .into_iter()
        .map(|(name, tensor)| (rename(name), tensor))
        .collect()
}

/// Leaves out what the networks of iDDPM, and some of diffusers, give beside the noise: their outputs are
/// twice the channels of the images, the second half an estimate of variances that no ODE needs.
pub(crate) fn without_variances(
    config: &CheckpointConfig,
    mut weights: Tensors,
) -> candle_core::Result<Tensors> {
    if !matches!(
        config.prediction,
        Prediction::Denoised(Preconditioning::Iddpm(_) | Preconditioning::Ddpm(_))
    ) {
        return Ok(weights);
    }
    let [channels, side, _] = config.data.shape;
    let song = format!("model.dec.{side}x{side}_aux_conv");
    for layer in ["model.out_conv", "model.conv_out", &song] {
        for part in ["weight", "bias"] {
            if let Some(tensor) = weights.get_mut(&format!("{layer}.{part}"))
                && tensor.dim(0)? == 2 * channels
            {
                *tensor = tensor.narrow(0, 0, channels)?.contiguous()?;
            }
        }
    }
    Ok(weights)
}
