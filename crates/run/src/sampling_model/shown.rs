//! What a model of pairs is shown, and what is refused of it.

use candle_core::Tensor;
use pfgmpp_config::ConfigError;
use pfgmpp_data::Dataset;
use pfgmpp_sampler::Corruption;
use pfgmpp_train::Shown;
use pfgmpp_transfer::ParameterError;

use super::SamplingModel;
use crate::error::RunError;
use crate::pairs::{Images, Pairs};

impl SamplingModel {
    /// Conditions samples on what is `shown` of images of `held_out`, one after the other from that of `first_seed` on;
    /// `None` for a network that is shown nothing.
    #[must_use]
    pub fn with_pairs(mut self, shown: Option<Shown>, held_out: &Dataset, first_seed: u64) -> Self {
        self.shown = shown;
        self.pairs = shown.map(|shown| Pairs {
            images: Images::HeldOut(shown, held_out.clone()),
            first_seed,
        });
        self
    }

    /// Conditions samples on `images` `[num, C', H, W]`, one after the other from that of `first_seed` on, of a network of
    /// pairs from two sources.
    ///
    /// # Errors
    ///
    /// A model that is shown none, and images of another shape than it is shown.
    pub fn with_inputs(mut self, images: Tensor, first_seed: u64) -> Result<Self, RunError> {
        let refuse = |message: String| Err(ConfigError::new("input", message).into());
        let Some(Shown::Paired) = self.shown else {
            return refuse("the model was not trained on pairs (condition: paired)".to_string());
        };
        let [_, height, width] = self.shape;
        let channels = self.denoiser.takes().image_channels;
        let got = &images.dims()[1..];
        if got != [channels, height, width] {
            let want = [channels, height, width];
            return refuse(format!(
                "images of shape {got:?}, the model is shown {want:?}"
            ));
        }
        self.pairs = Some(Pairs {
            images: Images::Given(images),
            first_seed,
        });
        Ok(self)
    }

    /// Checks that samples which are to start from the image that they are shown (`sampler.start_from_condition`) are shown one of
    /// their shape.
    ///
    /// # Errors
    ///
    /// A model that is shown none, and images of another shape.
    pub fn check_start(&self) -> Result<(), RunError> {
        let Some(start) = &self.config.start_from_condition else {
            return Ok(());
        };
        let is_shown = match &self.restoring {
            Some(restoring) => restoring.shows_an_image(),
            None => self.pairs.as_ref().and_then(Pairs::image_shape) == Some(self.shape),
        };
        if is_shown {
            return Ok(());
        }
        let accepted = "absent for a model that is shown no image of the samples' shape";
        let error = ParameterError::new("start_from_condition", start.sigma, accepted);
        Err(ConfigError::new("sampler", error).into())
    }

    /// What a network of pairs is shown of an image; `None` of any other.
    pub fn shown(&self) -> Option<Shown> {
        self.shown
    }

    /// How what a network of pairs is shown is made of an image; `None` of any other, and of pairs from two sources.
    pub fn corruption(&self) -> Option<Corruption> {
        match self.shown {
            Some(Shown::Corrupted(corruption)) => Some(corruption),
            None | Some(Shown::Paired) => None,
        }
    }
}
