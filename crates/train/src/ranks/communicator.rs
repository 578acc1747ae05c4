//! What an engine of communication offers.

/// Why ranks cannot work together.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RankError {
    /// A rank that does not answer any more.
    #[error("rank {0} is gone")]
    Gone(usize),
    /// What communicates could not be started.
    #[error("{0}")]
    Start(String),
    /// What communicates has failed.
    #[error("{0}")]
    Engine(String),
    /// A number of ranks that the pieces of a batch cannot be shared among.
    #[error(
        "{size} ranks cannot share the {pieces} pieces of a batch (training.batch_size {batch}, {key} {value}): \
         {accepted} ranks can"
    )]
    Shares {
        /// Ranks.
        size: usize,
        /// Pieces of a batch.
        pieces: u64,
        /// `training.batch_size`.
        batch: u64,
        /// What the pieces follow from.
        key: &'static str,
        /// Its value.
        value: String,
        /// Numbers of ranks that would do.
        accepted: String,
    },
    /// Two ranks are not of the same training, or do not stand at the same place of it.
    #[error(
        "rank {rank} has other {what} than rank 0: every rank needs the same files, and the run's folder"
    )]
    Differ {
        /// The rank.
        rank: usize,
        /// What differs.
        what: &'static str,
    },
}

/// An engine by which the processes of a group, the ranks, exchange bytes.
///
/// All ranks call it in the same order. Nothing else is asked of an engine: sums over all ranks are made of exchanges, in an
/// order that no engine chooses.
pub trait Communicator {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// Sends `out` to `peer` and fills `into` with what `peer` sends in its call, of that length.
    ///
    /// # Errors
    ///
    /// A peer that is gone.
    fn exchange(&mut self, peer: usize, out: &[u8], into: &mut [u8]) -> Result<(), RankError>;

    /// Ends all processes of the group, this one with `code`, if the engine can; returns otherwise.
    fn abort(&mut self, code: i32);
}
