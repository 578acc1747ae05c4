//! Where a folder of diffusers has its weights: in one file or in parts, of 32 bits or of 16.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::CheckpointError;
use crate::json_file::{self, MAX_INDEX};

/// The files that hold the weights, or say which part holds which, the better first.
const LAYOUTS: [(&str, Layout); 13] = [
    ("diffusion_pytorch_model.ema.safetensors", Layout::Whole),
    ("diffusion_pytorch_model.ema.bin", Layout::Whole),
    (WEIGHTS, Layout::Whole),
    ("diffusion_pytorch_model.bin", Layout::Whole),
    (
        "diffusion_pytorch_model.safetensors.index.json",
        Layout::Parts,
    ),
    ("diffusion_pytorch_model.bin.index.json", Layout::Parts),
    (
        "diffusion_pytorch_model.safetensors.index.fp16.json",
        Layout::Parts,
    ),
    ("diffusion_pytorch_model.fp16.safetensors", Layout::Half),
    ("diffusion_pytorch_model.bf16.safetensors", Layout::Half),
    ("diffusion_pytorch_model.fp16.bin", Layout::Half),
    ("diffusion_pytorch_model.bf16.bin", Layout::Half),
    (
        "diffusion_pytorch_model.non_ema.safetensors",
        Layout::NotAveraged,
    ),
    ("diffusion_pytorch_model.non_ema.bin", Layout::NotAveraged),
];
/// Where the weights usually are.
pub(super) const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
/// What the names of parts start with.
pub(crate) const PART: &str = "diffusion_pytorch_model-";

/// What a file of weights is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All weights.
    Whole,
    /// The index of several files.
    Parts,
    /// All weights in 16 bits.
    Half,
    /// All weights, as training left them.
    NotAveraged,
}

/// The best file of weights among those that are there: averaged over training before others, 32 bits before 16.
pub(crate) fn best(there: impl Fn(&str) -> bool) -> Option<(&'static str, Layout)> {
    LAYOUTS.into_iter().find(|(name, _)| there(name))
}

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
        let Some((name, layout)) = best(|name| folder.join(name).is_file()) else {
            return Ok(None);
        };
        match layout {
            Layout::Parts => return Self::parts(&folder.join(name)).map(Some),
            Layout::Whole => {}
            Layout::Half => notes.push(format!(
                "{name} holds the weights in 16 bits: the folder has no others"
            )),
            Layout::NotAveraged => notes.push(format!(
                "the weights are those of {name}, as training left them: the folder has no averaged ones, which sample better"
            )),
        }
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
