//! How processes that no MPI has introduced find each other: by a file that all of them see, and a connection to the first.
//!
//! The port that torchrun names (`MASTER_PORT`) belongs to torchrun itself, so the first rank takes one that is free, and writes
//! where it is into a file above the run's folder. A file that a job before has left leads nowhere: who reads it tries again.
//! The connections stay, so that the end of one process is known to all.

mod guest;
mod host;
mod note;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use self::guest::find;
use self::host::host;
use super::communicator::RankError;

/// How long ranks wait for each other: as long as a batch system may take to start all of them.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks for the file, or for who comes.
const PAUSE: Duration = Duration::from_millis(20);
/// In which a connection is made, and says what it wants.
const AT_ONCE: Duration = Duration::from_secs(2);
/// What a connection of ranks begins with.
const MAGIC: [u8; 8] = *b"pfgmpp/1";
/// Numbers by which a connection proves that it is of this job, and not of one whose file or port was left.
const NONCE: usize = 16;
/// What a rank says when it leaves in good order.
const GOODBYE: u8 = b'.';
/// Of [`Meeting::lost`].
const NOBODY: usize = usize::MAX;

/// A process of a job before the others are found.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its number, from 0.
    pub rank: usize,
    /// Processes.
    pub size: usize,
    /// The run's folder, which need not exist: the nearest of those above it that does is where they meet.
    pub folder: PathBuf,
    /// What tells this job from others that may train in the same folder.
    pub job: String,
    /// Where the first rank's machine is found, if not by its name.
    pub host: Option<String>,
    /// Whether all of them are on one machine.
    pub on_one_machine: bool,
}

/// The processes of a job that have found each other.
pub struct Meeting {
    word: Vec<u8>,
    peers: Vec<TcpStream>,
    lost: Arc<AtomicUsize>,
}

impl Meeting {
    /// Waits until all ranks are there, and tells each the `word` of the first, which it alone gives.
    ///
    /// # Errors
    ///
    /// A rank that does not come, and a folder that cannot be written to.
    pub fn hold(
        seat: &Seat,
        word: impl FnOnce() -> Result<Vec<u8>, RankError>,
    ) -> Result<Self, RankError> {
        Self::hold_within(seat, word, PATIENCE)
    }

    fn hold_within(
        seat: &Seat,
        word: impl FnOnce() -> Result<Vec<u8>, RankError>,
        patience: Duration,
    ) -> Result<Self, RankError> {
        let until = Instant::now() + patience;
        let (word, peers) = match seat.rank {
            0 => {
                let word = word()?;
                let peers = host(seat, &word, until)?;
                (word, peers.into_iter().zip(1..).collect())
            }
            _ => {
                let (word, host) = find(seat, until)?;
                (word, vec![(host, 0)])
            }
        };
        let lost = Arc::new(AtomicUsize::new(NOBODY));
        let watched = peers.iter().map(|(peer, rank)| {
            watch(peer.try_clone()?, *rank, lost.clone())?;
            peer.try_clone()
        });
        let peers: io::Result<_> = watched.collect();
        let peers = peers.map_err(|e| failed(&e))?;
        Ok(Self { word, peers, lost })
    }

    /// What the first rank told all of them.
    #[must_use]
    pub fn word(&self) -> &[u8] {
        &self.word
    }

    /// A rank that has ended without leaving, if this one is connected with it: the first is with all of them, the others with it.
    #[must_use]
    pub fn lost(&self) -> Option<usize> {
        Some(self.lost.load(Ordering::Relaxed)).filter(|rank| *rank != NOBODY)
    }

    /// Leaves in good order; who drops it without that is lost to the others.
    pub fn leave(self) {
        for peer in &self.peers {
            // Who is gone already needs no word.
            let _ = (&mut &*peer).write_all(&[GOODBYE]);
        }
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        for peer in &self.peers {
            let _ = peer.shutdown(Shutdown::Write);
        }
    }
}

/// Waits, in a thread of its own, for the end of `rank`.
fn watch(mut peer: TcpStream, rank: usize, lost: Arc<AtomicUsize>) -> io::Result<()> {
    peer.set_read_timeout(None)?;
    let thread = std::thread::Builder::new().name("ranks there".to_string());
    thread.spawn(move || {
        let mut said = [0];
        let left = peer.read_exact(&mut said).is_ok() && said[0] == GOODBYE;
        if !left {
            // The first that is lost is the reason of whatever follows.
            let _ = lost.compare_exchange(NOBODY, rank, Ordering::Relaxed, Ordering::Relaxed);
        }
    })?;
    Ok(())
}

