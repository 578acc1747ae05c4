//! Ranks that have a GPU each and talk to each other by NCCL, whoever has started them.

use std::time::{Duration, Instant};

use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaSlice, CudaStream, DriverError};
use candle_core::cuda_backend::cudarc::nccl::result::{NcclError, group_end, group_start};
use candle_core::cuda_backend::cudarc::nccl::{Comm, Id};

use super::communicator::{Communicator, RankError};
use super::meeting::{Meeting, Seat};

/// Between two looks whether a message has come, and the longest such pause.
const PAUSE: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(5);
/// The part of the time waited so far that a pause is.
const PART: u32 = 64;
/// Bytes of the name by which NCCL's processes find each other.
const ID: usize = 128;

/// A process with a GPU of its own.
///
/// What is exchanged lies in main memory, goes through buffers on the GPUs, and is summed on the host: the order of a sum, and
/// so its bits, are the same as with every other engine.
pub struct NcclCommunicator {
    comm: Comm,
    stream: std::sync::Arc<CudaStream>,
    sending: CudaSlice<u8>,
    receiving: CudaSlice<u8>,
    /// `None` once this rank ends the job.
    meeting: Option<Meeting>,
}

impl NcclCommunicator {
    /// Finds the other ranks and connects with them; `gpu` is the number of this one's GPU.
    ///
    /// # Errors
    ///
    /// A rank that does not come, a GPU that is not there or that another rank has too, and failures of NCCL.
    pub fn open(gpu: usize, seat: &Seat) -> Result<Self, RankError> {
        let stream = CudaContext::new(gpu)
            .and_then(|context| context.new_stream())
            .map_err(driver)?;
        let meeting = Meeting::hold(seat, || {
            let id = Id::new().map_err(nccl)?;
            Ok(id.internal().map(|byte| byte as u8).to_vec())
        })?;
        let word: [u8; ID] = meeting.word().try_into().map_err(|_| {
            RankError::Start("rank 0 is of another version of this program".to_string())
        })?;
        let id = Id::uninit(word.map(|byte| byte as _));
        let comm = Comm::from_rank(stream.clone(), seat.rank, seat.size, id).map_err(nccl)?;
        let buffer = || stream.alloc_zeros(1).map_err(driver);
        Ok(Self {
            sending: buffer()?,
            receiving: buffer()?,
            comm,
            stream,
            meeting: Some(meeting),
        })
    }

    /// Makes room on the GPU.
    fn reserve(&mut self, sent: usize, received: usize) -> Result<(), RankError> {
        for (buffer, length) in [(&mut self.sending, sent), (&mut self.receiving, received)] {
            if buffer.len() < length {
                *buffer = self.stream.alloc_zeros(length).map_err(driver)?;
            }
        }
        Ok(())
    }

    /// Begins to send the first bytes of the one buffer, and to receive those of the other.
    fn begin(&mut self, peer: usize, sent: usize, received: usize) -> Result<(), RankError> {
        let peer_rank = i32::try_from(peer).map_err(|_| RankError::Gone(peer))?;
        group_start().map_err(nccl)?;
        if sent > 0 {
            let out = self.sending.slice(..sent);
            self.comm.send(&out, peer_rank).map_err(nccl)?;
        }
        if received > 0 {
            let mut into = self.receiving.slice_mut(..received);
            self.comm.recv(&mut into, peer_rank).map_err(nccl)?;
        }
        group_end().map_err(nccl)?;
        Ok(())
    }

    /// Waits without taking a core, and no longer than all others are there.
    fn wait(&self) -> Result<(), RankError> {
        let done = self.stream.record_event(None).map_err(driver)?;
        let began = Instant::now();
        while !done.try_is_complete().map_err(driver)? {
            if let Some(lost) = self.meeting.as_ref().and_then(Meeting::lost) {
                return Err(RankError::Gone(lost));
            }
            std::thread::sleep((began.elapsed() / PART).clamp(PAUSE, LONGEST));
        }
        Ok(())
    }
}

impl Communicator for NcclCommunicator {
    fn rank(&self) -> usize {
        self.comm.rank()
    }

    fn size(&self) -> usize {
        self.comm.world_size()
    }

    fn exchange(&mut self, peer: usize, out: &[u8], into: &mut [u8]) -> Result<(), RankError> {
        self.reserve(out.len(), into.len())?;
        if !out.is_empty() {
            let mut sending = self.sending.slice_mut(..out.len());
            self.stream.memcpy_htod(out, &mut sending).map_err(driver)?;
        }
        self.begin(peer, out.len(), into.len())?;
        self.wait()?;
        if !into.is_empty() {
            let received = self.receiving.slice(..into.len());
            self.stream.memcpy_dtoh(&received, into).map_err(driver)?;
        }
        self.stream.synchronize().map_err(driver)
    }

    /// The others are told by the connection that ends.
    fn abort(&mut self, _: i32) {
        self.meeting = None;
    }
}

impl Drop for NcclCommunicator {
    fn drop(&mut self) {
        if let Some(meeting) = self.meeting.take().filter(|_| !std::thread::panicking()) {
            meeting.leave();
        }
    }
}

fn nccl(NcclError(status): NcclError) -> RankError {
    RankError::Engine(format!("NCCL: {status:?}"))
}

fn driver(error: DriverError) -> RankError {
    RankError::Engine(format!("CUDA: {error}"))
}
