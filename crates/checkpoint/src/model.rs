//! Making a denoiser of a checkpoint.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use pfgmpp_kernel::{Denoiser, Kernel};
use pfgmpp_nn::{MemoryEstimate, Signature};
use pfgmpp_transfer::DataMoments;

use crate::rounding::round_weights;
use crate::used::Leftover;
use crate::{
    Checkpoint, CheckpointConfig, CheckpointError, DATA_MEAN, DataSummary, LoadOptions, Loaded,
    Source,
};

/// A checkpoint made ready to sample.
pub struct Model {
    /// What the checkpoint says of itself.
    pub config: CheckpointConfig,
    /// The denoiser.
    pub denoiser: Box<dyn Denoiser>,
    /// Where the data lie: about zero where the checkpoint does not say.
    pub moments: DataMoments,
    /// What the file does not record and was assumed, a sentence each; nothing for checkpoints of this program.
    pub notes: Vec<String>,
}

impl Model {
    /// Loads whatever [`Source`] `path` is and builds its denoiser on `device`.
    ///
    /// # Errors
    ///
    /// As [`Source::load`], and weights that do not fit the network, or more than it has.
    pub fn load(path: &Path, device: &Device) -> Result<Self, CheckpointError> {
        Self::load_with(path, &LoadOptions::default(), device)
    }

    /// As [`Self::load`], for files that do not say everything themselves.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn load_with(
        path: &Path,
        options: &LoadOptions,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        let loaded = Source::open(path)?.load(options, device)?;
        let Loaded {
            mut checkpoint,
            notes,
        } = loaded;
        if let Some(bits) = options.weight_bits {
            let rounded = round_weights(&mut checkpoint.weights, bits);
            rounded.map_err(|source| CheckpointError::Weights {
                path: path.to_path_buf(),
                source,
            })?;
        }
        Ok(Self {
            notes,
            ..Self::new(checkpoint, path, device)?
        })
    }

    /// Builds the denoiser of a checkpoint; `path` is for errors.
    ///
    /// # Errors
    ///
    /// Weights that do not fit the network, or more than it has.
    pub fn new(
        checkpoint: Checkpoint,
        path: &Path,
        device: &Device,
    ) -> Result<Self, CheckpointError> {
        let Checkpoint { config, weights } = checkpoint;
        let fits = |source| CheckpointError::Weights {
            path: path.to_path_buf(),
            source,
        };
        let n = config.data.shape.iter().product();
        let kernel = Kernel::new(n, config.d).map_err(|e| CheckpointError::Config {
            path: path.to_path_buf(),
            message: e.to_string(),
        })?;
        let mut moments = moments(&config.data, weights.get(DATA_MEAN)).map_err(fits)?;
        if let Some(error) = &config.denoising_error {
            let moments_with = moments.with_denoising_error(error.clone());
            moments = moments_with.map_err(|e| CheckpointError::Config {
                path: path.to_path_buf(),
                message: e.under("denoising_error").to_string(),
            })?;
        }
        let (builder, left) = Leftover::of(weights, device);
        let network = config
            .network
            .build_beside(config.signature(), config.data.image_channels(), &builder)
            .map_err(fits)?;
        left.refuse(path)?;
        let denoiser = config
            .prediction
            .denoiser(network, &kernel, config.data.scale)
            .map_err(|e| CheckpointError::Config {
                path: path.to_path_buf(),
                message: e.to_string(),
            })?;
        Ok(Self {
            config,
            denoiser,
            moments,
            notes: Vec::new(),
        })
    }
}

impl CheckpointConfig {
    /// An estimate of the memory that the network takes.
    ///
    /// # Errors
    ///
    /// Sizes that do not fit each other.
    pub fn memory(&self) -> candle_core::Result<MemoryEstimate> {
        self.network
            .memory_beside(self.signature(), self.data.image_channels())
    }

    /// The sizes that the network is built for.
    fn signature(&self) -> Signature {
        Signature {
            label_dim: self.data.label_dim,
            ..self.prediction.signature(self.data.shape)
        }
    }
}

/// Where the data lie, by the checkpoint's own word.
fn moments(data: &DataSummary, mean: Option<&Tensor>) -> candle_core::Result<DataMoments> {
    match (mean, data.scale_about_mean) {
        (Some(mean), Some(scale)) => DataMoments::new(mean, scale),
        _ => {
            // One number, seen as an image.
            let origin = Tensor::zeros((), DType::F64, &Device::Cpu)?;
            let origin = origin.broadcast_as(&data.shape[..])?;
            DataMoments::new(&origin, data.scale)
        }
    }
}
