//! Where a folder of diffusers has its weights: in one file or in parts, of 32 bits or of 16.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::CheckpointError;
use crate::json_file::{self, MAX_INDEX};

/// The files that may hold all weights, the better first.
pub(crate) const WEIGHTS: [&str; 6] = [
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bf16.safetensors",
    "diffusion_pytorch_model.fp16.bin",
    "diffusion_pytorch_model.bf16.bin",
];
/// The files that say which part holds which weight, the better first.
pub(crate) const INDICES: [&str; 3] = [
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.bin.index.json",
    "diffusion_pytorch_model.safetensors.index.fp16.json",
];
/// Parts that weights may lie in.
const MAX_PARTS: usize = 1000;

/// The weights of a folder.
pub(crate) enum Weights {
    /// All in one file.
    One(PathBuf),
    /// In parts, by their index.
    Parts {
        /// The index.
        index: PathBuf,
        /// Each part, and the weights that it must hold.
        parts: BTreeMap<PathBuf, BTreeSet<String>>,
    },
}

/// What an index holds; its metadata count bytes.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// The weights in `folder`, none where there are none; `notes` collects what a user of them must know.
    pub(crate) fn find(
        folder: &Path,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, CheckpointError> {
        let there = |name: &&&str| folder.join(name).is_file();
        let (whole, half) = WEIGHTS.split_at(2);
        if let Some(name) = whole.iter().find(there) {
            return Ok(Some(Self::One(folder.join(name))));
        }
        if let Some(name) = INDICES.iter().find(there) {
            return Self::parts(&folder.join(name)).map(Some);
        }
        let Some(name) = half.iter().find(there) else {
            return Ok(None);
        };
        notes.push(format!(
            "{name} holds the weights in 16 bits: the folder has no others"
        ));
        Ok(Some(Self::One(folder.join(name))))
    }

    fn parts(index: &Path) -> Result<Self, CheckpointError> {
        let bad = |message: String| CheckpointError::Foreign {
            remedy: None,
            path: index.to_path_buf(),
            message,
        };
        let text = json_file::read(index, MAX_INDEX).map_err(bad)?;
        let read: Index = serde_json::from_str(&text).map_err(|e| {
            bad(format!(
                "it must be a JSON object whose weight_map names the file of each weight (line {})",
                e.line()
            ))
        })?;
        let folder = index.parent().unwrap_or(Path::new(""));
        let mut parts: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
        for (weight, file) in read.weight_map {
            // Nothing outside of the folder is read.
            if file.contains(['/', '\\']) || file.starts_with('.') || file.contains('\0') {
                let file: String = file.chars().filter(|c| !c.is_control()).take(60).collect();
                return Err(bad(format!(
                    "weight_map names {file}, it must name a file beside the index"
                )));
            }
            parts.entry(folder.join(file)).or_default().insert(weight);
        }
        if parts.is_empty() || parts.len() > MAX_PARTS {
            let len = parts.len();
            return Err(bad(format!(
                "weight_map names {len} files, it must name from 1 to {MAX_PARTS}"
            )));
        }
        if let Some(missing) = parts.keys().find(|part| !part.is_file()) {
            let name = missing.file_name().unwrap_or_default().to_string_lossy();
            return Err(bad(format!(
                "{name} is missing, one of {} parts of the weights",
                parts.len()
            )));
        }
        Ok(Self::Parts {
            index: index.to_path_buf(),
            parts,
        })
    }

    /// The file to name in an error.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::One(path) => path,
            Self::Parts { index, .. } => index,
        }
    }
}
