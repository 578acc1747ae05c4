//! What a run will take, told by a short measurement before it begins.

use std::fmt::Display;
use std::path::Path;

use candle_core::Device;
use pfgmpp_config::RunConfig;
use pfgmpp_data::Splits;
use pfgmpp_run::{Preflight, Ranks, RunFolder, free_memory};
use pfgmpp_train::Trainer;
use serde::Serialize;

use crate::failure::Failure;
use crate::terminal::{Counter, duration, print};
use crate::timing::{Timing, WARM_UPS};

/// Timed steps and evaluations.
const RUNS: u32 = 3;

/// What a run of a configuration takes.
#[derive(Serialize)]
pub struct Expectation {
    /// Trained values, 0 of a run that trains nothing.
    params: u64,
    /// Images that are still to be trained on.
    images: u64,
    /// Images a second.
    images_per_second: Option<f64>,
    /// Seconds of training.
    training_seconds: Option<f64>,
    /// Samples that are drawn and scored at the end.
    samples: u64,
    /// Evaluations of the model for each, where the solver has a fixed number.
    evaluations: Option<usize>,
    /// Seconds of drawing them.
    sampling_seconds: Option<f64>,
    /// Times that as many samples are drawn again, as `evaluations` says; their time is not in the figures.
    evaluations_besides: usize,
    /// MiB of memory at the peak, of each of the processes that train together.
    memory_mib: u64,
    /// Processes on this machine, which share its memory.
    processes: u64,
    /// MiB of memory that are free.
    free_mib: Option<u64>,
    /// MiB of files.
    disk_mib: u64,
}

impl Expectation {
    /// Of the run of `config` on `splits` in the folder `out`, which `preflight` has looked at.
    pub fn of(
        config: &RunConfig,
        splits: &Splits,
        out: &Path,
        (preflight, ranks): (&Preflight, Ranks),
        device: &Device,
    ) -> Result<Self, Failure> {
        let expected = preflight.runs.first().copied().unwrap_or_default();
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let mut found = Self {
            params: expected.params,
            images: 0,
            images_per_second: None,
            training_seconds: None,
            samples: config.scoring.num_samples,
            evaluations: expected.evaluations,
            sampling_seconds: None,
            evaluations_besides: config.variants("evaluations")?.len(),
            memory_mib: mib(expected.memory.saturating_add(preflight.kept)),
            processes: ranks.here,
            free_mib: free_memory().map(|bytes| bytes >> 20),
            disk_mib: mib(preflight.disk),
        };
        let Some(model) = config.trained() else {
            return Ok(found);
        };
        let mut trainer = Trainer::new(model, config.seed, &splits.train, device)?;
        trainer.restore(&RunFolder::state_in(out))?;
        found.images = model.training.nimg.saturating_sub(trainer.nimg());
        drop(trainer);
        let mut timed = model.clone();
        timed.training.nimg = model.training.batch_size * u64::from(RUNS + WARM_UPS);
        let timing = Timing {
            model: &timed,
            seed: config.seed,
            data: &splits.train,
            device: device.clone(),
            runs: RUNS,
            counter: Counter::new(2 * u64::from(RUNS + WARM_UPS), "steps timed"),
        };
        let initial = Trainer::initial_model(&timed, config.seed, &splits.train, device)?;
        let batch = model.training.batch_size as f64;
        let evaluation = timing.evaluate(&*initial)? / 1e3 / batch;
        drop(initial);
        let (_, step) = timing.train()?;
        timing.counter.close();
        let rate = batch / (step / 1e3);
        found.images_per_second = Some(rate);
        found.training_seconds = Some(found.images as f64 / rate);
        found.sampling_seconds = expected
            .evaluations
            .map(|evaluations| found.samples as f64 * evaluations as f64 * evaluation);
        Ok(found)
    }

    /// Prints it, a line each.
    pub fn print(&self) {
        let line = |name: &str, text: &dyn Display| print(format_args!("{name:<10}  {text}"));
        let about = |seconds: Option<f64>| {
            seconds.map_or("not known before".to_string(), |seconds| {
                format!("about {}", duration(seconds))
            })
        };
        if self.params > 0 {
            line("network", &format_args!("{} trained values", self.params));
        }
        if let Some(rate) = self.images_per_second {
            let (images, time) = (self.images, about(self.training_seconds));
            line(
                "training",
                &format_args!("{images} images at {rate:.0} per second: {time}"),
            );
        }
        let each = match self.evaluations {
            Some(evaluations) => format!("of {evaluations} evaluations"),
            None => "of as many evaluations as they need".to_string(),
        };
        let (samples, time) = (self.samples, about(self.sampling_seconds));
        line(
            "sampling",
            &format_args!("{samples} samples {each}: {time}"),
        );
        if self.evaluations_besides > 0 {
            let many = self.evaluations_besides;
            line(
                "",
                &format_args!("and again for each of {many} evaluations, whose time is not told"),
            );
        }
        let free = self.free_mib.map_or(String::new(), |free| {
            format!(" of {free} MiB that are free")
        });
        match self.memory_mib {
            0 => line("memory", &"not known before"),
            mib => {
                let each = match self.processes {
                    ..=1 => String::new(),
                    several => format!(" in each of {several} processes"),
                };
                line("memory", &format_args!("about {mib} MiB{each}{free}"));
            }
        }
        line("disk", &format_args!("about {} MiB", self.disk_mib));
    }
}
