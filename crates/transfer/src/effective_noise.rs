//! The noise level that a perturbed sample really carries.
//!
//! At finite D the noise of a sample is Gaussian of scale `s = sigma sqrt(w)`, `w = D / chi²_D`. Its
//! law is `p(ln s) ∝ s^-D exp(-D sigma² / 2s²)`; seeing `|x|` narrows it. `|x|²` has the mean
//! `N T`, `T = m2 + s²`, with `m2 = E|y|²/N`, and the variance of the data's norm, the noise's norm
//! and their product. A gamma law of that mean and variance has `n(s)` degrees of freedom:
//!
//! ```text
//! n(s) = T² / (m2²/n_eff + s² (s² + 2 m2)/N),   n_eff = 2 E[|y|²]² / Var(|y|²)
//! ln p(|x| | s) = ln(n(s))/2 + n(s)/2 (1 + ln(X/T) - X/T) + const,   X = |x|²/N
//! sigma_eff = exp E[ln s | |x|]
//! ```
//!
//! (Stirling's formula stands for the gamma law's constant; it is off by 1/(6 n).) `n(s)` is `n_eff`
//! where the data dominate and N where the noise does. Taking `n_eff` throughout overrates what
//! `|x|` tells of noise in N dimensions when the images have nearly equal norms.

use candle_core::{DType, Device, Tensor};
use pfgmpp_kernel::Dimension;
use serde::{Deserialize, Serialize};

use crate::{Coefficients, ParameterError, Preconditioning, Real};

/// Points of one grid.
const GRID: usize = 48;
/// Points of the last grid at most: more are wanted only by two narrow bells far apart.
const MAX_GRID: f64 = 1024.0;
/// The grid keeps what lies within this many natural logarithms of the maximum.
const DEPTH: f64 = 25.0;

/// Two numbers measured from the data that say how much `|x|` tells about the noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataScale {
    /// `E|y|² / N`.
    pub second_moment: f64,
    /// `2 E[|y|²]² / Var(|y|²)`: the dimension of a Gaussian whose `|y|²` spreads as the data's does.
    pub n_eff: f64,
}

impl DataScale {
    /// Measures `data` `[points, ...]`, any float dtype, about zero, in `f64` on the CPU.
    ///
    /// ```text
    /// second_moment = E|y|² / N,   n_eff = 2 E[|y|²]² / Var(|y|²)
    /// ```
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn measure(data: &Tensor) -> candle_core::Result<Self> {
        let data = data.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let squares = data.sqr()?.flatten_from(1)?.sum(1)?.to_vec1::<f64>()?;
        let n = data.elem_count() / squares.len().max(1);
        Ok(Self::of_squared_norms(&squares, n))
    }

    /// The scale of data of `n` values whose squared norms are `squares`.
    ///
    /// Both numbers are positive and finite: data without any spread have the least scale, and beyond a billion
    /// effective dimensions, as of points of equal norm, nothing changes.
    #[must_use]
    pub fn of_squared_norms(squares: &[f64], n: usize) -> Self {
        let points = squares.len() as f64;
        let average = squares.iter().sum::<f64>() / points;
        let variance = squares.iter().map(|v| (v - average).powi(2)).sum::<f64>() / points;
        Self {
            second_moment: average / n as f64,
            n_eff: 2.0 * average.powi(2) / variance,
        }
        .bounded()
    }

    /// The same with both numbers positive and finite.
    #[must_use]
    pub fn bounded(self) -> Self {
        let n_eff = if self.n_eff.is_nan() { 1e9 } else { self.n_eff };
        Self {
            second_moment: self.second_moment.max(1e-12),
            n_eff: n_eff.clamp(1e-3, 1e9),
        }
    }

    /// Checks both numbers.
    ///
    /// # Errors
    ///
    /// Either is not a positive number.
    pub fn check(&self) -> Result<(), ParameterError> {
        ParameterError::positive("second_moment", self.second_moment)?;
        ParameterError::positive("n_eff", self.n_eff)
    }
}

/// The posterior of a sample's noise scale given its norm, for one N, D and data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PosteriorNoise {
    n: f64,
    d: Dimension,
    data: DataScale,
}

