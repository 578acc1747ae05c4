//! Tests of the networks and their operations; one program, since each would be linked with all its
//! dependencies anew.

mod adam;
mod average;
mod beside;
mod check;
mod conv;
mod derivative;
mod differences;
mod field;
mod golden;
mod kinds;
mod mlp;
mod network;
mod ops;
mod parameters;
mod song_unet;
mod tape;
mod unet2d;
