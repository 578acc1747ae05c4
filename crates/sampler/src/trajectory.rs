//! The paths of samples from the prior to the data.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{Denoiser, Kernel};

use crate::observer::{Observer, Stop};
use crate::{DenoiserSlope, Sampler};

/// Where one sample was at each noise level that it came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectory {
    /// The noise levels in the order of the visits; churn raises some of them.
    pub sigma: Vec<f64>,
    /// The values of the sample at each level, N a level, one after another.
    pub x: Vec<f64>,
}

/// Writes down where every sample goes.
struct Tracer(Vec<Trajectory>);

impl Observer for Tracer {
    fn visit(&mut self, x: &Tensor, stops: &[Stop]) -> Result<()> {
        let rows = x.flatten_from(1)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        for stop in stops {
            let trajectory = &mut self.0[stop.sample];
            trajectory.sigma.push(stop.sigma);
            trajectory.x.extend_from_slice(&rows[stop.row]);
        }
        Ok(())
    }
}

impl Sampler {
    /// The paths on which [`Self::sample`] draws its samples, one for each seed.
    ///
    /// Arguments as there. A path begins with the prior at `sigma_max` and ends with the sample. Levels
    /// are those of the schedule, the same for all samples; under churn also the raised ones; under
    /// `rk45` those that each sample's own steps came to.
    ///
    /// # Errors
    ///
    /// Those of [`Self::sample`].
    pub fn trace(
        &self,
        denoiser: &dyn Denoiser,
        kernel: &Kernel,
        shape: &[usize],
        seeds: &[u64],
        device: &Device,
    ) -> Result<Vec<Trajectory>> {
        // A batch without a sample has no axis to flatten.
        if seeds.is_empty() {
            return Ok(Vec::new());
        }
        let mut tracer = Tracer(vec![Trajectory::default(); seeds.len()]);
        let x = self.prior(kernel, shape, seeds, device)?;
        let slope = DenoiserSlope::new(denoiser, None);
        self.integrate(&slope, kernel, x, seeds, &mut tracer)?;
        Ok(tracer.0)
    }
}
