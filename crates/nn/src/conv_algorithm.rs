//! How convolutions are computed, for measurements.

use std::ffi::OsString;
use std::sync::OnceLock;

/// How convolutions of three by three weights are computed on a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvAlgorithm {
    /// By the tiles of Winograd wherever they are faster.
    Tiles,
    /// Always by the direct algorithm.
    Direct,
}

/// A value of [`ConvAlgorithm::VARIABLE`] that names no algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: must be tiles or direct, got {value:?}", ConvAlgorithm::VARIABLE)]
pub struct ConvAlgorithmError {
    /// The value.
    pub value: String,
}

impl ConvAlgorithm {
    /// The environment variable that chooses: `tiles`, as without it, or `direct`.
    pub const VARIABLE: &'static str = "PFGMPP_CONV";

    /// What the environment asks for.
    ///
    /// A program asks once, before its first convolution; where it does not, an unknown value means
    /// [`Self::Tiles`].
    ///
    /// # Errors
    ///
    /// A value that names no algorithm.
    pub fn from_env() -> Result<Self, ConvAlgorithmError> {
        Self::parse(std::env::var_os(Self::VARIABLE))
    }

    fn parse(value: Option<OsString>) -> Result<Self, ConvAlgorithmError> {
        // An empty variable is none.
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(Self::Tiles);
        };
        match value.to_str() {
            Some("tiles") => Ok(Self::Tiles),
            Some("direct") => Ok(Self::Direct),
            _ => Err(ConvAlgorithmError {
                value: value.to_string_lossy().into_owned(),
            }),
        }
    }

    /// The same, read once for the whole program.
    pub(crate) fn chosen() -> Self {
        static CHOSEN: OnceLock<ConvAlgorithm> = OnceLock::new();
        *CHOSEN.get_or_init(|| Self::from_env().unwrap_or(Self::Tiles))
    }
}
