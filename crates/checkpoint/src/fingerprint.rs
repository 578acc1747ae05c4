//! What tells the weights of a checkpoint from others.

use std::fs;
use std::path::{Path, PathBuf};

use pfgmpp_store::Window;
use sha2::{Digest, Sha256};

use crate::CheckpointError;
use crate::seal::hexadecimal;
use crate::tensors::sha256;

/// Folders below a checkpoint's own that may hold weights, as those of pipelines do.
const DEEPEST: usize = 2;

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
///
/// Any failure of the file system.
pub fn file_sha256(path: &Path) -> Result<String, CheckpointError> {
    let sum = Window::open(path).and_then(|file| sha256(&file));
    sum.map_err(CheckpointError::io(path))
}

/// Tells the weights of another program at `path` from others: the SHA-256 of a file, or of a folder one of the checksums of all its
/// files by their names. What this program wrote records its own ([`recorded_sha256`](crate::recorded_sha256)).
///
/// # Errors
///
/// Any failure of the file system.
pub fn weights_sha256(path: &Path) -> Result<String, CheckpointError> {
    if path.is_file() {
        return file_sha256(path);
    }
    let mut files = Vec::new();
    collect(path, DEEPEST, &mut files)?;
    files.sort();
    let mut all = Sha256::new();
    for file in files {
        let name = file.strip_prefix(path).unwrap_or(&file);
        all.update(format!("{}\n{}\n", name.display(), file_sha256(&file)?));
    }
    Ok(hexadecimal(&all.finalize()))
}

/// Adds the files of `folder` and of those down to so many below it, without hidden ones.
fn collect(folder: &Path, below: usize, files: &mut Vec<PathBuf>) -> Result<(), CheckpointError> {
    let io = CheckpointError::io;
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_file() {
            files.push(path);
        } else if path.is_dir() && below > 0 {
            collect(&path, below - 1, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_and_other_names_are_other_weights() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("unet")).unwrap();
        fs::write(at("unet/weights.bin"), [1, 2, 3]).unwrap();
        fs::write(at("model_index.json"), "{}").unwrap();
        let first = weights_sha256(folder.path()).unwrap();
        assert_eq!(first, weights_sha256(folder.path()).unwrap());
        fs::write(at(".DS_Store"), "litter").unwrap();
        assert_eq!(first, weights_sha256(folder.path()).unwrap());
        fs::write(at("unet/weights.bin"), [1, 2, 4]).unwrap();
        let second = weights_sha256(folder.path()).unwrap();
        assert_ne!(first, second);
        fs::rename(at("unet/weights.bin"), at("unet/others.bin")).unwrap();
        assert_ne!(second, weights_sha256(folder.path()).unwrap());
        let file = weights_sha256(&at("model_index.json")).unwrap();
        assert_eq!(
            file,
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }
}
