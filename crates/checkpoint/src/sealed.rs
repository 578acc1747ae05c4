//! Tensors in one safetensors file that carries the checksum of all its bytes.

use std::io;
use std::path::Path;

use candle_core::Device;
use pfgmpp_store::Window;
use pfgmpp_store::write_file;
use sha2::{Digest, Sha256};

use crate::CheckpointError;
use crate::elements::for_each_piece;
use crate::seal::{Seal, hexadecimal};
use crate::tensors::{Metadata, Tensors, read, weights_error};

/// The name of the checksum among the file's strings.
const KEY: &str = "sha256";
/// What stands in place of the checksum while it is taken.
const BLANK: [u8; 64] = [b'0'; 64];
/// Bytes before the header.
const LENGTH: usize = 8;

/// As [`crate::write_tensors`], with the SHA-256 of the whole file among its strings, taken with zeros in the
/// checksum's own place.
///
/// # Errors
///
/// Any failure of the file system; a file that was there then stands untouched.
pub fn write_sealed_tensors(
    path: &Path,
    tensors: &Tensors,
    mut metadata: Metadata,
) -> Result<(), CheckpointError> {
    let blank = String::from_utf8_lossy(&BLANK).into_owned();
    metadata.insert(KEY.to_string(), blank.clone());
    let mut bytes = safetensors::serialize(tensors, Some(metadata))
        .map_err(|e| weights_error(path, candle_core::Error::SafeTensor(e)))?;
    let digest = hexadecimal(&Sha256::digest(&bytes));
    let at = place(&bytes[LENGTH..], &blank).expect("the header holds its strings") + LENGTH;
    bytes[at..at + BLANK.len()].copy_from_slice(digest.as_bytes());
    write_file(path, &bytes).map_err(CheckpointError::io(path))
}

/// Reads what [`write_sealed_tensors`] wrote and compares its checksum; a file of
/// [`crate::write_tensors`], which has none, is read as it is.
///
/// # Errors
///
/// A file that cannot be read or is not whole, [`CheckpointError::Checksum`] of one that was changed.
pub fn read_sealed_tensors(
    path: &Path,
    device: &Device,
) -> Result<(Tensors, Metadata, Seal), CheckpointError> {
    let file = Window::open(path).map_err(CheckpointError::io(path))?;
    let (tensors, mut metadata) = read(&file, device).map_err(|e| weights_error(path, e))?;
    let Some(want) = metadata.remove(KEY) else {
        return Ok((tensors, metadata, Seal::Absent));
    };
    let got = digest(&file, &want).map_err(CheckpointError::io(path))?;
    match got {
        Some(got) if got == want => Ok((tensors, metadata, Seal::Right)),
        got => Err(CheckpointError::Checksum {
            path: path.to_path_buf(),
            got: got.unwrap_or_else(|| "none".to_string()),
            want: want.chars().filter(|c| !c.is_control()).take(64).collect(),
        }),
    }
}

/// The checksum of `file` with zeros in place of `recorded`; `None` if that is no checksum.
fn digest(file: &Window, recorded: &str) -> io::Result<Option<String>> {
    let mut length = [0; LENGTH];
    file.read_at(&mut length, 0)?;
    let header = file.part(LENGTH as u64, u64::from_le_bytes(length));
    let header = header.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec()?;
    let Some(at) = place(&header, recorded) else {
        return Ok(None);
    };
    let at = (at + LENGTH) as u64;
    let mut hash = Sha256::new();
    let parts = (file.part(0, at), file.tail(at + BLANK.len() as u64));
    let (Some(before), Some(behind)) = parts else {
        return Ok(None);
    };
    for_each_piece(&before, |piece| hash.update(piece))?;
    hash.update(BLANK);
    for_each_piece(&behind, |piece| hash.update(piece))?;
    Ok(Some(hexadecimal(&hash.finalize())))
}

/// Where the checksum `recorded` begins in a header.
fn place(header: &[u8], recorded: &str) -> Option<usize> {
    let entry = format!("\"{KEY}\":\"{recorded}\"");
    let at = (header.windows(entry.len())).position(|bytes| bytes == entry.as_bytes())?;
    (recorded.len() == BLANK.len()).then_some(at + entry.len() - 1 - BLANK.len())
}
