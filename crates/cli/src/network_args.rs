//! The flags that name a pretrained network, and what it sees.

use std::path::PathBuf;

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::{CheckpointError, Resolved, Source, resolve};
use pfgmpp_features::{Extractor, FeatureError, FeatureNetwork};
use pfgmpp_hub::Reference;
use pfgmpp_run::{RunError, StopFlag};

use crate::device::DeviceArgs;
use crate::download::hub;
use crate::failure::Failure;
use crate::images::Images;
use crate::terminal::{Counter, note};

/// The file of weights in a folder or repository that is named as a whole.
const WEIGHTS: &str = "model.safetensors";

/// What the flags stand under in the help.
const HEADING: &str = "Features";

/// A network for features, for every command that takes one.
#[derive(clap::Args)]
pub struct NetworkArgs {
    /// Network that looks at the images: inception (Inception-v3, for FID) or dinov2 (for FD-DINOv2)
    #[arg(long, value_name = "NETWORK", requires = "weights", help_heading = HEADING)]
    network: Option<FeatureNetwork>,
    /// Its weights: a file of safetensors or PyTorch, here or on the Hugging Face Hub, such as
    /// hf://facebook/dinov2-large
    #[arg(long, value_name = "REF", requires = "network", help_heading = HEADING)]
    weights: Option<PathBuf>,
    /// Images at a time; it changes memory and speed, not the features
    #[arg(long, value_name = "N", default_value_t = 32, requires = "network", help_heading = HEADING, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    #[command(flatten)]
    device: DeviceArgs,
}

impl NetworkArgs {
    /// Whether one is named.
    pub fn is_named(&self) -> bool {
        self.network.is_some()
    }

    /// Reads the network that is named, and says which it is.
    ///
    /// # Errors
    ///
    /// Weights that cannot be had or read, or are another network's.
    pub fn load(&self) -> Result<Option<Viewer>, Failure> {
        let (Some(network), Some(weights)) = (self.network, &self.weights) else {
            return match self.device.is_cpu() {
                true => Ok(None),
                false => Err(Failure::bad_input(format!(
                    "--device {}: only a network computes there: give --network, or leave it out",
                    self.device
                ))),
            };
        };
        let device = self.device.open()?;
        let Resolved { path, reference } = resolved(weights)?;
        let tensors = Source::open(&path).and_then(|source| source.tensors(&Device::Cpu));
        let tensors = tensors.map_err(|e| Failure::bad_input(format!("--weights: {e}")))?;
        let extractor = Extractor::new(network, tensors, &device);
        let extractor = extractor.map_err(|error| match error {
            FeatureError::Backend(error) => error.into(),
            refused => Failure::bad_input(format!("--weights {reference}: {refused}")),
        })?;
        note(format_args!("network: {}", extractor.about()));
        if let Some(caution) = extractor.caution() {
            note(caution);
        }
        Ok(Some(Viewer {
            extractor,
            batch: self.batch as usize,
        }))
    }
}

/// Where the weights lie: a folder or repository stands for its `model.safetensors`.
fn resolved(weights: &std::path::Path) -> Result<Resolved, Failure> {
    let text = weights.to_string_lossy();
    if Reference::is_meant(&text) {
        let mut named: Reference = text.parse().map_err(CheckpointError::from)?;
        if named.path.is_empty() {
            named.path = WEIGHTS.to_string();
        }
        return Ok(resolve(named.to_string().as_ref(), &hub())?);
    }
    if !weights.exists() {
        return Err(Failure::bad_input(format!(
            "--weights {text}: there is no such file or folder"
        )));
    }
    let file = match weights.is_dir() {
        true if !weights.join(WEIGHTS).is_file() => {
            return Err(Failure::bad_input(format!(
                "--weights {text}: the folder has no {WEIGHTS}: name the file"
            )));
        }
        true => weights.join(WEIGHTS),
        false => weights.to_path_buf(),
    };
    Ok(resolve(&file, &hub())?)
}

/// A network that looks at images.
pub struct Viewer {
    extractor: Extractor,
    batch: usize,
}

impl Viewer {
    /// Which network it is.
    pub fn about(&self) -> String {
        self.extractor.about()
    }

    /// Features of one image.
    pub fn num_features(&self) -> usize {
        self.extractor.num_features()
    }

    /// Gives `take` the features of all `images` in order, `[B, num_features]` in `f32`, and shows how far it is.
    ///
    /// # Errors
    ///
    /// A stop, which is heard between two images, or on a GPU between two batches; pixels that are not finite; what
    /// `take` refuses.
    pub fn look(
        &self,
        images: &Images,
        stop: &StopFlag,
        mut take: impl FnMut(Tensor) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let counter = Counter::new(images.num() as u64, "images");
        let go_on = |done: usize| {
            counter.add(done as u64);
            !stop.is_raised()
        };
        let looked = images.for_each_batch(self.batch, |batch| {
            let features = self.extractor.features(batch, &go_on);
            take(features.map_err(|error| match error {
                FeatureError::Stopped => RunError::Stopped.into(),
                FeatureError::Backend(error) => error.into(),
                refused => Failure::bad_input(refused),
            })?)
        });
        counter.close();
        looked
    }

    /// The features of all `images`, `[n, num_features]`.
    ///
    /// # Errors
    ///
    /// As [`Self::look`].
    pub fn features(&self, images: &Images, stop: &StopFlag) -> Result<Tensor, Failure> {
        let mut all = Vec::new();
        self.look(images, stop, |features| {
            all.push(features);
            Ok(())
        })?;
        Ok(Tensor::cat(&all, 0)?)
    }
}
