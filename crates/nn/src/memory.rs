//! How much memory a network takes, from the shapes of its layers alone.

use candle_core::Result;

use crate::{DhariwalUNet, Mlp, NetworkConfig, Signature, SongUNet, SongUNetConfig, UNet2D};

mod shapes;
mod trace;

pub(crate) use trace::Trace;

/// Bytes of one `f32`.
const BYTES: u64 = 4;

/// Tensors of a parameter's shape in training beside its averages: itself, two moments and a gradient.
const OF_EACH_PARAMETER: u64 = 4;

/// An estimate of the memory that a network's tensors take in `f32` on a CPU.
///
/// It counts parameters, what operations give, and the space in which convolutions and attention work on the
/// threads of the current rayon pool. What the program itself and its data take comes on top.
///
/// Measured peaks of the heap lie within 25 % of it (`tests/memory.rs`). Nothing is allocated to find out.
#[derive(Debug, Clone)]
pub struct MemoryEstimate {
    parameters: u64,
    evaluation: Trace,
    training: Trace,
}

impl MemoryEstimate {
    /// The number of trained values, as [`Parameters::count`](crate::Parameters::count) of the built network.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Bytes at the peak of an evaluation of `batch` samples, parameters included.
    pub fn evaluation(&self, batch: u64) -> u64 {
        let values = self.evaluation.peak().saturating_mul(batch);
        values
            .saturating_add(self.parameters)
            .saturating_add(self.evaluation.scratch(batch))
            .saturating_mul(BYTES)
    }

    /// Bytes at the peak of a training step on `batch` samples: parameters, gradients, Adam's moments, so many
    /// `averages` of the weights, and every value that the gradients are computed from.
    pub fn training(&self, batch: u64, averages: u64) -> u64 {
        let tensors = OF_EACH_PARAMETER.saturating_add(averages);
        let values = self.training.retained().saturating_mul(batch);
        values
            .saturating_add(self.parameters.saturating_mul(tensors))
            .saturating_add(self.training.scratch(batch))
            .saturating_mul(BYTES)
    }
}

impl NetworkConfig {
    /// Estimates the memory of the network for the sizes of `signature`.
    ///
    /// # Errors
    ///
    /// Sizes that do not fit each other or the images, as [`Self::build`] refuses them.
    pub fn memory(&self, signature: Signature) -> Result<MemoryEstimate> {
        let (shapes, builder) = shapes::counted();
        let builder = builder.pp("model");
        let song = |config: &SongUNetConfig| {
            let network = SongUNet::new(config, signature, &builder)?;
            Ok::<_, candle_core::Error>(traces(|trace| network.trace(trace)))
        };
        let (evaluation, training) = match self {
            Self::Ddpmpp(sizes) => song(&SongUNetConfig::ddpmpp(sizes.clone()))?,
            Self::Ncsnpp(sizes) => song(&SongUNetConfig::ncsnpp(sizes.clone()))?,
            Self::SongUnet(config) => song(config)?,
            Self::Adm(config) => {
                let network = DhariwalUNet::new(config, signature, &builder)?;
                traces(|trace| network.trace(trace))
            }
            Self::UNet2D(config) => {
                let network = UNet2D::new(config, signature, &builder)?;
                traces(|trace| network.trace(trace))
            }
            Self::Mlp(config) => {
                let network = Mlp::new(config, signature, &builder)?;
                traces(|trace| network.trace(trace))
            }
        };
        Ok(MemoryEstimate {
            parameters: shapes.count(),
            evaluation,
            training,
        })
    }
}

/// An evaluation and a training step of the network that `walk` goes through.
fn traces(walk: impl Fn(&mut Trace)) -> (Trace, Trace) {
    let [mut evaluation, mut training] = [Trace::new(false), Trace::new(true)];
    walk(&mut evaluation);
    walk(&mut training);
    (evaluation, training)
}
