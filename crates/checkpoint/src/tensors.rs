//! Named tensors and a few strings in one safetensors file.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;

use crate::{CheckpointError, write_file};

/// Tensors by name.
pub type Tensors = HashMap<String, Tensor>;
/// Strings by name.
pub type Metadata = HashMap<String, String>;

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
/// # Errors
///
/// A file that cannot be read or is not whole.
pub fn read_tensors(path: &Path, device: &Device) -> Result<(Tensors, Metadata), CheckpointError> {
    let bytes = std::fs::read(path).map_err(CheckpointError::io(path))?;
    let (_, header) = SafeTensors::read_metadata(&bytes)
        .map_err(|e| weights_error(path, candle_core::Error::SafeTensor(e)))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let tensors = candle_core::safetensors::load_buffer(&bytes, device)
        .map_err(|e| weights_error(path, e))?;
    Ok((tensors, metadata))
}

fn weights_error(path: &Path, source: candle_core::Error) -> CheckpointError {
    CheckpointError::Weights {
        path: path.to_path_buf(),
        source,
    }
}
