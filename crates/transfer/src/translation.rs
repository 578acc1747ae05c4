//! What a diffusion setup becomes at one D: radii, laws and noise levels side by side.

use pfgmpp_kernel::{Dimension, Kernel, KernelError};
use serde::{Serialize, Serializer};

use crate::{DataScale, PosteriorNoise, r_from_sigma};

/// Three quantiles of a law on the positive numbers: 1 %, 50 % and 99 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// 1 %.
    pub q01: f64,
    /// The median.
    pub q50: f64,
    /// 99 %.
    pub q99: f64,
}

impl Quantiles {
    fn of(quantile: impl Fn(f64) -> f64) -> Self {
        Self {
            q01: quantile(0.01),
            q50: quantile(0.5),
            q99: quantile(0.99),
        }
    }
}

/// Effective noise levels over nominal ones at one nominal level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EffectiveLevel {
    /// The nominal noise level, in units of the data.
    pub sigma: f64,
    /// `sigma_eff / sigma` of samples whose true scale s is at its quantiles.
    pub ratio: Quantiles,
}

/// A diffusion setup at one D.
///
/// Radii are numbers, and infinite at D = ∞ where they are written as the text `inf`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Translation {
    /// The number of extra coordinates.
    pub d: Dimension,
    /// `sigma_min sqrt(D)`, in units of the data.
    #[serde(serialize_with = "number_or_inf")]
    pub r_min: f64,
    /// `sigma_max sqrt(D)`, in units of the data.
    #[serde(serialize_with = "number_or_inf")]
    pub r_max: f64,
    /// The schedule: a radius for each of its noise levels.
    #[serde(serialize_with = "numbers_or_inf")]
    pub r: Vec<f64>,
    /// `R / (sigma sqrt(N))`, the size of the noise beside that of diffusion at the same sigma.
    pub radius: Quantiles,
    /// `s / sigma = sqrt(D / chi²_D)`, the spread of the true noise scale.
    pub mixture_scale: Quantiles,
    /// Deviation of ln s given `|x|` alone, where noise and data are alike in size, about
    /// `1 / sqrt(2 (min(n_eff, N) + D))`; nearer to the next where the noise dominates.
    pub width_given_norm: f64,
    /// Deviation of ln s given x and y: `1 / sqrt(2 (N + D))`.
    pub width_given_residual: f64,
    /// How far the effective level given `|x|` alone follows the true scale.
    pub effective: Vec<EffectiveLevel>,
}

impl Translation {
    /// Translates noise levels `sigmas`, in units of the data, to dimension `d`.
    ///
    /// - `n`: the data dimension.
    /// - `data`: what the effective noise level knows of the data.
    /// - `effective_at`: positive noise levels to show the effective level at.
    ///
    /// The effective level is taken for samples of mean squared norm, `|x|² = N (m2 + s²)`, with s at its
    /// quantiles: a ratio equal to the mixture scale's says that `|x|` tells s, a ratio that stays put
    /// that it does not.
    ///
    /// # Errors
    ///
    /// [`KernelError`] for `n = 0` and a `d` that is not positive.
    pub fn new(
        n: usize,
        d: Dimension,
        sigmas: &[f64],
        data: DataScale,
        effective_at: &[f64],
    ) -> Result<Self, KernelError> {
        let kernel = Kernel::new(n, d)?;
        let unit = kernel.radius_law(1.0)?;
        let n_f64 = n as f64;
        let width = |n: f64| (2.0 * (n + d.value())).sqrt().recip();
        let positive = || sigmas.iter().copied().filter(|sigma| *sigma > 0.0);
        let lowest = positive().fold(f64::INFINITY, f64::min);
        let highest = positive().fold(0.0, f64::max);
        let posterior = PosteriorNoise::new(n, d, data);
        let effective = effective_at.iter().map(|&sigma| EffectiveLevel {
            sigma,
            ratio: Quantiles::of(|p| {
                let s = sigma * kernel.mixture_scale_quantile(p);
                let x_norm_sq = n_f64 * (data.second_moment + s * s);
                posterior.sigma_eff(x_norm_sq, sigma) / sigma
            }),
        });
        Ok(Self {
            d,
            r_min: r_from_sigma(lowest, d),
            r_max: r_from_sigma(highest, d),
            r: sigmas.iter().map(|&sigma| r_from_sigma(sigma, d)).collect(),
            radius: Quantiles::of(|p| unit.quantile(p) / n_f64.sqrt()),
            mixture_scale: Quantiles::of(|p| kernel.mixture_scale_quantile(p)),
            width_given_norm: width(data.n_eff.min(n_f64)),
            width_given_residual: width(n_f64),
            effective: effective.collect(),
        })
    }
}

