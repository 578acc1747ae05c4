//! Making a denoiser of a checkpoint.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Error, Tensor, bail};
use pfgmpp_kernel::{Denoiser, Dimension, Kernel};
use pfgmpp_nn::{AtDimension, DIMENSION_LABELS, MemoryEstimate, Network, Signature};
use pfgmpp_transfer::DataMoments;

use crate::rounding::round_weights;
use crate::used::{Leftover, is_augmentation};
use crate::{
    Checkpoint, CheckpointConfig, CheckpointError, DATA_MEAN, DataSummary, LoadOptions, Loaded,
    Source, Tensors,
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
    /// The network, of a model that is told D, with the number of values that it is told beside class and noise level.
    told: Option<(Arc<dyn Network>, usize)>,
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
        let augment_dim = match config.d_list.is_empty() {
            true => 0,
            false => told_dim(&weights).map_err(fits)?,
        };
        let (builder, left) = Leftover::of(weights, device);
        let signature = Signature {
            augment_dim,
            ..config.signature()
        };
        let mut network = config
            .network
            .build_beside(signature, config.data.image_channels(), &builder)
            .map_err(fits)?;
        left.refuse(path)?;
        let mut told = None;
        if augment_dim > 0 {
            let shared: Arc<dyn Network> = network.into();
            let at = AtDimension::new(shared.clone(), (n, config.d), augment_dim);
            (network, told) = (Box::new(at), Some((shared, augment_dim)));
        }
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
            told,
        })
    }

    /// The same model at another D, where its network was trained at several and is told which
    /// ([`CheckpointConfig::d_list`]); any other stays as it is: its effective noise level takes it to another D.
    ///
    /// # Errors
    ///
    /// A D outside its range.
    pub fn at(mut self, d: Dimension) -> candle_core::Result<Self> {
        if let Some((network, augment_dim)) = &self.told {
            let config = &mut self.config;
            let n = config.data.shape.iter().product();
            let network = Box::new(AtDimension::new(network.clone(), (n, d), *augment_dim));
            let (kernel, scale) = (Kernel::new(n, d)?, config.data.scale);
            let denoiser = config.prediction.denoiser(network, &kernel, scale);
            self.denoiser = denoiser.map_err(Error::wrap)?;
            config.d = d;
            let note = beyond_trained(&config.d_list, d);
            let new = note.filter(|note| !self.notes.contains(note));
            self.notes.extend(new);
        }
        Ok(self)
    }
}

/// What there is to say of a network that was trained at the D of `list` and is asked at `d`: nothing within their range, where it
/// has neighbours to go by, and of one that was trained at a single D (an empty list).
pub fn beyond_trained(list: &[Dimension], d: Dimension) -> Option<String> {
    let values = list.iter().map(|d| d.value());
    let (low, high) = (values.clone().reduce(f64::min)?, values.reduce(f64::max)?);
    let within = (low..=high).contains(&d.value());
    (!within).then(|| {
        format!(
            "the network was trained at D from {low} to {high} (training.d_list) and has learned nothing of D = {d}: its samples may be \
             far off"
        )
    })
}

/// Values that a network for many D is told of D and of augmentation, by the shape of the weights that take them.
fn told_dim(weights: &Tensors) -> candle_core::Result<usize> {
    let map = weights.iter().find(|(name, _)| is_augmentation(name));
    match map.map(|(_, weight)| weight.dims()) {
        Some([_, told]) if *told >= DIMENSION_LABELS => Ok(*told),
        _ => bail!(
            "there is no map_augment.weight that takes D, though d_list says that the network is told D"
        ),
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
