//! Whether several processes of this program were started as one job, by what their environment says.

use std::env;
use std::str::FromStr;

/// What starts several processes as one job, and the variables by which it tells each of them what it is.
struct Starter {
    name: &'static str,
    /// Variables that have to be there too, where the others have names that anybody may have given.
    beside: &'static [&'static str],
    rank: &'static str,
    size: &'static str,
    local_rank: &'static str,
    local_size: &'static str,
}

/// Those that are known; what another one may have started comes first.
const STARTERS: [Starter; 5] = [
    Starter {
        name: TORCHRUN,
        beside: &["TORCHELASTIC_RUN_ID"],
        rank: "RANK",
        size: "WORLD_SIZE",
        local_rank: "LOCAL_RANK",
        local_size: "LOCAL_WORLD_SIZE",
    },
    Starter {
        name: "mpirun",
        beside: &[],
        rank: "OMPI_COMM_WORLD_RANK",
        size: "OMPI_COMM_WORLD_SIZE",
        local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
        local_size: "OMPI_COMM_WORLD_LOCAL_SIZE",
    },
    // Of the job step, so that a script of sbatch which starts this program without srun is alone.
    Starter {
        name: SRUN,
        beside: &[],
        rank: "SLURM_PROCID",
        size: "SLURM_STEP_NUM_TASKS",
        local_rank: "SLURM_LOCALID",
        local_size: "SLURM_STEP_TASKS_PER_NODE",
    },
    Starter {
        name: "mpiexec",
        beside: &[],
        rank: "PMI_RANK",
        size: "PMI_SIZE",
        local_rank: "MPI_LOCALRANKID",
        local_size: "MPI_LOCALNRANKS",
    },
    // Launchers beside torchrun that set what it does.
    Starter {
        name: ENVIRONMENT,
        beside: &["MASTER_ADDR", "MASTER_PORT"],
        rank: "RANK",
        size: "WORLD_SIZE",
        local_rank: "LOCAL_RANK",
        local_size: "LOCAL_WORLD_SIZE",
    },
];

const SRUN: &str = "srun";
const TORCHRUN: &str = "torchrun";
const ENVIRONMENT: &str = "a launcher with RANK and WORLD_SIZE";

/// A job of several processes, as one of them sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// What has started it.
    pub starter: &'static str,
    /// The number of this process, from 0.
    pub rank: usize,
    /// Processes, at least two.
    pub size: usize,
    /// The number of this process among those of its machine, where that is known.
    pub local_rank: Option<usize>,
    /// Processes on this machine, where that is known.
    pub local_size: Option<usize>,
    /// Whether MPI can find the others by what the environment says.
    pub has_mpi: bool,
}