/// A number, or the text `inf`: JSON has no infinity.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Infinity {
    Inf,
}

fn number_or_inf<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_infinite() {
        Infinity::Inf.serialize(serializer)
    } else {
        serializer.serialize_f64(*value)
    }
}

fn numbers_or_inf<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    struct Value(f64);
    impl Serialize for Value {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            number_or_inf(&self.0, serializer)
        }
    }
    serializer.collect_seq(values.iter().map(|&value| Value(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: DataScale = DataScale {
        second_moment: 0.25,
        n_eff: 100.0,
    };

    fn translate(d: f64) -> Translation {
        let d = Dimension::new(d).unwrap();
        Translation::new(3072, d, &[80.0, 1.0, 0.002, 0.0], DATA, &[0.002, 80.0]).unwrap()
    }

    #[test]
    fn radii_are_sigma_times_the_root_of_d() {
        let got = translate(2048.0);
        let root = 2048.0_f64.sqrt();
        assert_eq!(got.r, [80.0 * root, root, 0.002 * root, 0.0]);
        assert_eq!((got.r_min, got.r_max), (0.002 * root, 80.0 * root));
    }

    #[test]
    fn in_the_diffusion_limit_every_ratio_is_that_of_a_gaussian() {
        let got = translate(f64::INFINITY);
        let one = Quantiles::of(|_| 1.0);
        assert_eq!((got.r_min, got.r_max), (f64::INFINITY, f64::INFINITY));
        assert_eq!(got.mixture_scale, one);
        assert!(got.effective.iter().all(|level| level.ratio == one));
        assert_eq!((got.width_given_norm, got.width_given_residual), (0.0, 0.0));
        // chi_N / sqrt(N) at 1 %: 1 - 2.326 / sqrt(2 N) to first order, 0.9703.
        let error = (got.radius.q01 - 0.9703).abs();
        assert!(error < 3e-4, "got {}", got.radius.q01);
        let json = serde_json::to_value(&got).unwrap();
        assert_eq!(json["d"], "inf");
        assert_eq!(json["r_max"], "inf");
        assert_eq!(json["r"], serde_json::json!(["inf", "inf", "inf", 0.0]));
    }

    #[test]
    fn the_norm_tells_the_scale_where_the_noise_dominates_only() {
        let got = translate(1.0);
        let (low, high) = (got.effective[0].ratio, got.effective[1].ratio);
        // At sigma = 80 the noise is all of |x|: the effective level is the true scale to its width.
        for (got, want) in [
            (high.q01, got.mixture_scale.q01),
            (high.q99, got.mixture_scale.q99),
        ] {
            assert!(
                (got / want).ln().abs() < 0.02,
                "got ratio {got}, want {want}"
            );
        }
        // At sigma = 0.002 most scales leave |x| as it was.
        assert!(low.q50 / low.q01 < 1.01, "got {low:?}");
    }

    #[test]
    fn the_posterior_narrows_as_n_plus_d_grows() {
        let got = [1.0, 128.0, 2048.0].map(|d| translate(d).width_given_residual);
        // 1 / sqrt(2 (3072 + D))
        for (got, want) in got.into_iter().zip([0.012756, 0.0125, 0.0098821]) {
            assert!((got - want).abs() < 1e-6, "got {got}, want {want}");
        }
    }
}
