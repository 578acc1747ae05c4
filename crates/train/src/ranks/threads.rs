//! Ranks that are threads of one process: for tests, and for programs that need no engine.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::communicator::{Communicator, RankError};

/// A rank that is a thread of this process.
pub struct ThreadCommunicator {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
}

/// A communicator for each of `size` threads.
#[must_use]
pub fn in_threads(size: usize) -> Vec<ThreadCommunicator> {
    let mut to: Vec<Vec<Sender<Vec<u8>>>> = (0..size).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<Receiver<Vec<u8>>>> = (0..size).map(|_| Vec::new()).collect();
    for sends in &mut to {
        for receives in &mut from {
            let (sender, receiver) = channel();
            sends.push(sender);
            receives.push(receiver);
        }
    }
    let ends = to.into_iter().zip(from).enumerate();
    ends.map(|(rank, (to, from))| ThreadCommunicator { rank, to, from })
        .collect()
}

impl Communicator for ThreadCommunicator {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn exchange(&mut self, peer: usize, out: &[u8], into: &mut [u8]) -> Result<(), RankError> {
        let gone = RankError::Gone(peer);
        self.to[peer].send(out.to_vec()).map_err(|_| gone.clone())?;
        into.copy_from_slice(&self.from[peer].recv().map_err(|_| gone)?);
        Ok(())
    }

    /// The other threads are told by what they wait for.
    fn abort(&mut self, _: i32) {}
}
