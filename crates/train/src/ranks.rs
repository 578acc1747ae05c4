//! Training by several processes, the ranks, each of which differentiates a part of every batch.
//!
//! A [`Communicator`] is all that an engine offers: two ranks exchange bytes. What is built of it, a [`ProcessGroup`], sums
//! gradients over all ranks in a fixed binary tree, so that the sum is the same bits whatever the number of ranks.

mod all_reduce;
mod communicator;
mod group;
mod meeting;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "nccl")]
mod nccl;
mod threads;

pub use communicator::{Communicator, RankError};
pub use group::{ProcessGroup, Traffic};
pub use meeting::{Meeting, Seat};
#[cfg(feature = "mpi")]
pub use mpi::MpiCommunicator;
#[cfg(feature = "nccl")]
pub use nccl::NcclCommunicator;
pub use threads::{ThreadCommunicator, in_threads};

pub(crate) use group::{Reducer, Reduction};
