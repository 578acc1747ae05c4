//! Drawing many samples on all threads, whatever the batch size.

use std::ops::Range;

use candle_core::{Device, Tensor};

use crate::error::RunError;
use crate::groups::Groups;
use crate::observer::StopFlag;
use crate::sampling_model::SamplingModel;

/// Samples to draw, and how.
pub struct Draw<'a> {
    /// The model.
    pub model: &'a SamplingModel,
    /// One seed a sample.
    pub seeds: &'a [u64],
    /// Samples drawn at a time, by all threads together but at least one by each; it changes no sample.
    pub batch_size: usize,
    /// Where the model lies.
    pub device: &'a Device,
}

impl Draw<'_> {
    /// Draws every sample and hands `take` the place of each group in `seeds` and the group itself,
    /// `[n, C, H, W]`, as it is finished, in no order; `false` when asked to stop before the end, within a
    /// group as well.
    ///
    /// On the CPU each of the current pool's threads draws groups of its own: small networks have too
    /// little work in one operation for several. One sample, or a batch on another device, is left to
    /// the operations.
    ///
    /// # Errors
    ///
    /// The first failure of the model or of `take`.
    pub fn run<E: From<RunError>>(
        &self,
        stop: &StopFlag,
        take: impl FnMut(Range<usize>, Tensor) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.groups()
            .run(stop, |group| self.group(&group, stop), take)
    }

    fn groups(&self) -> Groups<'_> {
        Groups {
            len: self.seeds.len(),
            batch_size: self.batch_size,
            device: self.device,
        }
    }

    fn group(&self, group: &Range<usize>, stop: &StopFlag) -> Result<Tensor, RunError> {
        let seeds = &self.seeds[group.clone()];
        self.model.sample_until(seeds, self.device, stop)
    }

    /// As [`Self::run`], the groups in the order of their seeds and in host memory.
    ///
    /// A group that is finished before its turn is kept, at most about one for each thread.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub fn run_in_order<E: From<RunError>>(
        &self,
        stop: &StopFlag,
        take: impl FnMut(Range<usize>, Tensor) -> Result<(), E>,
    ) -> Result<bool, E> {
        let draw = |group| Ok(self.group(&group, stop)?.to_device(&Device::Cpu)?);
        self.groups().run_in_order(stop, draw, take)
    }

    /// As [`Self::run`], all samples in the order of their seeds in host memory, `[n, C, H, W]`; `None`
    /// when asked to stop. `progress` is told how many have been drawn.
    ///
    /// # Errors
    ///
    /// The first failure of the model.
    pub fn collect(
        &self,
        stop: &StopFlag,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<Tensor>, RunError> {
        let mut drawn = Vec::new();
        let all = self.run_in_order::<RunError>(stop, |group, samples| {
            drawn.push(samples);
            progress(group.end as u64);
            Ok(())
        })?;
        if !all {
            return Ok(None);
        }
        Ok(Some(Tensor::cat(&drawn, 0)?))
    }
}
