//! The training of one run, from its first image or its saved state to its checkpoint.

use std::path::Path;
use std::time::Instant;

use candle_core::{Device, Error};
use pfgmpp_checkpoint::Tensors;
use pfgmpp_config::{ConfigError, RunConfig};
use pfgmpp_data::Splits;
use pfgmpp_kernel::{Denoiser, Dimension};
use pfgmpp_train::{
    MISSED, PowerProfile, RankCosts, Snapshot, TrainError, Trainer, TrainerConfig, Validation,
    reconstruct_weights,
};
use pfgmpp_transfer::DenoisingError;

use crate::error::RunError;
use crate::error_curve::error_curve;
use crate::evaluation::TrainedSummary;
use crate::folder::RunFolder;
use crate::held_out::denoising_error;
use crate::moments::moments_of;
use crate::monitor::Monitor;
use crate::observer::{Observer, Phase, Progress, StopFlag};
use crate::preview::Preview;
use crate::resolved::ResolvedRun;
use crate::run::RunContext;
use crate::sampling_model::SamplingModel;
use crate::starting::start;

/// The word of the first rank by which the others begin to train.
pub(crate) const TRAINS: u8 = 1;
/// That by which they leave: there is nothing to train.
pub(crate) const TRAINS_NOTHING: u8 = 0;

/// Training in progress.
pub struct Training<'a> {
    model: &'a TrainerConfig,
    config: &'a RunConfig,
    splits: &'a Splits,
    folder: &'a RunFolder,
    device: &'a Device,
    trainer: Trainer,
    monitor: Monitor,
    began: Instant,
    nimg_at_start: u64,
    /// The average that the run keeps in place of that of `ema`, once it was chosen.
    chosen: Option<Chosen>,
}

/// An average of `post_hoc_ema.choose`.
struct Chosen {
    sigma_rel: f64,
    weights: Tensors,
}

/// The training of `model`, which `resolved` trains, at the image of the saved `state`, at its first one without any, and
/// what there is to say of that state.
pub(crate) fn trainer(
    model: &TrainerConfig,
    resolved: &ResolvedRun,
    splits: &Splits,
    state: &Path,
    device: &Device,
) -> Result<(Trainer, Option<String>), RunError> {
    let mut trainer = Trainer::new(model, resolved.config().seed, &splits.train, device)?;
    trainer.note_held_out(&splits.held_out)?;
    let note = trainer.restore(state)?;
    if trainer.nimg() == 0 {
        start(&mut trainer, model, resolved.weights())?;
    }
    Ok((trainer, note))
}

/// What it has cost to train by several ranks, in a line.
fn told(costs: &RankCosts) -> String {
    let RankCosts {
        size,
        bytes_per_step,
        summing,
        waiting,
    } = costs;
    let mib = *bytes_per_step as f64 / f64::from(1 << 20);
    format!(
        "{size} ranks: each sends {mib:.2} MiB of gradients a step; summing them takes {:.1} ms, {:.1} ms of which it waits",
        summing * 1e3,
        waiting * 1e3
    )
}

/// How training ended.
pub enum TrainingEnd {
    /// At its last image, with the checkpoint written.
    Trained(Box<Trained>),
    /// On request, with its state saved.
    Stopped {
        /// Images seen.
        nimg: u64,
    },
}

/// What training leaves to the rest of the run.
pub struct Trained {
    /// The averaged weights, ready to sample.
    pub model: SamplingModel,
    /// The run's reports, to go on with.
    pub monitor: Monitor,
    /// What the result says of it.
    pub summary: TrainedSummary,
}

impl<'a> Training<'a> {
    /// Starts `model`, which the run trains, or goes on from the state in its folder; with other ranks if there are any.
    pub fn open(
        model: &'a TrainerConfig,
        context: RunContext<'a>,
        observer: &mut dyn Observer,
    ) -> Result<Self, RunError> {
        let RunContext {
            resolved,
            splits,
            folder,
            device,
            group,
        } = context;
        let config = resolved.config();
        let (mut trainer, said) = trainer(model, resolved, splits, &folder.state(), device)?;
        said.iter().for_each(|note| observer.note(note));
        if let Some(group) = group {
            group.words(TRAINS).map_err(TrainError::from)?;
            trainer.join(group.clone())?;
        }
        trainer.forget_later_snapshots(&folder.averages())?;
        Ok(Self {
            monitor: Monitor::open(config, folder, trainer.nimg())?,
            nimg_at_start: trainer.nimg(),
            began: Instant::now(),
            model,
            config,
            splits,
            folder,
            device,
            trainer,
            chosen: None,
        })
    }

