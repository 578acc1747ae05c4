//! Folders of diffusers: a `config.json` with a class name, the weights beside it, and a scheduler's configuration.

use std::fs;
use std::path::{Path, PathBuf};

use pfgmpp_kernel::Dimension;
use pfgmpp_nn::Prediction;
use pfgmpp_transfer::DataScale;
use serde_json::{Map, Value};

use super::edm::sampler;
use super::{ForeignError, scheduler, unet2d};
use crate::{CheckpointConfig, DataSummary, FORMAT, TrainingSummary};

/// Longest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// The network's configuration.
pub(crate) const CONFIG: &str = "config.json";
/// The network's weights, the better first.
pub(crate) const WEIGHTS: [&str; 2] = [
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
];
/// The noise schedule, from the folder that holds the network, or the pipeline around it.
pub(crate) const SCHEDULERS: [&str; 2] =
    ["scheduler/scheduler_config.json", "scheduler_config.json"];
/// The folder of the network within a pipeline.
pub(crate) const UNET: &str = "unet";

/// A network in a folder of diffusers.
pub(crate) struct Diffusers {
    /// Its class, such as `UNet2DModel`.
    pub(crate) class: String,
    /// The file of its weights, empty while they are not there.
    pub(crate) weights: PathBuf,
    /// What its `config.json` says.
    config: Map<String, Value>,
    /// The folder of its `config.json`.
    folder: PathBuf,
}

impl Diffusers {
    /// The network in `folder` or in its `unet`, if there is one with its weights.
    pub(crate) fn find(folder: &Path) -> Option<Self> {
        Self::find_description(folder).filter(|found| found.weights.is_file())
    }

    /// As [`Self::find`], for a folder that the weights need not be in yet.
    pub(crate) fn find_description(folder: &Path) -> Option<Self> {
        [folder.to_path_buf(), folder.join(UNET)]
            .into_iter()
            .find_map(Self::in_folder)
    }

    fn in_folder(folder: PathBuf) -> Option<Self> {
        let config = read_map(&folder.join(CONFIG)).ok()?;
        let class = config.get("_class_name")?.as_str()?;
        let mut weights = WEIGHTS.map(|name| folder.join(name)).into_iter();
        Some(Self {
            class: class.chars().take(60).collect(),
            weights: weights.find(|file| file.is_file()).unwrap_or_default(),
            config,
            folder,
        })
    }

    /// What the network is here; `notes` collects what the folder does not tell and was assumed.
    pub(crate) fn describe(
        &self,
        notes: &mut Vec<String>,
    ) -> Result<CheckpointConfig, ForeignError> {
        if self.class != "UNet2DModel" {
            let what = format!("network {} of diffusers", self.class);
            return Err(ForeignError::Unsupported(what));
        }
        let unet = unet2d::read(&self.config)?;
        let (scheduler, file) = self.scheduler()?;
        let noise = scheduler::read(&scheduler, &file)?;
        let [channels, height, width] = unet.shape;
        // As for every network that estimates the noise of images within [-1, 1].
        let sigma_data: f64 = 0.5;
        notes.push(format!(
            "the spread of the data is not in the folder: taken as that of a Gaussian of standard deviation {sigma_data}"
        ));
        let levels = noise.levels();
        levels.check().map_err(ForeignError::parameter)?;
        let low = levels.levels().next().unwrap_or(0.0);
        let high = levels.levels().last().unwrap_or(0.0);
        Ok(CheckpointConfig {
            format: FORMAT,
            d: Dimension::Infinite,
            data: DataSummary {
                name: "unknown".into(),
                shape: unet.shape,
                range: [-1.0, 1.0],
                label_dim: unet.label_dim,
                scale: DataScale {
                    second_moment: sigma_data.powi(2),
                    n_eff: (channels * height * width) as f64,
                },
                scale_about_mean: None,
            },
            network: unet.network,
            prediction: Prediction::Denoised(pfgmpp_transfer::Preconditioning::Ddpm(noise)),
            sampler: sampler(height.max(width), [low, high]),
            training: TrainingSummary { nimg: 0, seed: 0 },
            weights_sha256: String::new(),
            weights_crc32: String::new(),
        })
    }

    /// The scheduler's configuration, and the file that it stands in.
    fn scheduler(&self) -> Result<(Map<String, Value>, String), ForeignError> {
        let around = self.folder.file_name().is_some_and(|name| name == UNET);
        let pipeline = around.then(|| self.folder.parent()).flatten();
        for folder in [Some(&*self.folder), pipeline].into_iter().flatten() {
            for name in SCHEDULERS {
                let path = folder.join(name);
                if path.is_file() {
                    let map = read_map(&path).map_err(|problem| ForeignError::Module {
                        module: name.into(),
                        problem,
                    })?;
                    return Ok((map, name.into()));
                }
            }
        }
        Err(ForeignError::Module {
            module: "the noise schedule is missing".into(),
            problem: format!(
                "{} or {} is needed beside the network",
                SCHEDULERS[0], SCHEDULERS[1]
            ),
        })
    }
}

/// A small JSON file that holds a map.
fn read_map(path: &Path) -> Result<Map<String, Value>, String> {
    let metadata = fs::metadata(path).map_err(|e| e.to_string())?;
    if metadata.len() > MAX_CONFIG {
        return Err(format!("more than {MAX_CONFIG} bytes"));
    }
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    serde_json::from_str(&text).map_err(|e| e.to_string())
}
