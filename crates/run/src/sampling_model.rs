//! A model that is ready to sample, wherever it came from.

mod drawing;
mod shown;

use std::path::Path;

use candle_core::{DType, Device, Error, Tensor};
use pfgmpp_checkpoint::{CheckpointError, Model};
use pfgmpp_config::{ConfigError, ModelConfig};
use pfgmpp_data::{Column, Dataset};
use pfgmpp_kernel::{Denoiser, Dimension, ExactPosterior, Kernel};
use pfgmpp_sampler::{Classes, Guidance, Sampler, SamplerConfig, TimedStep};
use pfgmpp_train::Shown;
use pfgmpp_transfer::{DataMoments, ParameterError};

use crate::classes_asked::ClassesAsked;
use crate::error::RunError;
use crate::error_curve::error_curve;
use crate::levels_shown::at_levels_shown;
use crate::memory::Footprint;
use crate::moments::moments_of;
use crate::observer::StopFlag;
use crate::pairs::Pairs;
use crate::resolved::ResolvedRun;
use crate::restoring::Restoring;
use crate::table::{columns, in_words};

/// A denoiser with its kernel and sampler.
pub struct SamplingModel {
    pub(crate) denoiser: Box<dyn Denoiser>,
    pub(crate) kernel: Kernel,
    pub(crate) shape: [usize; 3],
    sampler: Sampler,
    /// What its configuration says of the classes.
    asked: Option<Classes>,
    /// How far samples of a class are led away from those of none.
    pub(crate) guidance: Option<Guidance>,
    /// What its guidance leads away from, where that is another checkpoint.
    pub(crate) reference: Option<Box<dyn Denoiser>>,
    /// The sampler as it is written down.
    pub(crate) config: SamplerConfig,
    /// Of each sample, for a model that has classes.
    classes: Option<ClassesAsked>,
    notes: Vec<String>,
    footprint: Option<Footprint>,
    /// Whether it is asked at an effective noise level, being of another D than its samples.
    lifted: bool,
    /// The D that the levels shown by samples follow: that of the kernel, or kappa of self-timed sampling.
    shown_by: Dimension,
    /// The data of an exact posterior.
    data: Option<Tensor>,
    /// What the samples are told to be observed as.
    restoring: Option<Restoring>,
    /// What a network of pairs is shown of an image.
    shown: Option<Shown>,
    /// What its samples are conditioned on, unless they are told otherwise.
    pairs: Option<Pairs>,
    /// How the columns of the table that it was made of were standardised.
    columns: Option<Vec<Column>>,
}

impl SamplingModel {
    /// Makes `denoiser`, which is for data of `shape` perturbed at `d`, ready for the D of `sampler`:
    /// through its effective noise level if that is another one, which asks for the data's `moments`.
    ///
    /// Samples of a model with classes are of all classes alike unless [`Self::with_classes`] says otherwise.
    ///
    /// # Errors
    ///
    /// A denoiser of finite D that is to sample at another, or no guess in `sampler`; classes in `sampler` for a
    /// denoiser without any.
    pub fn new(
        denoiser: Box<dyn Denoiser>,
        d: Dimension,
        shape: [usize; 3],
        moments: impl FnOnce() -> candle_core::Result<DataMoments>,
        sampler: &SamplerConfig,
    ) -> Result<Self, RunError> {
        let kernel = Kernel::new(shape.iter().product(), sampler.d.unwrap_or(d))?;
        let timed = sampler.reads_levels().is_some();
        let shown_by = sampler
            .reads_levels()
            .map_or(kernel.d(), |timed| timed.kappa);
        let lifted = kernel.d() != d;
        let denoiser = if !lifted && !timed {
            denoiser
        } else {
            at_levels_shown(denoiser, d, &kernel, moments()?, sampler)
                .map_err(|e| ConfigError::new("sampler", e))?
        };
        if let (0, Some(guidance)) = (denoiser.takes().label_dim, &sampler.guidance)
            && guidance.reference.is_none()
        {
            let accepted = "absent: the model has no classes to be led to (label_dim 0), and no reference to be led \
                            away from";
            let error = ParameterError::new("guidance", guidance.scale, accepted);
            return Err(ConfigError::new("sampler", error).into());
        }
        let classes = match (denoiser.takes().label_dim, &sampler.classes) {
            (0, Some(classes)) => {
                let accepted = "absent: the model has no classes (label_dim 0)";
                let error = ParameterError::new("classes", classes, accepted);
                return Err(ConfigError::new("sampler", error).into());
            }
            (0, None) => None,
            (label_dim, _) => Some(ClassesAsked::uniform(label_dim)),
        };
        Ok(Self {
            denoiser,
            kernel,
            shape,
            sampler: sampler
                .build()
                .map_err(|e| ConfigError::new("sampler", e))?,
            asked: sampler.classes.clone(),
            guidance: sampler.guidance.clone(),
            classes,
            notes: Vec::new(),
            footprint: None,
            reference: None,
            config: sampler.clone(),
            lifted,
            shown_by,
            data: None,
            restoring: None,
            shown: None,
            pairs: None,
            columns: None,
        })
    }

