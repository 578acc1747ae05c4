//! What differs between training methods: the loss of a batch, and the denoiser that the weights make.

use std::ops::Range;

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use pfgmpp_data::{AugmentConfig, DataError, Dataset, Shuffle};
use pfgmpp_kernel::{Condition, Denoiser, Dimension, Kernel, SampleRng, Stream};
use pfgmpp_nn::{
    Context, DIMENSION_LABELS, FieldNetwork, Mode, Network, Preconditioned, Signature,
};
use pfgmpp_objective::{
    Loss, PfgmObjective, StableTargetObjective, TrainingModel, UnbiasedObjective, Weighted,
};
use pfgmpp_transfer::DataScale;

use crate::augmented::augmented;
use crate::config::{ConditionConfig, Method, Shown, TrainerConfig};
use crate::error::TrainError;
use crate::many_d::{self, ManyD};

/// Set in the seed of the order in which large batches are filled, which no run's seed has.
const FILLING: u64 = 1 << 63;

/// A training method with its live model.
pub struct Learner {
    task: Task,
    wide: Option<WideBatch>,
    /// Classes that the network is told apart; 0 for one that is told none.
    label_dim: usize,
    /// How images are changed.
    augment: Option<AugmentConfig>,
    /// What the network is shown of them.
    shown: Option<Shown>,
    /// What both follow from.
    seed: u64,
}

enum Task {
    Unbiased(UnbiasedObjective, Preconditioned),
    ManyD(ManyD),
    StableTarget(StableTargetObjective, Preconditioned),
    Field(PfgmObjective, FieldNetwork),
}

impl Learner {
    /// The method of `model` on the weights of `builder`.
    ///
    /// # Errors
    ///
    /// A network that does not fit the data.
    pub fn new(
        model: &TrainerConfig,
        seed: u64,
        data: &Dataset,
        scale: DataScale,
        builder: &VarBuilder,
    ) -> Result<Self, TrainError> {
        let kernel = Kernel::new(data.n(), model.d)?;
        let network = model.network()?.build_beside(
            training_signature(model, data)?,
            image_channels(model, data)?,
            builder,
        )?;
        let (task, wide) = match &model.method {
            Method::Denoiser {
                preconditioning,
                noise_law,
                reference_batch,
            } => {
                let denoiser =
                    |network| Preconditioned::new(network, preconditioning.clone(), &kernel, scale);
                match reference_batch {
                    None => {
                        let objective = UnbiasedObjective::new(kernel.clone(), noise_law.clone())?;
                        let task = match model.training.d_list() {
                            [] => Task::Unbiased(objective, denoiser(network)?),
                            list => Task::ManyD(ManyD::new(
                                objective,
                                &network.into(),
                                preconditioning,
                                (data.n(), scale),
                                list,
                            )?),
                        };
                        (task, None)
                    }
                    Some(size) => {
                        let denoiser = denoiser(network)?;
                        let objective = StableTargetObjective::new(kernel, noise_law.clone())?;
                        (Task::StableTarget(objective, denoiser), Some(*size))
                    }
                }
            }
            Method::Field {
                perturbation,
                prediction,
                large_batch,
            } => {
                let objective = PfgmObjective {
                    perturbation: perturbation.clone(),
                    gamma: prediction.gamma,
                };
                let field = FieldNetwork::new(network, prediction.clone());
                (Task::Field(objective, field), Some(*large_batch))
            }
        };
        Ok(Self {
            task,
            wide: wide.map(|size| WideBatch::new(data, seed, size)),
            label_dim: label_dim(model, data)?,
            augment: model.augment,
            shown: model.shown(),
            seed,
        })
    }