    /// Trains to the end and writes the checkpoint, or stops when asked to.
    pub fn finish(
        mut self,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<TrainingEnd, RunError> {
        let trained = self.train(observer, stop)?;
        if let Some(costs) = self.trainer.rank_costs() {
            observer.note(&told(&costs));
        }
        if !trained {
            let nimg = self.trainer.nimg();
            return Ok(TrainingEnd::Stopped { nimg });
        }
        let nimg = self.trainer.nimg();
        if !self.choose(observer, stop)? {
            return Ok(TrainingEnd::Stopped { nimg });
        }
        let Some(error) = self.denoising_error(stop)? else {
            return Ok(TrainingEnd::Stopped { nimg });
        };
        let sampler = self.config.sampler.clone();
        let mut checkpoint = match &self.chosen {
            None => self.trainer.checkpoint(sampler),
            Some(Chosen { weights, .. }) => {
                self.trainer.checkpoint_of(weights.clone(), nimg, sampler)
            }
        }?;
        checkpoint.config.denoising_error = Some(error.clone());
        self.folder.check()?;
        checkpoint.save(&self.folder.checkpoint())?;
        Ok(TrainingEnd::Trained(Box::new(Trained {
            model: self.sampling_model(Some(error))?,
            summary: TrainedSummary {
                nimg: self.trainer.nimg(),
                loss: self.trainer.train_loss(),
                params: self.trainer.num_parameters() as u64,
                seconds: self.trainer.seconds,
                sigma_rel: self.chosen.as_ref().map(|chosen| chosen.sigma_rel),
            },
            monitor: self.monitor,
        })))
    }

    /// Makes the averages that `post_hoc_ema.choose` names, and keeps that of the lowest error on held-out data; `false` when
    /// asked to stop.
    fn choose(&mut self, observer: &mut dyn Observer, stop: &StopFlag) -> Result<bool, RunError> {
        let config = self.model.post_hoc_ema.as_ref();
        let Some(lengths) = config.and_then(|config| config.choose.as_ref()) else {
            return Ok(true);
        };
        let folder = self.folder.averages();
        let snapshots = Snapshot::list(&folder)?;
        let mut best: Option<(f64, Chosen)> = None;
        let (mut said, mut left_out) = (Vec::new(), Vec::new());
        for &sigma_rel in lengths {
            let profile = PowerProfile::new(sigma_rel).map_err(TrainError::from)?;
            let made = reconstruct_weights(&snapshots, (profile, self.trainer.nimg()))?;
            let Some((weights, combined)) = made else {
                let message = format!(
                    "{}: holds no averages to choose among: put them back, or train the run anew in another folder",
                    folder.display()
                );
                return Err(ConfigError::new("post_hoc_ema.choose", message).into());
            };
            if combined.error > MISSED {
                let share = 100.0 * combined.error;
                left_out.push(format!(
                    "{sigma_rel}, which the snapshots miss by {share:.0} %"
                ));
                continue;
            }
            self.chosen = Some(Chosen { sigma_rel, weights });
            let (model, seed) = (self.sampling_model(None)?, self.config.scoring.seed);
            let data = &self.splits.held_out;
            let error = match denoising_error(&model, data, seed, self.device, stop) {
                Err(RunError::Stopped) => return Ok(false),
                other => other?,
            };
            said.push(format!("{error:.5} of {sigma_rel}"));
            let is_better = best.as_ref().is_none_or(|(least, _)| error < *least);
            if error.is_finite() && is_better {
                best = self.chosen.take().map(|chosen| (error, chosen));
            }
        }
        if best.is_none() && !said.is_empty() {
            return Err(RunError::NotFinite);
        }
        if best.is_none() {
            observer.note("post_hoc_ema.choose: the snapshots make none of these lengths: the run keeps the average of ema");
        }
        if !left_out.is_empty() {
            observer.note(&format!(
                "post_hoc_ema.choose: left out {}",
                left_out.join("; ")
            ));
        }
        self.chosen = best.map(|(_, chosen)| chosen);
        if let Some(Chosen { sigma_rel, .. }) = &self.chosen {
            observer.note(&format!(
                "post_hoc_ema: error on held-out data {}: the run keeps the average of {sigma_rel}",
                said.join(", ")
            ));
        }
        Ok(true)
    }

    /// The denoiser at `d` of the weights that the run keeps.
    fn kept_at(&self, d: Dimension) -> Result<Box<dyn Denoiser>, TrainError> {
        match &self.chosen {
            None => self.trainer.averaged_model_at(d),
            Some(Chosen { weights, .. }) => self.trainer.model_at(weights.clone(), d),
        }
    }

    /// Trains to the end; `false` when asked to stop before it.
    fn train(&mut self, observer: &mut dyn Observer, stop: &StopFlag) -> Result<bool, RunError> {
        let training = &self.model.training;
        // One that a stop had cut off.
        let mut stopped = !self.validate(stop)?;
        while self.trainer.nimg() < training.nimg {
            if self.trainer.any_rank(stopped || stop.is_raised())? {
                self.report()?;
                self.save()?;
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
            // A measurement that a stop cuts off is made up for when the run goes on.
            stopped = !self.validate(stop)?;
            // A state is saved right behind a report, so that no report spans a resume.
            let validated = self.trainer.validation.is_some_and(|v| v.last_nimg == nimg);
            let logged = crossed(training.log_every) || crossed(training.state_every);
            if logged || validated || at_end {
                self.report()?;
            }
            if crossed(training.grid_every) && !at_end {
                self.draw_grid(stop)?;
            }
            let snapshot_every = self.model.post_hoc_ema.as_ref().map(|c| c.snapshot_every);
            if let Some(every) = snapshot_every
                && (crossed(every) || at_end)
            {
                self.folder.check()?;
                self.trainer.save_snapshots(&self.folder.averages())?;
            }
            // Last, so that what it goes on behind is there.
            if crossed(training.state_every) || at_end {
                self.save()?;
            }
            observer.progress(&self.progress());
        }
        Ok(!stopped)
    }

    /// Measures the averaged weights on held-out data where that is due, and keeps them if they are the best so far;
    /// `false` when asked to stop meanwhile.
    fn validate(&mut self, stop: &StopFlag) -> Result<bool, RunError> {
        let (nimg, training) = (self.trainer.nimg(), &self.model.training);
        let Some(every) = training.score_every else {
            return Ok(true);
        };
        let last = self.trainer.validation.map_or(0, |v| v.last_nimg);
        let due = nimg / every > last / every || (nimg == training.nimg && nimg > last);
        if !due {
            return Ok(true);
        }
        let (model, seed) = (self.sampling_model(None)?, self.config.scoring.seed);
        let data = &self.splits.held_out;
        let error = match denoising_error(&model, data, seed, self.device, stop) {
            Err(RunError::Stopped) => return Ok(false),
            other => other?,
        };
        let found = Validation::and(self.trainer.validation, nimg, error);
        if found.best_nimg == nimg {
            let Some(by_level) = self.denoising_error(stop)? else {
                return Ok(false);
            };
            let mut checkpoint = self.trainer.checkpoint(self.config.sampler.clone())?;
            checkpoint.config.denoising_error = Some(by_level);
            self.folder.check()?;
            checkpoint.save(&self.folder.best())?;
        }
        self.monitor.validate(error);
        self.trainer.validation = Some(found);
        Ok(true)
    }

    fn progress(&self) -> Progress {
        let (done, total) = (self.trainer.nimg(), self.model.training.nimg);
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

    fn save(&self) -> Result<(), RunError> {
        self.folder.check()?;
        Ok(self.trainer.save(&self.folder.state())?)
    }

    fn report(&mut self) -> Result<(), RunError> {
        // The log would go on into a file that nobody sees.
        self.folder.check()?;
        let costs = self.trainer.rank_costs();
        self.monitor
            .report(self.trainer.nimg(), self.trainer.skipped(), costs)
    }

    /// The averaged weights' error by noise level; `None` when asked to stop.
    fn denoising_error(&self, stop: &StopFlag) -> Result<Option<DenoisingError>, RunError> {
        let denoiser = self.kept_at(self.model.d)?;
        let (sampler, batch) = (&self.config.sampler, self.config.scoring.batch_size);
        let data = &self.splits.held_out;
        let pairs = self.model.shown();
        match error_curve(&*denoiser, pairs, data, sampler, batch, self.device, stop) {
            Ok(error) => Ok(Some(error)),
            Err(RunError::Stopped) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn sampling_model(&self, error: Option<DenoisingError>) -> Result<SamplingModel, RunError> {
        let d = self.model.d_at(self.config.d());
        let denoiser = self.kept_at(d)?;
        let shape = self.splits.train.image_shape();
        let moments = || {
            let moments = moments_of(&self.splits.train)?;
            match error {
                None => Ok(moments),
                Some(error) => Ok(moments.with_denoising_error(error).map_err(Error::wrap)?),
            }
        };
        let counts = self.splits.train.class_counts();
        let (pairs, first_seed) = (self.model.shown(), self.config.first_seed());
        SamplingModel::new(denoiser, d, shape, moments, &self.config.sampler)?
            .with_columns(&self.splits.train)
            .with_pairs(pairs, &self.splits.held_out, first_seed)
            .with_reference(self.device)?
            .with_classes(first_seed, &counts)
    }

    /// Shows samples of the weights as they are, unless it is stopped meanwhile.
    fn draw_grid(&mut self, stop: &StopFlag) -> Result<(), RunError> {
        let model = self.sampling_model(None)?;
        let preview = Preview::of(
            &model,
            &self.config.sample_seeds(self.config.scoring.num_samples),
        );
        let samples = match model.sample_until(&preview.seeds, self.device, stop) {
            Err(RunError::Stopped) => return Ok(()),
            other => other?,
        };
        let grid = preview.draw(&samples, &self.splits.held_out)?;
        self.monitor.image(&grid, self.trainer.nimg())
    }
}
