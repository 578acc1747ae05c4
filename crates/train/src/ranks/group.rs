//! The ranks that train together, and the thread by which this one talks to the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::all_reduce::{all_reduce, gather};
use super::communicator::{Communicator, RankError};

/// How long an engine has to end all processes before this one ends by itself.
const TO_ABORT: Duration = Duration::from_secs(2);

/// What the thread is asked to do, in the same order on every rank.
enum Job {
    Sum(Vec<f32>, Sender<Result<Vec<f32>, RankError>>),
    Gather(Vec<u8>, Vec<usize>, Sender<Result<Vec<Vec<u8>>, RankError>>),
    Abort(i32),
    Close,
}

/// What a rank has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Bytes of gradients that this rank has sent to others.
    pub bytes: u64,
    /// Seconds of summing them, other ranks' delays included.
    pub seconds: f64,
}

/// What is counted of sums, as they go on.
#[derive(Default)]
struct Counted {
    bytes: AtomicU64,
    nanoseconds: AtomicU64,
}

/// The processes that train together, as one of them sees it.
///
/// A thread of its own talks to the others, so that a sum goes on while this one computes.
pub struct ProcessGroup {
    rank: usize,
    size: usize,
    reducer: Reducer,
    counted: Arc<Counted>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ProcessGroup {
    /// Starts the thread and opens its engine in it.
    ///
    /// # Errors
    ///
    /// That of `open`.
    pub fn start<C: Communicator + 'static>(
        open: impl FnOnce() -> Result<C, RankError> + Send + 'static,
    ) -> Result<Self, RankError> {
        let (jobs, asked) = channel();
        let (opened, place) = channel();
        let counted = Arc::new(Counted::default());
        let count = counted.clone();
        let thread = std::thread::Builder::new().name("ranks".to_string());
        let thread = thread
            .spawn(move || match open() {
                Ok(mut comm) => {
                    let _ = opened.send(Ok((comm.rank(), comm.size())));
                    serve(&mut comm, &asked, &count);
                }
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|e| RankError::Start(e.to_string()))?;
        let ended = || RankError::Start("the thread that talks to other ranks has ended".into());
        let (rank, size) = place.recv().map_err(|_| ended())??;
        Ok(Self {
            rank,
            size,
            reducer: Reducer(jobs),
            counted,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The number of this process, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of processes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// What this rank has sent so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic {
            bytes: self.counted.bytes.load(Ordering::Relaxed),
            seconds: self.counted.nanoseconds.load(Ordering::Relaxed) as f64 * 1e-9,
        }
    }

    /// The messages of all ranks; `lengths` are their bytes.
    ///
    /// # Errors
    ///
    /// A rank that is gone.
    pub fn gather(&self, own: Vec<u8>, lengths: Vec<usize>) -> Result<Vec<Vec<u8>>, RankError> {
        let (reply, answer) = channel();
        let job = Job::Gather(own, lengths, reply);
        self.reducer.0.send(job).map_err(|_| self.ended())?;
        answer.recv().map_err(|_| self.ended())?
    }

    /// The word of each rank, of which `own` is this one's; all wait for it.
    ///
    /// # Errors
    ///
    /// A rank that is gone.
    pub fn words(&self, own: u8) -> Result<Vec<u8>, RankError> {
        let all = self.gather(vec![own], vec![1; self.size])?;
        Ok(all.iter().map(|word| word[0]).collect())
    }

    /// Whether any rank says so.
    ///
    /// # Errors
    ///
    /// A rank that is gone.
    pub fn any(&self, own: bool) -> Result<bool, RankError> {
        Ok(self.words(u8::from(own))?.contains(&1))
    }

    /// What the sums of gradients go through.
    pub(crate) fn reducer(&self) -> Reducer {
        self.reducer.clone()
    }

    /// Ends the processes of the group if its engine can, and this one with `code` in any case.
    pub fn abort(&self, code: i32) -> ! {
        let _ = self.reducer.0.send(Job::Abort(code));
        std::thread::sleep(TO_ABORT);
        std::process::exit(code)
    }

    /// Leaves the group in good order, together with the others: waits until all of them do.
    pub fn close(&self) {
        let _ = self.reducer.0.send(Job::Close);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // It has nothing to say, and whoever waits on it has been told.
            let _ = thread.join();
        }
    }

    fn ended(&self) -> RankError {
        RankError::Gone(self.rank)
    }
}

/// Does what is asked, one after the other, until the group is closed or gone.
fn serve(comm: &mut dyn Communicator, asked: &Receiver<Job>, counted: &Counted) {
    while let Ok(job) = asked.recv() {
        match job {
            Job::Sum(mut values, reply) => {
                let began = Instant::now();
                let done = all_reduce(comm, &mut values);
                let nanoseconds = began.elapsed().as_nanos() as u64;
                counted
                    .nanoseconds
                    .fetch_add(nanoseconds, Ordering::Relaxed);
                let done = done.map(|sent| {
                    counted.bytes.fetch_add(sent, Ordering::Relaxed);
                    values
                });
                // Nobody waits for it any more if training has failed.
                let _ = reply.send(done);
            }
            Job::Gather(own, lengths, reply) => drop(reply.send(gather(comm, &own, &lengths))),
            Job::Abort(code) => comm.abort(code),
            Job::Close => {
                // An engine may end only together with those of the others, and wait for that with all its might: MPI does. So
                // who is done early waits here, as for any message. A rank that is gone is nobody's loss any more.
                let lengths = vec![1; comm.size()];
                let _ = gather(comm, &[0], &lengths);
                return;
            }
        }
    }
}

/// What sums go through.
#[derive(Clone)]
pub(crate) struct Reducer(Sender<Job>);

impl Reducer {
    /// Begins to sum `values` over all ranks.
    pub(crate) fn begin(&self, values: Vec<f32>) -> Reduction {
        let (reply, answer) = channel();
        // A thread that has ended drops the reply, which whoever waits is told by.
        let _ = self.0.send(Job::Sum(values, reply));
        Reduction(answer)
    }
}

/// A sum that is being made.
pub(crate) struct Reduction(Receiver<Result<Vec<f32>, RankError>>);

impl Reduction {
    /// The sum, once it is there.
    ///
    /// # Errors
    ///
    /// A rank that is gone.
    pub(crate) fn wait(self) -> Result<Vec<f32>, RankError> {
        let ended = || RankError::Start("the thread that talks to other ranks has ended".into());
        self.0.recv().map_err(|_| ended())?
    }
}
