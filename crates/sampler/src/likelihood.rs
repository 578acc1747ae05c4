//! The likelihood of data under the ODE: the log-density is integrated beside the state.

mod carried;
mod trace;

use candle_core::{Result, Tensor, bail};
use pfgmpp_kernel::{Condition, Denoiser, Kernel, squared_norms, widest_float};
use pfgmpp_transfer::Levels;

use crate::{Integration, Solver};
use carried::Carried;
pub use trace::{MAX_EXACT_N, ProbeKind, Trace, draw_probes};

/// The law of the states at the highest noise level, by its density.
pub trait TerminalLaw {
    /// `ln p(x)` of each of the states `x` `[B, ...]` at noise level `sigma`, normalised over R^N.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    fn ln_density(&self, x: &Tensor, sigma: f64) -> Result<Vec<f64>>;
}

impl TerminalLaw for Kernel {
    /// The prior that samples are drawn from: the Student-t of scale sigma around 0, Gaussian at D = ∞.
    fn ln_density(&self, x: &Tensor, sigma: f64) -> Result<Vec<f64>> {
        let norms = squared_norms(x)?.into_iter().map(f64::sqrt);
        Ok(norms
            .map(|norm| Kernel::ln_density(self, sigma, norm))
            .collect())
    }
}

/// The density that the ODE gives to data, by the change of variables along it.
///
/// ```text
/// ln p(x) = ln p_prior(x(sigma_max)) + ∫ (N - tr J) / sigma dsigma from sigma_min to sigma_max,   J = dE[y|x]/dx
/// ```
///
/// It is that of the states at the lowest level above 0, of which the data are taken for some: at that level the
/// model holds data with a little noise. The integral is carried along as one more coordinate for each probe, so every
/// solver takes it at its own order (Chen et al. 2018, arXiv:1806.07366; Hutchinson's estimate: Grathwohl et al. 2019,
/// arXiv:1810.01367; of diffusion models: Song et al. 2021, arXiv:2011.13456; of Poisson flows: Xu et al. 2022,
/// arXiv:2209.11178). The model is asked without a guess of the data, because the estimate of a step before is no
/// function of x: the effective noise level is then taken from the data's mean.
pub struct Likelihood<'a> {
    /// The method.
    pub solver: &'a dyn Solver,
    /// The noise levels of the sampler, falling; 0 is left out.
    pub levels: &'a Levels,
    /// How the trace is taken.
    pub trace: Trace,
    /// The law at the highest level.
    pub terminal: &'a dyn TerminalLaw,
}

/// What [`Likelihood`] finds for each datum of a batch.
#[derive(Clone, Debug)]
pub struct LogDensities {
    /// `ln p(x)` in nats by each probe: `[B][K]`; their mean is the estimate. One for the exact trace.
    pub by_probe: Vec<Vec<f64>>,
    /// The part of it that is the log-density of the latent state under the terminal law, in nats, `[B]`.
    pub prior: Vec<f64>,
    /// The states at the highest level, of the shape of the data, in `f64` (in `f32` on Metal).
    pub latents: Tensor,
    /// Evaluations that a datum took, in the mean; each is one vector-Jacobian product for each probe, or for each of
    /// the N coordinates with the exact trace.
    pub evaluations: f64,
}

impl LogDensities {
    /// `ln p(x)` of each datum in nats: the mean over its probes.
    #[must_use]
    pub fn ln_p(&self) -> Vec<f64> {
        let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        self.by_probe.iter().map(mean).collect()
    }
}

impl Likelihood<'_> {
    /// The log-densities of data `x` `[B, ...]`.
    ///
    /// - `condition`: what each is conditioned on, a row a datum.
    /// - `seeds`: one a datum; it draws the datum's probes, which stay the same on the whole way, so that a likelihood
    ///   does not depend on the batch.
    ///
    /// # Errors
    ///
    /// A trace that does not fit the data, a number of seeds other than `B`, a denoiser without derivative, and
    /// failures of the model.
    pub fn of(
        &self,
        denoiser: &dyn Denoiser,
        condition: &Condition,
        x: &Tensor,
        seeds: &[u64],
    ) -> Result<LogDensities> {
        let (batch, shape) = (x.dim(0)?, &x.dims()[1..]);
        if seeds.len() != batch {
            bail!(
                "seeds must be one a datum: {batch} data, got {} seeds",
                seeds.len()
            );
        }
        let x = x.to_dtype(widest_float(x.device()))?;
        let levels = self.levels.reversed();
        let [sigma_min, sigma_max] = levels.ends();
        let carried = Carried::new(
            denoiser,
            condition,
            (&x, shape),
            self.trace,
            seeds,
            sigma_min,
        )?;
        let way = Integration {
            solver: self.solver,
            denoiser: &carried,
            condition,
            levels: &levels,
            before: Vec::new(),
        };
        let end = way.run(carried.begin(&x)?, &mut |_, _, _| Ok(()))?;
        let (latents, volume) = carried.end(&end, sigma_max)?;
        let prior = self.terminal.ln_density(&latents, sigma_max)?;
        let sums = volume.into_iter().zip(&prior);
        Ok(LogDensities {
            by_probe: sums
                .map(|(volume, prior)| volume.into_iter().map(|v| prior + v).collect())
                .collect(),
            prior,
            latents,
            evaluations: carried.evaluations() as f64 / batch.max(1) as f64,
        })
    }
}
