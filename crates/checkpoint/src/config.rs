//! What `config.json` says of the weights beside it.

use pfgmpp_kernel::Dimension;
use pfgmpp_nn::{NetworkConfig, Prediction};
use pfgmpp_sampler::{Corruption, SamplerConfig};
use pfgmpp_transfer::{DataScale, DenoisingError, ParameterError};
use serde::{Deserialize, Serialize};

use crate::column::{self, Column};

/// Version of the checkpoint format that this crate writes.
pub const FORMAT: u32 = 1;

/// Name, among the weights, of the data's mean, shape `[C, H, W]`.
pub const DATA_MEAN: &str = "data_mean";

/// Everything needed to rebuild the denoiser from its weights and to sample from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Version of this format, [`FORMAT`].
    pub format: u32,
    /// The dimension D that the model was trained at.
    pub d: Dimension,
    /// Several D that it was trained at and is told which of them; empty of a network that was trained at [`Self::d`] alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub d_list: Vec<Dimension>,
    /// The data it was trained on.
    pub data: DataSummary,
    /// The network's architecture.
    pub network: NetworkConfig,
    /// What the network predicts, and so how it is made a denoiser.
    pub prediction: Prediction,
    /// Its squared error on data it was not trained on, perturbed by Gaussian noise, by level: what the lift to another D
    /// and self-timed sampling read levels by; absent where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denoising_error: Option<DenoisingError>,
    /// The sampler that its training run was scored with.
    pub sampler: SamplerConfig,
    /// How it was trained.
    pub training: TrainingSummary,
    /// SHA-256 of `model.safetensors`, in hexadecimal: what the weights are known by.
    pub weights_sha256: String,
    /// CRC-32 of `model.safetensors`, in hexadecimal, which loading checks in place of the SHA-256: it finds damage
    /// as surely and takes a fraction of the time to read the file, where the other takes a multiple.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub weights_crc32: String,
}

impl CheckpointConfig {
    /// Checks every part but the network, which is checked when it is built.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range.
    pub fn check(&self) -> Result<(), ParameterError> {
        match &self.prediction {
            Prediction::Denoised(preconditioning) => preconditioning.check(),
            Prediction::Field(field) => field.check(),
        }?;
        // The kernel's own arithmetic is tested up to 1e12; beyond 1e15 only infinity is meant.
        for (name, d) in
            std::iter::once(("d", &self.d)).chain(self.d_list.iter().map(|d| ("d_list", d)))
        {
            if let Dimension::Finite(d) = *d {
                ParameterError::within(name, d, 1e-3, 1e15)?;
            }
        }
        self.data.check()?;
        if let Some(error) = &self.denoising_error {
            error.check().map_err(|e| e.under("denoising_error"))?;
        }
        self.sampler.check().map_err(|e| e.under("sampler"))
    }
}

/// The data a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSummary {
    /// Name of the data set.
    pub name: String,
    /// Channels, height and width of one image.
    pub shape: [usize; 3],
    /// Number of classes that the network is told apart, 0 for an unconditional network.
    pub label_dim: usize,
    /// Training images of each class; empty where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_counts: Vec<usize>,
    /// What the network is shown of each image beside the perturbed one; absent for one that is shown nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corruption: Option<Corruption>,
    /// Channels of the image that the network is shown beside the perturbed one, of a network of pairs from two sources;
    /// 0 of any other.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub input_channels: usize,
    /// The values that black and white stand for.
    pub range: [f64; 2],
    /// How the columns of a table were brought to one scale, one for each value of a row; absent for other data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<Column>>,
    /// What preconditioning by the effective noise level needs to know of the data.
    pub scale: DataScale,
    /// The same about the data's mean, which the weights hold as [`DATA_MEAN`]; absent where the data are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_about_mean: Option<DataScale>,
}

impl DataSummary {
    /// Largest channels, height, width and number of classes that are accepted: no network has more.
    const LARGEST: usize = 1 << 16;
    /// Largest number of values of one image: half a gigabyte of memory.
    const MOST_VALUES: f64 = (1 << 26) as f64;

    /// Channels of what the network is shown of each image beside the perturbed one.
    pub fn image_channels(&self) -> usize {
        let channels = self.shape[0];
        self.corruption.map_or(self.input_channels, |corruption| {
            corruption.image_channels(channels)
        })
    }

    fn check(&self) -> Result<(), ParameterError> {
        let largest = Self::LARGEST as f64;
        for size in self.shape {
            ParameterError::within("data.shape", size as f64, 1.0, largest)?;
        }
        let values: f64 = self.shape.iter().map(|&size| size as f64).product();
        ParameterError::within("the product of data.shape", values, 1.0, Self::MOST_VALUES)?;
        ParameterError::within("data.label_dim", self.label_dim as f64, 0.0, largest)?;
        let (counts, classes) = (self.class_counts.len(), self.label_dim);
        if counts > 0 && counts != classes {
            let accepted = format!("absent, or one number for each of label_dim = {classes}");
            return Err(ParameterError::new(
                "data.class_counts",
                format!("{counts} numbers"),
                accepted,
            ));
        }
        ParameterError::within(
            "data.input_channels",
            self.input_channels as f64,
            0.0,
            largest,
        )?;
        if let Some(corruption) = &self.corruption {
            let checked = corruption.check_shape(self.shape);
            checked.map_err(|e| e.under("data.corruption"))?;
        }
        let [low, high] = self.range;
        ParameterError::within("data.range[0]", low, -1e6, 1e6)?;
        ParameterError::within("data.range[1]", high, -1e6, 1e6)?;
        ParameterError::ordered("data.range[0]", low, "data.range[1]", high)?;
        if let Some(columns) = &self.columns {
            column::check(columns, self.shape)?;
        }
        self.scale.check().map_err(|e| e.under("data.scale"))?;
        match &self.scale_about_mean {
            Some(scale) => scale.check().map_err(|e| e.under("data.scale_about_mean")),
            None => Ok(()),
        }
    }
}

/// Whether there is nothing to say, as checkpoints of before said nothing.
fn is_zero(channels: &usize) -> bool {
    *channels == 0
}

/// How a model was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSummary {
    /// Images seen in training.
    pub nimg: u64,
    /// Seed of the run.
    pub seed: u64,
}