fn failed(error: &io::Error) -> RankError {
    RankError::Start(format!("the ranks cannot meet: {error}"))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::path::Path;

    use super::guest::call;
    use super::note::Note;
    use super::*;

    fn seat(rank: usize, size: usize, folder: &Path) -> Seat {
        Seat {
            rank,
            size,
            folder: folder.join("runs/one"),
            job: "job 7".to_string(),
            host: None,
            on_one_machine: true,
        }
    }

    type Met = std::thread::JoinHandle<Result<Meeting, RankError>>;

    fn begin(seat: Seat, patience: Duration) -> Met {
        std::thread::spawn(move || {
            Meeting::hold_within(&seat, || Ok(b"the word".to_vec()), patience)
        })
    }

    /// As many that have met in `folder`.
    fn met(size: usize, folder: &Path) -> Vec<Meeting> {
        let ranks = (0..size).map(|rank| begin(seat(rank, size, folder), PATIENCE));
        let ranks: Vec<_> = ranks.collect();
        let met = ranks.into_iter().map(|rank| rank.join().unwrap().unwrap());
        met.collect()
    }

    /// Waits a while for `rank` to see that somebody is lost.
    fn sees_lost(rank: &Meeting) -> Option<usize> {
        let until = Instant::now() + Duration::from_secs(5);
        while rank.lost().is_none() && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
        rank.lost()
    }

    #[test]
    fn all_ranks_meet_and_know_the_word_of_the_first() {
        for size in [2, 5] {
            let folder = tempfile::tempdir().unwrap();
            for rank in met(size, folder.path()) {
                assert_eq!(rank.word(), b"the word");
            }
            let left = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, 0, "files that were left");
        }
    }

    #[test]
    fn a_file_of_a_job_before_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        // Of a rank that is gone, and of one whose port somebody else has now.
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        std::thread::spawn(move || other.incoming().for_each(drop));
        let file = Note::place(&seat(0, 2, folder.path()));
        assert_eq!(file.parent(), Some(folder.path()));
        for port in [1, port] {
            let stale = Note {
                nonce: [7; NONCE],
                port,
                hosts: vec![Ipv4Addr::LOCALHOST.to_string()],
            };
            std::fs::write(&file, stale.text()).unwrap();
            let late = begin(seat(1, 2, folder.path()), PATIENCE);
            std::thread::sleep(4 * PAUSE);
            let first = begin(seat(0, 2, folder.path()), PATIENCE);
            assert_eq!(late.join().unwrap().unwrap().word(), b"the word");
            assert!(first.join().unwrap().is_ok());
        }
    }

    #[test]
    fn who_is_not_of_the_job_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let first = begin(seat(0, 2, folder.path()), PATIENCE);
        let file = Note::place(&seat(0, 2, folder.path()));
        let note = loop {
            let read = std::fs::read_to_string(&file).ok();
            if let Some(note) = read.and_then(|text| Note::read(&text)) {
                break note;
            }
            std::thread::sleep(PAUSE);
        };
        let other = Note {
            nonce: [7; NONCE],
            port: note.port,
            hosts: Vec::new(),
        };
        let until = Instant::now() + PATIENCE;
        for (note, rank) in [(&other, 1), (&note, 0), (&note, 2)] {
            let called = call("127.0.0.1", note, rank, until);
            assert!(called.is_err(), "rank {rank} was taken in");
        }
        let second = begin(seat(1, 2, folder.path()), PATIENCE);
        assert!(second.join().unwrap().is_ok() && first.join().unwrap().is_ok());
    }

    #[test]
    fn a_rank_that_does_not_come_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let short = Duration::from_millis(300);
        let ranks = [0, 1].map(|rank| begin(seat(rank, 3, folder.path()), short));
        let [first, second] = ranks.map(|rank| rank.join().unwrap().err().unwrap().to_string());
        assert!(
            first.starts_with("rank 2 of 3 does not come"),
            "got {first}"
        );
        assert!(second.starts_with("rank 0 is not found"), "got {second}");
    }

    #[test]
    fn a_rank_that_ends_without_leaving_is_lost_to_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut ranks = met(3, folder.path());
        drop(ranks.pop());
        assert_eq!(sees_lost(&ranks[0]), Some(2));
        // The others know of the first only, which ends in turn.
        assert_eq!(ranks[1].lost(), None);
        drop(ranks.remove(0));
        assert_eq!(sees_lost(&ranks[0]), Some(0));
    }

    #[test]
    fn who_leaves_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let mut ranks = met(2, folder.path());
        ranks.pop().unwrap().leave();
        std::thread::sleep(10 * PAUSE);
        assert_eq!(ranks[0].lost(), None);
    }
}
