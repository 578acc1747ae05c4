//! One training run in memory: weights, optimizer, average, and the step that moves them.

use std::path::Path;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use pfgmpp_checkpoint::{
    Checkpoint, CheckpointConfig, DATA_MEAN, DataSummary, FORMAT, TrainingSummary,
};
use pfgmpp_data::{Dataset, Shuffle, Statistics};
use pfgmpp_kernel::{Denoiser, SampleRng, Stream};
use pfgmpp_nn::Parameters;
use pfgmpp_sampler::SamplerConfig;
use pfgmpp_transfer::{DataMoments, DataScale};
use rand::Rng;

use crate::adam::Adam;
use crate::averages::Averages;
use crate::config::{ConditionConfig, TrainerConfig};
use crate::ema::{Ema, EmaConfig};
use crate::error::TrainError;
use crate::identity::identity;
use crate::learner::{Learner, denoiser, label_dim};
use crate::state::{self, Position};

/// The share of training, at its end, whose mean loss is reported as `train_loss`.
const TAIL: f64 = 0.1;

/// A run's weights and everything that changes them.
pub struct Trainer {
    model: TrainerConfig,
    seed: u64,
    device: Device,
    data: Dataset,
    shuffle: Shuffle,
    scale: DataScale,
    learner: Learner,
    parameters: Parameters,
    adam: Adam,
    averages: Averages,
    nimg: u64,
    tail: MeanLoss,
    /// Seconds of training, those before a resume included.
    pub seconds: f64,
}

/// What one step saw.
pub struct Step {
    /// Learning rate.
    pub lr: f64,
    /// The noise level of each sample.
    pub sigma: Vec<f64>,
    /// The loss of each sample.
    pub loss: Vec<f64>,
}

/// A mean that grows sample by sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanLoss {
    sum: f64,
    count: u64,
}

impl MeanLoss {
    /// Takes in one more loss.
    pub fn add(&mut self, loss: f64) {
        self.sum += loss;
        self.count += 1;
    }

    /// The mean so far, `None` of nothing.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Trainer {
    /// Builds the training of `model` under `seed`, at its first image.
    ///
    /// # Errors
    ///
    /// A network that does not fit the data.
    pub fn new(
        model: &TrainerConfig,
        seed: u64,
        data: &Dataset,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let scale = data_scale(data)?;
        let parameters = Parameters::new(seed, device);
        let learner = Learner::new(model, seed, data, scale, &parameters.builder())?;
        Ok(Self {
            shuffle: Shuffle::new(data, seed),
            adam: Adam::new(model.optimizer.clone(), &parameters)?,
            averages: Averages::new(model.ema.clone(), &parameters)?,
            model: model.clone(),
            seed,
            device: device.clone(),
            data: data.clone(),
            scale,
            learner,
            parameters,
            nimg: 0,
            tail: MeanLoss::default(),
            seconds: 0.0,
        })
    }

    /// Images seen.
    pub fn nimg(&self) -> u64 {
        self.nimg
    }

    /// What the effective noise level knows of the data.
    pub fn scale(&self) -> DataScale {
        self.scale
    }

    /// The number of trained values.
    pub fn num_parameters(&self) -> usize {
        self.parameters.count()
    }

    /// Mean loss over the last tenth of training, `None` before it.
    pub fn train_loss(&self) -> Option<f64> {
        self.tail.mean()
    }

    /// The averaged weights that the configuration asks for.
    pub fn ema(&self) -> &Ema {
        self.averages.first()
    }

    /// All averages of the weights, that of the configuration first.
    pub fn averages(&self) -> &Averages {
        &self.averages
    }

