//! One training run in memory: weights, optimizer, average, and the step that moves them.

use std::path::Path;
use std::sync::OnceLock;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use pfgmpp_checkpoint::{
    Checkpoint, CheckpointConfig, Column, DATA_MEAN, DataSummary, FORMAT, Tensors, TrainingSummary,
};
use pfgmpp_data::{Dataset, Shuffle, Statistics};
use pfgmpp_kernel::{Denoiser, Dimension};
use pfgmpp_nn::Parameters;
use pfgmpp_sampler::SamplerConfig;
use pfgmpp_transfer::{DataMoments, DataScale};
use serde_json::{Map, Value};

use crate::adam::Adam;
use crate::averages::Averages;
use crate::config::{ConditionConfig, Shown, TrainerConfig};
use crate::ema::{Ema, Profile};
use crate::error::TrainError;
use crate::identity::{HELD_OUT, identity};
use crate::learner::{Learner, denoiser, image_channels, label_dim};
use crate::snapshots;
use crate::start_from::start_from;
use crate::state::{self, Position, Restored, Validation};

pub use self::step::{MeanLoss, Step};
pub use self::together::RankCosts;
use self::together::Together;

mod step;
mod together;

/// A run's weights and everything that changes them.
pub struct Trainer {
    model: TrainerConfig,
    seed: u64,
    device: Device,
    data: Dataset,
    shuffle: Shuffle,
    fingerprint: OnceLock<String>,
    /// The fingerprint of the data that it is measured on, where it is told them.
    held_out: Option<String>,
    scale: DataScale,
    learner: Learner,
    parameters: Parameters,
    adam: Adam,
    averages: Averages,
    nimg: u64,
    tail: MeanLoss,
    skipped: u64,
    skipped_in_a_row: u64,
    /// The ranks that share each batch, if several do.
    together: Option<Together>,
    /// Seconds of training, those before a resume included.
    pub seconds: f64,
    /// What was found on held-out data so far; saved with the state.
    pub validation: Option<Validation>,
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
        let mut averages = Averages::new(model.ema.clone(), &parameters)?;
        if let Some(post_hoc) = &model.post_hoc_ema {
            for profile in post_hoc.profiles()? {
                averages.track(profile, &parameters)?;
            }
        }
        Ok(Self {
            shuffle: Shuffle::new(data, seed),
            adam: Adam::new(model.optimizer.clone(), &parameters)?,
            averages,
            model: model.clone(),
            seed,
            device: device.clone(),
            data: data.clone(),
            fingerprint: OnceLock::new(),
            held_out: None,
            scale,
            learner,
            parameters,
            nimg: 0,
            tail: MeanLoss::default(),
            skipped: 0,
            skipped_in_a_row: 0,
            together: None,
            seconds: 0.0,
            validation: None,
        })
    }

    /// Images seen.
    pub fn nimg(&self) -> u64 {
        self.nimg
    }

    /// Steps that were left out because their loss or gradient was not finite.
    pub fn skipped(&self) -> u64 {
        self.skipped
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

    /// Starts from the weights of `checkpoint`, which `training.start_from` names, in place of random ones; moments and
    /// averages begin anew.
    ///
    /// # Errors
    ///
    /// Weights of another network, or of other images or classes.
    pub fn start_from(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        start_from(&self.parameters, checkpoint).map_err(|e| TrainError::Start {
            reference: match &self.model.training.start_from {
                Some(reference) => reference.clone(),
                None => "the checkpoint".to_string(),
            },
            message: e.to_string(),
        })?;
        Ok(self.averages.restart(&self.parameters)?)
    }

    /// Averages the weights by another profile besides, from where they stand now.
    ///
    /// A state is saved with all averages, and restored where the same ones are tracked.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn track(&mut self, profile: impl Into<Profile>) -> Result<(), TrainError> {
        Ok(self.averages.track(profile, &self.parameters)?)
    }

    /// Saves the averages of `post_hoc_ema` as they are now into `folder`, making it.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn save_snapshots(&self, folder: &Path) -> Result<(), TrainError> {
        match &self.model.post_hoc_ema {
            Some(config) => snapshots::save(folder, self.averages.iter(), self.nimg, config.keep),
            None => Ok(()),
        }
    }

    /// Removes the snapshots in `folder` that a training which was cut off had saved beyond where it goes on.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn forget_later_snapshots(&self, folder: &Path) -> Result<(), TrainError> {
        snapshots::forget_after(folder, self.nimg)
    }

    /// The denoiser with the averaged weights as they are now.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn averaged_model(&self) -> Result<Box<dyn Denoiser>, TrainError> {
        self.averaged_model_at(self.model.d)
    }

    /// As [`Self::averaged_model`], at another D of a network that is told D (`training.d_list`); any other is that of
    /// its own D alone.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn averaged_model_at(&self, d: Dimension) -> Result<Box<dyn Denoiser>, TrainError> {
        self.model_at(self.ema().tensors(), d)
    }

    /// The denoiser that `weights` make, which have the names of this training's.
    ///
    /// # Errors
    ///
    /// Weights of another network.
    pub fn model_of(&self, weights: Tensors) -> Result<Box<dyn Denoiser>, TrainError> {
        self.model_at(weights, self.model.d)
    }

    /// As [`Self::model_of`], at the D of [`Self::averaged_model_at`].
    ///
    /// # Errors
    ///
    /// Weights of another network.
    pub fn model_at(
        &self,
        weights: Tensors,
        d: Dimension,
    ) -> Result<Box<dyn Denoiser>, TrainError> {
        let d = match self.model.training.d_list() {
            [] => self.model.d,
            _ => d,
        };
        let builder = VarBuilder::from_tensors(weights, DType::F32, &self.device);
        denoiser(&self.model, &self.data, self.scale, &builder, d)
    }

    /// The averaged weights as a checkpoint, with all that sampling them needs; `sampler` is what they are to be
    /// sampled with.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn checkpoint(&self, sampler: SamplerConfig) -> Result<Checkpoint, TrainError> {
        self.checkpoint_of(self.ema().tensors(), self.nimg, sampler)
    }

    /// As [`Self::checkpoint`], of `weights` after `nimg` images in place of the averaged ones.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn checkpoint_of(
        &self,
        mut weights: Tensors,
        nimg: u64,
        sampler: SamplerConfig,
    ) -> Result<Checkpoint, TrainError> {
        let data = &self.data;
        let moments = DataMoments::measure(&data.reference_images()?)?;
        let mean = moments.mean().to_dtype(DType::F32)?;
        weights.insert(DATA_MEAN.to_string(), mean);
        Ok(Checkpoint {
            config: CheckpointConfig {
                format: FORMAT,
                d: self.model.d,
                d_list: self.model.training.d_list().to_vec(),
                data: DataSummary {
                    name: data.name().to_string(),
                    shape: data.image_shape(),
                    label_dim: label_dim(&self.model, data)?,
                    class_counts: match self.model.condition {
                        None | Some(ConditionConfig::Corrupted(_) | ConditionConfig::Paired) => {
                            Vec::new()
                        }
                        Some(ConditionConfig::Classes) => data.class_counts(),
                    },
                    corruption: self.model.corruption(),
                    input_channels: match self.model.shown() {
                        Some(Shown::Paired) => image_channels(&self.model, data)?,
                        None | Some(Shown::Corrupted(_)) => 0,
                    },
                    range: [-1.0, 1.0],
                    columns: data
                        .columns()
                        .map(|columns| columns.iter().map(column).collect()),
                    scale: self.scale,
                    scale_about_mean: Some(moments.scale().bounded()),
                },
                network: self.model.network()?.clone(),
                prediction: self.model.prediction(),
                denoising_error: None,
                sampler,
                training: TrainingSummary {
                    nimg,
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
        denoiser(model, data, scale, &parameters.builder(), model.d)?;
        let tensors = parameters.tensors().into_iter().collect();
        let builder = VarBuilder::from_tensors(tensors, DType::F32, device);
        denoiser(model, data, scale, &builder, model.d)
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
            skipped: self.skipped,
            skipped_in_a_row: self.skipped_in_a_row,
            validation: self.validation,
        };
        state::save(
            path,
            &self.parameters,
            &self.adam,
            &self.averages,
            &position,
            &self.identity()?,
        )
    }

    /// Notes in the states which held-out data the training is measured on; [`Self::restore`] then says whether a state was measured on
    /// others.
    ///
    /// # Errors
    ///
    /// Files that are not as they were.
    pub fn note_held_out(&mut self, held_out: &Dataset) -> Result<(), TrainError> {
        self.held_out = Some(held_out.fingerprint()?);
        Ok(())
    }

    /// All that the weights after a number of images follow from, and beside it what they are measured on.
    fn identity(&self) -> Result<Map<String, Value>, TrainError> {
        let fingerprint = match self.fingerprint.get() {
            Some(known) => known.clone(),
            None => {
                let found = self.data.fingerprint()?;
                self.fingerprint.get_or_init(|| found).clone()
            }
        };
        let mut all = identity(&self.model, self.seed, &self.data, &fingerprint);
        let held_out = self.held_out.iter();
        all.extend(held_out.map(|print| (HELD_OUT.to_string(), Value::from(print.as_str()))));
        Ok(all)
    }

    /// Goes to the state saved in the file `path`; stays at the first image if there is none.
    ///
    /// The state may be of a training of another length, or that was reported otherwise. What could not be compared is
    /// given as a line to show: versions before this one did not note what data a state is of. So is a change of the data that it
    /// is measured on ([`Self::note_held_out`]).
    ///
    /// # Errors
    ///
    /// A state that was damaged, that belongs to another training or to other data, or that is past the end of this one.
    pub fn restore(&mut self, path: &Path) -> Result<Option<String>, TrainError> {
        let identity = self.identity()?;
        let restored = state::load(
            path,
            &self.parameters,
            &mut self.adam,
            &self.averages,
            &identity,
            &self.device,
        )?;
        let mut note = None;
        if let Some(restored) = restored {
            let Restored {
                position,
                knows_its_data,
                held_out,
            } = restored;
            let end = self.model.training.nimg;
            if position.nimg > end {
                let there = position.nimg;
                return Err(TrainError::State {
                    path: path.to_path_buf(),
                    message: format!("it stands at {there} images, training.nimg is {end}"),
                });
            }
            self.nimg = position.nimg;
            self.skipped = position.skipped;
            self.skipped_in_a_row = position.skipped_in_a_row;
            // The end of a training that is now longer may lie before the new one's last tenth.
            if self.nimg as f64 > self.tail_start() {
                self.tail = MeanLoss {
                    sum: f64::from_bits(position.tail_sum),
                    count: position.tail_count,
                };
            }
            self.seconds = position.seconds;
            self.validation = position.validation;
            let file = path.display();
            note = match (knows_its_data, held_out, &self.held_out) {
                (false, ..) => Some(format!(
                    "{file}: does not say what data it was trained on, as versions before this one wrote it: whether they changed is not known"
                )),
                (true, Some(there), Some(here)) if there != *here => Some(format!(
                    "{file}: the held-out data changed since it was saved (fingerprint {there}, now {here}): the weights are not affected, but errors \
                     measured before and from now on do not compare"
                )),
                _ => None,
            };
        }
        Ok(note)
    }
}

/// How a column of the data was standardised, as the checkpoint keeps it.
fn column(column: &pfgmpp_data::Column) -> Column {
    Column {
        name: column.name.clone(),
        shift: column.shift,
        scale: column.scale,
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
