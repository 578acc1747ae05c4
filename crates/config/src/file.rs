//! A configuration as its file holds it: sections that belong together only by what `model` and
//! `objective` say.

use pfgmpp_data::{AugmentConfig, DataSource};
use pfgmpp_kernel::Dimension;
use pfgmpp_nn::NetworkConfig;
use pfgmpp_objective::PfgmPerturbation;
use pfgmpp_sampler::SamplerConfig;
use pfgmpp_train::{
    AdamConfig, ConditionConfig, EmaConfig, Method, PostHocEmaConfig, TrainerConfig,
    TrainingConfig, count,
};
use pfgmpp_transfer::{FieldPrediction, NoiseLaw, Preconditioning};
use serde::{Deserialize, Serialize};

use crate::run_config::{CheckpointSource, ModelConfig, NO_D, RunConfig};
use crate::scoring::ScoringConfig;
use crate::variants::Evaluations;

/// What [`RunConfig`] is read from and written as.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<Dimension>,
    #[serde(deserialize_with = "count")]
    seed: u64,
    data: DataSource,
    model: Model,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<NetworkConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<ConditionConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    augment: Option<AugmentConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preconditioning: Option<Preconditioning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    objective: Option<Objective>,
    #[serde(skip_serializing_if = "Option::is_none")]
    optimizer: Option<AdamConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ema: Option<EmaConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_hoc_ema: Option<PostHocEmaConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    training: Option<TrainingConfig>,
    sampler: SamplerConfig,
    scoring: ScoringConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evaluations: Option<Evaluations>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Model {
    Network,
    Exact,
    Checkpoint(CheckpointSource),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Objective {
    Unbiased {
        noise_law: NoiseLaw,
    },
    StableTarget {
        noise_law: NoiseLaw,
        #[serde(deserialize_with = "count")]
        reference_batch: u64,
    },
    Pfgm {
        perturbation: PfgmPerturbation,
        field: FieldPrediction,
        #[serde(deserialize_with = "count")]
        large_batch: u64,
    },
}

impl TryFrom<RunFile> for RunConfig {
    type Error = String;

    fn try_from(mut file: RunFile) -> Result<Self, String> {
        let model = match &file.model {
            Model::Network => ModelConfig::Network(Box::new(file.trained_model()?)),
            Model::Exact => {
                file.refuse_training("exact")?;
                ModelConfig::Exact {
                    d: needed(file.d, "d", "exact")?,
                }
            }
            Model::Checkpoint(source) => {
                let source = source.clone();
                file.refuse_training("checkpoint")?;
                if file.d.is_some() {
                    return Err("d: the checkpoint has its own: set sampler.d".to_string());
                }
                if file.sampler.d.is_none() {
                    return Err(NO_D.to_string());
                }
                ModelConfig::Checkpoint { source }
            }
        };
        Ok(Self {
            seed: file.seed,
            data: file.data,
            model,
            sampler: file.sampler,
            scoring: file.scoring,
            evaluations: file.evaluations,
        })
    }
}

impl RunFile {
    fn trained_model(&mut self) -> Result<TrainerConfig, String> {
        let model = "network";
        let method = match needed(self.objective.take(), "objective", model)? {
            Objective::Pfgm {
                perturbation,
                field,
                large_batch,
            } => {
                if self.preconditioning.is_some() {
                    return Err(
                        "preconditioning: objective pfgm predicts a field and has its own scaling, \
                         objective.pfgm.field: remove this section"
                            .to_string(),
                    );
                }
                Method::Field {
                    perturbation,
                    prediction: field,
                    large_batch,
                }
            }
            Objective::Unbiased { noise_law } => Method::Denoiser {
                preconditioning: self.preconditioning(model)?,
                noise_law,
                reference_batch: None,
            },
            Objective::StableTarget {
                noise_law,
                reference_batch,
            } => Method::Denoiser {
                preconditioning: self.preconditioning(model)?,
                noise_law,
                reference_batch: Some(reference_batch),
            },
        };
        let training = needed(self.training.take(), "training", model)?;
        let network = match &training.start_from {
            // It is that of the checkpoint.
            Some(_) => self.network.take(),
            None => Some(needed(self.network.take(), "network", model)?),
        };
        Ok(TrainerConfig {
            d: needed(self.d, "d", model)?,
            network,
            condition: self.condition.take(),
            augment: self.augment.take(),
            method,
            optimizer: needed(self.optimizer.take(), "optimizer", model)?,
            ema: needed(self.ema.take(), "ema", model)?,
            post_hoc_ema: self.post_hoc_ema.take(),
            training,
        })
    }

    fn preconditioning(&mut self, model: &str) -> Result<Preconditioning, String> {
        needed(self.preconditioning.take(), "preconditioning", model)
    }

    /// Sections that would have no effect are refused.
    fn refuse_training(&self, model: &str) -> Result<(), String> {
        let sections = [
            ("network", self.network.is_some()),
            ("condition", self.condition.is_some()),
            ("augment", self.augment.is_some()),
            ("preconditioning", self.preconditioning.is_some()),
            ("objective", self.objective.is_some()),
            ("optimizer", self.optimizer.is_some()),
            ("ema", self.ema.is_some()),
            ("post_hoc_ema", self.post_hoc_ema.is_some()),
            ("training", self.training.is_some()),
        ];
        match sections.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(format!(
                "{name}: model: {model} trains nothing: remove this section"
            )),
            None => Ok(()),
        }
    }
}

fn needed<T>(section: Option<T>, name: &str, model: &str) -> Result<T, String> {
    section.ok_or_else(|| format!("{name}: is missing, and model: {model} needs it"))
}

impl From<RunConfig> for RunFile {
    fn from(config: RunConfig) -> Self {
        let mut file = Self {
            d: None,
            seed: config.seed,
            data: config.data,
            model: Model::Exact,
            network: None,
            condition: None,
            augment: None,
            preconditioning: None,
            objective: None,
            optimizer: None,
            ema: None,
            post_hoc_ema: None,
            training: None,
            sampler: config.sampler,
            scoring: config.scoring,
            evaluations: config.evaluations,
        };
        match config.model {
            ModelConfig::Exact { d } => file.d = Some(d),
            ModelConfig::Checkpoint { source } => file.model = Model::Checkpoint(source),
            ModelConfig::Network(model) => file.take_in(*model),
        }
        file
    }
}

impl RunFile {
    fn take_in(&mut self, trained: TrainerConfig) {
        self.model = Model::Network;
        self.d = Some(trained.d);
        self.network = trained.network;
        self.condition = trained.condition;
        self.augment = trained.augment;
        self.optimizer = Some(trained.optimizer);
        self.ema = Some(trained.ema);
        self.post_hoc_ema = trained.post_hoc_ema;
        self.training = Some(trained.training);
        self.objective = Some(match trained.method {
            Method::Denoiser {
                preconditioning,
                noise_law,
                reference_batch,
            } => {
                self.preconditioning = Some(preconditioning);
                match reference_batch {
                    None => Objective::Unbiased { noise_law },
                    Some(reference_batch) => Objective::StableTarget {
                        noise_law,
                        reference_batch,
                    },
                }
            }
            Method::Field {
                perturbation,
                prediction,
                large_batch,
            } => Objective::Pfgm {
                perturbation,
                field: prediction,
                large_batch,
            },
        });
    }
}
