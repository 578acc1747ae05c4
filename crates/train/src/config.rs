//! A network and how it is trained.

use pfgmpp_data::AugmentConfig;
use pfgmpp_kernel::Dimension;
use pfgmpp_nn::{NetworkConfig, Prediction};
use pfgmpp_objective::PfgmPerturbation;
use pfgmpp_sampler::Corruption;
use pfgmpp_transfer::{FieldPrediction, NoiseLaw, ParameterError, Preconditioning};
use serde::{Deserialize, Serialize};

use crate::adam::AdamConfig;
use crate::ema::EmaConfig;
use crate::error::TrainError;
use crate::lengths::TrainingConfig;
use crate::power::PostHocEmaConfig;

/// A network and how it is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainerConfig {
    /// The dimension D of the augmentation.
    pub d: Dimension,
    /// The network; none before the checkpoint was read that `training.start_from` names, whose network it is.
    pub network: Option<NetworkConfig>,
    /// What the network is told of an image beside its noise level; nothing if left out.
    pub condition: Option<ConditionConfig>,
    /// What it predicts, and what training minimises.
    pub method: Method,
    /// The optimizer.
    pub optimizer: AdamConfig,
    /// The average of the weights that samples are drawn with.
    pub ema: EmaConfig,
    /// How training images are changed at random; not at all if left out.
    pub augment: Option<AugmentConfig>,
    /// Averages that are saved as training goes on, to make one of any length afterwards; none if left out.
    pub post_hoc_ema: Option<PostHocEmaConfig>,
    /// Length of training and how often it reports.
    pub training: TrainingConfig,
}

/// What a network is told of an image beside its noise level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionConfig {
    /// Its class, one-hot, of as many classes as the data have; the network's `label_dropout` withholds some.
    Classes,
    /// The image itself, corrupted: training on pairs, for samples of what may stand behind a corrupted image.
    Corrupted(Corruption),
    /// The image beside it, of data of pairs.
    Paired,
}

/// What a network is shown of each image beside the perturbed one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown {
    /// The image itself, corrupted.
    Corrupted(Corruption),
    /// The image beside it, of data of pairs ([`Dataset::input`](pfgmpp_data::Dataset::input)).
    Paired,
}

/// What a network predicts, and what training minimises.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// A denoiser, by the unbiased objective or towards a stable target.
    Denoiser {
        /// How the network is made a denoiser.
        preconditioning: Preconditioning,
        /// The law that training draws `sigma` from.
        noise_law: NoiseLaw,
        /// Data that a stable target averages over; none for the unbiased objective.
        reference_batch: Option<u64>,
    },
    /// The normalised field of a large batch: original PFGM, D = 1.
    Field {
        /// Where the field is learned.
        perturbation: PfgmPerturbation,
        /// How the network's output is read as a field.
        prediction: FieldPrediction,
        /// Data that make up the field of one step.
        large_batch: u64,
    },
}

impl TrainerConfig {
    /// Checks every parameter that its type alone does not.
    ///
    /// # Errors
    ///
    /// The first parameter outside its range, with its dotted path in a configuration.
    pub fn check(&self) -> Result<(), ParameterError> {
        let at = |section: &'static str| move |e: ParameterError| e.under(section);
        self.optimizer.check().map_err(at("optimizer"))?;
        self.ema.check().map_err(at("ema"))?;
        if let Some(post_hoc) = &self.post_hoc_ema {
            post_hoc.check().map_err(at("post_hoc_ema"))?;
        }
        self.training.check().map_err(at("training"))?;
        self.check_condition()?;
        self.check_augment()?;
        self.check_d_list()?;
        match &self.method {
            Method::Denoiser {
                preconditioning,
                noise_law,
                reference_batch,
            } => {
                let objective = match reference_batch {
                    None => "objective.unbiased.noise_law",
                    Some(_) => "objective.stable_target.noise_law",
                };
                noise_law.check().map_err(at(objective))?;
                self.check_batch("reference_batch", *reference_batch)
                    .map_err(at("objective.stable_target"))?;
                match preconditioning.is_to_be_measured() {
                    // Refused once training begins, unless it was measured by then.
                    true => Ok(()),
                    false => preconditioning.check().map_err(at("preconditioning")),
                }
            }
            Method::Field {
                perturbation,
                prediction,
                large_batch,
            } => {
                perturbation
                    .check()
                    .map_err(at("objective.pfgm.perturbation"))?;
                prediction.check().map_err(at("objective.pfgm.field"))?;
                self.check_batch("large_batch", Some(*large_batch))
                    .map_err(at("objective.pfgm"))?;
                if self.d == Dimension::Finite(1.0) {
                    return Ok(());
                }
                Err(ParameterError::new("d", self.d, "1 for objective pfgm"))
            }
        }
    }

    /// The D that the denoiser is for where samples are asked for at `d`: that one for a network that is told D.
    pub fn d_at(&self, d: Dimension) -> Dimension {
        match self.training.d_list() {
            [] => self.d,
            _ => d,
        }
    }

    /// How what the network is shown of each image is made of it, if it is.
    pub fn corruption(&self) -> Option<Corruption> {
        match self.condition {
            Some(ConditionConfig::Corrupted(corruption)) => Some(corruption),
            None | Some(ConditionConfig::Classes | ConditionConfig::Paired) => None,
        }
    }

