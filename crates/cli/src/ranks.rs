//! The processes that train together, where several were started as one job.

use std::sync::Arc;

use pfgmpp_train::ranks::ProcessGroup;

use crate::failure::Failure;
use crate::launch::Launch;

/// The group of the job that this process belongs to; `None` if it was started alone.
///
/// # Errors
///
/// A job that this program cannot talk to the other processes of: each would train into the same folder.
pub fn join() -> Result<Option<Arc<ProcessGroup>>, Failure> {
    match Launch::of_environment() {
        None => Ok(None),
        Some(launch) => open(launch).map(|group| Some(Arc::new(group))),
    }
}

#[cfg(feature = "mpi")]
fn open(launch: Launch) -> Result<ProcessGroup, Failure> {
    use pfgmpp_train::ranks::MpiCommunicator;

    let Launch { starter, size, .. } = launch;
    if !launch.is_of_mpi() {
        let message = format!(
            "{starter} has started {size} processes: start them with mpirun or srun instead"
        );
        return Err(Failure::bad_input(message));
    }
    let group = ProcessGroup::start(MpiCommunicator::open);
    let group = group.map_err(|e| Failure::Failed(e.into()))?;
    if group.size() == size {
        return Ok(group);
    }
    let message = format!(
        "{starter} has started {size} processes, of which MPI finds {}: start them with mpirun, or with srun --mpi=pmix",
        group.size()
    );
    Err(Failure::bad_input(message))
}

#[cfg(not(feature = "mpi"))]
fn open(launch: Launch) -> Result<ProcessGroup, Failure> {
    let Launch { starter, size, .. } = launch;
    Err(Failure::bad_input(format!(
        "{starter} has started {size} processes, and this program was built without MPI, so that each would train into the \
         same folder: start it once, or build it with cargo build --release --features mpi"
    )))
}

/// Refuses a sweep that was started several times as one job, each time as a whole.
///
/// # Errors
///
/// Such a job.
pub fn refuse_sweep() -> Result<(), Failure> {
    let Some(Launch { starter, size, .. }) = Launch::of_environment() else {
        return Ok(());
    };
    Err(Failure::bad_input(format!(
        "{starter} has started {size} processes, each with the whole sweep: start it once, or give each process its part by \
         --shard or --only"
    )))
}
