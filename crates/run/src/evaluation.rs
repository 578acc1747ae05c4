//! Samples of a model, their scores, and the files that show both.

use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use pfgmpp_config::RunConfig;
use pfgmpp_data::{Picture, Splits};
use pfgmpp_metrics::{Inputs, Score, Scores, TailReport, is_of_tables};

use crate::class_scores::ClassScores;
use crate::draw::Draw;
use crate::error::RunError;
use crate::feature_network::{FeatureSource, extract};
use crate::folder::RunFolder;
use crate::held_out::{HeldOut, classes_of};
use crate::monitor::Monitor;
use crate::observer::{Observer, Phase, Progress, StopFlag};
use crate::paths::write_paths;
use crate::preview::Preview;
use crate::resolved::ResolvedRun;
use crate::result::{Outcome, RunResult};
use crate::sampling_model::SamplingModel;
use crate::score::{Compared, inputs, measure};

/// What a result says of the training before it; nothing where there was none.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrainedSummary {
    /// Images seen.
    pub nimg: u64,
    /// Mean loss over the last tenth.
    pub loss: Option<f64>,
    /// Trained values.
    pub params: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// Relative length of the average that was chosen, where one was.
    pub sigma_rel: Option<f64>,
}

/// The end of a run: sampling and scoring.
pub struct Evaluation<'a> {
    pub resolved: &'a ResolvedRun,
    pub splits: &'a Splits,
    pub folder: &'a RunFolder,
    pub device: &'a Device,
    pub model: &'a SamplingModel,
    pub trained: TrainedSummary,
}