impl PosteriorNoise {
    /// The posterior for data of `n` dimensions perturbed at dimension `d`.
    pub fn new(n: usize, d: Dimension, data: DataScale) -> Self {
        Self {
            n: n as f64,
            d,
            data,
        }
    }

    /// `sigma_eff = exp E[ln s | x]` for a sample of squared norm `x_norm_sq` at nominal `sigma > 0`.
    ///
    /// Equal to `sigma` at D = ∞. A squared norm that is infinite or not a number gives NaN.
    pub fn sigma_eff(&self, x_norm_sq: f64, sigma: f64) -> f64 {
        self.sigma_eff_of(x_norm_sq, sigma)
    }

    /// As [`Self::sigma_eff`], with derivatives where the arguments carry them.
    ///
    /// They are those of the quadrature itself, a mean over a grid that moves with its arguments.
    pub fn sigma_eff_of<R: Real>(&self, x_norm_sq: R, sigma: R) -> R {
        let [ln_ratio] = self.expect(x_norm_sq, sigma, |k| [k]);
        sigma * ln_ratio.exp()
    }

    /// The scalings of a sample, averaged over the true noise scales that it may carry.
    ///
    /// ```text
    /// c_skip = E[c_skip(s) | |x|],   c_out² = E[c_out(s)² | |x|],   weight = 1 / c_out²
    /// ```
    ///
    /// with c_in and c_noise at [`Self::sigma_eff`]. Where `|x|` leaves s open over decades, as at small N + D,
    /// the errors of a sample of large s would dwarf a c_out that is taken at one level. Equal to
    /// `preconditioning.coefficients(sigma)` at D = ∞. `preconditioning` has a weight of `1 / c_out²`, as all
    /// published ones do.
    pub fn coefficients(
        &self,
        preconditioning: &Preconditioning,
        x_norm_sq: f64,
        sigma: f64,
    ) -> Coefficients {
        self.coefficients_of(preconditioning, x_norm_sq, sigma)
    }

    /// As [`Self::coefficients`], with derivatives where the arguments carry them, as in [`Self::sigma_eff_of`].
    pub fn coefficients_of<R: Real>(
        &self,
        preconditioning: &Preconditioning,
        x_norm_sq: R,
        sigma: R,
    ) -> Coefficients<R> {
        let at = |s: R| preconditioning.coefficients_of(s);
        if self.d.is_infinite() {
            return at(sigma);
        }
        let [ln_ratio, c_skip, c_out_sq] = self.expect(x_norm_sq, sigma, |k| {
            let c = at(sigma * k.exp());
            [k, c.c_skip, c.c_out * c.c_out]
        });
        let central = at(sigma * ln_ratio.exp());
        Coefficients {
            c_skip,
            c_out: c_out_sq.sqrt().copysign(central.c_out.value()),
            weight: c_out_sq.recip(),
            ..central
        }
    }

    /// Means over the posterior of `k = ln(s / sigma)`; NaN for a squared norm that is not finite.
    fn expect<R: Real, const M: usize>(
        &self,
        x_norm_sq: R,
        sigma: R,
        values: impl Fn(R) -> [R; M],
    ) -> [R; M] {
        let Dimension::Finite(d) = self.d else {
            return values(R::from(0.0));
        };
        if !x_norm_sq.value().is_finite() {
            return [R::from(f64::NAN); M];
        }
        let density = LogDensity {
            d,
            n: self.n,
            n_eff: self.data.n_eff,
            // In units of sigma, so that the grid variable is k = ln(s / sigma).
            m2: R::from(self.data.second_moment) / sigma.powi(2),
            // A sample of exactly zero is as good as one of vanishing norm, and has a logarithm.
            x2: (x_norm_sq / self.n / sigma.powi(2)).max(R::from(1e-200)),
        };
        density.expect(values)
    }
}

/// `ln p(k | x)` up to a constant, `k = ln(s / sigma)`, in units of `sigma`.
struct LogDensity<R> {
    d: f64,
    n: f64,
    n_eff: f64,
    m2: R,
    x2: R,
}

impl<R: Real> LogDensity<R> {
    fn at(&self, k: R) -> R {
        // -D k - D/2 exp(-2k), less its value at k = 0: expm1 keeps digits when D is huge.
        let prior = (k + (k * -2.0).exp_m1() * 0.5) * -self.d;
        prior + self.ln_likelihood((k * 2.0).exp())
    }

