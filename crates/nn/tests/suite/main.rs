//! Tests of the networks and their operations; one program, since each would be linked with all its dependencies anew.

mod check;
mod golden;
mod network;
mod ops;
mod parameters;
mod tape;
