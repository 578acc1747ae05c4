//! Folders of diffusers: a `config.json` with a class name, and the weights beside it.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// A network in a folder of diffusers.
pub(crate) struct Diffusers {
    /// Its class, such as `UNet2DModel`.
    pub(crate) class: String,
    /// The file of its weights.
    pub(crate) weights: PathBuf,
}

impl Diffusers {
    /// The network in `folder` or in its `unet`, if there is one.
    pub(crate) fn find(folder: &Path) -> Option<Self> {
        [folder.to_path_buf(), folder.join("unet")]
            .iter()
            .find_map(|folder| Self::in_folder(folder))
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        let config = folder.join("config.json");
        if fs::metadata(&config).ok()?.len() > MAX_CONFIG {
            return None;
        }
        let text = fs::read_to_string(config).ok()?;
        let config: serde_json::Value = serde_json::from_str(&text).ok()?;
        let class = config.get("_class_name")?.as_str()?;
        let weights = ["safetensors", "bin"]
            .map(|extension| folder.join(format!("diffusion_pytorch_model.{extension}")))
            .into_iter()
            .find(|file| file.is_file())?;
        Some(Self {
            class: class.chars().take(60).collect(),
            weights,
        })
    }
}
