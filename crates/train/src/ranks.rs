//! Training by several processes, the ranks, each of which differentiates a part of every batch.
//!
//! A [`Communicator`] is all that an engine offers: two ranks exchange bytes. What is built of it, a [`ProcessGroup`], sums
//! gradients over all ranks in a fixed binary tree, so that the sum is the same bits whatever the number of ranks.

mod all_reduce;
mod communicator;
mod group;
#[cfg(feature = "mpi")]
mod mpi;
mod threads;

pub use communicator::{Communicator, RankError};
pub use group::{ProcessGroup, Traffic};
#[cfg(feature = "mpi")]
pub use mpi::MpiCommunicator;
pub use threads::{ThreadCommunicator, in_threads};

pub(crate) use group::{Reducer, Reduction};