    /// Draws samples of what was observed: data restored by the model.
    ///
    /// # Errors
    ///
    /// Observations of another shape than the model's data give, and an exact method for a model that is not exact.
    pub fn restoring(mut self, restoring: Restoring) -> Result<Self, RunError> {
        restoring.check(&self.shape)?;
        restoring.wrap(
            &*self.denoiser,
            self.shown_by,
            self.kernel.d(),
            self.data.as_ref(),
        )?;
        if restoring.differentiates() {
            self.footprint = self.footprint.map(|footprint| footprint.with_derivative());
        }
        self.restoring = Some(restoring);
        self.check_start()?;
        Ok(self)
    }

    /// Says what the model takes to be evaluated.
    pub(crate) fn with_footprint(mut self, footprint: Footprint) -> Self {
        self.footprint = Some(footprint);
        self
    }

    /// What the model takes to be evaluated, where that is known.
    pub(crate) fn footprint(&self) -> Option<&Footprint> {
        self.footprint.as_ref()
    }

    /// Checks that there is memory to draw `num` samples, `batch` at a time; `key` is what sets the batch. Gives the
    /// bytes that it takes, 0 of a model of which that is not known.
    ///
    /// # Errors
    ///
    /// [`RunError::Memory`].
    pub fn check_memory(&self, key: &str, batch: u64, num: u64) -> Result<u64, RunError> {
        let Some(footprint) = &self.footprint else {
            return Ok(0);
        };
        footprint.check_sampling(self.kernel.n() as u64, key, batch, num)
    }

    /// Draws samples of the classes that its sampler names, or of all alike if that names none.
    ///
    /// - `first_seed`: the seed of the first sample; that of sample `i` is `first_seed + i`.
    /// - `counts`: training images of each class; empty where they are not known.
    ///
    /// # Errors
    ///
    /// Classes that the model does not have.
    pub fn with_classes(mut self, first_seed: u64, counts: &[usize]) -> Result<Self, RunError> {
        if let Some(asked) = &mut self.classes {
            asked.first_seed = first_seed;
            match &self.asked {
                Some(classes) => {
                    let label_dim = asked.label_dim;
                    let checked = classes.check(label_dim, counts);
                    checked.map_err(|e| ConfigError::new("sampler", e))?;
                    (asked.classes, asked.counts) = (classes.clone(), counts.to_vec());
                }
                None => self.notes.push(format!(
                    "the model has {} classes and none is asked for: each sample is of a random one, by its seed",
                    asked.label_dim
                )),
            }
        }
        Ok(self)
    }

