//! Zip archives of `torch.save`.

use std::collections::HashMap;
use std::io::BufReader;

use zip::{CompressionMethod, ZipArchive};

use super::storage::Storage;
use super::{LIMITS, TorchError, TorchFile, head};
use crate::pickle;
use crate::window::{Window, WindowReader};

/// Entries that an archive may have: a few for each tensor of a checkpoint.
const MAX_ENTRIES: usize = 200_000;

pub(super) fn is_archive(file: &Window) -> bool {
    head(file, 4) == b"PK\x03\x04"
}

pub(super) fn read(file: &Window) -> Result<TorchFile, TorchError> {
    let mut entries = entries(file)?;
    let found = entries
        .keys()
        .filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
        .min_by_key(|name| name.len());
    let prefix = match found {
        Some(name) => name.trim_end_matches("data.pkl").to_owned(),
        None => return Err(TorchError::NoPickle),
    };
    if let Some(order) = entries.get(&format!("{prefix}byteorder"))
        && head(&order.window, 3) == b"big"
    {
        return Err(TorchError::BigEndian);
    }
    let window = match entries.remove(&format!("{prefix}data.pkl")) {
        Some(entry) => entry.window,
        None => return Err(TorchError::NoPickle),
    };
    let folder = format!("{prefix}data/");
    let storages = entries
        .into_iter()
        .filter_map(|(name, entry)| Some((name.strip_prefix(&folder)?.to_owned(), entry)))
        .collect();
    Ok(TorchFile {
        pickle: pickle::read(&window, &LIMITS)?,
        window,
        storages,
        len: file.len(),
    })
}

/// Where each entry's bytes lie.
fn entries(file: &Window) -> Result<HashMap<String, Storage>, TorchError> {
    let bad = |e: zip::result::ZipError| TorchError::Zip(e.to_string());
    let mut archive: ZipArchive<BufReader<WindowReader>> =
        ZipArchive::new(BufReader::new(file.reader())).map_err(bad)?;
    if archive.len() > MAX_ENTRIES {
        let what = format!("{} entries, more than {MAX_ENTRIES}", archive.len());
        return Err(TorchError::Zip(what));
    }
    let mut entries = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(bad)?;
        let name = entry.name().map_err(bad)?.into_owned();
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(TorchError::Compressed { name });
        }
        let window = entry
            .data_start()
            .and_then(|start| file.part(start, entry.size()));
        let Some(window) = window else {
            return Err(TorchError::Zip(format!("entry {name} is cut off")));
        };
        let crc = Some(entry.crc32());
        entries.insert(name, Storage { window, crc });
    }
    Ok(entries)
}
