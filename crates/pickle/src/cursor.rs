//! A pickle's bytes from front to back, a small buffer at a time.

use crate::PickleError;
use pfgmpp_store::Window;

/// Bytes read at a time. Most pickles inside of pickles are shorter than this.
const BUFFER: u64 = 4096;

pub(super) struct Cursor<'a> {
    window: &'a Window,
    /// Position of the next byte.
    at: u64,
    buffer: Vec<u8>,
    /// Position of the first byte of `buffer`.
    start: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(window: &'a Window) -> Self {
        Self {
            window,
            at: 0,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// Position of the next byte.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next `N` bytes.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut bytes = [0; N];
        self.check(N as u64)?;
        for byte in &mut bytes {
            *byte = self.next()?;
        }
        Ok(bytes)
    }

    /// The next `len` bytes, which are few: the caller keeps account of them.
    pub(super) fn take_vec(&mut self, len: u64) -> Result<Vec<u8>, PickleError> {
        self.check(len)?;
        let mut bytes = vec![0; len as usize];
        self.window
            .read_at(&mut bytes, self.at)
            .map_err(PickleError::Io)?;
        self.at += len;
        Ok(bytes)
    }

    /// The bytes up to the end of the line, which is left out.
    pub(super) fn take_line(&mut self, longest: usize) -> Result<Vec<u8>, PickleError> {
        let mut line = Vec::new();
        loop {
            match self.next()? {
                b'\n' => return Ok(line),
                _ if line.len() == longest => {
                    return Err(PickleError::Damaged {
                        at: self.at,
                        problem: "a name has no end",
                    });
                }
                byte => line.push(byte),
            }
        }
    }

    /// Passes over `len` bytes and returns the position of the first.
    pub(super) fn skip(&mut self, len: u64) -> Result<u64, PickleError> {
        self.check(len)?;
        let start = self.at;
        self.at += len;
        Ok(start)
    }

    /// Refuses a length beyond the end before anything is allocated for it.
    fn check(&self, len: u64) -> Result<(), PickleError> {
        if len > self.window.len() - self.at {
            return Err(PickleError::Truncated {
                at: self.window.len(),
            });
        }
        Ok(())
    }

    fn next(&mut self) -> Result<u8, PickleError> {
        let inside = |at: u64, start: u64| at.checked_sub(start).map(|i| i as usize);
        if let Some(&byte) = inside(self.at, self.start).and_then(|i| self.buffer.get(i)) {
            self.at += 1;
            return Ok(byte);
        }
        self.check(1)?;
        let len = BUFFER.min(self.window.len() - self.at);
        self.buffer.resize(len as usize, 0);
        self.window
            .read_at(&mut self.buffer, self.at)
            .map_err(PickleError::Io)?;
        self.start = self.at;
        self.at += 1;
        Ok(self.buffer[0])
    }
}
