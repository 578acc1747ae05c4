//! One file per subcommand.

pub mod advise;
pub mod bench;
pub mod completions;
pub mod convert;
pub mod data;
pub mod decode;
pub mod doctor;
pub mod ema;
pub mod encode;
pub mod features;
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
