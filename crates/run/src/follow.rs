//! The part of a rank that is not the first one in a run.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use pfgmpp_data::Splits;
use pfgmpp_train::ranks::ProcessGroup;
use pfgmpp_train::{TrainError, Trainer};

use crate::error::RunError;
use crate::folder::RunFolder;
use crate::observer::StopFlag;
use crate::resolved::ResolvedRun;
use crate::training::{TRAINS, trainer};

/// Trains `resolved` as one of the ranks of `group` behind the first one, which runs it in `folder` by [`lead`](crate::lead()):
/// writes nothing, and returns when training has ended or was stopped.
///
/// # Errors
///
/// A saved state that this rank does not see as the first one does, and failures that this rank alone has; what all of them
/// meet, such as a loss that is not finite, the first one reports.
pub fn follow(
    resolved: &ResolvedRun,
    splits: &Splits,
    folder: &Path,
    (device, group): (&Device, &Arc<ProcessGroup>),
    stop: &StopFlag,
) -> Result<(), RunError> {
    let words = group.words(TRAINS).map_err(TrainError::from)?;
    let (Some(&TRAINS), Some(model)) = (words.first(), resolved.config().trained()) else {
        return Ok(());
    };
    let state = RunFolder::state_in(folder);
    let (mut trainer, _) = trainer(model, resolved, splits, &state, device)?;
    match train(&mut trainer, model.training.nimg, group, stop) {
        Err(error) if error.is_of_all_ranks() => Ok(()),
        done => Ok(done?),
    }
}

fn train(
    trainer: &mut Trainer,
    nimg: u64,
    group: &Arc<ProcessGroup>,
    stop: &StopFlag,
) -> Result<(), TrainError> {
    trainer.join(group.clone())?;
    while trainer.nimg() < nimg && !trainer.any_rank(stop.is_raised())? {
        trainer.step()?;
    }
    Ok(())
}
