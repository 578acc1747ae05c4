//! The step that moves the weights.

use std::ops::Range;

use pfgmpp_kernel::{SampleRng, Stream};
use rand::Rng;

use super::Trainer;
use crate::error::TrainError;
use crate::gradients::Gradients;
use crate::lengths::NonFinite;
use crate::tree_sum::TreeSum;

/// The share of training, at its end, whose mean loss is reported as `train_loss`.
const TAIL: f64 = 0.1;
/// So many steps in a row that are not finite will not be followed by one that is.
const MOST_SKIPPED: u64 = 100;

/// What one step saw.
pub struct Step {
    /// Images of its batch.
    pub images: u64,
    /// Learning rate.
    pub lr: f64,
    /// The noise level of each sample.
    pub sigma: Vec<f64>,
    /// The loss of each sample.
    pub loss: Vec<f64>,
    /// Norm of the gradient, before it is clipped.
    pub grad_norm: f64,
    /// Whether no weight was changed, because the loss or the gradient was not finite; [`Self::loss`] may then lack
    /// samples.
    pub skipped: bool,
}

/// What differentiating the loss of a batch gives.
#[derive(Default)]
pub(super) struct Differentiated {
    pub(super) gradients: Gradients,
    pub(super) sigma: Vec<f64>,
    pub(super) loss: Vec<f64>,
    /// The loss of a piece that is not finite, behind which nothing was differentiated.
    pub(super) fault: Option<TrainError>,
}

