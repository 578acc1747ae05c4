//! How far a denoiser's estimates are from the truth, by noise level.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Condition, Denoiser, Dimension, Kernel, Query, SampleRng, Stream, in_f64};
use serde::{Deserialize, Serialize};

use crate::{ParameterError, Real};

/// The squared error of a denoiser of Gaussian noise at a few noise levels.
///
/// ```text
/// e(s) = E |y - E_∞[y|x; s]|² = E tr Cov(y | x; s),   x = y + s eps
/// ```
///
/// The error of an ideal denoiser is the posterior's own spread, which the distance from x to the estimate
/// leaves out (`|x - m|² = N s² - e(s)` on average).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoisingError {
    /// Noise levels, rising, in units of the data.
    pub sigma: Vec<f64>,
    /// The squared error of a whole sample at each of them, in squared units of the data.
    pub error: Vec<f64>,
}

impl DenoisingError {
    /// Measures `denoiser` on points `y` `[points, ...]` at rising noise levels `sigma`.
    ///
    /// Each point is perturbed once at each level by Gaussian noise of `seed`; 256 points and three
    /// levels an octave are plenty. `condition` is that of the points.
    ///
    /// # Errors
    ///
    /// Failures of the denoiser and of the tensor backend.
    pub fn measure(
        denoiser: &impl Denoiser,
        y: &Tensor,
        condition: &Condition,
        sigma: &[f64],
        seed: u64,
    ) -> Result<Self> {
        let points = y.dim(0)?;
        let kernel = Kernel::new(y.elem_count() / points.max(1), Dimension::Infinite)?;
        let error = |(level, &sigma): (usize, &f64)| {
            let first = (level * points) as u64;
            let mut rngs = SampleRng::batch(seed, Stream::Metric, first, points);
            let levels = vec![sigma; points];
            let x = kernel.perturb(y, &levels, &mut rngs)?;
            let missed = (denoiser.denoise(&Query::new(&x, &levels).under(condition))? - y)?;
            let total = in_f64(&missed)?.sqr()?.sum_all()?;
            Ok(total.to_scalar::<f64>()? / points as f64)
        };
        let error: Result<Vec<f64>> = sigma.iter().enumerate().map(error).collect();
        Ok(Self {
            sigma: sigma.to_vec(),
            error: error?,
        })
    }

    /// Checks that there are levels, that they rise, and that each has an error.
    ///
    /// # Errors
    ///
    /// The first value that is out of order or out of range.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        let (levels, got) = (self.sigma.len(), self.error.len());
        if levels == 0 || levels != got {
            let accepted = format!("as many as sigma has ({levels}), and at least 1");
            return Err(ParameterError::new("error", got, accepted));
        }
        for &sigma in &self.sigma {
            ParameterError::positive("sigma", sigma)?;
        }
        if let Some(pair) = self.sigma.windows(2).find(|pair| pair[0] >= pair[1]) {
            let accepted = format!("rising: above {}", pair[0]);
            return Err(ParameterError::new("sigma", pair[1], accepted));
        }
        match self.error.iter().find(|e| !(e.is_finite() && **e >= 0.0)) {
            None => Ok(()),
            Some(error) => Err(ParameterError::new(
                "error",
                error,
                "a number of at least 0",
            )),
        }
    }

    /// `e(s)`, linear in ln s between the levels; as `s²` below the lowest, constant above the highest.
    #[must_use]
    pub fn at(&self, s: f64) -> f64 {
        self.at_of(s)
    }

    /// As [`Self::at`], with derivatives where `s` carries them.
    pub(crate) fn at_of<R: Real>(&self, s: R) -> R {
        let above = self.sigma.partition_point(|&level| level <= s.value());
        if above == 0 {
            return (s / self.sigma[0]).powi(2) * self.error[0];
        }
        let Some(&high) = self.sigma.get(above) else {
            return R::from(self.error[above - 1]);
        };
        let low = self.sigma[above - 1];
        let share = (s / low).ln() / (high / low).ln();
        share * (self.error[above] - self.error[above - 1]) + self.error[above - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use pfgmpp_kernel::ConditionSpec;

    /// The ideal denoiser of white Gaussian data of variance 1: `x / (1 + s²)`.
    struct Gaussian;

    impl Denoiser for Gaussian {
        fn takes(&self) -> ConditionSpec {
            ConditionSpec::NONE
        }

        fn denoise(&self, &Query { x, sigma, .. }: &Query) -> Result<Tensor> {
            let shrink: Vec<f64> = sigma.iter().map(|s| 1.0 / (1.0 + s * s)).collect();
            x.broadcast_mul(&Tensor::from_vec(shrink, (sigma.len(), 1), x.device())?)
        }
    }

    #[test]
    fn the_error_of_a_gaussian_denoiser_is_its_posterior_variance() {
        let (n, points, sigma) = (50, 400, [0.1, 0.5, 1.0, 4.0]);
        let mut rngs = SampleRng::batch(1, Stream::Other(0), 0, points);
        let y = pfgmpp_kernel::standard_normal(&[n], &mut rngs, DType::F64, &Device::Cpu).unwrap();
        let got =
            DenoisingError::measure(&Gaussian, &y, Condition::unconditional(), &sigma, 0).unwrap();
        got.check().unwrap();
        for (s, got) in sigma.iter().zip(&got.error) {
            let want = n as f64 * s * s / (1.0 + s * s);
            // Five deviations of a mean of 20,000 squared normals: 5 sqrt(2 / 20,000) = 5 %.
            assert!(
                (got / want - 1.0).abs() < 0.05,
                "s {s}: got {got}, want {want}"
            );
        }
    }

    #[test]
    fn the_error_is_interpolated_in_the_logarithm_of_the_level() {
        let curve = DenoisingError {
            sigma: vec![0.1, 10.0],
            error: vec![2.0, 6.0],
        };
        for (s, want) in [(0.05, 0.5), (0.1, 2.0), (1.0, 4.0), (10.0, 6.0), (1e9, 6.0)] {
            let got = curve.at(s);
            assert!((got - want).abs() < 1e-12, "s {s}: got {got}, want {want}");
        }
    }

    #[test]
    fn a_curve_out_of_order_is_refused() {
        let curve = |sigma: &[f64], error: &[f64]| DenoisingError {
            sigma: sigma.to_vec(),
            error: error.to_vec(),
        };
        for (curve, want) in [
            (
                curve(&[], &[]),
                "error must be as many as sigma has (0), and at least 1, got 0",
            ),
            (
                curve(&[1.0], &[]),
                "error must be as many as sigma has (1), and at least 1, got 0",
            ),
            (
                curve(&[2.0, 1.0], &[0.0, 0.0]),
                "sigma must be rising: above 2, got 1",
            ),
            (
                curve(&[1.0], &[-1.0]),
                "error must be a number of at least 0, got -1",
            ),
        ] {
            assert_eq!(curve.check().unwrap_err().to_string(), want);
        }
    }
}