impl Evaluation<'_> {
    fn config(&self) -> &RunConfig {
        self.resolved.config()
    }

    /// Samples, scores and writes the grid and, last, the result, or stops when asked to.
    pub fn finish(
        self,
        monitor: &mut Monitor,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Outcome, RunError> {
        let nimg = self.trained.nimg;
        match self.evaluate(monitor, observer, stop) {
            Err(RunError::Stopped) => Ok(Outcome::Interrupted { nimg }),
            other => other,
        }
    }

    /// Samples and scores, and writes nothing; `None` when asked to stop.
    pub fn scores(
        &self,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Option<Scores>, RunError> {
        match self.draw_samples(None, observer, stop)? {
            None => Ok(None),
            Some(samples) => self.score(&samples, observer, stop).map(Some),
        }
    }

    /// Draws the samples that pictures show, and writes those.
    ///
    /// # Errors
    ///
    /// [`RunError::Stopped`] when asked to stop, and any failure of the file system.
    pub fn draw_pictures(&self, stop: &StopFlag) -> Result<(), RunError> {
        let seeds = self
            .config()
            .sample_seeds(self.config().scoring.num_samples);
        let preview = Preview::of(self.model, &seeds);
        let samples = self.model.sample_until(&preview.seeds, self.device, stop)?;
        let grid = preview.draw(&samples, &self.splits.held_out)?;
        self.write_pictures(&grid, stop)
    }

    /// Writes the grid of samples and the paths that they take.
    fn write_pictures(&self, grid: &Picture, stop: &StopFlag) -> Result<(), RunError> {
        self.folder.write(&self.folder.grid(), &grid.to_png()?)?;
        write_paths(
            self.model,
            self.config(),
            self.splits,
            self.folder,
            (self.device, stop),
        )
    }

    fn evaluate(
        self,
        monitor: &mut Monitor,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Outcome, RunError> {
        let began = Instant::now();
        let nimg = self.trained.nimg;
        let Some(samples) = self.draw_samples(monitor.last_loss(), observer, stop)? else {
            return Ok(Outcome::Interrupted { nimg });
        };
        let scores = self.score(&samples, observer, stop)?;
        let seeds = self
            .config()
            .sample_seeds(self.config().scoring.num_samples);
        let preview = Preview::of(self.model, &seeds);
        let grid = preview.draw(&preview.select(&samples)?, &self.splits.held_out)?;
        self.write_pictures(&grid, stop)?;
        monitor.image(&grid, nimg)?;
        monitor.scores(&scores, nimg)?;
        monitor.hparams(self.config())?;
        self.score_classes(&samples, &seeds, monitor)?;
        self.report_tails(&samples)?;
        let result = RunResult {
            d: self.config().d(),
            seed: self.config().seed,
            nimg,
            train_loss: self.trained.loss,
            scores,
            num_samples: self.config().scoring.num_samples,
            params: self.trained.params,
            seconds: self.trained.seconds + began.elapsed().as_secs_f64(),
            sigma_rel: self.trained.sigma_rel,
            data_fingerprint: Some(self.splits.fingerprint()?),
            features_fingerprint: match self.resolved.features() {
                None => None,
                Some(source) => Some(source.open(self.device)?.fingerprint.clone()),
            },
            weights_fingerprint: self.resolved.weights_fingerprint()?,
        };
        // Of other weights, or of scores that were lost: whoever scores anew evaluates anew.
        self.folder
            .forget(&RunFolder::evaluations_in(self.folder.path()))?;
        self.folder
            .write(&self.folder.metrics(), result.to_json().as_bytes())?;
        Ok(Outcome::Finished(result))
    }

    /// Scores `samples` and the model by what the configuration names, and says which scores have no value.
    fn score(
        &self,
        samples: &Tensor,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Scores, RunError> {
        let scoring = &self.config().scoring;
        let held_out = HeldOut {
            model: self.model,
            data: &self.splits.held_out,
            classes: classes_of(self.model, &self.splits.held_out, scoring.seed),
            device: self.device,
            stop,
        };
        let compared = Compared::of(self.splits)?;
        let features = match self.resolved.features() {
            None => None,
            Some(source) => Some(self.features(source, samples, &compared, observer, stop)?),
        };
        let inputs = Inputs {
            denoiser: Some(&held_out),
            features: features.as_ref().map(|[own, other]| [&**own, &**other]),
            // Reference rows do without.
            resample: true,
            ..inputs(samples, &compared, scoring)
        };
        let scores = measure(scoring.metrics.metrics(), &inputs, observer, stop)?;
        let absent = scores.iter().filter_map(Score::absence);
        absent.for_each(|line| observer.note(&line));
        Ok(scores)
    }

    /// The features of samples and of held-out data.
    fn features(
        &self,
        source: &FeatureSource,
        samples: &Tensor,
        compared: &Compared,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<[Arc<Tensor>; 2], RunError> {
        let held_out =
            compared.held_out_features((source, self.splits), self.device, stop, observer)?;
        let network = source.open(self.device)?;
        Ok([
            Arc::new(extract(&network.extractor, samples, stop, observer)?),
            held_out,
        ])
    }

    /// Scores the samples by class, if there are classes.
    fn score_classes(
        &self,
        samples: &Tensor,
        seeds: &[u64],
        monitor: &mut Monitor,
    ) -> Result<(), RunError> {
        let Some(classes) = self.model.classes(seeds) else {
            return Ok(());
        };
        let scores = ClassScores::measure(self.model, samples, &classes, self.splits)?;
        let Some(scores) = scores else {
            return Ok(());
        };
        monitor.class_scores(&scores, self.trained.nimg)?;
        let json = serde_json::to_string_pretty(&scores).expect("scores have string keys");
        let path = self.folder.class_scores();
        Ok(self.folder.write(&path, (json + "\n").as_bytes())?)
    }

    /// Writes the tails of each column, if the run is scored by any.
    fn report_tails(&self, samples: &Tensor) -> Result<(), RunError> {
        let scoring = &self.config().scoring;
        let mut names = scoring.metrics.descriptions().map(|metric| metric.name);
        if !names.any(is_of_tables) {
            return Ok(());
        }
        let held_out = &self.splits.held_out;
        let columns = held_out.columns().unwrap_or_default().iter();
        let names: Vec<String> = columns.map(|column| column.name.clone()).collect();
        let tails =
            TailReport::measure(samples, &held_out.reference_images()?, &names, scoring.seed)?;
        let json = serde_json::to_string_pretty(&tails).expect("tails have string keys");
        let path = self.folder.tails();
        Ok(self.folder.write(&path, (json + "\n").as_bytes())?)
    }

    /// Draws the samples to score; `None` when asked to stop.
    fn draw_samples(
        &self,
        loss: Option<f64>,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Option<Tensor>, RunError> {
        let began = Instant::now();
        let scoring = &self.config().scoring;
        let seeds = self.config().sample_seeds(scoring.num_samples);
        let draw = Draw {
            model: self.model,
            seeds: &seeds,
            batch_size: scoring.batch_size as usize,
            device: self.device,
        };
        draw.collect(stop, |done| {
            let pace = began.elapsed().as_secs_f64() / done as f64;
            observer.progress(&Progress {
                phase: Phase::Sampling,
                done,
                total: scoring.num_samples,
                loss,
                seconds_left: Some(pace * (scoring.num_samples - done) as f64),
            });
        })
    }
}
