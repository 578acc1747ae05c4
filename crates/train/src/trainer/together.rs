//! The steps of a training that several ranks share.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use candle_core::{Tensor, TensorId};
use pfgmpp_nn::{Parameters, watch_gradients};

use super::Trainer;
use super::step::Differentiated;
use crate::buckets::{Buckets, Layout, Summing, SummingError};
use crate::error::TrainError;
use crate::gradients::Gradients;
use crate::ranks::{ProcessGroup, RankError};
use crate::sharing::Sharing;
use crate::tree_sum::TreeSum;

/// Bytes of a number.
const NUMBER: usize = 8;

/// What a rank knows of the others.
pub(super) struct Together {
    pub(super) group: Arc<ProcessGroup>,
    pub(super) sharing: Sharing,
    /// The order in which gradients are complete, once that is known.
    order: Option<Vec<usize>>,
    /// Seconds that this rank has waited for sums.
    waited: f64,
    steps: u64,
}

/// What it costs to train by several ranks, as one of them has found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankCosts {
    /// Ranks.
    pub size: usize,
    /// Bytes of gradients that this rank sends in a step.
    pub bytes_per_step: u64,
    /// Seconds of a step in which gradients are summed, other ranks' delays included.
    pub summing: f64,
    /// Seconds of a step in which this rank does nothing but wait for it.
    pub waiting: f64,
}

impl Trainer {
    /// Shares each batch of this training with the other ranks of `group`, which stand at the same place of the same
    /// training.
    ///
    /// The gradients of pieces of a batch, of `training.micro_batch` images each, are summed by the same binary tree
    /// whatever the number of ranks, so that what is trained is the same bits. Where `training.micro_batch` is absent each
    /// rank has one piece, and the result is that of such a `micro_batch`.
    ///
    /// # Errors
    ///
    /// Pieces that cannot be shared among so many ranks, and ranks of another training or at another place of it.
    pub fn join(&mut self, group: Arc<ProcessGroup>) -> Result<(), TrainError> {
        let sharing = Sharing::of(&self.model.training, group.size())?;
        self.agree_on_start(&group)?;
        self.together = Some(Together {
            group,
            sharing,
            order: None,
            waited: 0.0,
            steps: 0,
        });
        Ok(())
    }

    /// Whether any rank wants to stop, on which all of them agree at the same step; `wanted` is this one's wish.
    ///
    /// # Errors
    ///
    /// A rank that is gone.
    pub fn any_rank(&self, wanted: bool) -> Result<bool, TrainError> {
        match &self.together {
            None => Ok(wanted),
            Some(together) => Ok(together.group.any(wanted)?),
        }
    }

    /// What it has cost so far to train by several ranks; `None` of one, and before the first step.
    #[must_use]
    pub fn rank_costs(&self) -> Option<RankCosts> {
        let together = self.together.as_ref()?;
        let steps = (together.steps > 0).then_some(together.steps)?;
        let traffic = together.group.traffic();
        Some(RankCosts {
            size: together.group.size(),
            bytes_per_step: traffic.bytes / steps,
            summing: traffic.seconds / steps as f64,
            waiting: together.waited / steps as f64,
        })
    }

    /// Makes sure that all ranks are about to do the same.
    fn agree_on_start(&self, group: &ProcessGroup) -> Result<(), TrainError> {
        let training = serde_json::to_vec(&self.identity()?);
        let training = crc32fast::hash(&training.unwrap_or_default());
        let mut weights = crc32fast::Hasher::new();
        for (_, var) in self.parameters.vars() {
            let values = var.flatten_all()?.to_vec1::<f32>()?;
            weights.update(bytemuck::cast_slice(&values));
        }
        let numbers = [
            u64::from(training),
            self.model.training.nimg,
            self.nimg,
            u64::from(weights.finalize()),
        ];
        let own: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let all = group.gather(own.clone(), vec![own.len(); group.size()])?;
        let names = ["configuration", "training.nimg", "saved state", "weights"];
        for (rank, other) in all.iter().enumerate() {
            let parts = all[0].chunks(NUMBER).zip(other.chunks(NUMBER));
            for ((first, other), what) in parts.zip(names) {
                if first != other {
                    return Err(RankError::Differ { rank, what }.into());
                }
            }
        }
        Ok(())
    }
}

impl Together {
    /// Differentiates the last piece of this rank, whose mean loss is `mean`, and begins to sum the gradients over all ranks
    /// while it goes on; `before` is the sum of its pieces before.
    pub(super) fn differentiate(
        &self,
        parameters: &Parameters,
        before: TreeSum,
        mean: &Tensor,
    ) -> Result<Summing, TrainError> {
        let buckets = Rc::new(RefCell::new(self.buckets(parameters, before)));
        let watched = buckets.clone();
        let gradients = watch_gradients(
            move |leaf, gradient| watched.borrow_mut().take(leaf, gradient),
            || mean.backward(),
        )?;
        // The watcher has ended with the pass, so that nothing else holds them.
        let buckets = Rc::into_inner(buckets).map(RefCell::into_inner);
        let buckets = buckets.expect("the backward pass has ended");
        Ok(buckets.finish(&Gradients::of(parameters, &gradients))?)
    }

