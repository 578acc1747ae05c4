//! The processes that train together, where several were started as one job.

use std::path::Path;
use std::sync::Arc;

use pfgmpp_train::ranks::ProcessGroup;

use crate::device::DeviceArgs;
use crate::failure::Failure;
use crate::launch::Launch;

/// What the processes of a job talk to each other by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Mpi,
    /// For GPUs only.
    Nccl,
}

/// The engines that a program was built with.
#[derive(Clone, Copy, Debug)]
struct Built {
    mpi: bool,
    nccl: bool,
}

const BUILT: Built = Built {
    mpi: cfg!(feature = "mpi"),
    nccl: cfg!(feature = "nccl"),
};

impl Engine {
    /// That of a job on the CPU or on GPUs; MPI serves GPUs where there is no NCCL.
    fn of(on_cpu: bool, built: Built) -> Self {
        match (on_cpu, built) {
            (true, _)
            | (
                false,
                Built {
                    mpi: true,
                    nccl: false,
                },
            ) => Self::Mpi,
            (false, _) => Self::Nccl,
        }
    }

    /// Why it cannot serve the processes of `launch`: each would train into the same folder.
    fn refuses(self, launch: &Launch, built: Built) -> Option<String> {
        let Launch { starter, size, .. } = launch;
        let (is_there, name, feature) = match self {
            Self::Mpi => (built.mpi, "MPI", "mpi"),
            Self::Nccl => (built.nccl, "NCCL", "nccl"),
        };
        let why = match self {
            _ if !is_there => format!(
                ", and this program was built without {name}, so that each would train into the same folder: start it once, or \
                 build it with cargo build --release --features {feature}"
            ),
            Self::Nccl => return None,
            Self::Mpi if launch.has_mpi => return None,
            Self::Mpi if launch.is_of_srun() => {
                " and has told MPI of none of them: start them with srun --mpi=pmix, or with mpirun"
                    .to_string()
            }
            Self::Mpi => ": start them with mpirun or srun instead".to_string(),
        };
        Some(format!("{starter} has started {size} processes{why}"))
    }
}

/// The group of the job that this process belongs to, which trains in the folder `out`; `None` if it was started alone.
///
/// # Errors
///
/// A job that this program cannot talk to the other processes of: each would train into the same folder.
pub fn join(device: &DeviceArgs, out: &Path) -> Result<Option<Arc<ProcessGroup>>, Failure> {
    let Some(launch) = Launch::of_environment() else {
        return Ok(None);
    };
    let engine = Engine::of(device.is_cpu(), BUILT);
    let refused = match device.is_metal() {
        true => Some(format!(
            "--device {device}: {} processes cannot share a GPU",
            launch.size
        )),
        false => engine.refuses(&launch, BUILT),
    };
    if let Some(refused) = refused {
        return Err(match launch.rank {
            0 => Failure::bad_input(refused),
            _ => Failure::SaidByFirst,
        });
    }
    let group = match engine {
        Engine::Mpi => by_mpi(launch),
        Engine::Nccl => by_nccl(launch, device, out),
    };
    Ok(Some(Arc::new(group?)))
}

#[cfg(feature = "mpi")]
fn by_mpi(launch: Launch) -> Result<ProcessGroup, Failure> {
    use pfgmpp_train::ranks::MpiCommunicator;

    let Launch { starter, size, .. } = launch;
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
fn by_mpi(launch: Launch) -> Result<ProcessGroup, Failure> {
    refused(Engine::Mpi, launch)
}

#[cfg(feature = "nccl")]
fn by_nccl(launch: Launch, device: &DeviceArgs, out: &Path) -> Result<ProcessGroup, Failure> {
    use pfgmpp_train::ranks::{NcclCommunicator, Seat};

    let gpu = device.gpu_of(&launch)?;
    let seat = Seat {
        rank: launch.rank,
        size: launch.size,
        folder: out.to_path_buf(),
        job: crate::launch::job(),
        host: std::env::var("MASTER_ADDR").ok(),
        on_one_machine: launch.local_size == Some(launch.size),
    };
    let group = ProcessGroup::start(move || NcclCommunicator::open(gpu, &seat));
    group.map_err(|e| Failure::Failed(e.into()))
}

#[cfg(not(feature = "nccl"))]
fn by_nccl(launch: Launch, _: &DeviceArgs, _: &Path) -> Result<ProcessGroup, Failure> {
    refused(Engine::Nccl, launch)
}

/// What an engine says that this program was built without.
#[cfg(not(all(feature = "mpi", feature = "nccl")))]
fn refused(engine: Engine, launch: Launch) -> Result<ProcessGroup, Failure> {
    let refused = engine.refuses(&launch, BUILT).unwrap_or_default();
    Err(Failure::bad_input(refused))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_talk_by_mpi_and_gpus_by_nccl_if_there_is_one() {
        for (on_cpu, mpi, nccl, want) in [
            (true, true, true, Engine::Mpi),
            (true, false, true, Engine::Mpi),
            (false, true, true, Engine::Nccl),
            (false, true, false, Engine::Mpi),
            (false, false, false, Engine::Nccl),
        ] {
            let got = Engine::of(on_cpu, Built { mpi, nccl });
            assert_eq!(got, want, "on the CPU {on_cpu}, MPI {mpi}, NCCL {nccl}");
        }
    }

    #[test]
    fn what_an_engine_cannot_serve_is_refused_with_what_would_do() {
        let launch = |has_mpi, starter| Launch {
            starter,
            rank: 0,
            size: 2,
            local_rank: None,
            local_size: None,
            has_mpi,
        };
        let both = Built {
            mpi: true,
            nccl: true,
        };
        let none = Built {
            mpi: false,
            nccl: false,
        };
        for (engine, launch, built, want) in [
            (Engine::Mpi, launch(true, "mpirun"), both, None),
            (Engine::Nccl, launch(false, "torchrun"), both, None),
            (Engine::Nccl, launch(false, "srun"), both, None),
            (
                Engine::Mpi,
                launch(false, "torchrun"),
                both,
                Some("torchrun has started 2 processes: start them with mpirun or srun instead"),
            ),
            (
                Engine::Mpi,
                launch(false, "srun"),
                both,
                Some("told MPI of none of them: start them with srun --mpi=pmix"),
            ),
            (
                Engine::Mpi,
                launch(true, "mpirun"),
                none,
                Some("cargo build --release --features mpi"),
            ),
            (
                Engine::Nccl,
                launch(true, "mpirun"),
                none,
                Some("cargo build --release --features nccl"),
            ),
        ] {
            let got = engine.refuses(&launch, built);
            match (&got, want) {
                (None, None) => {}
                (Some(got), Some(want)) if got.contains(want) => {}
                _ => panic!("{engine:?}, {launch:?}: got {got:?}, want {want:?}"),
            }
        }
    }
}
