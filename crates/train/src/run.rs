//! One run from configuration to scores: train, resume, sample, score, and write it all down.

use std::path::Path;
use std::time::Instant;

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::{Checkpoint, CheckpointConfig, DataSummary, FORMAT, TrainingSummary};
use pfgmpp_data::Splits;
use pfgmpp_kernel::{Denoiser, Dimension};
use serde::{Deserialize, Serialize};

use crate::monitor::Monitor;
use crate::yaml;
use crate::{
    Observer, Phase, Progress, RunConfig, RunError, RunFolder, Scores, StopFlag, Trainer,
    sample_grid,
};

/// Samples in a grid.
const GRID: usize = 64;

/// What a finished run leaves in `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The dimension D.
    pub d: Dimension,
    /// The run's seed.
    pub seed: u64,
    /// Images seen in training.
    pub nimg: u64,
    /// Mean loss over the last tenth of training.
    pub train_loss: f64,
    /// Scores of the samples.
    pub scores: Scores,
    /// Samples scored.
    pub num_samples: u64,
    /// Trained values.
    pub params: u64,
    /// Seconds of training, sampling and scoring.
    pub seconds: f64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Trained, sampled and scored.
    Finished(RunResult),
    /// Stopped on request after this many images, with its state saved.
    Interrupted {
        /// Images seen.
        nimg: u64,
    },
}

/// Runs `config` in `folder`: starts, or goes on from its saved state, or reads its result.
///
/// A run that was cut off anywhere and runs again ends with the same weights and scores, bit for
/// bit on the same machine, as one left alone.
///
/// # Errors
///
/// A folder with a run of another configuration, a loss that is not finite, and any failure of
/// the file system.
pub fn run(
    config: &RunConfig,
    splits: &Splits,
    folder: &RunFolder,
    device: &Device,
    observer: &mut dyn Observer,
    stop: &StopFlag,
) -> Result<Outcome, RunError> {
    check_config(config, folder.path())?;
    if let Some(result) = read_result(config, folder)? {
        return Ok(Outcome::Finished(result));
    }
    folder.write(&folder.config(), yaml::to_string(config)?.as_bytes())?;
    let mut trainer = Trainer::new(config, &splits.train, device)?;
    trainer.restore(folder)?;
    let mut run = Run {
        monitor: Monitor::open(config, folder, trainer.nimg())?,
        config,
        splits,
        folder,
        device,
        trainer,
        began: Instant::now(),
        nimg_at_start: 0,
    };
    run.nimg_at_start = run.trainer.nimg();
    if !run.train(observer, stop)? {
        let nimg = run.trainer.nimg();
        return Ok(Outcome::Interrupted { nimg });
    }
    run.finish(observer, stop)
}

/// Refuses a folder that holds a run of another configuration.
///
/// # Errors
///
/// [`RunError::OtherConfig`] with the first difference.
pub fn check_config(config: &RunConfig, folder: &Path) -> Result<(), RunError> {
    let path = folder.join("config.yaml");
    if !path.exists() {
        return match ["metrics.json", "state"]
            .iter()
            .find(|name| folder.join(name).exists())
        {
            None => Ok(()),
            Some(found) => Err(RunError::State {
                path: folder.to_path_buf(),
                message: format!("{found} is there and config.yaml is not"),
            }),
        };
    }
    let text = std::fs::read_to_string(&path).map_err(RunError::io(&path))?;
    match yaml::first_difference(&text, &yaml::to_string(config)?) {
        None => Ok(()),
        Some(difference) => Err(RunError::OtherConfig {
            path: folder.to_path_buf(),
            difference,
        }),
    }
}

/// The result of a run that is finished, `None` of one that is not.
///
/// # Errors
///
/// A result that cannot be read, or that is not of this configuration.
pub fn read_result(config: &RunConfig, folder: &RunFolder) -> Result<Option<RunResult>, RunError> {
    let path = folder.metrics();
    if !path.exists() {
        return Ok(None);
    }
    let bytes = std::fs::read(&path).map_err(RunError::io(&path))?;
    let bad = |message: String| RunError::State {
        path: path.clone(),
        message,
    };
    let result: RunResult = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    let of_this_run = result.d == config.d
        && result.seed == config.seed
        && result.nimg == config.training.nimg
        && result.num_samples == config.scoring.num_samples;
    if of_this_run {
        Ok(Some(result))
    } else {
        Err(bad("it is the result of another configuration".to_string()))
    }
}

/// A run in progress.
struct Run<'a> {
    config: &'a RunConfig,
    splits: &'a Splits,
    folder: &'a RunFolder,
    device: &'a Device,
    trainer: Trainer,
    monitor: Monitor,
    began: Instant,
    nimg_at_start: u64,
}

