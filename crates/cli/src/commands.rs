//! One file per subcommand.

pub mod advise;
pub mod bench;
pub mod convert;
pub mod encode;
pub mod inspect;
pub mod interpolate;
pub mod likelihood;
pub mod restore;
pub mod sample;
pub mod schedule;
pub mod score;
pub mod sweep;
pub mod train;
pub mod transfer;
