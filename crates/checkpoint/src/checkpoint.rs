//! Writing a checkpoint and reading it again.

use std::io;
use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_nn::is_constant;
use pfgmpp_store::Window;
use pfgmpp_store::{replace_folder, write_file};
use serde_json::Value;

use crate::json_file::{self, MAX_CONFIG};
use crate::seal::{self, Seal};
use crate::tensors::{Checksum, crc32, read_tensors_checked, sha256};
use crate::used::{is_augmentation, may_be_left};
use crate::{CheckpointConfig, CheckpointError, FORMAT, Tensors, write_tensors};
use crate::{fit, sniff, tensors};

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
    /// The weights of the network alone, without what lies beside them; what tells it of augmentation is among them.
    #[must_use]
    pub fn network_weights(&self) -> Tensors {
        let is_of_network = |name: &str| !may_be_left(name) || is_augmentation(name);
        let own = self.weights.iter().filter(|(name, _)| is_of_network(name));
        own.map(|(name, tensor)| (name.clone(), tensor.clone()))
            .collect()
    }

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
        write_folder(path, |folder| {
            let file = folder.join(WEIGHTS);
            write_tensors(&file, &self.weights, None)?;
            let io = CheckpointError::io;
            let window = Window::open(&file).map_err(io(&file))?;
            self.config.weights_sha256 = sha256(&window).map_err(io(&file))?;
            self.config.weights_crc32 = crc32(&window).map_err(io(&file))?;
            let config = (CONFIG, seal::write(&self.config));
            for (name, text) in files.iter().chain([&config]) {
                let file = folder.join(name);
                write_file(&file, text.as_bytes()).map_err(io(&file))?;
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
        let want = read_config(&folder.config())?.0.weights_sha256;
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

    /// Looks whether there is a checkpoint in `path` that is whole by its description and by the length of its weights, which
    /// are not read.
    ///
    /// # Errors
    ///
    /// No checkpoint there, a configuration that is not as it was written, weights that are cut off.
    pub fn look(path: &Path) -> Result<(), CheckpointError> {
        let folder = Folder::find(path)?;
        read_config(&folder.config())?;
        tensors::shapes(&folder.weights()).map(drop)
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
        Self::load_noting(path, device, &mut Vec::new())
    }

    /// As [`Self::load`]; `notes` collects what a user of it must know.
    pub(crate) fn load_noting(
        path: &Path,
        device: &Device,
        notes: &mut Vec<String>,
    ) -> Result<Self, CheckpointError> {
        let folder = Folder::find(path)?;
        let (config, seal) = read_config(&folder.config())?;
        if seal == Seal::Absent {
            notes.push(format!(
                "{CONFIG} has no checksum: an earlier version wrote it, or somebody changed it, so damage to it is not found"
            ));
        }
        folder.check_size(&config)?;
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

/// The SHA-256 of its weights that a checkpoint of this program in `path` records; `None` of anything else.
pub fn recorded_sha256(path: &Path) -> Option<String> {
    let folder = Folder::find(path).ok()?;
    let (config, _) = read_config(&folder.config()).ok()?;
    Some(config.weights_sha256).filter(|sum| !sum.is_empty())
}

/// Fills a new folder by `fill` and puts it at `path`; errors name the files of `path`, not those on their way there.
pub(crate) fn write_folder(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let written = replace_folder(path, |folder| {
        fill(folder).map_err(|error| error.moved(folder, path))
    });
    written.map_err(|error| match error {
        CheckpointError::Folder(source) => CheckpointError::io(path)(source),
        error => error,
    })
}

/// Bytes of weights from which on their names and shapes are looked at before memory is taken for them.
const LARGE: u64 = 1 << 30;

impl Folder {
    /// The folder that holds the files: `path` itself, or the `checkpoint` in it.
    pub(crate) fn find(path: &Path) -> Result<Self, CheckpointError> {
        for folder in [path.to_path_buf(), path.join("checkpoint")].map(Self) {
            if is_file(&folder.config())? && is_file(&folder.weights())? {
                return Ok(folder);
            }
        }
        Err(CheckpointError::Missing {
            path: path.to_path_buf(),
        })
    }

    fn config(&self) -> PathBuf {
        self.0.join(CONFIG)
    }

    fn weights(&self) -> PathBuf {
        self.0.join(WEIGHTS)
    }

    /// Refuses large weights that are not those of the network.
    fn check_size(&self, config: &CheckpointConfig) -> Result<(), CheckpointError> {
        let path = self.weights();
        let file = Window::open(&path).map_err(CheckpointError::io(&path))?;
        if let Some(what) = sniff::sniff(&file) {
            return Err(CheckpointError::Foreign {
                remedy: None,
                path,
                message: what,
            });
        }
        if file.len() < LARGE {
            return Ok(());
        }
        fit::check(config, tensors::shapes(&path)?, &path)
    }
}

/// Whether a file is there; one that may not be looked at is an error, not absent.
fn is_file(path: &Path) -> Result<bool, CheckpointError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(e) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&e.kind()) => {
            Ok(false)
        }
        Err(e) => Err(CheckpointError::io(path)(e)),
    }
}

/// Reads `config.json`, and whether it records its own checksum.
pub(crate) fn read_config(path: &Path) -> Result<(CheckpointConfig, Seal), CheckpointError> {
    let (config, seal) = read_any_config(path)?;
    seal.map(|seal| (config, seal))
}

/// As [`read_config`], for one that a user wrote or changed for weights from elsewhere: its checksums say nothing of them.
pub(crate) fn read_described(path: &Path) -> Result<CheckpointConfig, CheckpointError> {
    read_any_config(path).map(|(config, _)| config)
}

type Sealed = (CheckpointConfig, Result<Seal, CheckpointError>);

fn read_any_config(path: &Path) -> Result<Sealed, CheckpointError> {
    let bad = |message: String| CheckpointError::Config {
        path: path.to_path_buf(),
        message,
    };
    // A file that cannot be opened is told as such, with the error of the file system.
    std::fs::File::open(path).map_err(CheckpointError::io(path))?;
    let text = json_file::read(path, MAX_CONFIG).map_err(bad)?;
    let mut value: Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let seal = seal::take(&mut value, path);
    let format = value.get("format").and_then(Value::as_u64);
    if format != Some(u64::from(FORMAT)) {
        return Err(bad(match format {
            Some(found) => format!("format is {found}, this version reads {FORMAT}"),
            None => "is not a config.json of this program, which says `format`: docs/foreign-checkpoints.md says how to \
                     get one for weights of other programs"
                .to_string(),
        }));
    }
    // One that a user writes for weights from elsewhere records no checksum.
    if let Some(fields) = value.as_object_mut() {
        fields.entry("weights_sha256").or_insert("".into());
    }
    let config: CheckpointConfig = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
    config.check().map_err(|e| bad(e.to_string()))?;
    Ok((config, seal))
}
