//! Writing a checkpoint and reading it again.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_nn::is_constant;
use pfgmpp_store::{replace_folder, write_file};
use serde_json::Value;

use crate::tensors::{Checksum, crc32, read_tensors_checked, sha256};
use crate::window::Window;
use crate::{CheckpointConfig, CheckpointError, FORMAT, Tensors, write_tensors};

/// The file of the weights.
pub(crate) const WEIGHTS: &str = "model.safetensors";
/// The file that says what they are.
pub(crate) const CONFIG: &str = "config.json";

/// Weights by name, and what they are.
pub struct Checkpoint {
    /// What the weights are.
    pub config: CheckpointConfig,
    /// The weights, under the names that the published checkpoints use.
    pub weights: Tensors,
}

impl Checkpoint {
    /// Writes the folder `path`, replacing a checkpoint that was there; sets the weights' checksum.
    ///
    /// # Errors
    ///
    /// Any failure of the file system; the old checkpoint then stands untouched.
    pub fn save(self, path: &Path) -> Result<(), CheckpointError> {
        self.save_with(path, &[])
    }

    /// As [`Self::save`], with further files beside the weights, each a name and a text.
    ///
    /// # Errors
    ///
    /// As [`Self::save`].
    pub fn save_with(
        mut self,
        path: &Path,
        files: &[(&str, String)],
    ) -> Result<(), CheckpointError> {
        replace_folder(path, |folder| {
            let file = folder.join(WEIGHTS);
            write_tensors(&file, &self.weights, None)?;
            let io = CheckpointError::io;
            let window = Window::open(&file).map_err(io(&path.join(WEIGHTS)))?;
            self.config.weights_sha256 = sha256(&window).map_err(io(&path.join(WEIGHTS)))?;
            self.config.weights_crc32 = crc32(&window).map_err(io(&path.join(WEIGHTS)))?;
            let text = serde_json::to_string_pretty(&self.config)
                .expect("a configuration has string keys and finite numbers");
            let config = (CONFIG, text + "\n");
            for (name, text) in files.iter().chain([&config]) {
                write_file(&folder.join(name), text.as_bytes()).map_err(io(&path.join(name)))?;
            }
            Ok(())
        })
    }

    /// Compares the weights in `path` with the SHA-256 that their configuration records.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn verify(path: &Path) -> Result<(), CheckpointError> {
        let folder = Folder::find(path)?;
        let want = read_config(&folder.config())?.weights_sha256;
        let file = folder.weights();
        let io = CheckpointError::io;
        let window = Window::open(&file).map_err(io(&file))?;
        let got = sha256(&window).map_err(io(&file))?;
        if got == want {
            return Ok(());
        }
        Err(CheckpointError::Checksum {
            path: file,
            got,
            want,
        })
    }

    /// Number of the network's parameters, constants that lie beside them not counted.
    pub fn num_parameters(&self) -> usize {
        let counted = |name: &str| name.starts_with("model.") && !is_constant(name);
        let weights = self.weights.iter().filter(|(name, _)| counted(name));
        weights.map(|(_, tensor)| tensor.elem_count()).sum()
    }

    /// Reads the checkpoint in `path`: the folder itself, or a run folder that holds one.
    ///
    /// # Errors
    ///
    /// No checkpoint there, a configuration of another version or with unknown keys, weights whose
    /// checksum is not the recorded one.
    pub fn load(path: &Path, device: &Device) -> Result<Self, CheckpointError> {
        let folder = Folder::find(path)?;
        let config = read_config(&folder.config())?;
        let checksum = match config.weights_crc32.as_str() {
            "" => Checksum::Sha256(&config.weights_sha256),
            crc32 => Checksum::Crc32(crc32),
        };
        let weights = read_tensors_checked(&folder.weights(), checksum, device)?;
        Ok(Self { config, weights })
    }
}

/// The folder of a checkpoint.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder that holds the files: `path` itself, or the `checkpoint` in it.
    pub(crate) fn find(path: &Path) -> Result<Self, CheckpointError> {
        [path.to_path_buf(), path.join("checkpoint")]
            .into_iter()
            .map(Self)
            .find(|folder| folder.config().is_file() && folder.weights().is_file())
            .ok_or_else(|| CheckpointError::Missing {
                path: path.to_path_buf(),
            })
    }

    fn config(&self) -> PathBuf {
        self.0.join(CONFIG)
    }

    fn weights(&self) -> PathBuf {
        self.0.join(WEIGHTS)
    }
}

/// Reads `config.json`, or a copy of one without a checksum.
pub(crate) fn read_config(path: &Path) -> Result<CheckpointConfig, CheckpointError> {
    let bad = |message: String| CheckpointError::Config {
        path: path.to_path_buf(),
        message,
    };
    let text = fs::read_to_string(path).map_err(CheckpointError::io(path))?;
    let mut value: Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let format = value.get("format").and_then(Value::as_u64);
    if format != Some(u64::from(FORMAT)) {
        let found = format.map_or("none".to_string(), |f| f.to_string());
        return Err(bad(format!(
            "format is {found}, this version reads {FORMAT}"
        )));
    }
    // One that a user writes for weights from elsewhere records no checksum.
    if let Some(fields) = value.as_object_mut() {
        fields.entry("weights_sha256").or_insert("".into());
    }
    let config: CheckpointConfig = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
    config.check().map_err(|e| bad(e.to_string()))?;
    Ok(config)
}
