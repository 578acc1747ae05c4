//! Folders of diffusers: a `config.json` with a class name, the weights beside it, and a scheduler's configuration.

use std::fs;
use std::path::{Path, PathBuf};

use pfgmpp_kernel::Dimension;
use pfgmpp_nn::Prediction;
use pfgmpp_transfer::DataScale;
use serde_json::{Map, Value};

use super::edm::sampler;
use super::{ForeignError, scheduler, unet2d};
use crate::checkpoint::WEIGHTS as OWN_WEIGHTS;
use crate::{CheckpointConfig, CheckpointError, DataSummary, FORMAT, Tensors, TrainingSummary};

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
    /// The network in `folder` or in its `unet` with its weights; none where nothing looks like one.
    ///
    /// # Errors
    ///
    /// A description that cannot be read, and a description or weights that are missing.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        Self::find_with(folder, |found| {
            if found.weights.is_file() {
                return Ok(found);
            }
            Err(broken(found.folder, format!("{} is missing", WEIGHTS[0])))
        })
    }

    /// As [`Self::find`], for a folder that the weights need not be in yet.
    pub(crate) fn find_description(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        Self::find_with(folder, Ok)
    }

    fn find_with(
        folder: &Path,
        check: impl Fn(Self) -> Result<Self, CheckpointError>,
    ) -> Result<Option<Self>, CheckpointError> {
        let mut problem = None;
        for folder in [folder.to_path_buf(), folder.join(UNET)] {
            let found = Self::in_folder(folder);
            match found.and_then(|found| found.map(&check).transpose()) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(e) => problem = problem.or(Some(e)),
            }
        }
        problem.map_or(Ok(None), Err)
    }

    fn in_folder(folder: PathBuf) -> Result<Option<Self>, CheckpointError> {
        let file = folder.join(CONFIG);
        let weights = WEIGHTS.map(|name| folder.join(name)).into_iter();
        let weights = weights.into_iter().find(|file| file.is_file());
        if !file.exists() {
            return match weights {
                Some(_) => Err(broken(folder, format!("{CONFIG} is missing"))),
                None => Ok(None),
            };
        }
        let config = read_map(&file).map_err(|problem| broken(file.clone(), problem))?;
        // A checkpoint of this program says its format.
        if weights.is_none() && config.contains_key("format") {
            return Err(broken(folder, format!("{OWN_WEIGHTS} is missing")));
        }
        let class = config.get("_class_name").and_then(Value::as_str);
        let class = class.ok_or_else(|| {
            let problem = "_class_name is missing, by which diffusers tells its networks apart";
            broken(file, problem.into())
        })?;
        Ok(Some(Self {
            class: class.chars().take(60).collect(),
            weights: weights.unwrap_or_default(),
            config,
            folder,
        }))
    }

    /// Refuses weights whose last convolution has other channels than the description says.
    pub(crate) fn check_out_channels(&self, weights: &Tensors) -> Result<(), ForeignError> {
        let described = unet2d::read(&self.config)?.out_channels;
        let last = weights.get("conv_out.weight");
        match last.and_then(|last| last.dims().first().copied()) {
            Some(channels) if channels != described => Err(ForeignError::Setting {
                name: format!("out_channels of {CONFIG}"),
                value: described.to_string(),
                accepted: format!("{channels}, as conv_out of the weights has"),
            }),
            _ => Ok(()),
        }
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
    if !metadata.is_file() {
        return Err("it is no file".into());
    }
    if metadata.len() > MAX_CONFIG {
        let len = metadata.len();
        return Err(format!("it has {len} bytes, at most {MAX_CONFIG} are read"));
    }
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    if bytes.is_empty() {
        return Err("it is empty".into());
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        format!(
            "it is not UTF-8 from byte {} on",
            e.utf8_error().valid_up_to()
        )
    })?;
    serde_json::from_str(&text).map_err(|e| format!("it is no JSON object: {e}"))
}

fn broken(path: PathBuf, message: String) -> CheckpointError {
    CheckpointError::Foreign { path, message }
}
