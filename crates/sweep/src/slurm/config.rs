//! What a sweep file says of Slurm.

use serde::Deserialize;

/// What each run asks Slurm for; what is absent is as the cluster has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlurmConfig {
    /// The partition.
    pub partition: Option<String>,
    /// Time of a run, as `sbatch --time` takes it: `04:00:00`. A minute before it is over a run saves and is queued again.
    pub time: Option<String>,
    /// Memory of a run: `8G`.
    pub mem: Option<String>,
    /// Cores of a run, and its threads.
    pub cpus: Option<usize>,
    /// GPUs of a run.
    pub gpus: Option<usize>,
    /// Runs at a time.
    pub at_a_time: Option<usize>,
    /// Further options of sbatch, one each: `--account=abc`.
    #[serde(default)]
    pub extra: Vec<String>,
}

impl SlurmConfig {
    /// Checks what would break a script.
    ///
    /// # Errors
    ///
    /// In words, with the key: a text of several lines, an option that is none, a number of 0.
    pub fn check(&self) -> Result<(), String> {
        let texts = [
            ("partition", &self.partition),
            ("time", &self.time),
            ("mem", &self.mem),
        ];
        for (key, text) in texts {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:,".contains(c);
            if let Some(text) = text
                && (text.is_empty() || !text.chars().all(plain))
            {
                return Err(format!(
                    "slurm.{key}: must be letters, digits and -_.:, got {text:?}"
                ));
            }
        }
        let numbers = [
            ("cpus", self.cpus),
            ("gpus", self.gpus),
            ("at_a_time", self.at_a_time),
        ];
        if let Some((key, _)) = numbers.iter().find(|(_, number)| *number == Some(0)) {
            return Err(format!("slurm.{key}: must be at least 1, got 0"));
        }
        match self
            .extra
            .iter()
            .find(|option| !option.starts_with("--") || option.chars().any(char::is_control))
        {
            None => Ok(()),
            Some(option) => Err(format!(
                "slurm.extra: must be options of sbatch such as --account=abc, got {option:?}"
            )),
        }
    }
}
