//! Averages of a run's weights over any length, made of those that it saved on the way.

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_checkpoint::{Checkpoint, Tensors};
use pfgmpp_config::{ConfigError, RunConfig};
use pfgmpp_data::Splits;
use pfgmpp_train::{PowerProfile, Snapshot, Trainer, TrainerConfig, reconstruct_weights};

use crate::error::RunError;
use crate::error_curve::error_curve;
use crate::folder::RunFolder;
use crate::held_out::denoising_error;
use crate::moments::moments_of;
use crate::observer::StopFlag;
use crate::sampling_model::SamplingModel;

/// The snapshots of a run, finished or not.
pub struct PostHoc<'a> {
    folder: PathBuf,
    config: &'a RunConfig,
    model: &'a TrainerConfig,
    splits: &'a Splits,
    trainer: Trainer,
    snapshots: Vec<Snapshot>,
}

/// An average that was made of snapshots.
pub struct PostHocAverage {
    /// Its relative length.
    pub sigma_rel: f64,
    /// The images seen by its end.
    pub nimg: u64,
    /// The distance of its profile from the one asked for, as a share of that one's norm.
    pub profile_error: f64,
    weights: Tensors,
}

impl<'a> PostHoc<'a> {
    /// The snapshots in the run folder `folder`, whose run is `config` on `splits`. No lock is needed: snapshots are
    /// whole files.
    ///
    /// # Errors
    ///
    /// A run that trains nothing, or that saved no averages.
    pub fn open(
        folder: &Path,
        config: &'a RunConfig,
        splits: &'a Splits,
    ) -> Result<Self, RunError> {
        let refuse = |message: &str| {
            let place = folder.display().to_string();
            Err(ConfigError::new(place, message).into())
        };
        let Some(model) = config.trained() else {
            return refuse("the run trains nothing, so there is nothing to average");
        };
        if model.post_hoc_ema.is_none() {
            return refuse(
                "the run saves no averages: give its configuration a section post_hoc_ema, such as {sigma_rel: [0.05, 0.1], snapshot_every: 10000}, and train it anew",
            );
        }
        let snapshots = Snapshot::list(&RunFolder::averages_in(folder))?;
        if snapshots.is_empty() {
            return refuse(
                "the run has saved no averages yet: it does so every post_hoc_ema.snapshot_every images",
            );
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            trainer: Trainer::new(model, config.seed, &splits.train, &Device::Cpu)?,
            config,
            model,
            splits,
            snapshots,
        })
    }

    /// The number of snapshots.
    pub fn num_snapshots(&self) -> usize {
        self.snapshots.len()
    }

    /// Images seen by the latest of them.
    pub fn last_nimg(&self) -> u64 {
        let seen = self.snapshots.iter().map(|snapshot| snapshot.moment.1);
        seen.max().unwrap_or(0)
    }

    /// The lengths that were saved, and when next to `nimg` images, in words.
    pub fn saved_near(&self, nimg: u64) -> String {
        let moments = || self.snapshots.iter().map(|snapshot| snapshot.moment);
        // They are listed by length.
        let mut lengths: Vec<String> = moments().map(|(p, _)| p.sigma_rel().to_string()).collect();
        lengths.dedup();
        let before = moments().map(|(_, at)| at).filter(|at| *at <= nimg).max();
        let after = moments().map(|(_, at)| at).filter(|at| *at > nimg).min();
        let near: Vec<String> = [before, after]
            .iter()
            .flatten()
            .map(u64::to_string)
            .collect();
        format!(
            "there are snapshots of sigma_rel {}, the nearest after {} images",
            lengths.join(", "),
            near.join(" and ")
        )
    }

    /// The average of relative length `sigma_rel` after `nimg` images, at most those of the latest snapshot.
    ///
    /// # Errors
    ///
    /// A length or a number of images outside its range, and snapshots that cannot be read.
    pub fn average(&self, sigma_rel: f64, nimg: u64) -> Result<PostHocAverage, RunError> {
        let bad = |message: String| {
            let place = self.folder.display().to_string();
            RunError::from(ConfigError::new(place, message))
        };
        let profile = PowerProfile::new(sigma_rel).map_err(|e| bad(e.to_string()))?;
        let last = self.last_nimg();
        if !(1..=last).contains(&nimg) {
            return Err(bad(format!("nimg: must be from 1 to {last}, got {nimg}")));
        }
        let made = reconstruct_weights(&self.snapshots, (profile, nimg))?;
        let (weights, found) = made.ok_or_else(|| bad("there are no snapshots".to_string()))?;
        Ok(PostHocAverage {
            sigma_rel,
            nimg,
            profile_error: found.error,
            weights,
        })
    }

    /// Its error on held-out images, as the score `denoising_error`.
    ///
    /// # Errors
    ///
    /// Snapshots of another network, and [`RunError::Stopped`].
    pub fn denoising_error(
        &self,
        average: &PostHocAverage,
        stop: &StopFlag,
    ) -> Result<f64, RunError> {
        let trained = self.config.trained();
        let d = trained.map_or(self.config.d(), |model| model.d_at(self.config.d()));
        let denoiser = self.trainer.model_at(average.weights.clone(), d)?;
        let data = &self.splits.held_out;
        let moments = || moments_of(&self.splits.train);
        let (shape, sampler) = (data.image_shape(), &self.config.sampler);
        let pairs = self.model.shown();
        let model =
            SamplingModel::new(denoiser, d, shape, moments, sampler)?.with_pairs(pairs, data, 0);
        let seed = self.config.scoring.seed;
        denoising_error(&model, data, seed, &Device::Cpu, stop)
    }

    /// Its checkpoint, as training writes one at its end.
    ///
    /// # Errors
    ///
    /// Snapshots of another network, and [`RunError::Stopped`].
    pub fn checkpoint(
        &self,
        average: &PostHocAverage,
        stop: &StopFlag,
    ) -> Result<Checkpoint, RunError> {
        let denoiser = self.trainer.model_of(average.weights.clone())?;
        let (sampler, batch) = (&self.config.sampler, self.config.scoring.batch_size);
        let data = &self.splits.held_out;
        let pairs = self.model.shown();
        let error = error_curve(&*denoiser, pairs, data, sampler, batch, &Device::Cpu, stop)?;
        let weights = average.weights.clone();
        let checkpoint = self
            .trainer
            .checkpoint_of(weights, average.nimg, sampler.clone());
        let mut checkpoint = checkpoint?;
        checkpoint.config.denoising_error = Some(error);
        Ok(checkpoint)
    }
}