    /// What the network is shown of each image beside the perturbed one, from wherever it comes.
    pub fn shown(&self) -> Option<Shown> {
        match self.condition {
            Some(ConditionConfig::Corrupted(corruption)) => Some(Shown::Corrupted(corruption)),
            Some(ConditionConfig::Paired) => Some(Shown::Paired),
            None | Some(ConditionConfig::Classes) => None,
        }
    }

    /// The objective, if its targets average over images beside that of a sample.
    fn averaging_objective(&self) -> Option<&'static str> {
        match &self.method {
            Method::Denoiser {
                reference_batch: None,
                ..
            } => None,
            Method::Denoiser { .. } => Some("stable_target"),
            Method::Field { .. } => Some("pfgm"),
        }
    }

    /// The targets of the other objectives average over images as they are.
    fn check_augment(&self) -> Result<(), ParameterError> {
        let Some(augment) = &self.augment else {
            return Ok(());
        };
        if let Some(probability) = augment.geometric {
            ParameterError::within("augment.geometric", probability, 0.0, 1.0)?;
            ParameterError::positive("augment.geometric", probability)?;
        } else if !augment.x_flip {
            let accepted = "x_flip: true, geometric: a probability, or both; or leave augment out";
            return Err(ParameterError::new("augment", "neither", accepted));
        }
        match self.averaging_objective() {
            None => Ok(()),
            Some(objective) => {
                let accepted = format!(
                    "absent with objective {objective}, whose targets average over images as they are"
                );
                Err(ParameterError::new("augment", "one", accepted))
            }
        }
    }

    /// The targets of the other objectives are those of one D, and a network has to have somewhere to be told.
    fn check_d_list(&self) -> Result<(), ParameterError> {
        let refuse = |accepted: String| {
            let got = format!("{} values", self.training.d_list().len());
            Err(ParameterError::new("training.d_list", got, accepted))
        };
        match (self.training.d_list(), self.averaging_objective()) {
            ([], _) => Ok(()),
            (_, Some(objective)) => refuse(format!(
                "absent with objective {objective}, whose targets are those of one D"
            )),
            _ if matches!(self.network, Some(NetworkConfig::UNet2D(_))) => refuse(
                "absent with network unet2d, which is told noise level and class alone: choose ddpmpp, ncsnpp, adm or mlp"
                    .to_string(),
            ),
            _ => Ok(()),
        }
    }

    /// The targets of the other objectives average over images of all classes.
    fn check_condition(&self) -> Result<(), ParameterError> {
        if let Some(corruption) = self.corruption() {
            let checked = corruption.check();
            checked.map_err(|e| e.under("condition.corrupted"))?;
        }
        let Some(objective) = self.averaging_objective() else {
            return Ok(());
        };
        let (got, what) = match self.condition {
            None => return Ok(()),
            Some(ConditionConfig::Classes) => ("classes", "all classes"),
            Some(ConditionConfig::Corrupted(_)) => ("corrupted", "images of all conditions"),
            Some(ConditionConfig::Paired) => ("paired", "images of all conditions"),
        };
        let accepted =
            format!("absent with objective {objective}, whose targets average over {what}");
        Err(ParameterError::new("condition", got, accepted))
    }

    /// Averages that are saved as training goes on.
    pub fn num_snapshots_at_once(&self) -> u64 {
        let config = self.post_hoc_ema.as_ref();
        config.map_or(0, |config| config.sigma_rel.len() as u64)
    }

    /// Copies of the weights that snapshots of averages make by the end of training.
    pub fn num_snapshots(&self) -> u64 {
        let Some(config) = &self.post_hoc_ema else {
            return 0;
        };
        let moments = self.training.nimg.div_ceil(config.snapshot_every);
        self.num_snapshots_at_once() * moments.min(config.keep.unwrap_or(u64::MAX))
    }

    /// The network.
    ///
    /// # Errors
    ///
    /// One that training is to start from and that was not read.
    pub fn network(&self) -> Result<&NetworkConfig, TrainError> {
        self.network.as_ref().ok_or(TrainError::NoNetwork)
    }

    /// Whether the preconditioning's `sigma_data` is still to be measured on the training data.
    pub fn measures_sigma_data(&self) -> bool {
        match &self.method {
            Method::Denoiser {
                preconditioning, ..
            } => preconditioning.is_to_be_measured(),
            Method::Field { .. } => false,
        }
    }

    /// The same for data of this standard deviation, where that was to be measured.
    #[must_use]
    pub fn with_sigma_data(mut self, sigma_data: f64) -> Self {
        if let Method::Denoiser {
            preconditioning, ..
        } = &mut self.method
        {
            *preconditioning = preconditioning.clone().with_sigma_data(sigma_data);
        }
        self
    }

    /// What the network predicts, as a checkpoint records it.
    pub fn prediction(&self) -> Prediction {
        match &self.method {
            Method::Denoiser {
                preconditioning, ..
            } => Prediction::Denoised(preconditioning.clone()),
            Method::Field { prediction, .. } => Prediction::Field(prediction.clone()),
        }
    }

    /// A batch that holds the training batch and more.
    fn check_batch(&self, name: &'static str, size: Option<u64>) -> Result<(), ParameterError> {
        let least = self.training.batch_size;
        match size {
            Some(size) if !(least..=1 << 24).contains(&size) => Err(ParameterError::new(
                name,
                size,
                format!("from training.batch_size = {least} to {}", 1 << 24),
            )),
            _ => Ok(()),
        }
    }
}