    /// What a rank gives that has nothing to differentiate: the sum of what it has had `before`.
    pub(super) fn nothing(
        &self,
        parameters: &Parameters,
        before: TreeSum,
    ) -> Result<Summing, TrainError> {
        let buckets = self.buckets(parameters, before);
        Ok(buckets.finish(&Gradients::default())?)
    }

    fn buckets(&self, parameters: &Parameters, before: TreeSum) -> Buckets {
        let vars = parameters.vars();
        let sizes: Vec<usize> = vars.iter().map(|(_, var)| var.elem_count()).collect();
        let ids: Vec<TensorId> = vars.iter().map(|(_, var)| var.id()).collect();
        // Until it is known: the last layers' names mostly come last.
        let guess = || (0..sizes.len()).rev().collect();
        let order = self.order.clone().unwrap_or_else(guess);
        let layout = Layout::new(&sizes, &order);
        Buckets::new(layout, &ids, before.into_branches(), self.group.reducer())
    }

    /// Makes of what this rank has `found` what all of them have, of the next `batch_size` images.
    pub(super) fn complete(
        &mut self,
        found: &Differentiated,
        summing: Summing,
        parameters: &Parameters,
        (nimg, batch_size): (u64, usize),
    ) -> Result<Differentiated, TrainError> {
        let began = Instant::now();
        let shares: Vec<usize> = (0..self.group.size())
            .map(|rank| self.sharing.images(rank, batch_size).len())
            .collect();
        let learns = self.order.is_none();
        let num = summing.present.len();
        let fixed = 2 * NUMBER + num + if learns { 4 * num } else { 0 };
        let lengths: Vec<usize> = shares
            .iter()
            .map(|share| fixed + 2 * NUMBER * share)
            .collect();
        let own = message(found, &summing, learns, lengths[self.group.rank()]);
        let all = self.group.gather(own, lengths)?;
        let mut complete = Differentiated::default();
        let mut present = vec![false; num];
        for message in &all {
            complete.read(message, num, fixed, nimg);
            let there = present.iter_mut().zip(&message[2 * NUMBER..]);
            there.for_each(|(present, &there)| *present |= there != 0);
        }
        if learns {
            // The first rank has a piece of every batch.
            let order = all[0][2 * NUMBER + num..fixed].chunks(4);
            let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap_or_default());
            self.order = Some(order.map(|bytes| number(bytes) as usize).collect());
        }
        let vars = parameters.vars();
        let like: Vec<Tensor> = vars
            .iter()
            .map(|(_, var)| var.as_detached_tensor())
            .collect();
        let device = like
            .first()
            .map_or(candle_core::Device::Cpu, |t| t.device().clone());
        complete.gradients = summing.wait(&like, &present, &device)?;
        self.waited += began.elapsed().as_secs_f64();
        self.steps += 1;
        Ok(complete)
    }
}

/// What a rank tells of a step: the bits of a loss that is not finite or 0, the number of finite ones, which parameters have
/// gradients, the order of these where it is to be learned, then levels and losses.
fn message(found: &Differentiated, summing: &Summing, learns: bool, length: usize) -> Vec<u8> {
    let bad = match found.fault {
        Some(TrainError::Diverged { loss, .. }) => loss.to_bits(),
        _ => 0,
    };
    let mut message = Vec::with_capacity(length);
    message.extend(bad.to_le_bytes());
    message.extend((found.loss.len() as u64).to_le_bytes());
    message.extend(summing.present.iter().map(|&present| u8::from(present)));
    if learns {
        let order = summing.came.iter();
        message.extend(order.flat_map(|&parameter| (parameter as u32).to_le_bytes()));
    }
    for (sigma, loss) in found.sigma.iter().zip(&found.loss) {
        message.extend(sigma.to_le_bytes());
        message.extend(loss.to_le_bytes());
    }
    message.resize(length, 0);
    message
}

impl Differentiated {
    /// Appends what the next rank tells in `message`, nothing behind a loss that is not finite.
    fn read(&mut self, message: &[u8], num: usize, fixed: usize, nimg: u64) {
        debug_assert!(message.len() >= fixed && fixed >= 2 * NUMBER + num);
        if self.fault.is_some() {
            return;
        }
        let number = |at: usize| {
            let bytes = message[at..at + NUMBER].try_into();
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        let count = number(NUMBER) as usize;
        for at in (fixed..).step_by(2 * NUMBER).take(count) {
            self.sigma.push(f64::from_bits(number(at)));
            self.loss.push(f64::from_bits(number(at + NUMBER)));
        }
        let loss = f64::from_bits(number(0));
        self.fault = (!loss.is_finite()).then_some(TrainError::Diverged { nimg, loss });
    }
}

impl From<SummingError> for TrainError {
    fn from(error: SummingError) -> Self {
        match error {
            SummingError::Rank(error) => error.into(),
            SummingError::Tensor(error) => error.into(),
        }
    }
}
