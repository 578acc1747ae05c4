//! Named tensors and a few strings in one safetensors file.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensorError;
use sha2::{Digest, Sha256};

use crate::window::Window;
use crate::{CheckpointError, elements, write_file};

/// Tensors by name.
pub type Tensors = HashMap<String, Tensor>;
/// Strings by name.
pub type Metadata = HashMap<String, String>;

/// Longest header that is read, as in the safetensors library.
const MAX_HEADER: u64 = 100_000_000;

/// Writes `tensors` and `metadata` to `path`, whole or not at all.
///
/// # Errors
///
/// Any failure of the file system; a file that was there then stands untouched.
pub fn write_tensors(
    path: &Path,
    tensors: &Tensors,
    metadata: Option<Metadata>,
) -> Result<(), CheckpointError> {
    let bytes = safetensors::serialize(tensors, metadata)
        .map_err(|e| weights_error(path, candle_core::Error::SafeTensor(e)))?;
    write_file(path, &bytes).map_err(CheckpointError::io(path))
}

/// Reads what [`write_tensors`] wrote.
///
/// Every tensor is read into its final place: memory is that of the tensors.
///
/// # Errors
///
/// A file that cannot be read or is not whole.
pub fn read_tensors(path: &Path, device: &Device) -> Result<(Tensors, Metadata), CheckpointError> {
    let file = Window::open(path).map_err(CheckpointError::io(path))?;
    read(&file, device).map_err(|e| weights_error(path, e))
}

/// A checksum that a file must have, in hexadecimal.
#[derive(Clone, Copy)]
pub(crate) enum Checksum<'a> {
    Crc32(&'a str),
    Sha256(&'a str),
}

impl Checksum<'_> {
    fn want(&self) -> &str {
        match self {
            Self::Crc32(want) | Self::Sha256(want) => want,
        }
    }

    fn take(&self, file: &Window) -> io::Result<String> {
        match self {
            Self::Crc32(_) => crc32(file),
            Self::Sha256(_) => sha256(file),
        }
    }
}

/// As [`read_tensors`], for a file of known checksum; it is taken on a second thread meanwhile.
pub(crate) fn read_tensors_checked(
    path: &Path,
    checksum: Checksum,
    device: &Device,
) -> Result<Tensors, CheckpointError> {
    let file = Window::open(path).map_err(CheckpointError::io(path))?;
    let (got, read) = std::thread::scope(|scope| {
        let hash = scope.spawn(|| checksum.take(&file));
        let read = read(&file, device);
        let failed = |_| Err(io::Error::other("the checksum could not be taken"));
        (hash.join().unwrap_or_else(failed), read)
    });
    let (got, want) = (got.map_err(CheckpointError::io(path))?, checksum.want());
    if got != want {
        return Err(CheckpointError::Checksum {
            path: path.to_path_buf(),
            got,
            want: want.into(),
        });
    }
    let (tensors, _) = read.map_err(|e| weights_error(path, e))?;
    Ok(tensors)
}

/// SHA-256 of a window's bytes, in hexadecimal.
pub(crate) fn sha256(file: &Window) -> io::Result<String> {
    let mut hash = Sha256::new();
    elements::for_each_piece(file, |piece| hash.update(piece))?;
    let digest = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// CRC-32 of a window's bytes, in hexadecimal.
pub(crate) fn crc32(file: &Window) -> io::Result<String> {
    let mut hash = crc32fast::Hasher::new();
    elements::for_each_piece(file, |piece| hash.update(piece))?;
    Ok(format!("{:08x}", hash.finalize()))
}

pub(crate) fn read(file: &Window, device: &Device) -> candle_core::Result<(Tensors, Metadata)> {
    let (header, data) = header(file)?;
    let mut tensors = Tensors::new();
    for (name, info) in header.tensors() {
        let dtype = DType::try_from(info.dtype)?;
        let (start, _) = info.data_offsets;
        let tensor = elements::read(&data, start as u64, dtype, &info.shape, device)?;
        tensors.insert(name, tensor);
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}

/// The header, and the data that it describes, every byte of it.
fn header(file: &Window) -> candle_core::Result<(safetensors::tensor::Metadata, Window)> {
    let refuse = |e: SafeTensorError| candle_core::Error::SafeTensor(e);
    let mut len = [0; 8];
    file.read_at(&mut len, 0)
        .map_err(|_| refuse(SafeTensorError::HeaderTooSmall))?;
    let len = u64::from_le_bytes(len);
    if len > MAX_HEADER {
        return Err(refuse(SafeTensorError::HeaderTooLarge));
    }
    let header = file
        .part(8, len)
        .ok_or_else(|| refuse(SafeTensorError::InvalidHeaderLength))?;
    let header: safetensors::tensor::Metadata = serde_json::from_slice(&header.to_vec()?)
        .map_err(|e| refuse(SafeTensorError::InvalidHeaderDeserialization(e)))?;
    let data = file
        .tail(8 + len)
        .filter(|data| data.len() == header.data_len() as u64);
    let data = data.ok_or_else(|| refuse(SafeTensorError::MetadataIncompleteBuffer))?;
    Ok((header, data))
}

fn weights_error(path: &Path, source: candle_core::Error) -> CheckpointError {
    CheckpointError::Weights {
        path: path.to_path_buf(),
        source,
    }
}
