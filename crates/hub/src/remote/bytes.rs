//! The bytes of a file as they arrive.

use std::io::Read;
use std::time::{Duration, Instant};

use super::client::Remote;
use super::fault::{Fault, of_status, of_transport};
use crate::place::Place;

/// Bytes a second below which a connection is as good as none.
const SLOWEST: u64 = 512;
/// Bytes that are read at once.
const PIECE: usize = 1 << 17;

/// The bytes of a file as they arrive.
pub(crate) struct Reader {
    body: ureq::BodyReader<'static>,
    piece: Vec<u8>,
    pace: Pace,
    /// Whether they are those from the beginning on, whatever was asked for.
    pub(crate) starts_over: bool,
}

/// How much arrives in a stretch of time.
struct Pace {
    stretch: Duration,
    since: Instant,
    bytes: u64,
}

impl Remote {
    /// The bytes of a file, `size` of them, from `start` on.
    pub(crate) fn read(
        &self,
        place: &Place,
        commit: &str,
        name: &str,
        start: u64,
        size: u64,
    ) -> Result<Reader, Fault> {
        let address = self.file_address(place, commit, name);
        let response = self.follow(&address, None, |address| {
            let request = self.get(address);
            match start {
                0 => request,
                start => request.header("range", format!("bytes={start}-{}", size - 1)),
            }
        })?;
        if !response.status().is_success() {
            return Err(of_status(response.status(), response.headers()));
        }
        // A server that knows no ranges sends everything, with another status.
        let starts_over = start == 0 || response.status() != 206;
        Ok(Reader {
            body: response.into_body().into_reader(),
            piece: vec![0; PIECE],
            pace: Pace::new(self.settings.timeout.saturating_mul(2)),
            starts_over,
        })
    }
}

impl Reader {
    /// The next bytes, none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Fault> {
        let read = self.body.read(&mut self.piece);
        let len = read.map_err(|e| of_transport(e.into()))?;
        if len == 0 {
            return Ok(None);
        }
        if !self.pace.holds(len as u64, Instant::now()) {
            let cause = format!("less than {SLOWEST} bytes per second arrived");
            return Err(Fault::Cut(cause));
        }
        Ok(Some(&self.piece[..len]))
    }
}

impl Pace {
    fn new(stretch: Duration) -> Self {
        Self {
            stretch,
            since: Instant::now(),
            bytes: 0,
        }
    }

    /// Counts what arrived; false once a whole stretch was slower than the slowest that is borne.
    fn holds(&mut self, len: u64, now: Instant) -> bool {
        self.bytes += len;
        let passed = now.duration_since(self.since);
        if passed < self.stretch {
            return true;
        }
        let enough = self.bytes as f64 >= SLOWEST as f64 * passed.as_secs_f64();
        (self.since, self.bytes) = (now, 0);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_given_up_when_a_whole_stretch_was_too_slow() {
        let second = Duration::from_secs(1);
        for (each, want) in [(SLOWEST + 1, true), (SLOWEST / 2, false), (1, false)] {
            let mut pace = Pace::new(10 * second);
            let start = pace.since;
            let got = (1..=30).all(|i| pace.holds(each, start + i * second));
            assert_eq!(got, want, "{each} bytes per second: got {got}, want {want}");
        }
        // A pause within a stretch is none of its whole.
        let mut pace = Pace::new(10 * second);
        let start = pace.since;
        assert!(pace.holds(20 * SLOWEST, start + second));
        assert!(pace.holds(1, start + 11 * second));
    }
}
