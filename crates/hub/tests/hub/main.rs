//! Fetching from a server on this machine, sound and faulty.

mod server;

mod answers;
mod cache;
mod faults;
mod world;