/// A mean that grows sample by sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanLoss {
    pub(super) sum: f64,
    pub(super) count: u64,
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
    /// Takes one step on the next batch.
    ///
    /// # Errors
    ///
    /// A loss or a gradient that is not finite, before any weight is changed by it, unless such steps are to be
    /// skipped; a hundred of them in a row in any case.
    pub fn step(&mut self) -> Result<Step, TrainError> {
        let training = &self.model.training;
        let batch_size = training.batch_size.min(training.nimg - self.nimg);
        let lr = self.model.optimizer.lr_at(self.nimg + batch_size);
        let Differentiated {
            gradients,
            sigma,
            loss,
            fault,
        } = self.differentiate(batch_size as usize)?;
        let grad_norm = gradients.norm()?;
        let fault = fault.or(
            (!grad_norm.is_finite()).then_some(TrainError::GradientDiverged {
                nimg: self.nimg,
                norm: grad_norm,
            }),
        );
        let skipped = fault.is_some();
        match fault {
            None => {
                let scale = self.model.optimizer.scale_of(grad_norm);
                let moves = self.averages.moves(self.nimg, batch_size);
                self.adam
                    .step_along(&self.parameters, &gradients, lr, scale, &moves)?;
                self.skipped_in_a_row = 0;
            }
            Some(fault) => {
                self.skip(fault)?;
                // In images, so that a step that was skipped counts: these are the weights that were there meanwhile.
                self.averages
                    .update(&self.parameters, self.nimg, batch_size)?;
            }
        }
        self.count(batch_size, if skipped { &[] } else { &loss });
        Ok(Step {
            images: batch_size,
            lr,
            sigma,
            loss,
            grad_norm,
            skipped,
        })
    }

    /// The gradients of the mean loss of the next `batch_size` images, piece by piece; of all ranks where several share them.
    fn differentiate(&mut self, batch_size: usize) -> Result<Differentiated, TrainError> {
        let indices = self.shuffle.indices(self.nimg, batch_size);
        let own = self.own_images(batch_size);
        let first = self.nimg + own.start as u64;
        let streams = |stream| SampleRng::batch(self.seed, stream, first, own.len());
        let mut rngs = streams(Stream::Training);
        // Dropout masks follow from the run's seed and the image's position, as the noise does.
        let seeds: Vec<u64> = streams(Stream::Dropout)
            .iter_mut()
            .map(Rng::next_u64)
            .collect();
        let mut found = Differentiated::default();
        let mut sum = TreeSum::default();
        let mut summing = None;
        for piece in self.pieces(own.clone()) {
            let batch = (self.nimg, indices.as_slice(), piece.clone());
            let (from, to) = (piece.start - own.start, piece.end - own.start);
            let (rngs, seeds) = (&mut rngs[from..to], &seeds[from..to]);
            let loss = self
                .learner
                .loss(&self.data, batch, rngs, seeds, &self.device)?;
            if from == 0 {
                self.read_ahead(batch_size as u64)?;
            }
            let per_sample = loss.per_sample.to_vec1::<f64>()?;
            if let Some(&bad) = per_sample.iter().find(|loss| !loss.is_finite()) {
                let (nimg, loss) = (self.nimg, bad);
                found.fault = Some(TrainError::Diverged { nimg, loss });
                break;
            }
            let mean = match piece.len() == batch_size {
                true => loss.mean,
                false => (loss.mean * (piece.len() as f64 / batch_size as f64))?,
            };
            found.sigma.extend(loss.sigma);
            found.loss.extend(per_sample);
            match &self.together {
                Some(together) if piece.end == own.end => {
                    let before = std::mem::take(&mut sum);
                    summing = Some(together.differentiate(&self.parameters, before, &mean)?);
                }
                _ => sum.push(Gradients::of(&self.parameters, &mean.backward()?))?,
            }
        }
        let Some(together) = &mut self.together else {
            found.gradients = sum.finish()?;
            return Ok(found);
        };
        let summing = match summing {
            Some(summing) => summing,
            None => together.nothing(&self.parameters, sum)?,
        };
        let place = (self.nimg, batch_size);
        together.complete(&found, summing, &self.parameters, place)
    }

    /// Those of the next `batch_size` images that this process differentiates.
    fn own_images(&self, batch_size: usize) -> Range<usize> {
        match &self.together {
            None => 0..batch_size,
            Some(together) => together.sharing.images(together.group.rank(), batch_size),
        }
    }

    /// The pieces of `images` that are differentiated one after the other.
    fn pieces(&self, images: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let at_a_time = match &self.together {
            None => self.model.training.at_a_time() as usize,
            Some(together) => together.sharing.at_a_time,
        };
        let end = images.end;
        images
            .step_by(at_a_time)
            .map(move |start| start..end.min(start + at_a_time))
    }

    /// Begins to read the images of the batch behind the next one, of `batch_size`, while that one is worked on.
    fn read_ahead(&mut self, batch_size: u64) -> Result<(), TrainError> {
        let behind = self.nimg + batch_size;
        let next = batch_size.min(self.model.training.nimg - behind);
        if self.data.is_in_files() && next > 0 {
            let own = self.own_images(next as usize);
            let next = self.shuffle.indices(behind, next as usize);
            self.data.prepare(&next[own])?;
        }
        Ok(())
    }

    /// Counts a step that is left out because of `fault`, which ends training if it has to.
    fn skip(&mut self, fault: TrainError) -> Result<(), TrainError> {
        if self.model.training.non_finite != Some(NonFinite::Skip) {
            return Err(fault);
        }
        self.skipped += 1;
        self.skipped_in_a_row += 1;
        match self.skipped_in_a_row {
            steps @ MOST_SKIPPED.. => Err(TrainError::Skipped { steps }),
            _ => Ok(()),
        }
    }

    /// Images behind which losses count for [`Self::train_loss`].
    pub(super) fn tail_start(&self) -> f64 {
        self.model.training.nimg as f64 * (1.0 - TAIL)
    }

    /// Goes on by `images`, whose losses are `losses`, or none if they were skipped.
    fn count(&mut self, images: u64, losses: &[f64]) {
        let tail_start = self.tail_start();
        for (nimg, &loss) in (self.nimg + 1..).zip(losses) {
            if nimg as f64 > tail_start {
                self.tail.add(loss);
            }
        }
        self.nimg += images;
    }
}
