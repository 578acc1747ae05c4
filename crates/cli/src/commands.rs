//! One file per subcommand.

pub mod sample;
pub mod sweep;
pub mod train;
pub mod transfer;
