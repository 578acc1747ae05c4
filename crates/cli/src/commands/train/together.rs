//! A run whose training several processes share.

use std::cell::Cell;
use std::sync::Arc;

use pfgmpp_config::RunConfig;
use pfgmpp_data::Dataset;
use pfgmpp_run::{Lookup, Ranks, ResolvedRun, RunMemory, load};
use pfgmpp_train::ranks::{ProcessGroup, RankError};
use pfgmpp_train::{TrainError, TrainerConfig};

use super::{Args, read, run_here};
use crate::device::DeviceArgs;
use crate::download::hub;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::launch::Launch;
use crate::terminal::note;

/// The word of the first rank by which the others read configuration and data.
const BEGIN: u8 = 1;
/// That by which they leave.
const LEAVE: u8 = 0;

/// The other ranks, as the first one sees them.
pub struct FirstRank<'a> {
    group: &'a Arc<ProcessGroup>,
    begun: Cell<bool>,
}

impl FirstRank<'_> {
    /// Checks that the ranks can train `config`, and says what their number means.
    pub fn check(&self, config: &RunConfig, device: &DeviceArgs) -> Result<(), Failure> {
        let Some(model) = config.trained() else {
            note("nothing is trained: the first process does it all");
            return Ok(());
        };
        let size = self.group.size();
        model.training.check_ranks(size).map_err(TrainError::from)?;
        match model.training.micro_batch {
            // Which sums a GPU takes in which order is its library's choice.
            _ if !device.is_cpu() => note(format_args!(
                "{size} processes share each batch, each on a GPU of its own"
            )),
            Some(_) => note(format_args!(
                "{size} processes share each batch; the weights are the same bits as those of one"
            )),
            None => note(format_args!(
                "{size} processes share each batch; the weights are those of training.micro_batch {}, another number of \
                 processes gives the same but for rounding: set training.micro_batch for the same bits",
                model.training.batch_size / size as u64
            )),
        }
        Ok(())
    }

    /// How many there are, and how many of them on this machine.
    pub fn ranks(&self) -> Ranks {
        let here = Launch::of_environment().and_then(|launch| launch.local_size);
        ranks_of(self.group, here)
    }

    /// Lets the others begin; the group that they are.
    pub fn begin(&self) -> Result<&Arc<ProcessGroup>, Failure> {
        self.begun.set(true);
        self.say(BEGIN)?;
        Ok(self.group)
    }

    fn say(&self, word: u8) -> Result<(), TrainError> {
        self.group.words(word)?;
        Ok(())
    }
}

/// The ranks of `group`, so many of them `here`, on the machine that asks.
fn ranks_of(group: &ProcessGroup, here: Option<usize>) -> Ranks {
    Ranks {
        all: group.size() as u64,
        here: here.unwrap_or(1) as u64,
    }
}

/// Ends the other ranks too when this one ends by a defect of this program: they would wait for it.
struct AbortOnPanic<'a>(&'a ProcessGroup);

impl Drop for AbortOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abort(101)
        }
    }
}

/// The first rank's part: all that one process would do, with training shared.
pub fn lead(args: &Args, group: &Arc<ProcessGroup>) -> Result<(), Failure> {
    let _guard = AbortOnPanic(group);
    let together = FirstRank {
        group,
        begun: Cell::new(false),
    };
    let done = run_here(args, Some(&together));
    match &done {
        Err(failure @ (Failure::Failed(_) | Failure::BadInput(_))) if together.begun.get() => {
            failure.tell(0);
            group.abort(failure.code().into())
        }
        _ if !together.begun.get() => together.say(LEAVE)?,
        _ => {}
    }
    group.close();
    done
}

/// The part of any other rank: it trains, and leaves without a word.
pub fn follow(args: &Args, group: &Arc<ProcessGroup>) -> Result<(), Failure> {
    let _guard = AbortOnPanic(group);
    let words = group.words(LEAVE).map_err(TrainError::from)?;
    if words.first() == Some(&BEGIN)
        && let Err(failure) = train(args, group)
    {
        // Also where it is bad input: the first rank has not met it.
        let failure = Failure::Failed(anyhow::anyhow!("{failure}"));
        failure.tell(group.rank());
        group.abort(failure.code().into());
    }
    group.close();
    Ok(())
}

fn train(args: &Args, group: &Arc<ProcessGroup>) -> Result<(), Failure> {
    let config = read(&args.config, &args.set)?;
    let out = args.folder();
    let device = args.device.open_as_rank()?;
    let resolved = ResolvedRun::resolve(
        config,
        Some(&out),
        &Lookup::new(&hub(), std::slice::from_ref(&out)),
    )?;
    let signals = stop_on_signal()?;
    let stop = signals.begin();
    let splits = load(&resolved.config().data)?;
    if let (Some(model), true) = (resolved.config().trained(), device.is_cpu()) {
        check_memory(model, &splits.train, group)?;
    }
    Ok(pfgmpp_run::follow(
        &resolved,
        &splits,
        &out,
        (&device, group),
        stop,
    )?)
}

/// Makes sure that the training of `model` fits this machine, for all ranks on it. The first rank sees to its own; on any other
/// the first one there does.
fn check_memory(
    model: &TrainerConfig,
    data: &Dataset,
    group: &ProcessGroup,
) -> Result<(), Failure> {
    let Some(launch) = Launch::of_environment().filter(|launch| launch.local_rank == Some(0))
    else {
        return Ok(());
    };
    let ranks = ranks_of(group, launch.local_size);
    let memory = RunMemory::of(model, data)?.by(ranks);
    memory.check_training("training.batch_size")?;
    Ok(())
}

impl From<RankError> for Failure {
    fn from(error: RankError) -> Self {
        TrainError::from(error).into()
    }
}
