//! Folders of diffusers: a `config.json` with a class name, the weights beside it, and a scheduler's configuration.

use std::path::{Path, PathBuf};

use pfgmpp_kernel::Dimension;
use pfgmpp_nn::Prediction;
use pfgmpp_transfer::DataScale;
use serde_json::{Map, Value};

use super::{ForeignError, Weights, layout, pipeline, scheduler, unet2d};
use crate::checkpoint::WEIGHTS as OWN_WEIGHTS;
use crate::json_file::{self, MAX_CONFIG, quote_python_numbers};
use crate::{CheckpointConfig, CheckpointError, DataSummary, FORMAT, TrainingSummary};

/// The network's configuration.
pub(crate) const CONFIG: &str = "config.json";
/// The noise schedule, from the folder that holds the network, or the pipeline around it.
pub(crate) const SCHEDULERS: [&str; 2] =
    ["scheduler/scheduler_config.json", "scheduler_config.json"];
/// The folders of the network within a pipeline or a training run: averaged over training, and as training left it.
pub(crate) const UNETS: [&str; 2] = ["unet_ema", "unet"];

/// A network in a folder of diffusers.
pub(crate) struct Diffusers {
    /// Its class, such as `UNet2DModel`.
    pub(crate) class: String,
    /// Its weights, none while they are not there.
    pub(crate) weights: Option<Weights>,
    /// What its `config.json` says.
    config: Map<String, Value>,
    /// The folder of its `config.json`.
    folder: PathBuf,
    /// What a user of it must know.
    notes: Vec<String>,
}

impl Diffusers {
    /// The network in `folder`, in its `unet_ema` or in its `unet`, with its weights; none where nothing looks like one.
    ///
    /// # Errors
    ///
    /// A description that cannot be read, and a description or weights that are missing.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        Self::find_with(folder, |found| {
            if found.weights.is_some() {
                return Ok(found);
            }
            Err(broken(
                found.folder,
                format!("{} is missing", layout::WEIGHTS),
            ))
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
        let within = UNETS.iter().map(|name| folder.join(name));
        for place in [folder.to_path_buf()].into_iter().chain(within) {
            let averaged = place.ends_with(UNETS[0]) && place != folder;
            let found = Self::in_folder(place);
            match found.and_then(|found| found.map(&check).transpose()) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                // Others must not be taken in silence for averaged weights that are there and broken.
                Err(e) if averaged => return Err(problem.unwrap_or(e)),
                Err(e) => problem = problem.or(Some(e)),
            }
        }
        problem.map_or(Ok(None), Err)
    }

    fn in_folder(folder: PathBuf) -> Result<Option<Self>, CheckpointError> {
        let file = folder.join(CONFIG);
        let mut notes = Vec::new();
        let weights = Weights::find(&folder, &mut notes)?;
        let there = file.try_exists().map_err(CheckpointError::io(&file))?;
        if !there {
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
        let beside = folder.parent().map(|parent| parent.join(UNETS[0]));
        if folder.ends_with(UNETS[1]) && beside.is_some_and(|beside| beside.is_dir()) {
            notes.push(format!(
                "the weights are those of {}, as training left them: averaged ones lie beside them in {}",
                UNETS[1], UNETS[0]
            ));
        }
        Ok(Some(Self {
            class: class.chars().take(60).collect(),
            weights,
            config,
            folder,
            notes,
        }))
    }

    /// Refuses weights whose last convolution has other channels than the description says.
    ///
    /// - `channels`: of the last convolution, where there is one.
    pub(crate) fn check_out_channels(&self, channels: Option<usize>) -> Result<(), ForeignError> {
        let described = unet2d::read(&self.config)?.out_channels;
        match channels {
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
        notes.extend(self.notes.iter().cloned());
        for folder in self.places() {
            pipeline::check(folder)?;
        }
        if self.class != "UNet2DModel" {
            let what = format!("network {} of diffusers", self.class);
            return Err(ForeignError::Unsupported(what));
        }
        let unet = unet2d::read(&self.config)?;
        let (scheduler, file) = self.scheduler()?;
        self.check_scheduler(&scheduler, &file)?;
        let noise = scheduler::read(&scheduler, &file, unet.fourier, notes)?;
        let [channels, height, width] = unet.shape;
        // As for every network of images within [-1, 1] whose data are not known.
        let sigma_data: f64 = 0.5;
        notes.push(format!(
            "the spread of the data is not in the folder: taken as that of a Gaussian of standard deviation {sigma_data}"
        ));
        Ok(CheckpointConfig {
            format: FORMAT,
            d: Dimension::Infinite,
            d_list: Vec::new(),
            data: DataSummary {
                name: "unknown".into(),
                shape: unet.shape,
                range: noise.range,
                label_dim: unet.label_dim,
                class_counts: Vec::new(),
                corruption: None,
                input_channels: 0,
                columns: None,
                scale: DataScale {
                    second_moment: sigma_data.powi(2),
                    n_eff: (channels * height * width) as f64,
                },
                scale_about_mean: None,
            },
            network: unet.network,
            sampler: noise.sampler(height.max(width)),
            prediction: Prediction::Denoised(noise.preconditioning),
            denoising_error: None,
            training: TrainingSummary { nimg: 0, seed: 0 },
            weights_sha256: String::new(),
            weights_crc32: String::new(),
        })
    }

    /// The folder of the network, and that of the pipeline around it, if there is one.
    fn places(&self) -> impl Iterator<Item = &Path> {
        let name = self.folder.file_name().unwrap_or_default();
        let around = UNETS.iter().any(|unet| name == *unet);
        let pipeline = around.then(|| self.folder.parent()).flatten();
        [Some(&*self.folder), pipeline].into_iter().flatten()
    }

    /// Refuses a scheduler of another class than the pipeline names.
    fn check_scheduler(&self, there: &Map<String, Value>, file: &str) -> Result<(), ForeignError> {
        let named = self.places().find_map(pipeline::scheduler_class);
        let class = there.get("_class_name").and_then(Value::as_str);
        match (named, class) {
            (Some(named), Some(class)) if named != class => Err(ForeignError::Setting {
                name: format!("{file}: _class_name"),
                value: format!("{class:.60}"),
                accepted: format!("{named:.60}, which {} names", pipeline::INDEX),
            }),
            _ => Ok(()),
        }
    }

    /// The scheduler's configuration, and the file that it stands in.
    fn scheduler(&self) -> Result<(Map<String, Value>, String), ForeignError> {
        for folder in self.places() {
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

/// A small JSON file that holds a map, as Python writes it.
pub(super) fn read_map(path: &Path) -> Result<Map<String, Value>, String> {
    let text = quote_python_numbers(&json_file::read(path, MAX_CONFIG)?);
    serde_json::from_str(&text).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        match e.classify() {
            serde_json::error::Category::Eof => {
                format!("it is cut off: its JSON does not end (line {line} column {column})")
            }
            serde_json::error::Category::Data => "it must be a JSON object in braces".into(),
            _ => format!("it is not JSON at line {line} column {column}"),
        }
    })
}

fn broken(path: PathBuf, message: String) -> CheckpointError {
    CheckpointError::Foreign {
        path,
        message,
        remedy: None,
    }
}
