//! Python pickles, read as a description and never executed.
//!
//! A pickle is a program for a stack machine. The machine here builds [`Value`]s only: a call of a
//! function stays a [`Value::Call`] with its name and arguments. What its caller refuses ends the reading;
//! what its caller does not know is kept as a description of no meaning. Long byte strings are not read but remembered by position.
//!
//! Source: the opcodes of Python's `pickletools`.

mod calls;
mod containers;
mod cursor;
mod error;
mod machine;
mod value;

pub(crate) use error::PickleError;
pub(crate) use machine::{Limits, Regard, read};
pub(crate) use value::{Call, Id, Pickle, Value};