    fn ln_likelihood(&self, s2: R) -> R {
        let total = self.m2 + s2;
        // In shares of the total, so that no square overflows.
        let (data, noise) = (self.m2 / total, s2 / total);
        let spread = data * data / self.n_eff + noise * (noise + data * 2.0) / self.n;
        let ratio = self.x2 / total;
        ((ratio.ln() + 1.0 - ratio) / spread - spread.ln()) * 0.5
    }

    /// The same without derivatives.
    fn values(&self) -> LogDensity<f64> {
        LogDensity {
            d: self.d,
            n: self.n,
            n_eff: self.n_eff,
            m2: self.m2.value(),
            x2: self.x2.value(),
        }
    }

    /// Where the density can have mass: below, the prior falls as exp(-D/2 exp(-2k)), faster than
    /// any likelihood can make up for; above, the density falls as `s^-(D + n)` once `s²` exceeds
    /// both the data's and the sample's second moment.
    fn support(&self) -> (R, R) {
        let largest = 0.5 * self.n.max(self.n_eff).ln();
        let gain = -self.ln_likelihood(R::from(1.0)) + largest;
        let low = ((gain + DEPTH) * 2.0 / self.d + 2.0).ln() * -0.5 - 1.0;
        let bend = self.m2.max(self.x2).max(R::from(1.0)).ln() * 0.5;
        let fall = self.d + self.n.min(self.n_eff);
        (low, bend + 2.0 * DEPTH / fall + 1.0)
    }

    /// `E[values(k) | x]`: grids close in on the mass, and the last one resolves its narrowest bell.
    fn expect<const M: usize>(&self, values: impl Fn(R) -> [R; M]) -> [R; M] {
        let (mut low, mut high) = self.support();
        let plain = self.values();
        // Each pass narrows the span by half or ends: 80 passes cover any f64.
        for _ in 0..80 {
            let step = (high - low) / (GRID - 1) as f64;
            let k = |i| (low + step * i as f64).value();
            let logs: [f64; GRID] = std::array::from_fn(|i| plain.at(k(i)));
            let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let inside = |v: &f64| *v > max - DEPTH;
            let first = logs.iter().position(inside).unwrap_or(0);
            let last = logs.iter().rposition(inside).unwrap_or(GRID - 1);
            let largest = low.value().abs().max(high.value().abs());
            if 2 * (last - first) >= GRID || step.value() <= f64::EPSILON * largest {
                break;
            }
            high = low + step * (last + 1).min(GRID - 1) as f64;
            low = low + step * first.saturating_sub(1) as f64;
        }
        self.weighted_mean(low, high, values)
    }

    /// The trapezoid rule from `low` to `high`. A bell in `ln s` has a width of at least
    /// `1 / sqrt(2 (D + max(N, n_eff)))`; at a step of one width the rule is exact to 1e-8.
    fn weighted_mean<const M: usize>(
        &self,
        low: R,
        high: R,
        values: impl Fn(R) -> [R; M],
    ) -> [R; M] {
        let width = (2.0 * (self.d + self.n.max(self.n_eff))).sqrt().recip();
        let points = ((high - low) / width)
            .value()
            .ceil()
            .clamp(GRID as f64, MAX_GRID) as usize;
        let step = (high - low) / (points - 1) as f64;
        let zero = R::from(0.0);
        let (mut max, mut mass, mut moments) = (f64::NEG_INFINITY, zero, [zero; M]);
        for i in 0..points {
            let k = low + step * i as f64;
            let ln_weight = self.at(k);
            if ln_weight.value() > max {
                // Sums so far are relative to the old maximum.
                let shrink = (max - ln_weight.value()).exp();
                (max, mass) = (ln_weight.value(), mass * shrink);
                moments = moments.map(|moment| moment * shrink);
            }
            let weight = (ln_weight - max).exp();
            mass = mass + weight;
            for (moment, value) in moments.iter_mut().zip(values(k)) {
                *moment = *moment + weight * value;
            }
        }
        moments.map(|moment| moment / mass)
    }
}
