//! How a command ends when it does not succeed: one line and an exit code.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use pfgmpp_checkpoint::{CheckpointError, Remedy};
use pfgmpp_config::{ConfigError, ConfigKind};
use pfgmpp_run::RunError;
use pfgmpp_train::TrainError;

use crate::output::{complain, shell_word};

/// Characters of an error that are shown.
const LONGEST: usize = 500;
/// Time in which the first process of a job says what is wrong.
const FIRST_SPEAKS: Duration = Duration::from_secs(1);

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// Something that was asked for cannot be had: exit code 2.
    BadInput(anyhow::Error),
    /// The work failed: exit code 1.
    Failed(anyhow::Error),
    /// Stopped by Ctrl-C or a termination signal, with the state saved: exit code 130.
    Interrupted(String),
    /// What the first process of a job finds and says as well: exit code 2.
    SaidByFirst,
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::BadInput(_) | Self::SaidByFirst => 2,
            Self::Failed(_) => 1,
            Self::Interrupted(_) => 130,
        }
    }

    /// Says it in a line, as the process of number `rank`; what the first process says too is said once.
    pub fn tell(&self, rank: usize) {
        match (rank, self) {
            (0, Self::Interrupted(_)) => complain(self),
            (0, _) => complain(format_args!("error: {self}")),
            (_, Self::Interrupted(_) | Self::SaidByFirst) => {}
            (_, error) => {
                if matches!(error, Self::BadInput(_)) {
                    // Most of it the first process finds too, and ends the job with a line of its own.
                    std::thread::sleep(FIRST_SPEAKS);
                }
                complain(format_args!("error: rank {rank}: {self}"));
            }
        }
    }

    /// Bad input, said in `message`.
    pub fn bad_input(message: impl fmt::Display) -> Self {
        Self::BadInput(anyhow::anyhow!("{message}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = match self {
            // The libraries' messages hold their causes already.
            Self::BadInput(error) | Self::Failed(error) => error.to_string(),
            Self::Interrupted(message) => message.clone(),
            Self::SaidByFirst => "as the first process says".to_string(),
        };
        // An error is one line of readable length, whatever a library or a file put into it.
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let printable = line.chars().filter(|c| !c.is_control());
        let shown: String = printable.clone().take(LONGEST).collect();
        let dots = if printable.count() > LONGEST {
            "..."
        } else {
            ""
        };
        write!(f, "{shown}{dots}")
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::BadInput(with_command(error))
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        if matches!(error, RunError::Stopped) {
            return Self::Interrupted("stopped".to_string());
        }
        let bad_input = error.is_bad_input();
        let elsewhere = error.wants_another_folder();
        let error = match error {
            RunError::Config(error) => with_command(error),
            RunError::Checkpoint(error) | RunError::Train(TrainError::Checkpoint(error)) => {
                with_flag(error)
            }
            error if elsewhere => anyhow::anyhow!("{error} with --out"),
            error => error.into(),
        };
        match bad_input {
            true => Self::BadInput(error),
            false => Self::Failed(error),
        }
    }
}

/// The error with the command that a file of another kind is for.
fn with_command(error: ConfigError) -> anyhow::Error {
    let command = match error.other_kind {
        None => return error.into(),
        Some(ConfigKind::Run) => "train",
        Some(ConfigKind::Sweep) => "sweep",
    };
    let file = shell_word(Path::new(&error.origin));
    anyhow::anyhow!("{error}: pfgmpp {command} {file}")
}

/// The error with the flag that helps.
fn with_flag(error: CheckpointError) -> anyhow::Error {
    match error.remedy() {
        None => error.into(),
        Some(Remedy::Config) => anyhow::anyhow!(
            "{error}: `pfgmpp convert FILE FOLDER --config config.json` makes a checkpoint of both"
        ),
        Some(Remedy::Key) => anyhow::anyhow!("{error}: `pfgmpp convert FILE FOLDER --key NAME`"),
        Some(Remedy::Without(name)) => anyhow::anyhow!("{error} (--{name})"),
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        RunError::from(error).into()
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        if error.is_outage() {
            return Self::Failed(error.into());
        }
        // A checkpoint is something that the user named.
        Self::BadInput(with_flag(error))
    }
}

impl From<candle_core::Error> for Failure {
    fn from(error: candle_core::Error) -> Self {
        Self::Failed(error.into())
    }
}
