//! Named tensors and a few strings in one safetensors file.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use pfgmpp_store::Window;
use pfgmpp_store::write_file;
use safetensors::SafeTensorError;
use sha2::{Digest, Sha256};

use crate::sniff::sniff;
use crate::{CheckpointError, elements};

/// Tensors by name.
pub type Tensors = HashMap<String, Tensor>;
/// Strings by name.
pub type Metadata = HashMap<String, String>;

/// Longest header that is read: some 200,000 tensors, a hundred times what networks have.
const MAX_HEADER: u64 = 16 << 20;

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

/// The shape of every tensor in a file, none of which is read.
///
/// # Errors
///
/// As [`read_tensors`].
pub(crate) fn shapes(path: &Path) -> Result<BTreeMap<String, Vec<usize>>, CheckpointError> {
    let file = Window::open(path).map_err(CheckpointError::io(path))?;
    let (header, _) = header(&file).map_err(|e| weights_error(path, e))?;
    let tensors = header.tensors();
    Ok(tensors
        .iter()
        .map(|(name, info)| (name.clone(), info.shape.clone()))
        .collect())
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
}

/// As [`read_tensors`], for a file of known checksum.
pub(crate) fn read_tensors_checked(
    path: &Path,
    checksum: Checksum,
    device: &Device,
) -> Result<Tensors, CheckpointError> {
    let file = Window::open(path).map_err(CheckpointError::io(path))?;
    let (got, read) = match checksum {
        Checksum::Crc32(_) => match read_with_crc32(&file, device) {
            Ok((tensors, crc32)) => (Ok(crc32), Ok(tensors)),
            // What is damaged is told as such, whatever else it is.
            Err(error) => (crc32(&file), Err(error)),
        },
        Checksum::Sha256(_) => read_with_sha256(&file, device),
    };
    let (got, want) = (got.map_err(CheckpointError::io(path))?, checksum.want());
    if got != want {
        return Err(CheckpointError::Checksum {
            path: path.to_path_buf(),
            got,
            want: want.into(),
        });
    }
    read.map_err(|e| weights_error(path, e))
}

/// Takes SHA-256, which is slower than reading, on a second thread.
fn read_with_sha256(
    file: &Window,
    device: &Device,
) -> (io::Result<String>, candle_core::Result<Tensors>) {
    std::thread::scope(|scope| {
        let hash = scope.spawn(|| sha256(file));
        let read = read(file, device).map(|(tensors, _)| tensors);
        let failed = |_| Err(io::Error::other("the checksum could not be taken"));
        (hash.join().unwrap_or_else(failed), read)
    })
}

/// Takes CRC-32, which is much faster than reading, of every piece as it is read: one half of the file on
/// this thread, the other on a second.
fn read_with_crc32(file: &Window, device: &Device) -> candle_core::Result<(Tensors, String)> {
    let (header, data) = header(file)?;
    let tensors = header.tensors();
    let mut tensors: Vec<Named> = tensors
        .iter()
        .map(|(name, info)| (&**name, *info))
        .collect();
    // The library has made sure that they lie one behind the other, with nothing between them.
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let middle = data.len() / 2;
    let before = tensors.partition_point(|(_, info)| (info.data_offsets.1 as u64) <= middle);
    let (front, back) = tensors.split_at(before);
    let mut hash = crc32fast::Hasher::new();
    let head = file.part(0, file.len() - data.len());
    let head = head.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    elements::for_each_piece(&head, |piece| hash.update(piece))?;
    let (front, back) = std::thread::scope(|scope| {
        let back = scope.spawn(|| read_part(&data, back, crc32fast::Hasher::new(), device));
        let front = read_part(&data, front, hash, device);
        let failed = |_| Err(io::Error::other("the weights could not be read").into());
        (front, back.join().unwrap_or_else(failed))
    });
    let ((mut read, mut hash), (more, rest)) = (front?, back?);
    hash.combine(&rest);
    read.extend(more);
    Ok((read, format!("{:08x}", hash.finalize())))
}

/// A tensor's name, and where it lies.
type Named<'a> = (&'a str, &'a safetensors::tensor::TensorInfo);

/// Reads tensors that lie one behind the other, and adds their bytes to `hash`.
fn read_part(
    data: &Window,
    tensors: &[Named],
    mut hash: crc32fast::Hasher,
    device: &Device,
) -> candle_core::Result<(Tensors, crc32fast::Hasher)> {
    let mut read = Tensors::with_capacity(tensors.len());
    for (name, info) in tensors {
        let kind = (DType::try_from(info.dtype)?, &*info.shape);
        let (start, _) = info.data_offsets;
        let take = &mut |piece: &[u8]| hash.update(piece);
        let tensor = elements::read_taking(data, start as u64, kind, device, take)?;
        read.insert((*name).to_string(), tensor);
    }
    Ok((read, hash))
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

/// The header, and the data that it describes, every byte of it; of a file that is none, what it really is.
fn header(file: &Window) -> candle_core::Result<(safetensors::tensor::Metadata, Window)> {
    described(file).map_err(|error| match sniff(file) {
        Some(what) => candle_core::Error::Msg(what),
        None => error,
    })
}

fn described(file: &Window) -> candle_core::Result<(safetensors::tensor::Metadata, Window)> {
    let refuse = |e: SafeTensorError| candle_core::Error::SafeTensor(e);
    let mut len = [0; 8];
    file.read_at(&mut len, 0)
        .map_err(|_| cut(len.len() as u64, file.len()))?;
    let len = u64::from_le_bytes(len);
    if len > MAX_HEADER {
        return Err(refuse(SafeTensorError::HeaderTooLarge));
    }
    let header = file.part(8, len).ok_or_else(|| cut(8 + len, file.len()))?;
    let header: safetensors::tensor::Metadata = serde_json::from_slice(&header.to_vec()?)
        .map_err(|e| refuse(SafeTensorError::InvalidHeaderDeserialization(e)))?;
    let data = file
        .tail(8 + len)
        .filter(|data| data.len() == header.data_len() as u64);
    let whole = (8 + len).saturating_add(header.data_len() as u64);
    let data = data.ok_or_else(|| cut(whole, file.len()))?;
    Ok((header, data))
}

/// A file that is shorter or longer than it says itself.
fn cut(want: u64, got: u64) -> candle_core::Error {
    candle_core::Error::Msg(match got < want {
        true => format!(
            "the file is cut off: its header describes {want} bytes, it has {got}; fetch or copy it again"
        ),
        false => format!("the file is damaged: its header describes {want} bytes, it has {got}"),
    })
}

pub(crate) fn weights_error(path: &Path, source: candle_core::Error) -> CheckpointError {
    CheckpointError::Weights {
        path: path.to_path_buf(),
        source,
    }
}
