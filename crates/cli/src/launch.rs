//! Whether several processes of this program were started as one job, by what their environment says.

use std::env;
use std::str::FromStr;

/// What starts several processes as one job, and the variables by which it tells each of them its number, how many there are,
/// and how many of them are on its machine.
const STARTERS: [(&str, &str, &str, &str); 4] = [
    (
        "mpirun",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    // Of the job step, so that a script of sbatch which starts this program without srun is alone.
    (
        SRUN,
        "SLURM_PROCID",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_STEP_TASKS_PER_NODE",
    ),
    ("mpiexec", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),
    (TORCHRUN, "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
];

const SRUN: &str = "srun";
/// Its variables have common names, which count only beside this one.
const TORCHRUN: &str = "torchrun";
const OF_TORCHRUN: &str = "TORCHELASTIC_RUN_ID";

/// A job of several processes, as one of them sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// What has started it.
    pub starter: &'static str,
    /// The number of this process, from 0.
    pub rank: usize,
    /// Processes, at least two.
    pub size: usize,
    /// Processes on this machine, where that is known.
    pub local_size: Option<usize>,
}

impl Launch {
    /// The job that this process belongs to; `None` if it was started alone.
    pub fn of_environment() -> Option<Self> {
        Self::of(|name| env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let found = STARTERS.iter().find_map(|&(starter, rank, size, local)| {
            if starter == TORCHRUN {
                variable(OF_TORCHRUN)?;
            }
            Some(Self {
                starter,
                rank: number(&variable(rank)?)?,
                size: number(&variable(size)?)?,
                local_size: variable(local).and_then(|text| number(&text)),
            })
        });
        found.filter(|launch| launch.size > 1)
    }

    /// Whether it has started ranks that MPI knows of.
    #[cfg(feature = "mpi")]
    pub fn is_of_mpi(&self) -> bool {
        self.starter != TORCHRUN
    }

    /// Threads of one of the processes of this machine: its share of the cores, at least one.
    pub fn threads(&self) -> Option<usize> {
        let local = self.local_size?.max(1);
        let available = std::thread::available_parallelism().ok()?.get();
        // Of a job of one task in which mpirun starts several processes it is the share of all of them.
        let of_slurm = env::var("SLURM_CPUS_PER_TASK").ok();
        if let Some(cores) = of_slurm.and_then(|n| number::<usize>(&n))
            && self.starter == SRUN
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
            (&[("RANK", "1"), ("WORLD_SIZE", "2")], None),
            (&[("PMI_RANK", "0"), ("PMI_SIZE", "1")], None),
            (&[], None),
        ] {
            let got = of(variables).map(|l| (l.starter, l.rank, l.size, l.local_size));
            assert_eq!(got, want, "{variables:?}");
        }
    }
}
