//! Another rank's part of a meeting: it looks for the first.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Instant;

use super::note::Note;
use super::{AT_ONCE, MAGIC, PATIENCE, PAUSE, Seat};
use crate::ranks::communicator::RankError;

/// The first one's word, and the connection to it.
pub(super) fn find(seat: &Seat, until: Instant) -> Result<(Vec<u8>, TcpStream), RankError> {
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
pub(super) fn call(
    host: &str,
    note: &Note,
    rank: usize,
    until: Instant,
) -> io::Result<(Vec<u8>, TcpStream)> {
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
