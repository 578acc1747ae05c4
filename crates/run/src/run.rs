//! One run from configuration to scores: train, resume, sample, score, and write it all down.

use std::sync::Arc;

use candle_core::Device;
use pfgmpp_config::{ModelConfig, yaml};
use pfgmpp_data::Splits;
use pfgmpp_train::TrainError;
use pfgmpp_train::ranks::ProcessGroup;

use crate::error::RunError;
use crate::evaluation::{Evaluation, TrainedSummary};
use crate::folder::RunFolder;
use crate::kept::{Mended, begins_again, mend, missing_weights};
use crate::monitor::Monitor;
use crate::observer::{Observer, StopFlag};
use crate::resolved::ResolvedRun;
use crate::result::{FoundResult, Outcome, check_config, check_sources, find_result};
use crate::sampling_model::SamplingModel;
use crate::training::{TRAINS_NOTHING, Trained, Training, TrainingEnd};

/// Carries out `resolved` in `folder`, and samples and scores its model by whatever `evaluations` it names.
///
/// It starts, or goes on from its saved state, or reads its result. A run that was cut off anywhere and runs again ends with
/// the same weights and scores, bit for bit on the same machine, as one left alone.
///
/// # Errors
///
/// A folder with a run of another configuration, a loss that is not finite, and any failure of
/// the file system.
pub fn run(
    resolved: &ResolvedRun,
    splits: &Splits,
    folder: &RunFolder,
    device: &Device,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RunError> {
    let context = RunContext {
        resolved,
        splits,
        folder,
        device,
        group: None,
    };
    context.run(observer, stop)
}

/// As [`run`], as the first rank of `group`: the others train with it by [`follow`](crate::follow()) and leave when training has
/// ended; what remains is this one's alone.
///
/// # Errors
///
/// As [`run`]; the other ranks wait then until the group is aborted.
pub fn lead(
    resolved: &ResolvedRun,
    splits: &Splits,
    folder: &RunFolder,
    (device, group): (&Device, &Arc<ProcessGroup>),
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RunError> {
    let context = RunContext {
        resolved,
        splits,
        folder,
        device,
        group: Some(group),
    };
    context.run(observer, stop)
}

/// What a run is, on what data, and where.
#[derive(Clone, Copy)]
pub(crate) struct RunContext<'a> {
    pub resolved: &'a ResolvedRun,
    pub splits: &'a Splits,
    pub folder: &'a RunFolder,
    pub device: &'a Device,
    /// The ranks that train, if there are others.
    pub group: Option<&'a Arc<ProcessGroup>>,
}

impl RunContext<'_> {
    fn run(self, observer: &mut dyn Observer, stop: &StopFlag) -> Result<Outcome, RunError> {
        let outcome = alone(self, observer, stop)?;
        if let Outcome::Finished(result) = &outcome {
            let nimg = result.nimg;
            if !self.evaluate(nimg, observer, stop)? {
                return Ok(Outcome::Interrupted { nimg });
            }
        }
        Ok(outcome)
    }

    /// Tells the other ranks that there is nothing to train.
    fn release(self) -> Result<(), RunError> {
        if let Some(group) = self.group {
            group.words(TRAINS_NOTHING).map_err(TrainError::from)?;
        }
        Ok(())
    }
}

/// The run without its evaluations. One that had ended before its configuration was given a larger `training.nimg` goes on from
/// its last state, and a result that was damaged is made again.
fn alone(
    context: RunContext<'_>,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RunError> {
    let RunContext {
        resolved,
        splits,
        folder,
        device,
        ..
    } = context;
    let config = resolved.config();
    check_config(config, folder.path())?;
    let text = yaml::to_string(config)?;
    // A finished run may be evaluated by more than before.
    if std::fs::read(folder.config()).ok().as_deref() != Some(text.as_bytes()) {
        folder.write(&folder.config(), text.as_bytes())?;
    }
    match find_result(config, folder.path())? {
        FoundResult::Finished(result) => {
            check_sources(&result, resolved, splits, folder.path())?;
            let is_lost = missing_weights(config, folder.path()).is_some();
            if !is_lost || folder.state().is_file() {
                context.release()?;
            }
            let nimg = result.nimg;
            match mend(context, nimg, observer, stop)? {
                Mended::Whole => return Ok(Outcome::Finished(result)),
                Mended::Stopped => return Ok(Outcome::Interrupted { nimg }),
                Mended::Lost => {}
            }
        }
        FoundResult::Damaged(why) => {
            let path = folder.metrics().display().to_string();
            let again = match config.trained().is_some() && !folder.state().is_file() {
                true => "and there is no state: the run is trained again from its first image",
                false => "the run is scored again",
            };
            observer.note(&format!("{path}: is damaged ({why}): {again}"));
        }
        // Errors on the images that were held out are compared from one length to the next.
        FoundResult::Shorter(result) => {
            check_sources(&result, resolved, splits, folder.path())?;
            let said = begins_again(config, folder, result.nimg);
            said.iter().for_each(|note| observer.note(note));
        }
        FoundResult::None => {}
    }
    folder.prepare()?;
    let Trained {
        model,
        mut monitor,
        summary,
    } = match &config.model {
        ModelConfig::Network(network) => {
            let training = Training::open(network, context, observer)?;
            match training.finish(observer, stop)? {
                TrainingEnd::Stopped { nimg } => return Ok(Outcome::Interrupted { nimg }),
                TrainingEnd::Trained(trained) => *trained,
            }
        }
        ModelConfig::Exact { .. } | ModelConfig::Checkpoint { .. } => {
            context.release()?;
            Trained {
                model: SamplingModel::untrained(resolved, &splits.train, device)?,
                monitor: Monitor::open(config, folder, 0)?,
                summary: TrainedSummary::default(),
            }
        }
    };
    let evaluation = Evaluation {
        resolved,
        splits,
        folder,
        device,
        model: &model,
        trained: summary,
    };
    evaluation.finish(&mut monitor, observer, stop)
}
