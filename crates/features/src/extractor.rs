//! From images to features.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::digits::DigitClassifier;
use crate::dinov2::DinoV2;
use crate::error::FeatureError;
use crate::inception::Inception;
use crate::pixels::Pixels;

/// A network that features can be taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureNetwork {
    /// Inception-v3 (arXiv:1512.00567): the 2,048 averages before its last layer, by which FID compares (arXiv:1706.08500).
    Inception,
    /// DINOv2 (arXiv:2304.07193), a vision transformer of any of its sizes: the class token behind the last norm, by which
    /// FD-DINOv2 compares (arXiv:2306.04675).
    DinoV2,
    /// A small classifier of handwritten digits, the 64 values before its last layer; its weights are built in.
    Digits,
}

impl FeatureNetwork {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Inception, Self::DinoV2, Self::Digits];

    /// Channels of the images that it looks at.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::Inception | Self::DinoV2 => 3,
            Self::Digits => 1,
        }
    }

    /// Bytes that each thread takes beside the weights while it looks at an image, as measured of one after the other.
    #[must_use]
    pub fn working_memory(self) -> u64 {
        match self {
            Self::Inception | Self::DinoV2 => 96 << 20,
            Self::Digits => 1 << 20,
        }
    }

    /// Whether its weights are built in.
    #[must_use]
    pub fn is_built_in(self) -> bool {
        self == Self::Digits
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inception => "inception",
            Self::DinoV2 => "dinov2",
            Self::Digits => "digits",
        }
    }
}

impl fmt::Display for FeatureNetwork {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FeatureNetwork {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|one| one.name() == text);
        named.ok_or("must be inception, dinov2 or digits")
    }
}

/// What a network is to the [`Extractor`].
pub(crate) trait Network: Send + Sync {
    /// Features of one image.
    fn num_features(&self) -> usize;
    /// The shape `[C, H, W]` of the images that it takes.
    fn shape(&self) -> [usize; 3];
    /// Which network it is, and what its images become first, in words.
    fn about(&self) -> String;
    /// What the weights mean for scores, where that is not what the network's name says.
    fn caution(&self) -> Option<&'static str>;
    /// One image as the network takes it.
    fn prepare(&self, pixels: &Pixels, image: usize) -> Vec<f32>;
    /// Features `[n, num_features]` of prepared images `[n, C, H, W]`.
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor>;
}

/// A pretrained network with its weights.
///
/// Images are looked at as the pictures they would be saved as, in 8 bits a channel. On a processor each is evaluated by
/// itself, as many at a time as there are threads: its features do not depend on which others stand beside it.
pub struct Extractor {
    network: Box<dyn Network>,
    device: Device,
}

impl Extractor {
    /// Builds `network` of `weights`, named as in the files that are published for it, on `device`.
    ///
    /// Inception-v3 has the names of torchvision. Its last layer, which is not evaluated, tells the weights of 2015 with
    /// 1,008 classes, whose blocks pool as FID has it, from torchvision's of 1,000. DINOv2 has the names of its authors or
    /// those of the Hub's transformers.
    ///
    /// # Errors
    ///
    /// Weights that are missing, unknown, of another shape or not finite.
    pub fn new(
        network: FeatureNetwork,
        weights: HashMap<String, Tensor>,
        device: &Device,
    ) -> Result<Self, FeatureError> {
        let network: Box<dyn Network> = match network {
            FeatureNetwork::Inception => Box::new(Inception::new(weights, device)?),
            FeatureNetwork::DinoV2 => Box::new(DinoV2::new(weights, device)?),
            FeatureNetwork::Digits => Box::new(DigitClassifier::new(weights, device)?),
        };
        Ok(Self::of(network, device))
    }

    /// The classifier of digits with the weights that are built in, on `device`.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn digits(device: &Device) -> Result<Self, FeatureError> {
        let network = DigitClassifier::built_in(device)?;
        Ok(Self::of(Box::new(network), device))
    }

    fn of(network: Box<dyn Network>, device: &Device) -> Self {
        Self {
            network,
            device: device.clone(),
        }
    }

    /// Features of one image.
    #[must_use]
    pub fn num_features(&self) -> usize {
        self.network.num_features()
    }

    /// Which network it is and what images become before they are shown to it, in words.
    #[must_use]
    pub fn about(&self) -> String {
        self.network.about()
    }

    /// Why scores by these features are not what the network's name says, where they are not.
    #[must_use]
    pub fn caution(&self) -> Option<&'static str> {
        self.network.caution()
    }

    /// Features `[n, num_features]`, `f32` in host memory, of `images` `[n, C, H, W]` in `[-1, 1]` of one or three
    /// channels.
    ///
    /// - `go_on`: told of each number of images that was done, and before the first of 0; says whether to go on.
    ///
    /// # Errors
    ///
    /// [`FeatureError::Stopped`], what is no image, pixels that are not finite, failures of the tensor backend.
    pub fn features(
        &self,
        images: &Tensor,
        go_on: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Tensor, FeatureError> {
        let pixels = Pixels::of(images)?;
        let num = pixels.num();
        let done = |num: usize| go_on(num).then_some(()).ok_or(FeatureError::Stopped);
        done(0)?;
        if !self.device.is_cpu() {
            let prepared = (0..num).into_par_iter();
            let prepared = prepared.flat_map_iter(|image| self.network.prepare(&pixels, image));
            let features = self.forward(prepared.collect(), num)?;
            done(num)?;
            return Ok(features);
        }
        let rows = (0..num).into_par_iter().map(|image| {
            done(0)?;
            let row = self.forward(self.network.prepare(&pixels, image), 1)?;
            done(1)?;
            Ok(row)
        });
        let rows: Vec<Tensor> = rows.collect::<Result<_, FeatureError>>()?;
        Ok(match num {
            0 => Tensor::zeros((0, self.num_features()), DType::F32, &Device::Cpu)?,
            _ => Tensor::cat(&rows, 0)?,
        })
    }

    fn forward(&self, prepared: Vec<f32>, num: usize) -> candle_core::Result<Tensor> {
        let [channels, height, width] = self.network.shape();
        let x = Tensor::from_vec(prepared, (num, channels, height, width), &self.device)?;
        self.network.forward(&x)?.to_device(&Device::Cpu)
    }
}
