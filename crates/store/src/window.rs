//! A stretch of a file, read by position.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// Something whose bytes have positions: a file, or bytes in memory.
trait ReadAt: Send + Sync {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, bytes, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, bytes, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => {
                    bytes = &mut bytes[len..];
                    offset += len as u64;
                }
            }
        }
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        let part = self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(part);
        Ok(())
    }
}

/// A stretch of a file or of bytes in memory. A clone is another handle to the same bytes.
#[derive(Clone)]
pub struct Window {
    source: Arc<dyn ReadAt>,
    start: u64,
    len: u64,
}

impl Window {
    /// The whole of a file.
    ///
    /// # Errors
    ///
    /// A file that cannot be opened, and what is not a file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a file"));
        }
        Ok(Self {
            source: Arc::new(file),
            start: 0,
            len: metadata.len(),
        })
    }

    /// Bytes in memory.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self {
            source: Arc::new(bytes),
            start: 0,
            len,
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `len` bytes from `offset` on, if they lie within.
    pub fn part(&self, offset: u64, len: u64) -> Option<Self> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then(|| Self {
            source: self.source.clone(),
            start: self.start + offset,
            len,
        })
    }

    /// Everything from `offset` on, if it lies within.
    pub fn tail(&self, offset: u64) -> Option<Self> {
        self.part(offset, self.len.checked_sub(offset)?)
    }

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    ///
    /// Bytes beyond the end, and failures of the file system.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        match offset.checked_add(bytes.len() as u64) {
            Some(end) if end <= self.len => {}
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        self.source.read_exact_at(bytes, self.start + offset)
    }

    /// All bytes; the caller has made sure that they are few.
    ///
    /// # Errors
    ///
    /// Failures of the file system.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len as usize];
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// The bytes as a stream.
    pub fn reader(&self) -> WindowReader {
        WindowReader {
            window: self.clone(),
            position: 0,
        }
    }
}

/// Reads a [`Window`] from front to back.
pub struct WindowReader {
    window: Window,
    position: u64,
}

impl Read for WindowReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.window.len.saturating_sub(self.position);
        let len = left.min(bytes.len() as u64) as usize;
        self.window.read_at(&mut bytes[..len], self.position)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for WindowReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.window.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