    /// The model of a run that trains nothing: the exact posterior of `data`, or a
    /// checkpoint.
    ///
    /// # Errors
    ///
    /// A checkpoint that cannot be read or is of images of another shape; a configuration that trains.
    pub fn untrained(run: &ResolvedRun, data: &Dataset, device: &Device) -> Result<Self, RunError> {
        Self::untrained_by(run, data, device, |place| Model::load(place, device))
    }

    /// As [`Self::untrained`], a checkpoint being read by `load`.
    pub(crate) fn untrained_by(
        run: &ResolvedRun,
        data: &Dataset,
        device: &Device,
        load: impl FnOnce(&Path) -> Result<Model, CheckpointError>,
    ) -> Result<Self, RunError> {
        let refuse = |message| Err(ConfigError::new("model", message).into());
        let config = run.config();
        match &config.model {
            ModelConfig::Network(_) => {
                refuse("network is trained first: pfgmpp train, then sample its checkpoint".into())
            }
            ModelConfig::Exact { d } => {
                let exact = ExactPosterior::new(&data.images()?, *d)?;
                let shape = data.image_shape();
                let sampler = &config.sampler;
                let moments = || {
                    let stop = StopFlag::default();
                    let batch = config.scoring.batch_size;
                    let error = error_curve(&exact, None, data, sampler, batch, device, &stop)
                        .map_err(Error::wrap)?;
                    moments_of(data)?
                        .with_denoising_error(error)
                        .map_err(Error::wrap)
                };
                let mut model =
                    Self::new(Box::new(exact.clone()), *d, shape, moments, &config.sampler)?;
                model.data = Some(data.images()?);
                model
                    .with_columns(data)
                    .with_footprint(Footprint::Exact(data.num_images() as u64))
                    .with_reference(device)?
                    .with_classes(config.first_seed(), &data.class_counts())
            }
            ModelConfig::Checkpoint { source } => {
                let place = run.weights().place();
                let model = load(place.expect("a checkpoint was found"))?;
                let (got, want) = (model.config.data.shape, data.image_shape());
                if got != want {
                    return refuse(format!(
                        "checkpoint {source} is of images of shape {got:?}, the data have {want:?}"
                    ));
                }
                let own = columns(&model.config.data);
                if own.as_deref() != data.columns() {
                    return refuse(format!(
                        "checkpoint {source} is of {}, the data are {}: both must be standardised by the same numbers",
                        in_words(own.as_deref()),
                        in_words(data.columns())
                    ));
                }
                if model.config.data.image_channels() > 0 {
                    return refuse(format!(
                        "checkpoint {source} was trained on pairs: it is scored by the run that trains it"
                    ));
                }
                let model = Self::of_checkpoint(model, &config.sampler)?;
                model.check_start()?;
                model
                    .with_reference(device)?
                    .with_classes(config.first_seed(), &data.class_counts())
            }
        }
    }

    /// A loaded checkpoint under `sampler`.
    ///
    /// # Errors
    ///
    /// What [`Self::new`] refuses.
    pub fn of_checkpoint(model: Model, sampler: &SamplerConfig) -> Result<Self, RunError> {
        // A network for many D is asked at the one of the samples.
        let d = sampler.d.unwrap_or(model.config.d);
        let Model {
            config,
            denoiser,
            moments,
            notes,
            ..
        } = model.at(d)?;
        let shape = config.data.shape;
        let footprint = Footprint::Network(config.memory()?);
        let shown = match (config.data.corruption, config.data.input_channels) {
            (Some(corruption), _) => Some(Shown::Corrupted(corruption)),
            (None, 0) => None,
            (None, _) => Some(Shown::Paired),
        };
        let columns = columns(&config.data);
        let model = Self::new(denoiser, config.d, shape, || Ok(moments), sampler)?;
        let model = model.with_footprint(footprint);
        Ok(Self {
            notes,
            shown,
            columns,
            ..model
        })
    }

