//! What a network is told beside image and noise level, checked, with label dropout.

use candle_core::{Result, Tensor, bail};
use pfgmpp_kernel::beside;
use rand::Rng;

use crate::network::{Context, Mode};
use crate::ops;
use crate::parameters::stream;

/// Name of the random stream that drops labels.
const STREAM: &str = "label_dropout";

/// The labels of a batch: how many classes there are, and how often a label is dropped in training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels {
    pub(crate) label_dim: usize,
    /// Probability with which a sample's label reads as zeros in training.
    pub(crate) dropout: f64,
}

impl Labels {
    /// The labels of `context` as the network shall see them, `[B, label_dim]` in the dtype of `like [B,
    /// ...]`; zeros where none are given.
    ///
    /// Whether a sample keeps its label depends on its seed alone.
    pub(crate) fn of(&self, context: &Context, like: &Tensor) -> Result<Tensor> {
        let shape = (like.dim(0)?, self.label_dim);
        let Some(labels) = context.condition.labels() else {
            return Tensor::zeros(shape, like.dtype(), like.device());
        };
        if labels.dims() != [shape.0, shape.1] {
            bail!(
                "labels must have shape [{}, {}], got {:?}",
                shape.0,
                shape.1,
                labels.shape()
            );
        }
        let labels = labels.to_dtype(like.dtype())?;
        match context.mode {
            Mode::Train { seeds } if self.dropout > 0.0 => {
                ops::scale_by(&labels, &self.mask(seeds, &labels)?)
            }
            _ => Ok(labels),
        }
    }

    /// A row of ones for each sample that keeps its label, of zeros for the others.
    fn mask(&self, seeds: &[u64], labels: &Tensor) -> Result<Tensor> {
        let b = labels.dim(0)?;
        if seeds.len() != b {
            bail!(
                "label dropout needs a seed for each of {b} samples, got {}",
                seeds.len()
            );
        }
        let kept = |seed: &u64| f64::from(stream(*seed, STREAM).next_u32()) * 2f64.powi(-32);
        let kept: Vec<f64> = seeds
            .iter()
            .map(|seed| f64::from(u8::from(kept(seed) >= self.dropout)))
            .collect();
        beside(kept, (b, 1), labels)?
            .broadcast_as(labels.shape())?
            .contiguous()
    }
}

/// Refuses what a network without labels or without augmentation cannot take.
pub(crate) fn check_context(context: &Context, label_dim: usize, augment_dim: usize) -> Result<()> {
    if label_dim == 0 && context.condition.labels().is_some() {
        bail!("labels were given to a network with label_dim 0");
    }
    if augment_dim == 0 && context.augment.is_some() {
        bail!("augmentation parameters were given to a network with augment_dim 0");
    }
    if context.condition.image().is_some() {
        bail!("a conditioning image was given to a network that takes none");
    }
    Ok(())
}
