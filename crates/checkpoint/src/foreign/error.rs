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
        "the file holds weights only: name a config.json that describes their network, with --config"
    )]
    NoConfig,
    #[error("{name} is {value}, it must be {accepted}")]
    Setting {
        name: String,
        value: String,
        accepted: String,
    },
    #[error("{class} does not record {name}: name a config.json that describes it, with --config")]
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
