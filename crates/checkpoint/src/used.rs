//! Which of a checkpoint's weights its network takes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use pfgmpp_nn::is_constant;

use crate::{CheckpointError, DATA_MEAN, Tensors};

/// What only training takes: the embedding of how images were augmented.
const TRAINING: &str = "map_augment.weight";
/// The levels of iDDPM, as EDM's files hold them beside the network.
pub(crate) const LEVELS: &str = "u";
/// Below what the network's weights lie.
pub(crate) const NETWORK: &str = "model.";

/// The weights of a checkpoint that no network has taken yet.
#[derive(Clone)]
pub(crate) struct Leftover(Arc<Mutex<BTreeSet<String>>>);

impl Leftover {
    /// A builder of networks from `weights`, and what it will have left.
    pub(crate) fn of(weights: Tensors, device: &Device) -> (VarBuilder<'static>, Self) {
        let names = weights.keys().filter(|name| !may_be_left(name));
        let left = Self(Arc::new(Mutex::new(names.cloned().collect())));
        let source = Watched {
            weights,
            left: left.clone(),
        };
        let builder = VarBuilder::from_backend(Box::new(source), DType::F32, device.clone());
        (builder, left)
    }

    fn take(&self, name: &str) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.remove(name);
    }

    /// Refuses weights that the network did not take: it is another than the one that was trained.
    pub(crate) fn refuse(&self, path: &Path) -> std::result::Result<(), CheckpointError> {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = left.first() else {
            return Ok(());
        };
        Err(CheckpointError::Leftover {
            path: path.to_path_buf(),
            count: left.len(),
            example: first
                .strip_prefix(NETWORK)
                .unwrap_or(first)
                .chars()
                .filter(|c| !c.is_control())
                .take(100)
                .collect(),
        })
    }
}

pub(crate) fn may_be_left(name: &str) -> bool {
    name == DATA_MEAN
        || name == LEVELS
        // Frequencies of diffusers are read wherever their configuration speaks of them.
        || (is_constant(name) && !name.ends_with("time_proj.weight"))
        || is_augmentation(name)
}

/// Whether it is what tells a network how an image was augmented.
pub(crate) fn is_augmentation(name: &str) -> bool {
    name.strip_prefix(NETWORK) == Some(TRAINING)
}

/// Weights that tell [`Leftover`] which of them were taken.
struct Watched {
    weights: Tensors,
    left: Leftover,
}

impl SimpleBackend for Watched {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        self.left.take(name);
        SimpleBackend::get(&self.weights, shape, name, init, dtype, device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        self.left.take(name);
        SimpleBackend::get_unchecked(&self.weights, name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.weights.contains_key(name)
    }
}
