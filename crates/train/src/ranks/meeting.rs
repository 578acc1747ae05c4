//! How processes that no MPI has introduced find each other: by a file that all of them see, and a connection to the first.
//!
//! The port that torchrun names (`MASTER_PORT`) belongs to torchrun itself, so the first rank takes one that is free, and writes
//! where it is into a file above the run's folder. A file that a job before has left leads nowhere: who reads it tries again.
//! The connections stay, so that the end of one process is known to all.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pfgmpp_store::write_file;
use rand::TryRng;
use rand::rngs::SysRng;

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

/// The first rank's part: the connections to the others, in their order.
fn host(seat: &Seat, word: &[u8], until: Instant) -> Result<Vec<TcpStream>, RankError> {
    let listener = listen(seat.on_one_machine).map_err(|e| failed(&e))?;
    let port = listener.local_addr().map_err(|e| failed(&e))?.port();
    let mut nonce = [0; NONCE];
    SysRng
        .try_fill_bytes(&mut nonce)
        .map_err(|e| RankError::Start(e.to_string()))?;
    let file = Note::place(seat);
    let note = Note {
        nonce,
        port,
        hosts: hosts(seat),
    };
    write_file(&file, note.text().as_bytes())
        .map_err(|e| RankError::Start(format!("{}: {e}", file.display())))?;
    let guests = receive(seat, &listener, &nonce, until);
    // Nobody else is to come, also if somebody has not.
    let _ = std::fs::remove_file(&file);
    let mut guests = guests?;
    for guest in &mut guests {
        let told = guest
            .write_all(&(word.len() as u64).to_le_bytes())
            .and_then(|()| guest.write_all(word));
        told.map_err(|e| failed(&e))?;
    }
    Ok(guests)
}

/// Takes in all other ranks.
fn receive(
    seat: &Seat,
    listener: &TcpListener,
    nonce: &[u8; NONCE],
    until: Instant,
) -> Result<Vec<TcpStream>, RankError> {
    listener.set_nonblocking(true).map_err(|e| failed(&e))?;
    let mut guests: Vec<Option<TcpStream>> = (1..seat.size).map(|_| None).collect();
    while guests.iter().any(Option::is_none) {
        let Ok((mut guest, _)) = listener.accept() else {
            if Instant::now() > until {
                let missing = guests.iter().position(Option::is_none).unwrap_or(0) + 1;
                let seconds = PATIENCE.as_secs();
                let message = format!(
                    "rank {missing} of {} does not come within {seconds} s",
                    seat.size
                );
                return Err(RankError::Start(message));
            }
            std::thread::sleep(PAUSE);
            continue;
        };
        // Whoever else connects is let go.
        let Ok(rank) = greet(&mut guest, nonce) else {
            continue;
        };
        if let Some(free @ None) = rank.checked_sub(1).and_then(|at| guests.get_mut(at)) {
            if guest.write_all(&MAGIC).is_ok() {
                *free = Some(guest);
            }
        }
    }
    Ok(guests.into_iter().flatten().collect())
}

/// The number of who has connected.
fn greet(guest: &mut TcpStream, nonce: &[u8; NONCE]) -> io::Result<usize> {
    guest.set_nonblocking(false)?;
    guest.set_nodelay(true)?;
    guest.set_read_timeout(Some(AT_ONCE))?;
    let mut said = [0; MAGIC.len() + NONCE + 8];
    guest.read_exact(&mut said)?;
    let (magic, rest) = said.split_at(MAGIC.len());
    let (of, rank) = rest.split_at(NONCE);
    if magic != MAGIC || of != nonce {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let rank = u64::from_le_bytes(rank.try_into().unwrap_or_default());
    usize::try_from(rank).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Another rank's part: the first one's word, and the connection to it.
fn find(seat: &Seat, until: Instant) -> Result<(Vec<u8>, TcpStream), RankError> {
    while Instant::now() < until {
        for file in Note::places(seat) {
            let note = std::fs::read_to_string(file).ok();
            let Some(note) = note.and_then(|text| Note::read(&text)) else {
                continue;
            };
            for host in &note.hosts {
                if let Ok(found) = call(host, &note, seat.rank, until) {
                    return Ok(found);
                }
            }
        }
        std::thread::sleep(PAUSE);
    }
    Err(RankError::Start(format!(
        "rank 0 is not found within {} s: it writes where it is into the folder above {}, which every rank has to see",
        PATIENCE.as_secs(),
        seat.folder.display()
    )))
}

/// Connects to the first rank at `host`, if it is there.
fn call(host: &str, note: &Note, rank: usize, until: Instant) -> io::Result<(Vec<u8>, TcpStream)> {
    let mut stream = Err(io::ErrorKind::NotFound.into());
    for address in (host, note.port).to_socket_addrs()? {
        stream = TcpStream::connect_timeout(&address, AT_ONCE);
        if stream.is_ok() {
            break;
        }
    }
    let mut stream = stream?;
    stream.set_nodelay(true)?;
    // It may have to let somebody else go first.
    stream.set_read_timeout(Some(4 * AT_ONCE))?;
    let hello = [&MAGIC[..], &note.nonce, &(rank as u64).to_le_bytes()].concat();
    stream.write_all(&hello)?;
    let mut magic = MAGIC;
    magic.fill(0);
    stream.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // The word comes when all are there.
    let left = until.saturating_duration_since(Instant::now());
    stream.set_read_timeout(Some(left.max(PAUSE)))?;
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let mut word = vec![0; usize::try_from(u64::from_le_bytes(length)).unwrap_or(0)];
    stream.read_exact(&mut word)?;
    Ok((word, stream))
}

fn listen(on_one_machine: bool) -> io::Result<TcpListener> {
    match on_one_machine {
        true => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)),
        // With both kinds of addresses, where the machine has both.
        false => TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))
            .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))),
    }
}

/// Names under which others may find this machine.
fn hosts(seat: &Seat) -> Vec<String> {
    if seat.on_one_machine {
        return vec![Ipv4Addr::LOCALHOST.to_string()];
    }
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    seat.host.iter().cloned().chain([name]).collect()
}

fn failed(error: &io::Error) -> RankError {
    RankError::Start(format!("the ranks cannot meet: {error}"))
}

/// What the file says: where the first rank is.
struct Note {
    nonce: [u8; NONCE],
    port: u16,
    hosts: Vec<String>,
}

impl Note {
    fn text(&self) -> String {
        let nonce: String = self
            .nonce
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let hosts = self.hosts.join("\n");
        format!("{nonce}\n{}\n{hosts}\n", self.port)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let hex = lines.next()?;
        let mut nonce = [0; NONCE];
        for (at, byte) in nonce.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self {
            nonce,
            port: lines.next()?.parse().ok()?,
            hosts: lines.map(str::to_string).collect(),
        })
    }

    /// Where it is written: in the run's folder, or the nearest one above it that exists.
    fn place(seat: &Seat) -> PathBuf {
        let mut places = Self::places(seat);
        let exists = |file: &PathBuf| match file.parent() {
            Some(folder) if folder != Path::new("") => folder.is_dir(),
            _ => true,
        };
        places.find(exists).unwrap_or_default()
    }

    /// Where it may be found.
    fn places(seat: &Seat) -> impl Iterator<Item = PathBuf> {
        let of = format!("{}\n{}", seat.job, seat.folder.display());
        let name = format!(".ranks-{:08x}", crc32fast::hash(of.as_bytes()));
        let folders = seat.folder.ancestors();
        folders.map(move |folder| folder.join(&name))
    }
}

#[cfg(test)]
mod tests {
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