    /// Averages the weights over another half-life besides, from where they stand now.
    ///
    /// A state is saved with all averages, and restored where the same ones are tracked.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn track(&mut self, config: EmaConfig) -> Result<(), TrainError> {
        Ok(self.averages.track(config, &self.parameters)?)
    }

    /// The denoiser with the averaged weights as they are now.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn averaged_model(&self) -> Result<Box<dyn Denoiser>, TrainError> {
        let builder = VarBuilder::from_tensors(self.ema().tensors(), DType::F32, &self.device);
        denoiser(&self.model, &self.data, self.scale, &builder)
    }

    /// The averaged weights as a checkpoint, with all that sampling them needs; `sampler` is what they are to be
    /// sampled with.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn checkpoint(&self, sampler: SamplerConfig) -> Result<Checkpoint, TrainError> {
        let data = &self.data;
        let moments = DataMoments::measure(data.images())?;
        let mut weights = self.ema().tensors();
        let mean = moments.mean().to_dtype(DType::F32)?;
        weights.insert(DATA_MEAN.to_string(), mean);
        Ok(Checkpoint {
            config: CheckpointConfig {
                format: FORMAT,
                d: self.model.d,
                data: DataSummary {
                    name: data.name().to_string(),
                    shape: data.image_shape(),
                    label_dim: label_dim(&self.model, data)?,
                    class_counts: match self.model.condition {
                        None => Vec::new(),
                        Some(ConditionConfig::Classes) => data.class_counts(),
                    },
                    range: [-1.0, 1.0],
                    scale: self.scale,
                    scale_about_mean: Some(moments.scale().bounded()),
                },
                network: self.model.network.clone(),
                prediction: self.model.prediction(),
                denoising_error: None,
                sampler,
                training: TrainingSummary {
                    nimg: self.nimg,
                    seed: self.seed,
                },
                weights_sha256: String::new(),
                weights_crc32: String::new(),
            },
            weights,
        })
    }

    /// The denoiser that the training of `model` under `seed` starts from, its weights plain tensors as
    /// in [`Self::averaged_model`].
    ///
    /// # Errors
    ///
    /// A network that does not fit the data.
    pub fn initial_model(
        model: &TrainerConfig,
        seed: u64,
        data: &Dataset,
        device: &Device,
    ) -> Result<Box<dyn Denoiser>, TrainError> {
        let scale = data_scale(data)?;
        let parameters = Parameters::new(seed, device);
        // The first network asks for its parameters, which makes them.
        denoiser(model, data, scale, &parameters.builder())?;
        let tensors = parameters.tensors().into_iter().collect();
        let builder = VarBuilder::from_tensors(tensors, DType::F32, device);
        denoiser(model, data, scale, &builder)
    }

    /// Takes one step on the next batch.
    ///
    /// # Errors
    ///
    /// A loss that is not finite, before any weight is changed by it.
    pub fn step(&mut self) -> Result<Step, TrainError> {
        let training = &self.model.training;
        let batch_size = training.batch_size.min(training.nimg - self.nimg);
        let indices = self.shuffle.indices(self.nimg, batch_size as usize);
        let streams = |stream| SampleRng::batch(self.seed, stream, self.nimg, indices.len());
        let mut rngs = streams(Stream::Training);
        // Dropout masks follow from the run's seed and the image's position, as the noise does.
        let seeds: Vec<u64> = streams(Stream::Dropout)
            .iter_mut()
            .map(Rng::next_u64)
            .collect();
        let batch = (self.nimg, indices.as_slice());
        let loss = self
            .learner
            .loss(&self.data, batch, &mut rngs, &seeds, &self.device)?;
        let per_sample = loss.per_sample.to_vec1::<f64>()?;
        if let Some(&bad) = per_sample.iter().find(|loss| !loss.is_finite()) {
            return Err(TrainError::Diverged {
                nimg: self.nimg,
                loss: bad,
            });
        }
        let grads = loss.mean.backward()?;
        let lr = self.model.optimizer.lr_at(self.nimg + batch_size);
        self.adam.step(&self.parameters, &grads, lr)?;
        self.averages
            .update(&self.parameters, self.nimg, batch_size)?;
        self.count(&per_sample);
        Ok(Step {
            lr,
            sigma: loss.sigma,
            loss: per_sample,
        })
    }

    /// Images behind which losses count for [`Self::train_loss`].
    fn tail_start(&self) -> f64 {
        self.model.training.nimg as f64 * (1.0 - TAIL)
    }

    fn count(&mut self, losses: &[f64]) {
        let tail_start = self.tail_start();
        for &loss in losses {
            self.nimg += 1;
            if self.nimg as f64 > tail_start {
                self.tail.add(loss);
            }
        }
    }

    /// Writes the state into the file `path`, making the folder that holds it.
    ///
    /// # Errors
    ///
    /// Any failure of the file system; the state saved before then stands untouched.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let position = Position {
            nimg: self.nimg,
            steps: self.adam.steps(),
            tail_sum: self.tail.sum.to_bits(),
            tail_count: self.tail.count,
            seconds: self.seconds,
        };
        state::save(
            path,
            &self.parameters,
            &self.adam,
            &self.averages,
            &position,
            &identity(&self.model, self.seed, &self.data),
        )
    }

    /// Goes to the state saved in the file `path`; stays at the first image if there is none.
    ///
    /// The state may be of a training of another length, or that was reported otherwise.
    ///
    /// # Errors
    ///
    /// A state that was damaged, that belongs to another training, or that is past the end of this one.
    pub fn restore(&mut self, path: &Path) -> Result<(), TrainError> {
        let restored = state::load(
            path,
            &self.parameters,
            &mut self.adam,
            &self.averages,
            &identity(&self.model, self.seed, &self.data),
            &self.device,
        )?;
        if let Some(position) = restored {
            let end = self.model.training.nimg;
            if position.nimg > end {
                let there = position.nimg;
                return Err(TrainError::State {
                    path: path.to_path_buf(),
                    message: format!("it stands at {there} images, training.nimg is {end}"),
                });
            }
            self.nimg = position.nimg;
            // The end of a training that is now longer may lie before the new one's last tenth.
            if self.nimg as f64 > self.tail_start() {
                self.tail = MeanLoss {
                    sum: f64::from_bits(position.tail_sum),
                    count: position.tail_count,
                };
            }
            self.seconds = position.seconds;
        }
        Ok(())
    }
}

/// What the effective noise level needs to know of `data`.
fn data_scale(data: &Dataset) -> Result<DataScale, TrainError> {
    let statistics = Statistics::measure(data)?;
    let scale = DataScale {
        second_moment: statistics.second_moment,
        n_eff: statistics.n_eff,
    };
    Ok(scale.bounded())
}
