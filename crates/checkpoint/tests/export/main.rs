//! Checkpoints written for other programs: read back here, and evaluated by PyTorch where it is installed.

mod cases;
mod pytorch;
mod refusals;
mod round_trip;
