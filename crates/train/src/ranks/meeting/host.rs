//! The first rank's part of a meeting: it says where it is, and waits for all others.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::time::Instant;

use pfgmpp_store::write_file;
use rand::TryRng;
use rand::rngs::SysRng;

use super::note::Note;
use super::{AT_ONCE, MAGIC, NONCE, PATIENCE, PAUSE, Seat, failed};
use crate::ranks::communicator::RankError;

/// The connections to the others, in their order.
pub(super) fn host(seat: &Seat, word: &[u8], until: Instant) -> Result<Vec<TcpStream>, RankError> {
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
        // One that comes again had not heard the answer: its first connection is dead.
        if let Some(place) = rank.checked_sub(1).and_then(|at| guests.get_mut(at))
            && guest.write_all(&MAGIC).is_ok()
        {
            *place = Some(guest);
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
