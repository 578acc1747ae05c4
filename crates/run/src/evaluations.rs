//! A run's model sampled and scored otherwise than the run itself says, without being trained again.

use std::path::Path;
use std::time::Instant;

use pfgmpp_checkpoint::{LoadOptions, Model};
use pfgmpp_config::{RunConfig, Variant};
use pfgmpp_metrics::Scores;
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::evaluation::{Evaluation, TrainedSummary};
use crate::folder::RunFolder;
use crate::observer::{Observer, StopFlag};
use crate::run::RunContext;
use crate::sampling_model::SamplingModel;
use crate::sealed::{from_sealed_json, to_sealed_json};

/// What one combination of settings gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// Each setting and its value, as text.
    pub values: Vec<(String, String)>,
    /// Scores of the samples and of the model.
    pub scores: Scores,
    /// Seconds of sampling and scoring.
    pub seconds: f64,
}

/// What `evaluations.json` holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Contents {
    /// Images that the model was trained on.
    nimg: u64,
    /// Samples scored for each.
    num_samples: u64,
    /// In the order of the configuration, as far as they have come.
    evaluations: Vec<Evaluated>,
}

impl Contents {
    /// Those of the run in `folder` that are of `config` after `nimg` images; nothing where the file is damaged or of
    /// another run: what it held is measured again.
    fn read(config: &RunConfig, folder: &Path, nimg: u64) -> Result<Self, RunError> {
        let path = RunFolder::evaluations_in(folder);
        let num_samples = config.scoring.num_samples;
        let none = Self {
            nimg,
            num_samples,
            evaluations: Vec::new(),
        };
        if !path.exists() {
            return Ok(none);
        }
        let bytes = std::fs::read(&path).map_err(RunError::io(&path))?;
        let metrics: Vec<&str> = config
            .scoring
            .metrics
            .descriptions()
            .map(|m| m.name)
            .collect();
        let is_of_this_run = |contents: &Self| {
            let scored = |evaluated: &Evaluated| {
                let names = evaluated.scores.iter().map(|score| score.name.as_str());
                names.eq(metrics.iter().copied())
            };
            contents.nimg == nimg
                && contents.num_samples == num_samples
                && contents.evaluations.iter().all(scored)
        };
        let contents = from_sealed_json(&bytes).ok();
        Ok(contents.filter(is_of_this_run).unwrap_or(none))
    }

    fn write(&self, folder: &RunFolder) -> Result<(), RunError> {
        let path = RunFolder::evaluations_in(folder.path());
        Ok(folder.write(&path, to_sealed_json(self).as_bytes())?)
    }

    fn of(&self, variant: &Variant) -> Option<&Evaluated> {
        let same = |evaluated: &&Evaluated| evaluated.values == variant.values;
        self.evaluations.iter().find(same)
    }
}

/// What the evaluations of the run in `folder`, which is `config`, have given so far, in the order of the configuration.
///
/// # Errors
///
/// Any failure of the file system.
pub fn read_evaluations(
    config: &RunConfig,
    folder: &Path,
    nimg: u64,
) -> Result<Vec<Evaluated>, RunError> {
    let found = Contents::read(config, folder, nimg)?;
    let variants = config.variants("config.yaml")?;
    let found = variants.iter().filter_map(|variant| found.of(variant));
    Ok(found.cloned().collect())
}

/// Whether all that `config` names of the run in `folder` is there.
pub(crate) fn are_evaluated(
    config: &RunConfig,
    folder: &Path,
    nimg: u64,
) -> Result<bool, RunError> {
    let wanted = config.variants("config.yaml")?.len();
    Ok(wanted == 0 || read_evaluations(config, folder, nimg)?.len() == wanted)
}

impl RunContext<'_> {
    /// Samples and scores by each combination that is not there yet, and writes each down; `false` when asked to stop
    /// before the last. The model was trained on `nimg` images.
    pub fn evaluate(
        &self,
        nimg: u64,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<bool, RunError> {
        let variants = self.resolved.config().variants("config.yaml")?;
        if variants.is_empty() {
            return Ok(true);
        }
        let mut found = Contents::read(self.resolved.config(), self.folder.path(), nimg)?;
        for variant in &variants {
            if found.of(variant).is_some() {
                continue;
            }
            let began = Instant::now();
            let scores = match self.scores(variant, observer, stop) {
                Err(RunError::Stopped) | Ok(None) => return Ok(false),
                Ok(Some(scores)) => scores,
                Err(other) => return Err(other),
            };
            found.evaluations.push(Evaluated {
                values: variant.values.clone(),
                scores,
                seconds: began.elapsed().as_secs_f64(),
            });
            found.write(self.folder)?;
        }
        Ok(true)
    }

    fn scores(
        &self,
        variant: &Variant,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Option<Scores>, RunError> {
        let resolved = self.resolved.under(variant, &self.folder.checkpoint());
        let options = LoadOptions {
            weight_bits: variant.weight_bits,
            ..LoadOptions::default()
        };
        let load = |place: &Path| Model::load_with(place, &options, self.device);
        let train = &self.splits.train;
        let model = SamplingModel::untrained_by(&resolved, train, self.device, load)?;
        let evaluation = Evaluation {
            resolved: &resolved,
            splits: self.splits,
            folder: self.folder,
            device: self.device,
            model: &model,
            trained: TrainedSummary::default(),
        };
        evaluation.scores(observer, stop)
    }
}
