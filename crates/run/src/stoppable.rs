//! A model that stops when it is asked to, within a solver's way as well.

use candle_core::{Result, Tensor, bail};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Pullback, Query};

use crate::observer::StopFlag;

/// Values of samples that a processor is given at a time: seldom more than a second's work.
const MOST: usize = 1 << 18;

/// A denoiser that fails from the moment on at which a stop is asked for: a batch of samples takes up to minutes. On a
/// processor a large batch is evaluated in parts, between which a stop is heard as well.
pub(crate) struct Stoppable<'a> {
    denoiser: &'a dyn Denoiser,
    stop: &'a StopFlag,
}

impl<'a> Stoppable<'a> {
    pub fn new(denoiser: &'a dyn Denoiser, stop: &'a StopFlag) -> Self {
        Self { denoiser, stop }
    }

    fn check(&self) -> Result<()> {
        if self.stop.is_raised() {
            bail!("stopped");
        }
        Ok(())
    }
}

impl Denoiser for Stoppable<'_> {
    fn takes(&self) -> ConditionSpec {
        self.denoiser.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.check()?;
        let batch = query.sigma.len();
        let n = query.x.elem_count() / batch.max(1);
        let rows = (MOST / n.max(1)).max(1);
        if batch <= rows || !query.x.device().is_cpu() {
            return self.denoiser.denoise(query);
        }
        let parts = (0..batch).step_by(rows).map(|first| {
            self.check()?;
            let len = rows.min(batch - first);
            let part = |x: &Tensor| x.narrow(0, first, len);
            let (x, guess) = (part(query.x)?, query.guess.map(part).transpose()?);
            let index: Vec<usize> = (first..first + len).collect();
            let condition = query.condition.rows(&index)?;
            let sigma = &query.sigma[first..first + len];
            let query = Query::new(&x, sigma).under(&condition).near(guess.as_ref());
            self.denoiser.denoise(&query)
        });
        Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)
    }

    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        self.check()?;
        self.denoiser.pullback(query, v)
    }

    fn vjp(&self, query: &Query, v: &Tensor) -> Result<(Tensor, Tensor)> {
        self.check()?;
        self.denoiser.vjp(query, v)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use candle_core::Device;
    use pfgmpp_config::yaml::parse_value;
    use pfgmpp_kernel::Dimension;
    use pfgmpp_sampler::SamplerConfig;

    use crate::draw::Draw;
    use crate::error::RunError;
    use crate::sampling_model::SamplingModel;

    use super::*;

    /// Someone presses Ctrl-C while the third evaluation goes on.
    struct Interrupted {
        stop: StopFlag,
        calls: Arc<AtomicU32>,
    }

    impl Denoiser for Interrupted {
        fn denoise(&self, query: &Query) -> Result<Tensor> {
            if self.calls.fetch_add(1, Ordering::SeqCst) == 2 {
                self.stop.raise();
            }
            query.x * 0.5
        }
    }

    fn model() -> (SamplingModel, StopFlag, Arc<AtomicU32>) {
        let edm = "{num_steps: 40, sigma_min: 0.1, sigma_max: 10.0, rho: 7.0}";
        let text = format!("{{solver: heun, schedule: {{edm: {edm}}}}}");
        let sampler: SamplerConfig = parse_value(&text, "a test").unwrap();
        let (stop, calls) = (StopFlag::default(), Arc::default());
        let denoiser = Interrupted {
            stop: stop.clone(),
            calls: Arc::clone(&calls),
        };
        let moments = || unreachable!("D is that of the model");
        let d = Dimension::Finite(8.0);
        let model = SamplingModel::new(Box::new(denoiser), d, [1, 2, 2], moments, &sampler);
        (model.unwrap(), stop, calls)
    }

    #[test]
    fn a_batch_ends_at_the_evaluation_after_the_stop() {
        let (model, stop, calls) = model();
        let error = model
            .sample_until(&[1, 2], &Device::Cpu, &stop)
            .unwrap_err();
        assert!(matches!(error, RunError::Stopped), "got {error}");
        assert_eq!(calls.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_large_batch_is_evaluated_in_parts_between_which_a_stop_is_heard() {
        let x = Tensor::arange(0f64, (5 * MOST / 2) as f64, &Device::Cpu).unwrap();
        let x = x.reshape((5, MOST / 2)).unwrap();
        let sigma = [1.0; 5];
        let ask = |calls: u32| {
            let (stop, calls) = (StopFlag::default(), Arc::new(AtomicU32::new(calls)));
            let denoiser = Interrupted {
                stop: stop.clone(),
                calls: Arc::clone(&calls),
            };
            let found = Stoppable::new(&denoiser, &stop).denoise(&Query::new(&x, &sigma));
            (found, calls.load(Ordering::SeqCst))
        };
        // The third call is when someone presses Ctrl-C.
        let (found, calls) = ask(1);
        assert!(found.is_err(), "a stop was not heard");
        assert_eq!(calls, 3);
        let (found, calls) = ask(3);
        assert_eq!(calls, 6, "five samples, two at a time");
        let same = (found.unwrap() - (&x * 0.5).unwrap()).unwrap();
        let worst = same.abs().unwrap().max_all().unwrap();
        assert_eq!(worst.to_scalar::<f64>().unwrap(), 0.0);
    }

    #[test]
    fn drawing_stops_within_a_group_and_hands_none_of_it_on() {
        let (model, stop, _) = model();
        let draw = Draw {
            model: &model,
            seeds: &(0..64).collect::<Vec<_>>(),
            batch_size: 64,
            device: &Device::Cpu,
        };
        let mut taken = 0;
        let all = draw.run::<RunError>(&stop, |group, _| {
            taken += group.len();
            Ok(())
        });
        assert_eq!((all.unwrap(), taken), (false, 0));
    }
}
