//! How long a training step and an evaluation of a network take on this machine.

use std::time::Instant;

use candle_core::{Device, Tensor};
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{Condition, Denoiser, Query, widest_float};
use pfgmpp_run::RunError;
use pfgmpp_train::{Trainer, TrainerConfig};

use crate::failure::Failure;
use crate::terminal::Counter;

/// Runs before those that count: they fill caches and bring memory in.
pub const WARM_UPS: u32 = 2;

/// The noise level of the evaluations.
const SIGMA: f64 = 1.3;

/// What is timed, and how often.
pub struct Timing<'a> {
    pub model: &'a TrainerConfig,
    pub seed: u64,
    pub data: &'a Dataset,
    pub device: Device,
    pub runs: u32,
    pub counter: Counter,
}

impl Timing<'_> {
    /// Milliseconds of one evaluation of `denoiser` on a batch in the type of samplers' states.
    pub fn evaluate(&self, denoiser: &dyn Denoiser) -> Result<f64, Failure> {
        let batch = self.model.training.batch_size as usize;
        let indices: Vec<usize> = (0..batch).map(|i| i % self.data.num_images()).collect();
        let x = self
            .data
            .batch(&indices, &self.device)
            .map_err(RunError::from)?;
        let x = x.to_dtype(widest_float(&self.device))?;
        let sigma = vec![SIGMA; batch];
        let condition = match denoiser.takes().image_channels {
            0 => Condition::none(),
            channels => {
                let (_, _, height, width) = x.dims4()?;
                let image = Tensor::zeros((batch, channels, height, width), x.dtype(), x.device())?;
                Condition::none().with_image(image)?
            }
        };
        self.median_ms(|| {
            denoiser.denoise(&Query::new(&x, &sigma).under(&condition))?;
            Ok(())
        })
    }

    /// The number of trained values and the milliseconds of one training step.
    pub fn train(&self) -> Result<(usize, f64), Failure> {
        let mut trainer = Trainer::new(self.model, self.seed, self.data, &self.device)?;
        let ms = self.median_ms(|| {
            trainer.step()?;
            Ok(())
        })?;
        Ok((trainer.num_parameters(), ms))
    }

    /// The median time of a call after the warm-ups.
    fn median_ms(&self, mut call: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
        let mut times = Vec::new();
        for run in 0..WARM_UPS + self.runs {
            let began = Instant::now();
            call()?;
            self.device.synchronize()?;
            if run >= WARM_UPS {
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            self.counter.add(1);
        }
        times.sort_by(f64::total_cmp);
        let (low, high) = (times[(times.len() - 1) / 2], times[times.len() / 2]);
        Ok((low + high) / 2.0)
    }
}