    /// The loss of a piece of a batch, the images that follow after `nimg`.
    ///
    /// - `indices`: the images of the batch in `data`, whose classes are told to a network that takes them; `piece`
    ///   which of them the loss is of.
    /// - `rngs`: one generator a sample of the piece; `seeds` one seed a sample for what the network draws.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn loss(
        &mut self,
        data: &Dataset,
        (nimg, indices, piece): (u64, &[usize], Range<usize>),
        rngs: &mut [SampleRng],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Loss, TrainError> {
        let y = data.batch(&indices[piece.clone()], device)?;
        let (first, count) = (nimg + piece.start as u64, piece.len());
        let streams = |stream| SampleRng::batch(self.seed, stream, first, count);
        let (y, labels) = match &self.augment {
            None => (y, None),
            Some(augment) => augmented(augment, &y, &mut streams(Stream::Augmentation))?,
        };
        let shown = match self.shown {
            None => None,
            // The image as it is augmented, which is what the sample is of.
            Some(Shown::Corrupted(corruption)) => {
                Some(corruption.observe(&y, &mut streams(Stream::Corruption))?)
            }
            Some(Shown::Paired) => {
                let shown = inputs(data)?.batch(&indices[piece.clone()], device)?;
                Some(match &self.augment {
                    None => shown,
                    // Drawn by the same stream, and so changed alike.
                    Some(augment) => {
                        augmented(augment, &shown, &mut streams(Stream::Augmentation))?.0
                    }
                })
            }
        };
        let around = match &mut self.wide {
            // The same for every piece.
            Some(wide) => wide.around(data, nimg, indices, device)?,
            None => y.clone(),
        };
        let mut condition = self.condition(data, &indices[piece], device)?;
        if let Some(shown) = shown {
            condition = condition.with_image(shown)?;
        }
        let mut context = Context {
            condition: &condition,
            augment: labels.as_ref(),
            mode: Mode::Train { seeds },
        };
        Ok(match &self.task {
            Task::ManyD(many) => {
                let places = many.draw(&mut streams(Stream::Dimension));
                let told = many.labels(&places, labels.as_ref(), device)?;
                context.augment = Some(&told);
                many.loss(&y, &places, rngs, context)?
            }
            Task::Unbiased(objective, model) => {
                objective.loss(&InTraining { model, context }, &y, rngs)?
            }
            Task::StableTarget(objective, model) => {
                objective.loss(&InTraining { model, context }, &y, &around, rngs)?
            }
            Task::Field(objective, model) => {
                objective.loss(&InTraining { model, context }, &y, &around, rngs)?
            }
        })
    }

    /// What the network is told of the images at `indices` in `data`.
    fn condition(
        &self,
        data: &Dataset,
        indices: &[usize],
        device: &Device,
    ) -> Result<Condition, TrainError> {
        let classes = match self.label_dim {
            0 => None,
            _ => data.labels(indices)?,
        };
        let Some(classes) = classes else {
            return Ok(Condition::none());
        };
        let classes: Vec<usize> = classes.iter().map(|&class| class as usize).collect();
        let told = Condition::of_classes(&classes, self.label_dim, device)?;
        Ok(told)
    }
}

/// The number of classes that the network of `model` is told apart, 0 for one that is told none.
///
/// # Errors
///
/// Data without classes where there have to be some.
pub fn label_dim(model: &TrainerConfig, data: &Dataset) -> Result<usize, TrainError> {
    match model.condition {
        None | Some(ConditionConfig::Corrupted(_) | ConditionConfig::Paired) => Ok(0),
        Some(ConditionConfig::Classes) => match data.class_labels()? {
            Some(classes) => Ok(classes.num_classes()),
            None => Err(TrainError::NoClasses(data.name().to_string())),
        },
    }
}

/// Channels of what the network of `model` is shown of each image beside the perturbed one.
///
/// # Errors
///
/// Images that are not corrupted so.
pub fn image_channels(model: &TrainerConfig, data: &Dataset) -> Result<usize, TrainError> {
    let corruption = match model.shown() {
        None => return Ok(0),
        Some(Shown::Paired) => return Ok(inputs(data)?.image_shape()[0]),
        Some(Shown::Corrupted(corruption)) => corruption,
    };
    let shape = data.image_shape();
    let checked = corruption.check_shape(shape);
    checked.map_err(|e| e.under("condition.corrupted"))?;
    Ok(corruption.image_channels(shape[0]))
}

/// The images that stand beside those of `data`.
///
/// # Errors
///
/// Data that are not pairs.
fn inputs(data: &Dataset) -> Result<&Dataset, TrainError> {
    let name = || DataError::NotPaired(data.name().to_string());
    Ok(data.input().ok_or_else(name)?)
}

