//! Writing a checkpoint and making a denoiser of it again.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use pfgmpp_kernel::{Denoiser, Kernel};
use pfgmpp_nn::Prediction;
use sha2::{Digest, Sha256};

use crate::{CheckpointConfig, CheckpointError, FORMAT, replace_folder, write_file, write_tensors};

const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";

/// Weights by name, and what they are.
pub struct Checkpoint {
    /// What the weights are.
    pub config: CheckpointConfig,
    /// The weights, under the names that the published checkpoints use.
    pub weights: HashMap<String, Tensor>,
}

/// A checkpoint made ready to sample.
pub struct Model {
    /// What the checkpoint says of itself.
    pub config: CheckpointConfig,
    /// The kernel that it was trained with.
    pub kernel: Kernel,
    /// The denoiser.
    pub denoiser: Box<dyn Denoiser>,
}

impl Checkpoint {
    /// Writes the folder `path`, replacing a checkpoint that was there; sets the weights' checksum.
    ///
    /// # Errors
    ///
    /// Any failure of the file system; the old checkpoint then stands untouched.
    pub fn save(mut self, path: &Path) -> Result<(), CheckpointError> {
        replace_folder(path, |folder| {
            let file = folder.join(WEIGHTS);
            write_tensors(&file, &self.weights, None)?;
            self.config.weights_sha256 = sha256(&file)?;
            let text = serde_json::to_string_pretty(&self.config)
                .expect("a configuration has string keys and finite numbers");
            let file = folder.join(CONFIG);
            let bytes = (text + "\n").into_bytes();
            write_file(&file, &bytes).map_err(CheckpointError::io(&path.join(CONFIG)))?;
            Ok(())
        })
    }

    /// Reads the checkpoint in `path`: the folder itself, or a run folder that holds one.
    ///
    /// # Errors
    ///
    /// No checkpoint there, a configuration of another version or with unknown keys, weights whose
    /// checksum is not the recorded one.
    pub fn load(path: &Path, device: &Device) -> Result<Self, CheckpointError> {
        let folder = find(path)?;
        let config = read_config(&folder.join(CONFIG))?;
        let file = folder.join(WEIGHTS);
        let got = sha256(&file)?;
        if got != config.weights_sha256 {
            return Err(CheckpointError::Checksum {
                path: file,
                got,
                want: config.weights_sha256,
            });
        }
        let weights = candle_core::safetensors::load(&file, device)
            .map_err(|source| CheckpointError::Weights { path: file, source })?;
        Ok(Self { config, weights })
    }
}

impl Model {
    /// Loads the checkpoint in `path` and builds its denoiser on `device`.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::load`], and weights that do not fit the network.
    pub fn load(path: &Path, device: &Device) -> Result<Self, CheckpointError> {
        let Checkpoint { config, weights } = Checkpoint::load(path, device)?;
        let fits = |source| CheckpointError::Weights {
            path: path.to_path_buf(),
            source,
        };
        let n = config.data.shape.iter().product();
        let kernel = Kernel::new(n, config.d).map_err(|e| CheckpointError::Config {
            path: path.join(CONFIG),
            message: e.to_string(),
        })?;
        let builder = VarBuilder::from_tensors(weights, DType::F32, device);
        let signature = config.prediction.signature(config.data.shape);
        let network = config.network.build(signature, &builder).map_err(fits)?;
        let denoiser = config
            .prediction
            .denoiser(network, &kernel, config.data.scale);
        Ok(Self {
            config,
            kernel,
            denoiser,
        })
    }
}

/// The folder that holds the files: `path` itself, or the `checkpoint` in it.
fn find(path: &Path) -> Result<PathBuf, CheckpointError> {
    [path.to_path_buf(), path.join("checkpoint")]
        .into_iter()
        .find(|folder| folder.join(CONFIG).is_file() && folder.join(WEIGHTS).is_file())
        .ok_or_else(|| CheckpointError::Missing {
            path: path.to_path_buf(),
        })
}

fn read_config(path: &Path) -> Result<CheckpointConfig, CheckpointError> {
    let bad = |message: String| CheckpointError::Config {
        path: path.to_path_buf(),
        message,
    };
    let text = fs::read_to_string(path).map_err(CheckpointError::io(path))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(u64::from(FORMAT)) {
        let found = format.map_or("none".to_string(), |f| f.to_string());
        return Err(bad(format!(
            "format is {found}, this version reads {FORMAT}"
        )));
    }
    let config: CheckpointConfig = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let prediction = match &config.prediction {
        Prediction::Denoised(preconditioning) => preconditioning.check(),
        Prediction::Field(field) => field.check(),
    };
    prediction
        .and_then(|()| config.sampler.check())
        .and_then(|()| config.data.scale.check())
        .map_err(|e| bad(e.to_string()))?;
    Ok(config)
}

fn sha256(path: &Path) -> Result<String, CheckpointError> {
    let mut file = fs::File::open(path).map_err(CheckpointError::io(path))?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk).map_err(CheckpointError::io(path))? {
            0 => break,
            len => hash.update(&chunk[..len]),
        }
    }
    let digest = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