impl Launch {
    /// The job that this process belongs to; `None` if it was started alone.
    pub fn of_environment() -> Option<Self> {
        Self::of(|name| env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let there = |names: &[&str]| names.iter().all(|name| variable(name).is_some());
        let found = |name: &str| variable(name).and_then(|text| number(&text));
        // One within another, as mpirun in a shell of srun: who has started several counts.
        let is_it = |starter: &&Starter| {
            let several = found(starter.size).is_some_and(|size: usize| size > 1);
            several && there(starter.beside) && there(&[starter.rank])
        };
        let starter = STARTERS.iter().find(is_it)?;
        let has_mpi = match starter.name {
            TORCHRUN | ENVIRONMENT => false,
            // Of the kinds of srun --mpi those that tell MPI of the other processes.
            SRUN => there(&["PMIX_RANK"]) || there(&["PMI_RANK"]),
            _ => true,
        };
        Some(Self {
            starter: starter.name,
            rank: found(starter.rank)?,
            size: found(starter.size)?,
            local_rank: found(starter.local_rank),
            local_size: found(starter.local_size),
            has_mpi,
        })
    }

    /// Whether srun has started it.
    pub fn is_of_srun(&self) -> bool {
        self.starter == SRUN
    }

    /// Threads of one of the processes of this machine: its share of the cores, at least one.
    pub fn threads(&self) -> Option<usize> {
        let local = self.local_size?.max(1);
        let available = std::thread::available_parallelism().ok()?.get();
        // Of a job of one task in which mpirun starts several processes it is the share of all of them.
        let of_slurm = env::var("SLURM_CPUS_PER_TASK").ok();
        if let Some(cores) = of_slurm.and_then(|n| number::<usize>(&n))
            && self.is_of_srun()
        {
            return Some(cores.clamp(1, available));
        }
        // Where mpirun has bound the process to cores, these are its share already, if not that of several processes.
        let cores = match env::var_os("OMPI_MCA_orte_bound_at_launch") {
            Some(_) => all_cores().unwrap_or(available),
            None => available,
        };
        Some((cores / local).clamp(1, available))
    }
}

/// Cores of this machine, those that this process may not use too.
fn all_cores() -> Option<usize> {
    #[cfg(unix)]
    {
        // SAFETY: it only asks.
        let cores = unsafe { nix::libc::sysconf(nix::libc::_SC_NPROCESSORS_ONLN) };
        usize::try_from(cores).ok()
    }
    #[cfg(not(unix))]
    None
}

/// What tells the job that this process belongs to from others, as far as its starter says so.
#[cfg(feature = "nccl")]
pub fn job() -> String {
    const OF_A_JOB: [&str; 8] = [
        "TORCHELASTIC_RUN_ID",
        "TORCHELASTIC_RESTART_COUNT",
        "MASTER_ADDR",
        "MASTER_PORT",
        "PMIX_NAMESPACE",
        "OMPI_MCA_ess_base_jobid",
        "SLURM_JOB_ID",
        "SLURM_STEP_ID",
    ];
    let of_job = OF_A_JOB.map(|name| env::var(name).unwrap_or_default());
    of_job.join(" ")
}

/// The number that `text` begins with: Slurm writes `2(x3)` for two tasks on each of three nodes.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Launch> {
        Launch::of(|name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_string())
        })
    }

    #[test]
    fn a_job_is_known_by_the_variables_of_what_started_it() {
        for (variables, want) in [
            (
                &[
                    ("OMPI_COMM_WORLD_RANK", "1"),
                    ("OMPI_COMM_WORLD_SIZE", "4"),
                    ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
                ][..],
                Some(("mpirun", 1, 4, Some(2))),
            ),
            (
                &[
                    ("SLURM_PROCID", "5"),
                    ("SLURM_STEP_NUM_TASKS", "6"),
                    ("SLURM_STEP_TASKS_PER_NODE", "2(x3)"),
                ],
                Some(("srun", 5, 6, Some(2))),
            ),
            // A script of sbatch of several tasks, without srun.
            (&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "6")], None),
            (
                &[("PMI_RANK", "0"), ("PMI_SIZE", "2")],
                Some(("mpiexec", 0, 2, None)),
            ),
            (
                &[
                    ("RANK", "1"),
                    ("WORLD_SIZE", "2"),
                    ("TORCHELASTIC_RUN_ID", "none"),
                ],
                Some(("torchrun", 1, 2, None)),
            ),
            // torchrun once for each machine, by srun: the processes are those of torchrun.
            (
                &[
                    ("SLURM_PROCID", "1"),
                    ("SLURM_STEP_NUM_TASKS", "2"),
                    ("SLURM_STEP_TASKS_PER_NODE", "1(x2)"),
                    ("RANK", "5"),
                    ("WORLD_SIZE", "8"),
                    ("LOCAL_WORLD_SIZE", "4"),
                    ("TORCHELASTIC_RUN_ID", "none"),
                ],
                Some(("torchrun", 5, 8, Some(4))),
            ),
            (
                &[
                    ("RANK", "1"),
                    ("WORLD_SIZE", "2"),
                    ("MASTER_ADDR", "node0"),
                    ("MASTER_PORT", "29500"),
                ],
                Some(("a launcher with RANK and WORLD_SIZE", 1, 2, None)),
            ),
            // mpiexec within a shell of srun, and mpirun where torchrun has left its variables.
            (
                &[
                    ("SLURM_PROCID", "0"),
                    ("SLURM_STEP_NUM_TASKS", "1"),
                    ("PMI_RANK", "2"),
                    ("PMI_SIZE", "4"),
                ],
                Some(("mpiexec", 2, 4, None)),
            ),
            (
                &[
                    ("RANK", "0"),
                    ("WORLD_SIZE", "1"),
                    ("TORCHELASTIC_RUN_ID", "none"),
                    ("OMPI_COMM_WORLD_RANK", "3"),
                    ("OMPI_COMM_WORLD_SIZE", "4"),
                ],
                Some(("mpirun", 3, 4, None)),
            ),
            (&[("RANK", "1"), ("WORLD_SIZE", "2")], None),
            (&[("PMI_RANK", "0"), ("PMI_SIZE", "1")], None),
            (&[], None),
        ] {
            let got = of(variables).map(|l| (l.starter, l.rank, l.size, l.local_size));
            assert_eq!(got, want, "{variables:?}");
        }
    }

    #[test]
    fn mpi_finds_the_others_of_srun_if_it_was_told_of_them() {
        let srun = [("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2")];
        let mpirun = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2")];
        for (variables, more, want) in [
            (srun, ("SLURM_LOCALID", "1"), false),
            (srun, ("PMIX_RANK", "1"), true),
            (srun, ("PMI_RANK", "1"), true),
            (mpirun, ("OMPI_COMM_WORLD_LOCAL_RANK", "1"), true),
        ] {
            let variables = [variables[0], variables[1], more];
            let got = of(&variables).map(|launch| launch.has_mpi);
            assert_eq!(got, Some(want), "{variables:?}");
        }
    }
}
