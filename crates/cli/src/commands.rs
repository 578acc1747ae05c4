//! One file per subcommand.

pub mod bench;
pub mod convert;
pub mod inspect;
pub mod likelihood;
pub mod sample;
pub mod schedule;
pub mod sweep;
pub mod train;
pub mod transfer;
