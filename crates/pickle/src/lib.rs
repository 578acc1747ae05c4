//! Python pickles, read as a description and never executed.
//!
//! A pickle is a program for a stack machine. The machine here builds [`Value`]s only: a call of a
//! function stays a [`Value::Call`] with its name and arguments. What its caller refuses ends the reading;
//! what its caller does not know is kept as a description of no meaning. Long byte strings are not read but remembered by position.
//!
//! [`read`] reads the pickle in a [`Window`](pfgmpp_store::Window), a stretch of a file or of bytes in memory.
//!
//! Source: the opcodes of Python's `pickletools`.

mod calls;
mod containers;
mod cursor;
mod error;
mod machine;
#[cfg(test)]
mod tests;
mod value;

pub use error::PickleError;
pub use machine::{Limits, Regard, read};
pub use value::{Call, Id, Pickle, Value};
