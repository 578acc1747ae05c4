//! Files of PyTorch: a pickle that describes objects, and the storages of their tensors beside it.
//!
//! - archives (`torch.save` since 1.6): a zip with `data.pkl` and one stored entry a storage;
//! - legacy files: five pickles in a row, then the storages;
//! - plain pickles: each tensor's bytes are a legacy file of their own, inside the pickle.
//!
//! Nothing is read but the description until [`TorchFile::tensor`] asks for a tensor.

mod archive;
mod error;
mod legacy;
mod scalar;
mod storage;
mod tensor;
mod vocabulary;

use std::collections::HashMap;

pub(crate) use error::TorchError;
use pfgmpp_pickle::{Limits, Pickle};
use pfgmpp_store::Window;
use storage::Storage;

/// A file of PyTorch, or a plain pickle with tensors in it.
pub(crate) struct TorchFile {
    /// What the file describes.
    pub(crate) pickle: Pickle,
    /// The bytes of the pickle: positions of its byte strings count from here.
    window: Window,
    /// The tensors' bytes by key.
    storages: HashMap<String, Storage>,
    /// Length of the whole file in bytes.
    len: u64,
}

/// Bounds on the pickles of checkpoints, well above what they hold: the largest published one has some 100,000 opcodes.
const LIMITS: Limits = Limits {
    opcodes: 2_000_000,
    text: 32 << 20,
    // Python itself writes no deeper ones.
    depth: 1000,
    regard: vocabulary::regard,
};

impl TorchFile {
    /// Reads the description in a file of any of the three kinds.
    pub(crate) fn read(file: &Window) -> Result<Self, TorchError> {
        if archive::is_archive(file) {
            return archive::read(file);
        }
        if legacy::is_legacy(file) {
            return legacy::read(file);
        }
        Ok(Self {
            pickle: pfgmpp_pickle::read(file, &LIMITS)?,
            window: file.clone(),
            storages: HashMap::new(),
            len: file.len(),
        })
    }

    /// Length of the whole file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

/// The first `len` bytes, or fewer if there are no more.
fn head(file: &Window, len: usize) -> Vec<u8> {
    let len = file.len().min(len as u64);
    file.part(0, len)
        .and_then(|part| part.to_vec().ok())
        .unwrap_or_default()
}
