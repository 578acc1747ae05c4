//! The flags that name a pretrained network, and what it sees.

use std::path::PathBuf;

use candle_core::Tensor;
use pfgmpp_checkpoint::{Resolved, resolve};
use pfgmpp_features::{Extractor, FeatureError, FeatureNetwork};
use pfgmpp_run::{RunError, StopFlag, check_feature_memory, feature_weights, load_feature_network};

use crate::device::DeviceArgs;
use crate::download::hub;
use crate::failure::Failure;
use crate::images::Images;
use crate::terminal::{Counter, note};

/// What the flags stand under in the help.
const HEADING: &str = "Features";

/// A network for features, for every command that takes one.
#[derive(clap::Args)]
pub struct NetworkArgs {
    /// Network that looks at the images: inception (Inception-v3, for FID), dinov2 (for FD-DINOv2), or digits, a small
    /// classifier of handwritten digits that is built in
    #[arg(long, value_name = "NETWORK", help_heading = HEADING)]
    network: Option<FeatureNetwork>,
    /// Its weights, unless they are built in: a file of safetensors or PyTorch, here or on the Hugging Face Hub, such as
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
    /// The one that is named.
    pub fn named(&self) -> Option<FeatureNetwork> {
        self.network
    }

    /// Refuses a network without the weights that it needs, and weights beside those that are built in.
    ///
    /// # Errors
    ///
    /// Either.
    pub fn check(&self) -> Result<(), Failure> {
        let Some(network) = self.network else {
            return Ok(());
        };
        match (&self.weights, network.is_built_in()) {
            (None, false) => Err(Failure::bad_input(format!(
                "--network {network}: give its weights by --weights <REF>"
            ))),
            (Some(_), true) => Err(Failure::bad_input(format!(
                "--weights: those of {network} are built in: leave it out"
            ))),
            _ => Ok(()),
        }
    }

    /// Reads the network that is named, and says which it is.
    ///
    /// # Errors
    ///
    /// What [`Self::check`] refuses, weights that cannot be had or read, or are another network's.
    pub fn load(&self) -> Result<Option<Viewer>, Failure> {
        self.check()?;
        let Some(network) = self.network else {
            return match self.device.is_cpu() {
                true => Ok(None),
                false => Err(Failure::bad_input(format!(
                    "--device {}: only a network computes there: give --network, or leave it out",
                    self.device
                ))),
            };
        };
        let device = self.device.open()?;
        let found = match &self.weights {
            None => None,
            Some(weights) => {
                let file = feature_weights(&weights.to_string_lossy());
                let file = file.map_err(|e| Failure::bad_input(format!("--weights {e}")))?;
                Some(resolve(file.as_ref(), &hub())?)
            }
        };
        let path = found.as_ref().map(|found| found.path.as_path());
        if device.is_cpu() {
            check_feature_memory(network, path)?;
        }
        let extractor = load_feature_network(network, path, &device);
        let extractor = extractor.map_err(|error| match (error, &found) {
            (RunError::Features(error), Some(Resolved { reference, .. })) => {
                Failure::bad_input(format!("--weights {reference}: {error}"))
            }
            (RunError::Checkpoint(error), _) => Failure::bad_input(format!("--weights: {error}")),
            (error, _) => error.into(),
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
