//! Ranks that are processes started by `mpirun` or `srun`, through the machine's MPI.

use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::{Destination, Source};
use mpi::request::{Request, Scope, scope};
use mpi::topology::{Communicator as _, SimpleCommunicator};

use super::communicator::{Communicator, RankError};

/// So many times a message is asked for without a pause: small ones have come by then.
const WITHOUT_PAUSE: u32 = 200;
/// Then so long between two times, so that who waits leaves the core to who computes.
const PAUSE: Duration = Duration::from_micros(50);
/// The longest pause, of who waits for the first rank to sample and score.
const LONGEST: Duration = Duration::from_millis(5);
/// The part of the time waited so far that a pause is: so much later, at most, a message is seen.
const PART: u32 = 64;

/// A process of an MPI program.
pub struct MpiCommunicator {
    world: SimpleCommunicator,
    /// MPI ends where it is dropped, which has to be this thread.
    _universe: Universe,
}

impl MpiCommunicator {
    /// Starts MPI; all later calls are from the thread that did.
    ///
    /// # Errors
    ///
    /// MPI that was started before, or that serves one thread only.
    pub fn open() -> Result<Self, RankError> {
        let refused = |what: &str| RankError::Start(format!("MPI cannot be started: {what}"));
        let (universe, given) = mpi::initialize_with_threading(Threading::Serialized)
            .ok_or_else(|| refused("it was started before"))?;
        if given < Threading::Serialized {
            return Err(refused("it was built for programs of one thread"));
        }
        Ok(Self {
            world: universe.world(),
            _universe: universe,
        })
    }
}

impl Communicator for MpiCommunicator {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    /// A rank that is gone ends this process too: MPI does.
    fn exchange(&mut self, peer: usize, out: &[u8], into: &mut [u8]) -> Result<(), RankError> {
        let peer = self.world.process_at_rank(peer as i32);
        scope(|scope| {
            let receiving = peer.immediate_receive_into(scope, into);
            let sending = peer.immediate_send(scope, out);
            wait(receiving);
            wait(sending);
        });
        Ok(())
    }

    fn abort(&mut self, code: i32) {
        self.world.abort(code)
    }
}

/// Waits without taking the core from whoever computes on it, as MPI's own waiting does.
fn wait<'a, D: ?Sized, S: Scope<'a>>(mut request: Request<'a, D, S>) {
    let mut asked = 0;
    let began = Instant::now();
    while let Err(pending) = request.test() {
        request = pending;
        asked += 1;
        match asked {
            ..WITHOUT_PAUSE => std::hint::spin_loop(),
            _ => std::thread::sleep((began.elapsed() / PART).clamp(PAUSE, LONGEST)),
        }
    }
}