/// What the network of `model` takes and gives while it is trained.
///
/// # Errors
///
/// Data without classes or images where there have to be some.
pub fn training_signature(model: &TrainerConfig, data: &Dataset) -> Result<Signature, TrainError> {
    let [_, height, width] = data.image_shape();
    if model.augment.is_some() && height.min(width) < 2 {
        return Err(TrainError::NoImages(data.name().to_string()));
    }
    Ok(Signature {
        label_dim: label_dim(model, data)?,
        augment_dim: augment_dim(model),
        ..model.prediction().signature(data.image_shape())
    })
}

/// Values that the network of `model` is told of D, where it is told, and of how an image was augmented.
fn augment_dim(model: &TrainerConfig) -> usize {
    let of_d = match model.training.d_list() {
        [] => 0,
        _ => DIMENSION_LABELS,
    };
    of_d + model.augment.map_or(0, |augment| augment.label_dim())
}

/// The denoiser at `d` that the weights of `builder` make, of images that are not augmented.
///
/// # Errors
///
/// A network that does not fit the data.
pub fn denoiser(
    model: &TrainerConfig,
    data: &Dataset,
    scale: DataScale,
    builder: &VarBuilder,
    d: Dimension,
) -> Result<Box<dyn Denoiser>, TrainError> {
    let kernel = Kernel::new(data.n(), d)?;
    let mut network = network(model, data, builder)?;
    if !model.training.d_list().is_empty() {
        network = many_d::at(network, data.n(), d, augment_dim(model));
    }
    Ok(model.prediction().denoiser(network, &kernel, scale)?)
}

fn network(
    model: &TrainerConfig,
    data: &Dataset,
    builder: &VarBuilder,
) -> Result<Box<dyn Network>, TrainError> {
    let signature = Signature {
        label_dim: label_dim(model, data)?,
        augment_dim: match model.training.d_list() {
            // What tells of augmentation is left out.
            [] => 0,
            _ => augment_dim(model),
        },
        ..model.prediction().signature(data.image_shape())
    };
    let beside = image_channels(model, data)?;
    Ok(model.network()?.build_beside(signature, beside, builder)?)
}

/// The data that a large batch adds to a training batch.
struct WideBatch {
    size: usize,
    order: Shuffle,
}

impl WideBatch {
    fn new(data: &Dataset, seed: u64, size: u64) -> Self {
        Self {
            size: size.min(data.num_images() as u64) as usize,
            order: Shuffle::new(data, seed | FILLING),
        }
    }

    /// `size` images: all of the data if they are no more, else those of the batch and others that
    /// take turns, a function of the images seen.
    fn around(
        &mut self,
        data: &Dataset,
        nimg: u64,
        indices: &[usize],
        device: &Device,
    ) -> Result<Tensor, TrainError> {
        if self.size >= data.num_images() {
            return Ok(data.images()?.to_device(device)?);
        }
        let count = self.size.saturating_sub(indices.len());
        // Each image of the batch brings as many others, so that a resumed run needs no position.
        let start = nimg * (self.size as u64) / (indices.len() as u64).max(1);
        let others = self.order.indices(start, count);
        let y = data.batch(indices, device)?;
        Ok(Tensor::cat(&[y, data.batch(&others, device)?], 0)?)
    }
}

/// A live model under the conditions of one training step, as objectives train it.
pub struct InTraining<'a, M> {
    /// The model: a [`Preconditioned`] network, or a [`FieldNetwork`] for original PFGM.
    pub model: &'a M,
    /// Conditions, augmentation and dropout of the batch.
    pub context: Context<'a>,
}

impl<'a, M> InTraining<'a, M> {
    /// Trained under no condition, without augmentation or dropout.
    pub fn new(model: &'a M) -> Self {
        let context = Context::default();
        Self { model, context }
    }
}

impl TrainingModel for InTraining<'_, Preconditioned> {
    fn predict(&self, x: &Tensor, sigma: &[f64]) -> candle_core::Result<Weighted> {
        let coefficients = self.model.coefficients(x, sigma)?;
        Ok(Weighted {
            prediction: self.model.forward(x, &coefficients, &self.context)?,
            weight: coefficients.iter().map(|c| c.weight).collect(),
        })
    }
}

impl TrainingModel for InTraining<'_, FieldNetwork> {
    fn predict(&self, x: &Tensor, z: &[f64]) -> candle_core::Result<Weighted> {
        Ok(Weighted {
            prediction: self.model.field(x, z, &self.context)?,
            weight: vec![1.0; z.len()],
        })
    }
}
