//! What memory a run of a network takes, of one process or of several that train together.

use pfgmpp_data::Dataset;
use pfgmpp_train::{TrainerConfig, TrainingMemory};

use crate::error::RunError;
use crate::free_memory::FreeMemory;
use crate::memory::{Footprint, NO_SAMPLE_FITS, check_against, held};

/// The processes that train a run together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// All of them.
    pub all: u64,
    /// Those of this machine, which share its memory.
    pub here: u64,
}

impl Ranks {
    /// A run in one process.
    pub const ONE: Self = Self { all: 1, here: 1 };
}

/// What a run of a network takes, told from shapes alone.
#[derive(Clone, Debug)]
pub struct RunMemory {
    training: TrainingMemory,
    footprint: Footprint,
    /// Images that the network is differentiated for at a time, if that is set.
    micro_batch: Option<u64>,
    batch_size: u64,
    nimg: u64,
    n: u64,
    ranks: Ranks,
}

impl RunMemory {
    /// Of the training of `model` on `data` in one process, and of its samples.
    ///
    /// # Errors
    ///
    /// A network that does not fit the data.
    pub fn of(model: &TrainerConfig, data: &Dataset) -> Result<Self, RunError> {
        let training = TrainingMemory::of(model, data)?;
        Ok(Self {
            footprint: Footprint::Network(training.network().clone()),
            training,
            micro_batch: model.training.micro_batch,
            batch_size: model.training.batch_size,
            nimg: model.training.nimg,
            n: data.n() as u64,
            ranks: Ranks::ONE,
        })
    }

    /// The same of each of the processes that train together; the first of them draws the samples.
    #[must_use]
    pub fn by(self, ranks: Ranks) -> Self {
        Self { ranks, ..self }
    }

    /// Values of the network.
    pub(crate) fn parameters(&self) -> u64 {
        self.footprint.parameters()
    }

    /// Bytes that the process holds at the peak of a training step on `batch` samples at a time, if there are so many.
    pub fn training(&self, batch: u64) -> u64 {
        let batch = batch.min(self.nimg);
        // Beside the gradients, those that are on their way to the sum of all.
        let sent = match self.ranks.all {
            ..=1 => 0,
            _ => self.footprint.parameters().saturating_mul(4),
        };
        let step = self.training.step(batch).saturating_add(sent);
        held(self.training.step(0), step)
    }

    /// Bytes that it holds at the peak of drawing `num` samples, `batch` at a time.
    pub fn sampling(&self, batch: u64, num: u64) -> u64 {
        self.footprint.sampling(self.n, batch, num)
    }

    /// Refuses a training, its batch set by `key`, that takes more memory than is free; gives what each process takes.
    ///
    /// # Errors
    ///
    /// [`RunError::Memory`].
    pub fn check_training(&self, key: &str) -> Result<u64, RunError> {
        self.check_training_against(FreeMemory::now(), key)
    }

    fn check_training_against(&self, free: FreeMemory, key: &str) -> Result<u64, RunError> {
        let Ranks { all, here } = self.ranks;
        let free = free.of_one(here, 0);
        let of = match here {
            ..=1 => String::new(),
            _ => format!(" for each of the {here} processes on this machine"),
        };
        let else_ = "even a batch of 1 does not fit: take a narrower network";
        match self.micro_batch {
            Some(batch) => {
                let bytes = |batch| self.training(batch);
                check_against((free, of), "training.micro_batch", batch, else_, bytes)
            }
            // Each of the processes has its part of the batch at a time.
            None => {
                let bytes = |batch: u64| self.training(batch.div_ceil(all.max(1)));
                check_against((free, of), key, self.batch_size, else_, bytes)
            }
        }
    }

    /// Refuses a batch of samples, set by `key`, that takes more memory than is free; gives what it takes.
    ///
    /// # Errors
    ///
    /// [`RunError::Memory`].
    pub fn check_sampling(&self, key: &str, batch: u64, num: u64) -> Result<u64, RunError> {
        self.check_sampling_against(FreeMemory::now(), key, batch, num)
    }

    fn check_sampling_against(
        &self,
        free: FreeMemory,
        key: &str,
        batch: u64,
        num: u64,
    ) -> Result<u64, RunError> {
        // The others wait for the end of the run, and their allocators keep what training took.
        let others = self.ranks.here.saturating_sub(1);
        let at_a_time = self
            .micro_batch
            .unwrap_or(self.batch_size.div_ceil(self.ranks.all.max(1)));
        let beside = others.saturating_mul(self.training(at_a_time));
        let of = match others {
            0 => String::new(),
            1 => " beside what another process on this machine keeps of training".to_string(),
            _ => format!(" beside what {others} other processes on this machine keep of training"),
        };
        let bytes = |batch| self.sampling(batch, num);
        check_against(
            (free.of_one(1, beside), of),
            key,
            batch,
            NO_SAMPLE_FITS,
            bytes,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pfgmpp_config::{Document, RunConfig, yaml};

    use super::*;

    /// The digits' training by `ranks`, with overrides.
    fn memory(ranks: Ranks, overrides: &[&str]) -> RunMemory {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
        let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
        for text in overrides {
            let (key, value) = yaml::parse_assignment(text).unwrap();
            document.set::<RunConfig>(&key, value, text).unwrap();
        }
        let config = RunConfig::read(&document, &[]).unwrap();
        let splits = config.data.load().unwrap();
        let memory = RunMemory::of(config.trained().unwrap(), &splits.train).unwrap();
        memory.by(ranks)
    }

    fn free(together: u64) -> FreeMemory {
        FreeMemory {
            together: Some(together),
            own: None,
        }
    }

    #[test]
    fn processes_that_train_on_one_machine_have_to_fit_it_together() {
        let all_here = Ranks { all: 4, here: 4 };
        let two_here = Ranks { all: 4, here: 2 };
        for (set, key) in [
            ("training.micro_batch=16", "training.micro_batch: 16"),
            ("training.batch_size=64", "training.batch_size: 64"),
        ] {
            // Four processes have 16 of the 64 images at a time each, whichever of the two says so.
            let ranks = memory(all_here, &[set]);
            let each = ranks.training(16);
            assert!(each > memory(Ranks::ONE, &[set]).training(16));
            let check = |ranks: &RunMemory, together| {
                ranks.check_training_against(free(together), "training.batch_size")
            };
            assert_eq!(check(&ranks, 4 * each).unwrap(), each);
            let refused = check(&ranks, 4 * each - 4).unwrap_err().to_string();
            for want in [key, "for each of the 4 processes on this machine", "fit"] {
                assert!(refused.contains(want), "got {refused}, want {want}");
            }
            assert_eq!(check(&ranks.by(two_here), 2 * each).unwrap(), each);
        }
    }

    #[test]
    fn samples_have_to_fit_beside_what_other_processes_keep() {
        let alone = memory(Ranks::ONE, &["training.micro_batch=16"]);
        let sampling = alone.sampling(256, 1024);
        let ranks = memory(Ranks { all: 4, here: 2 }, &["training.micro_batch=16"]);
        let check = |ranks: &RunMemory, together| {
            ranks.check_sampling_against(free(together), "scoring.batch_size", 256, 1024)
        };
        assert_eq!(check(&alone, sampling).unwrap(), sampling);
        let both = sampling + ranks.training(16);
        assert_eq!(check(&ranks, both).unwrap(), sampling);
        let refused = check(&ranks, both - 1).unwrap_err().to_string();
        let want = "beside what another process on this machine keeps of training";
        assert!(refused.contains(want), "got {refused}, want {want}");
    }
}
