//! Whether what a finished run has left is still there, and what becomes of what is not.

use std::path::Path;

use pfgmpp_checkpoint::{Checkpoint, CheckpointError};
use pfgmpp_config::RunConfig;

use crate::error::RunError;
use crate::evaluation::{Evaluation, TrainedSummary};
use crate::folder::RunFolder;
use crate::observer::{Observer, StopFlag};
use crate::result::{FoundResult, find_result};
use crate::run::RunContext;
use crate::training::{Trained, Training, TrainingEnd};

/// What is wrong with the weights that the finished run in `folder` has left: `None` of weights that are there, whole by their
/// description and their length, and of a run that trains none. Needs no lock.
pub fn missing_weights(config: &RunConfig, folder: &Path) -> Option<String> {
    config.trained()?;
    let path = RunFolder::checkpoint_in(folder);
    let error = match Checkpoint::look(&path).err()? {
        CheckpointError::Missing { path } => {
            format!(
                "{}: config.json or model.safetensors is missing",
                path.display()
            )
        }
        error => error.to_string(),
    };
    // The reader of a line sees one line.
    Some(error.lines().collect::<Vec<_>>().join(" "))
}

/// Refuses a finished run in `folder` whose weights are gone and cannot be written anew.
///
/// # Errors
///
/// [`RunError::Lost`], and a result that cannot be read.
pub fn refuse_lost(config: &RunConfig, folder: &Path) -> Result<(), RunError> {
    let finished = matches!(find_result(config, folder)?, FoundResult::Finished(_));
    match missing_weights(config, folder) {
        Some(problem) if finished && !RunFolder::state_in(folder).is_file() => {
            Err(RunError::Lost {
                path: folder.to_path_buf(),
                problem,
            })
        }
        _ => Ok(()),
    }
}

/// What is to be done about a finished run.
pub(crate) enum Mended {
    /// Nothing: its result stands, and what can be made of its files is there.
    Whole,
    /// It was asked to stop meanwhile.
    Stopped,
    /// Weights and state are gone: it is trained anew.
    Lost,
}

/// Writes the weights and the picture of a finished run of `nimg` images anew from its state where they are gone, and says so.
///
/// # Errors
///
/// A state that cannot be gone on from, and any failure of the file system.
pub(crate) fn mend(
    context: RunContext<'_>,
    nimg: u64,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Mended, RunError> {
    let (config, folder) = (context.resolved.config(), context.folder);
    let weights = missing_weights(config, folder.path());
    let grid = folder.grid();
    let has_state = folder.state().is_file();
    let trained = config.trained().filter(|_| has_state);
    match (&weights, trained) {
        (None, _) if grid.is_file() => return Ok(Mended::Whole),
        (None, None) => {
            let path = grid.display();
            observer.note(&format!(
                "{path}: is missing: remove metrics.json to sample and score the run again"
            ));
            return Ok(Mended::Whole);
        }
        (Some(problem), None) => {
            observer.note(&format!(
                "{problem}; there is no state to write it from either: the weights of {nimg} images are lost, training \
                 begins again at the first image"
            ));
            return Ok(Mended::Lost);
        }
        (None, Some(_)) => observer.note(&format!(
            "{}: is missing: drawn anew from the state",
            grid.display()
        )),
        (Some(problem), Some(_)) => observer.note(&format!(
            "{problem}: checkpoint and samples are written anew from the state"
        )),
    }
    let model = trained.expect("a case before this one is of none");
    // Other ranks have left: what remains is this one's alone.
    let alone = RunContext {
        group: None,
        ..context
    };
    match Training::open(model, alone, observer)?.finish(observer, stop)? {
        TrainingEnd::Stopped { .. } => Ok(Mended::Stopped),
        TrainingEnd::Trained(trained) => draw(context, &trained, stop),
    }
}

/// Draws the pictures of a run whose result stands.
fn draw(context: RunContext<'_>, trained: &Trained, stop: &StopFlag) -> Result<Mended, RunError> {
    let evaluation = Evaluation {
        resolved: context.resolved,
        splits: context.splits,
        folder: context.folder,
        device: context.device,
        model: &trained.model,
        trained: TrainedSummary::default(),
    };
    match evaluation.draw_pictures(stop) {
        Err(RunError::Stopped) => Ok(Mended::Stopped),
        other => other.map(|()| Mended::Whole),
    }
}

/// What there is to say of a run that begins at its first image though its folder holds a result of `nimg` images.
pub(crate) fn begins_again(config: &RunConfig, folder: &RunFolder, nimg: u64) -> Option<String> {
    config.trained()?;
    let state = folder.state();
    (nimg > 0 && !state.is_file()).then(|| {
        format!(
            "{}: is missing: training begins again at the first image, the {nimg} images before are lost",
            state.display()
        )
    })
}
