//! One network for many D: each sample is perturbed at a D of its own, which the network is told.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use pfgmpp_kernel::{Dimension, Kernel, SampleRng};
use pfgmpp_nn::{
    AtDimension, Context, DIMENSION_LABELS, Network, Preconditioned, dimension_labels,
};
use pfgmpp_objective::{Loss, TrainingModel, UnbiasedObjective, Weighted};
use pfgmpp_transfer::{DataScale, Preconditioning};
use rand::Rng;

use crate::error::TrainError;

/// What differs between the D of a list.
struct At {
    kernel: Kernel,
    /// The network that all have in common, with the scalings of this D.
    model: Preconditioned,
    /// What the network is told.
    labels: [f32; DIMENSION_LABELS],
}

/// A network in training at several D.
pub(crate) struct ManyD {
    objective: UnbiasedObjective,
    all: Vec<At>,
}

impl ManyD {
    /// `network`, told D, for data of `n` values and of `scale`, at each D of `list`.
    pub fn new(
        objective: UnbiasedObjective,
        network: &Arc<dyn Network>,
        preconditioning: &Preconditioning,
        (n, scale): (usize, DataScale),
        list: &[Dimension],
    ) -> Result<Self, TrainError> {
        let at = |&d: &Dimension| {
            let kernel = Kernel::new(n, d)?;
            let (network, preconditioning) = (Box::new(network.clone()), preconditioning.clone());
            Ok(At {
                model: Preconditioned::new(network, preconditioning, &kernel, scale)?,
                labels: dimension_labels(n, d),
                kernel,
            })
        };
        let all = list.iter().map(at).collect::<Result<_, TrainError>>()?;
        Ok(Self { objective, all })
    }

    /// The place in the list of the D of each sample, all of them alike.
    pub fn draw(&self, rngs: &mut [SampleRng]) -> Vec<usize> {
        let num = self.all.len() as u64;
        let place = |rng: &mut SampleRng| (u64::from(rng.next_u32()) * num) >> 32;
        rngs.iter_mut().map(|rng| place(rng) as usize).collect()
    }

    /// What the network is told of samples whose D stand at `places`, `[B, 8]`, with what it is told of augmentation
    /// behind.
    pub fn labels(
        &self,
        places: &[usize],
        augment: Option<&Tensor>,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let told: Vec<f32> = places.iter().flat_map(|&at| self.all[at].labels).collect();
        let told = Tensor::from_vec(told, (places.len(), DIMENSION_LABELS), device)?;
        match augment {
            None => Ok(told),
            Some(augment) => Tensor::cat(&[&told, augment], 1),
        }
    }

    /// The loss of `y` `[B, ...]`, each sample at the D that stands at its place, under `context`, which tells it.
    pub fn loss(
        &self,
        y: &Tensor,
        places: &[usize],
        rngs: &mut [SampleRng],
        context: Context,
    ) -> candle_core::Result<Loss> {
        let kernels: Vec<&Kernel> = places.iter().map(|&at| &self.all[at].kernel).collect();
        let model = InTraining {
            all: &self.all,
            places,
            context,
        };
        self.objective.loss_at(&kernels, &model, y, rngs)
    }
}

/// A live network whose samples are of a D each.
struct InTraining<'a> {
    all: &'a [At],
    places: &'a [usize],
    context: Context<'a>,
}

impl TrainingModel for InTraining<'_> {
    fn predict(&self, x: &Tensor, sigma: &[f64]) -> candle_core::Result<Weighted> {
        let mut coefficients = Vec::with_capacity(sigma.len());
        for (b, &at) in self.places.iter().enumerate() {
            let x = x.narrow(0, b, 1)?;
            coefficients.extend(self.all[at].model.coefficients(&x, &sigma[b..=b])?);
        }
        // The network is one; only the scalings are those of a D.
        let model = &self.all[0].model;
        Ok(Weighted {
            prediction: model.forward(x, &coefficients, &self.context)?,
            weight: coefficients.iter().map(|c| c.weight).collect(),
        })
    }
}

/// `network`, trained at several D, at one of them.
pub(crate) fn at(
    network: Box<dyn Network>,
    n: usize,
    d: Dimension,
    augment_dim: usize,
) -> Box<dyn Network> {
    Box::new(AtDimension::new(network.into(), (n, d), augment_dim))
}
