//! Why a pickle could not be read.

use std::io;

/// Why a pickle could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    /// The file could not be read.
    #[error("{0}")]
    Io(io::Error),
    /// The file ends before the pickle does.
    #[error("the pickle ends too early, at byte {at}: the file is cut off or damaged")]
    Truncated {
        /// The length of the file.
        at: u64,
    },
    /// An opcode that is not read here.
    #[error("byte {at}: opcode 0x{opcode:02x} is not one that is read here")]
    Opcode {
        /// Its position.
        at: u64,
        /// The opcode.
        opcode: u8,
    },
    /// A function or class that the caller refuses.
    #[error("byte {at}: the pickle asks for {name}, which is not needed here; nothing was run")]
    Global {
        /// The position of its name.
        at: u64,
        /// `module.name`.
        name: String,
    },
    /// Opcodes that do not fit together.
    #[error("byte {at}: the pickle is damaged: {problem}")]
    Damaged {
        /// The position of the opcode.
        at: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More than the caller's [`Limits`](crate::Limits) allow.
    #[error("byte {at}: the pickle has more than the {limit} {what} that are accepted")]
    Limit {
        /// The position of the opcode.
        at: u64,
        /// What is counted.
        what: &'static str,
        /// The most that is accepted.
        limit: usize,
    },
}
