//! Why a file of PyTorch could not be read.

use pfgmpp_pickle::PickleError;

use std::io;

/// Why a file of PyTorch could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TorchError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Pickle(#[from] PickleError),
    #[error("the zip archive cannot be read: {0}")]
    Zip(String),
    #[error(
        "the zip archive holds {found} and no data.pkl: it was not written by torch.save; what is packed in it must be unpacked first"
    )]
    NoPickle { found: String },
    #[error(
        "the file is cut off: it is a zip archive, as torch.save writes, and its end is missing; fetch or copy it again"
    )]
    Cut,
    #[error(
        "entry {name} of the zip archive is compressed: torch.save stores its entries as they are; unpack it and pack it again with zip -0"
    )]
    Compressed { name: String },
    #[error("the file was written on a big-endian machine, which is not supported")]
    BigEndian,
    #[error("the file is damaged: {0}")]
    Damaged(String),
    #[error("tensor {name}: {problem}")]
    Tensor { name: String, problem: String },
    #[error("tensor {name}: {source}")]
    Backend {
        name: String,
        source: candle_core::Error,
    },
}