impl Run<'_> {
    /// Trains to the end; `false` when asked to stop before it.
    fn train(&mut self, observer: &mut dyn Observer, stop: &StopFlag) -> Result<bool, RunError> {
        let training = &self.config.training;
        while self.trainer.nimg() < training.nimg {
            if stop.is_raised() {
                self.report()?;
                self.trainer.save(self.folder)?;
                return Ok(false);
            }
            let (began, before) = (Instant::now(), self.trainer.nimg());
            let step = self.trainer.step()?;
            let seconds = began.elapsed().as_secs_f64();
            self.trainer.seconds += seconds;
            self.monitor.record(&step, seconds);
            let nimg = self.trainer.nimg();
            let crossed = |every: u64| every > 0 && before / every != nimg / every;
            let at_end = nimg == training.nimg;
            // A state is saved right behind a report, so that no report spans a resume.
            if crossed(training.log_every) || crossed(training.state_every) || at_end {
                self.report()?;
            }
            if crossed(training.grid_every) && !at_end {
                self.draw_grid()?;
            }
            if crossed(training.state_every) || at_end {
                self.trainer.save(self.folder)?;
            }
            observer.progress(&self.progress());
        }
        Ok(true)
    }

    fn progress(&self) -> Progress {
        let (done, total) = (self.trainer.nimg(), self.config.training.nimg);
        let here = done - self.nimg_at_start;
        let pace = (here > 0).then(|| self.began.elapsed().as_secs_f64() / here as f64);
        Progress {
            phase: Phase::Training,
            done,
            total,
            loss: self.monitor.last_loss(),
            seconds_left: pace.map(|pace| pace * (total - done) as f64),
        }
    }

    fn report(&mut self) -> Result<(), RunError> {
        self.monitor.report(self.trainer.nimg())
    }

    fn draw_grid(&mut self) -> Result<(), RunError> {
        let seeds: Vec<u64> = self.sample_seeds(GRID as u64).collect();
        let samples = self.sample(&self.trainer.averaged_model()?, &seeds)?;
        let grid = sample_grid(&samples)?;
        self.monitor.image(&grid, self.trainer.nimg())
    }

    /// The seeds of this run's samples; runs of other seeds share none of them.
    fn sample_seeds(&self, count: u64) -> impl Iterator<Item = u64> + use<> {
        let first = self.config.seed << 32;
        first..first + count
    }

    fn sample(&self, denoiser: &dyn Denoiser, seeds: &[u64]) -> Result<Tensor, RunError> {
        Ok(self.config.sampler.sample(
            denoiser,
            self.trainer.kernel(),
            &self.splits.train.image_shape(),
            seeds,
            self.device,
        )?)
    }

    /// Draws the samples to score; `None` when asked to stop.
    fn draw_samples(
        &self,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Option<Tensor>, RunError> {
        let began = Instant::now();
        let scoring = &self.config.scoring;
        let denoiser = self.trainer.averaged_model()?;
        let seeds: Vec<u64> = self.sample_seeds(scoring.num_samples).collect();
        let mut drawn = Vec::new();
        let mut done = 0;
        for batch in seeds.chunks(scoring.batch_size as usize) {
            if stop.is_raised() {
                return Ok(None);
            }
            drawn.push(self.sample(&denoiser, batch)?.to_device(&Device::Cpu)?);
            done += batch.len() as u64;
            let pace = began.elapsed().as_secs_f64() / done as f64;
            observer.progress(&Progress {
                phase: Phase::Sampling,
                done,
                total: scoring.num_samples,
                loss: self.monitor.last_loss(),
                seconds_left: Some(pace * (scoring.num_samples - done) as f64),
            });
        }
        Ok(Some(Tensor::cat(&drawn, 0)?))
    }

    /// Samples, scores and writes the checkpoint, the grid and, last, the result.
    fn finish(mut self, observer: &mut dyn Observer, stop: &StopFlag) -> Result<Outcome, RunError> {
        let began = Instant::now();
        let nimg = self.trainer.nimg();
        self.checkpoint().save(&self.folder.checkpoint())?;
        let Some(samples) = self.draw_samples(observer, stop)? else {
            return Ok(Outcome::Interrupted { nimg });
        };
        let held_out = self.splits.held_out.images();
        let scores = Scores::measure(&samples, held_out, &self.config.scoring)?;
        let shown = samples.narrow(0, 0, GRID.min(samples.dim(0)?))?;
        let grid = sample_grid(&shown)?;
        self.folder.write(&self.folder.grid(), &grid.to_png()?)?;
        self.monitor.image(&grid, nimg)?;
        self.monitor.scores(&scores, nimg)?;
        let result = RunResult {
            d: self.config.d,
            seed: self.config.seed,
            nimg,
            train_loss: self.trainer.train_loss().unwrap_or(f64::NAN),
            scores,
            num_samples: self.config.scoring.num_samples,
            params: self.trainer.num_parameters() as u64,
            seconds: self.trainer.seconds + began.elapsed().as_secs_f64(),
        };
        let json = serde_json::to_string_pretty(&result).expect("a result has string keys");
        self.folder
            .write(&self.folder.metrics(), (json + "\n").as_bytes())?;
        Ok(Outcome::Finished(result))
    }

    fn checkpoint(&self) -> Checkpoint {
        let data = &self.splits.train;
        Checkpoint {
            config: CheckpointConfig {
                format: FORMAT,
                d: self.config.d,
                data: DataSummary {
                    name: data.name().to_string(),
                    shape: data.image_shape(),
                    range: [-1.0, 1.0],
                    scale: self.trainer.scale(),
                },
                network: self.config.network.clone(),
                preconditioning: self.config.preconditioning.clone(),
                sampler: self.config.sampler.clone(),
                training: TrainingSummary {
                    nimg: self.trainer.nimg(),
                    seed: self.config.seed,
                },
                weights_sha256: String::new(),
            },
            weights: self.trainer.ema().tensors(),
        }
    }
}
