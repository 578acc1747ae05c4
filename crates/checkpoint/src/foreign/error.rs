//! Why a checkpoint of another program cannot be used.

use pfgmpp_transfer::ParameterError;

use crate::error::Remedy;
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
    #[error("the file holds weights only: a config.json that describes their network is needed")]
    NoConfig,
    #[error("{name} is {value}, it must be {accepted}")]
    Setting {
        name: String,
        value: String,
        accepted: String,
    },
    #[error("{name} is {value}, it must be left out: {because}")]
    Told {
        name: &'static str,
        value: String,
        because: String,
    },
    #[error("several networks could be meant: {0}; choose one")]
    Several(String),
    #[error("there are no weights under {key}; there are: {there}")]
    NoKey { key: String, there: String },
    #[error("{class} does not record {name}: a config.json that describes the network is needed")]
    NotRecorded { class: String, name: &'static str },
}

impl ForeignError {
    /// What of the options would help.
    pub(crate) fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::NoConfig | Self::NotRecorded { .. } => Some(Remedy::Config),
            Self::Several(_) => Some(Remedy::Key),
            Self::Told { name, .. } => Some(Remedy::Without(name)),
            _ => None,
        }
    }

    /// A parameter that the file records but no model can have.
    pub(crate) fn parameter(error: ParameterError) -> Self {
        Self::Setting {
            name: error.name.to_string(),
            value: error.value,
            accepted: error.accepted,
        }
    }
}
