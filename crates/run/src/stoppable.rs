//! A model that stops when it is asked to, within a solver's way as well.

use candle_core::{Result, Tensor, bail};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Pullback, Query};

use crate::observer::StopFlag;

/// A denoiser that fails from the moment on at which a stop is asked for: a batch of samples takes up to minutes,
/// and one evaluation seldom more than a second.
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
        self.denoiser.denoise(query)
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
