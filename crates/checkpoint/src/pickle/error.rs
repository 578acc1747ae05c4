//! Why a pickle could not be read.

use std::io;

/// Why a pickle could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PickleError {
    #[error("{0}")]
    Io(io::Error),
    #[error("the pickle ends too early, at byte {at}: the file is cut off or damaged")]
    Truncated { at: u64 },
    #[error("byte {at}: opcode 0x{opcode:02x} is not one that checkpoints use")]
    Opcode { at: u64, opcode: u8 },
    #[error("byte {at}: the pickle asks for {name}, which no checkpoint needs; nothing was run")]
    Global { at: u64, name: String },
    #[error("byte {at}: the pickle is damaged: {problem}")]
    Damaged { at: u64, problem: &'static str },
    #[error("byte {at}: the pickle has more than {limit} {what}, as no checkpoint has")]
    Limit {
        at: u64,
        what: &'static str,
        limit: usize,
    },
}
