//! What a run writes about itself while it trains: `log.jsonl` and TensorBoard events.

use std::collections::BTreeMap;

use pfgmpp_config::{RunConfig, yaml};
use pfgmpp_data::Picture;
use pfgmpp_metrics::Scores;
use pfgmpp_train::{MeanLoss, RankCosts, Step};

use crate::class_scores::ClassScores;
use crate::error::RunError;
use crate::folder::RunFolder;
use crate::free_memory::held_memory;
use crate::log::{Log, LogLine};
use crate::tensorboard::EventWriter;

/// Upper ends of the bands of sigma that the loss is reported by; the last band is open.
const BANDS: [f64; 4] = [0.05, 0.2, 1.0, 5.0];

/// The reports of one run.
pub struct Monitor {
    log: Log,
    events: EventWriter,
    lr: f64,
    seconds: f64,
    loss: MeanLoss,
    images: u64,
    grad_norm: MeanLoss,
    bands: [MeanLoss; BANDS.len() + 1],
    last_loss: Option<f64>,
    /// Measured since the last report.
    denoising_error: Option<f64>,
}

impl Monitor {
    /// Opens the reports of a run that stands at `nimg`.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn open(config: &RunConfig, folder: &RunFolder, nimg: u64) -> Result<Self, RunError> {
        let mut events = if nimg == 0 {
            EventWriter::create(folder.path())?
        } else {
            // What stands at `nimg` itself was written before the state was saved.
            EventWriter::resume(folder.path(), nimg + 1)?
        };
        if nimg == 0 {
            let text = format!("```yaml\n{}```\n", yaml::to_string(config)?);
            events.text("config", &text, 0)?;
        }
        Ok(Self {
            log: Log::open(&folder.log(), nimg)?,
            events,
            lr: 0.0,
            seconds: 0.0,
            loss: MeanLoss::default(),
            images: 0,
            grad_norm: MeanLoss::default(),
            bands: [MeanLoss::default(); BANDS.len() + 1],
            last_loss: None,
            denoising_error: None,
        })
    }

    /// Takes in one step, which took `seconds`.
    pub fn record(&mut self, step: &Step, seconds: f64) {
        self.lr = step.lr;
        self.seconds += seconds;
        self.images += step.images;
        if step.skipped {
            return;
        }
        self.grad_norm.add(step.grad_norm);
        for (&sigma, &loss) in step.sigma.iter().zip(&step.loss) {
            self.loss.add(loss);
            self.bands[BANDS.partition_point(|&end| end <= sigma)].add(loss);
        }
    }

    /// Writes what was taken in since the last report, if anything was; `skipped` steps were left out so far, and `costs` are
    /// those of several ranks.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn report(
        &mut self,
        nimg: u64,
        skipped: u64,
        costs: Option<RankCosts>,
    ) -> Result<(), RunError> {
        let Some(loss) = std::mem::take(&mut self.loss).mean() else {
            return Ok(());
        };
        let line = LogLine {
            nimg,
            loss,
            lr: self.lr,
            images_per_second: self.images as f64 / self.seconds,
            grad_norm: std::mem::take(&mut self.grad_norm).mean(),
            denoising_error: self.denoising_error.take(),
            skipped: (skipped > 0).then_some(skipped),
            memory_mib: held_memory().map(|bytes| (bytes as f64 / f64::from(1 << 20)).round()),
            ranks: costs.map(|costs| costs.size as u64),
            bytes_sent_per_step: costs.map(|costs| costs.bytes_per_step),
            loss_by_sigma: self.loss_by_sigma(),
        };
        self.log.append(&line)?;
        self.events.scalar("training/loss", loss, nimg)?;
        self.events
            .scalar("training/learning_rate", line.lr, nimg)?;
        self.events
            .scalar("training/images_per_second", line.images_per_second, nimg)?;
        let beside = [
            ("training/gradient_norm", line.grad_norm),
            ("validation/denoising_error", line.denoising_error),
            (
                "training/skipped_steps",
                line.skipped.map(|steps| steps as f64),
            ),
            ("training/memory_mib", line.memory_mib),
        ];
        for (tag, value) in beside {
            if let Some(value) = value {
                self.events.scalar(tag, value, nimg)?;
            }
        }
        for (band, loss) in &line.loss_by_sigma {
            self.events
                .scalar(&format!("loss_by_sigma/{band}"), *loss, nimg)?;
        }
        (self.images, self.seconds, self.last_loss) = (0, 0.0, Some(loss));
        Ok(self.events.flush()?)
    }

    /// The mean loss of each band of sigma that was met since the last report, by its name.
    fn loss_by_sigma(&mut self) -> BTreeMap<String, f64> {
        let bands = std::mem::take(&mut self.bands);
        let means = bands.iter().enumerate();
        means
            .filter_map(|(band, mean)| Some((band_name(band), mean.mean()?)))
            .collect()
    }

    /// Takes in the error on held-out data, for the next report.
    pub fn validate(&mut self, error: f64) {
        self.denoising_error = Some(error);
    }

    /// Mean loss of the last report.
    pub fn last_loss(&self) -> Option<f64> {
        self.last_loss
    }

    /// Shows a grid of samples.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn image(&mut self, grid: &Picture, nimg: u64) -> Result<(), RunError> {
        let (width, height) = (grid.width() as u32, grid.height() as u32);
        self.events
            .image("samples", &grid.to_png()?, width, height, nimg)?;
        Ok(self.events.flush()?)
    }

    /// Writes the final scores.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn scores(&mut self, scores: &Scores, nimg: u64) -> Result<(), RunError> {
        for (name, value) in scores.columns() {
            self.events.scalar(&format!("scores/{name}"), value, nimg)?;
        }
        Ok(self.events.flush()?)
    }

    /// Writes the configuration as hyperparameters, beside which TensorBoard shows the final scores.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn hparams(&mut self, config: &RunConfig) -> Result<(), RunError> {
        let tree = serde_json::to_value(config).unwrap_or_default();
        self.events.hparams(&tree)?;
        Ok(self.events.flush()?)
    }

    /// Writes the final scores by class.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn class_scores(&mut self, scores: &ClassScores, nimg: u64) -> Result<(), RunError> {
        self.events
            .scalar("scores/class_agreement", scores.agreement, nimg)?;
        if let Some(diversity) = scores.diversity {
            self.events
                .scalar("scores/class_diversity", diversity, nimg)?;
        }
        for score in &scores.classes {
            if let Some(distance) = score.energy_distance {
                let tag = format!("energy_distance_by_class/{}", score.class);
                self.events.scalar(&tag, distance, nimg)?;
            }
        }
        Ok(self.events.flush()?)
    }
}

fn band_name(band: usize) -> String {
    match band {
        0 => format!("below_{}", BANDS[0]),
        _ if band == BANDS.len() => format!("above_{}", BANDS[band - 1]),
        _ => format!("{}_to_{}", BANDS[band - 1], BANDS[band]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_named_by_their_ends() {
        let got: Vec<String> = (0..=BANDS.len()).map(band_name).collect();
        assert_eq!(
            got,
            ["below_0.05", "0.05_to_0.2", "0.2_to_1", "1_to_5", "above_5"]
        );
    }
}
