//! Why a checkpoint of another program cannot be used.

use pfgmpp_transfer::ParameterError;

use crate::torch::TorchError;

/// Why a checkpoint of another program cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForeignError {
    #[error(transparent)]
    Torch(#[from] TorchError),
    #[error("{0} is not supported yet")]
    Unsupported(String),
    #[error("{module}: {problem}")]
    Module { module: String, problem: String },
    #[error("the file holds {found}: {wanted} is needed")]
    Contents { found: String, wanted: &'static str },
    #[error(
        "the file holds weights only, which `pfgmpp convert FILE FOLDER --config config.json` makes a checkpoint of, with a config.json that describes their network"
    )]
    NoConfig,
    #[error("{name} is {value}, it must be {accepted}")]
    Setting {
        name: String,
        value: String,
        accepted: String,
    },
    #[error("several networks could be meant: {0}; choose one: `pfgmpp convert --key NAME`")]
    Several(String),
    #[error("there are no weights under {key}; there are: {there}")]
    NoKey { key: String, there: String },
    #[error(
        "{class} does not record {name}, which `pfgmpp convert FILE FOLDER --config config.json` can be told by a config.json that describes the network"
    )]
    NotRecorded { class: String, name: &'static str },
}

impl ForeignError {
    /// A parameter that the file records but no model can have.
    pub(crate) fn parameter(error: ParameterError) -> Self {
        Self::Setting {
            name: error.name.to_string(),
            value: error.value,
            accepted: error.accepted,
        }
    }
}
