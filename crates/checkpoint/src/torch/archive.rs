//! Zip archives of `torch.save`.

use std::collections::HashMap;
use std::io::BufReader;

use pfgmpp_store::{Window, WindowReader};
use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

use super::storage::Storage;
use super::{LIMITS, TorchError, TorchFile, head};

/// Bytes of the record that ends an archive.
const END: usize = 22;
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
        None => return Err(no_pickle(&entries)),
    };
    if let Some(order) = entries.get(&format!("{prefix}byteorder"))
        && head(&order.window, 3) == b"big"
    {
        return Err(TorchError::BigEndian);
    }
    let window = match entries.remove(&format!("{prefix}data.pkl")) {
        Some(entry) => entry.window,
        None => return Err(no_pickle(&entries)),
    };
    let folder = format!("{prefix}data/");
    let storages = entries
        .into_iter()
        .filter_map(|(name, entry)| Some((name.strip_prefix(&folder)?.to_owned(), entry)))
        .collect();
    Ok(TorchFile {
        pickle: pfgmpp_pickle::read(&window, &LIMITS)?,
        window,
        storages,
        len: file.len(),
    })
}

/// An archive that holds other things, some of them named.
fn no_pickle(entries: &HashMap<String, Storage>) -> TorchError {
    let mut names: Vec<&str> = entries.keys().map(String::as_str).collect();
    names.sort_unstable();
    let shown: Vec<String> = names.iter().take(3).map(|name| shown(name)).collect();
    let more = if names.len() > shown.len() {
        ", ..."
    } else {
        ""
    };
    TorchError::NoPickle {
        found: match shown.as_slice() {
            [] => "nothing".into(),
            shown => shown.join(", ") + more,
        },
    }
}

/// A name as it may stand in an error.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// Whether a zip archive has all of the record that ends every one.
fn has_end(file: &Window) -> bool {
    // Its own length, and that of the longest comment behind it.
    let len = file.len().min(END as u64 + (1 << 16));
    let tail = file.part(file.len() - len, len);
    let tail = tail.and_then(|tail| tail.to_vec().ok()).unwrap_or_default();
    let mut ends = tail
        .windows(END)
        .filter(|bytes| bytes.starts_with(b"PK\x05\x06"));
    ends.next().is_some()
}

/// Where each entry's bytes lie.
fn entries(file: &Window) -> Result<HashMap<String, Storage>, TorchError> {
    // Some of the library's sentences name its types.
    let bad = |e: zip::result::ZipError| {
        let text = e.to_string();
        TorchError::Zip(match text.contains("::") {
            true => "its directory is damaged".into(),
            false => text,
        })
    };
    // The first entry begins the file. Left to find that out itself, the library takes the second entry of the directory
    // for the first where the entries' names have a certain length.
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let archive = ZipArchive::with_config(config, BufReader::new(file.reader()));
    let mut archive: ZipArchive<BufReader<WindowReader>> = archive.map_err(|e| {
        if has_end(file) {
            bad(e)
        } else {
            TorchError::Cut
        }
    })?;
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