    /// Whether the model is the exact posterior of data.
    pub fn is_exact(&self) -> bool {
        self.data.is_some()
    }

    /// Of `data`, which may be a table whose columns were standardised.
    #[must_use]
    pub fn with_columns(mut self, data: &Dataset) -> Self {
        self.columns = data.columns().map(<[Column]>::to_vec);
        self
    }

    /// How the columns of the table that the model was made of were standardised; `None` of any other data.
    pub fn columns(&self) -> Option<&[Column]> {
        self.columns.as_deref()
    }

    /// What was assumed of the model or of how it is sampled, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The number of the model's classes, 0 for a model without any.
    pub fn label_dim(&self) -> usize {
        self.classes.as_ref().map_or(0, |asked| asked.label_dim)
    }

    /// What classes the samples are of; `None` for a model without any.
    pub fn asked_for(&self) -> Option<&Classes> {
        self.classes.as_ref().map(|asked| &asked.classes)
    }

    /// The class of the sample of each of `seeds`; `None` for a model without any.
    pub fn classes(&self, seeds: &[u64]) -> Option<Vec<usize>> {
        let asked = self.classes.as_ref()?;
        Some(seeds.iter().map(|&seed| asked.of_sample(seed)).collect())
    }

    /// The dimension D of the samples.
    pub fn d(&self) -> Dimension {
        self.kernel.d()
    }

    /// N and D of the samples.
    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The sampler.
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// Whether it is asked at an effective noise level, being of another D than its samples.
    pub fn is_lifted(&self) -> bool {
        self.lifted
    }

    /// The sampler as it is written down.
    pub fn sampler_config(&self) -> &SamplerConfig {
        &self.config
    }

    /// Evaluations of the model that a sample takes; `None` where that depends on the sample.
    pub fn evaluations(&self) -> Option<usize> {
        self.sampler.evaluations()
    }

    /// Whether it reads its noise levels off the samples.
    pub(crate) fn is_self_timed(&self) -> bool {
        self.config.reads_levels().is_some()
    }

    /// Whether it moves samples to the schedule's level on their way.
    pub(crate) fn moves_to_schedule(&self) -> bool {
        let timed = self.config.reads_levels();
        timed.is_some_and(|timed| timed.step == TimedStep::ToSchedule)
    }

    /// The shape of a sample, `[C, H, W]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }
}

/// Refuses samples that are not finite.
pub(crate) fn finite(samples: Tensor) -> Result<Tensor, RunError> {
    // Zero times what is not finite is not a number.
    let rest = (&samples * 0.0)?.sum_all()?.to_dtype(DType::F32)?;
    match rest.to_scalar::<f32>()? {
        0.0 => Ok(samples),
        _ => Err(RunError::NotFinite),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pfgmpp_config::yaml::parse_value;
    use pfgmpp_kernel::{ConditionSpec, Query};

    /// Estimates that are no numbers, as of weights that are not.
    struct Broken;

    impl Denoiser for Broken {
        fn takes(&self) -> ConditionSpec {
            ConditionSpec::NONE
        }

        fn denoise(&self, query: &Query) -> candle_core::Result<Tensor> {
            query.x * f64::NAN
        }
    }

    #[test]
    fn samples_that_are_no_numbers_are_an_error() {
        let edm = "{num_steps: 3, sigma_min: 0.1, sigma_max: 10.0, rho: 7.0}";
        let text = format!("{{solver: heun, schedule: {{edm: {edm}}}}}");
        let sampler: SamplerConfig = parse_value(&text, "a test").unwrap();
        let d = Dimension::Finite(8.0);
        let moments = || unreachable!("D is that of the model");
        let model = SamplingModel::new(Box::new(Broken), d, [1, 2, 2], moments, &sampler).unwrap();
        let error = model.sample(&[1, 2], &Device::Cpu).unwrap_err();
        assert!(matches!(error, RunError::NotFinite), "got {error}");
    }
}
