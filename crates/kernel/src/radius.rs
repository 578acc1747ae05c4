//! The law of the radius `R = |x - y|` of the perturbation.

use std::f64::consts::LN_2;

use rand::Rng;

use crate::ln_gamma::ln_gamma_ratio_scaled;
use crate::log_radius::{LogRadius, Side};
use crate::mixture::ChiSquare;
use crate::{Kernel, KernelError};

/// Below this D the law is that of this D: at finite R they differ by less than 1e-297.
const SMALLEST_D: f64 = 1e-300;

/// The law of `R = |x - y|` at one noise level.
///
/// ```text
/// R² = sigma² D chi²_N / chi²_D,   R² / (N sigma²) ~ F(N, D)      (chi²_N / N at D = ∞)
/// ```
///
/// Radii are in units of the data. Every function returns a number, never NaN, for any radius.
/// Probabilities keep their relative precision in both tails: ask [`cdf`](Self::cdf) for a small
/// lower one and [`sf`](Self::sf) for a small upper one.
#[derive(Clone, Debug)]
pub struct RadiusLaw {
    kernel: Kernel,
    sigma: f64,
    shape: LogRadius,
    chi_square: ChiSquare,
}

impl Kernel {
    /// The law of the radius `|x - y|` at noise level `sigma`.
    ///
    /// # Errors
    ///
    /// [`KernelError::LawSigma`] unless `sigma` is positive and finite.
    pub fn radius_law(&self, sigma: f64) -> Result<RadiusLaw, KernelError> {
        if !(sigma > 0.0 && sigma.is_finite()) {
            return Err(KernelError::LawSigma(sigma));
        }
        let n = self.n() as f64;
        Ok(RadiusLaw {
            kernel: self.clone(),
            sigma,
            shape: LogRadius::new(n, self.d().value().max(SMALLEST_D)),
            chi_square: ChiSquare::new(n),
        })
    }
}

impl RadiusLaw {
    /// ln of the density of R; `-∞` outside the support and where it leaves the range of f64.
    ///
    /// ```text
    /// ln p(R) = ln 2 + N/2 ln π - lnΓ(N/2) + (N-1) ln R + ln p_r(x|y)
    /// ```
    #[must_use]
    pub fn ln_pdf(&self, radius: f64) -> f64 {
        if radius > 0.0 && radius.is_finite() {
            return self.shape.ln_pdf(self.t(radius)) - radius.ln();
        }
        if radius == 0.0 && self.kernel.n() == 1 {
            // On a line a distance has two points, and their density at zero is finite.
            return LN_2 + self.kernel.ln_density(self.sigma, 0.0);
        }
        f64::NEG_INFINITY
    }

    /// P(R <= radius).
    #[must_use]
    pub fn cdf(&self, radius: f64) -> f64 {
        self.probability(radius, self.shape.lower())
    }

    /// P(R > radius), the complement of [`cdf`](Self::cdf) without its cancellation.
    #[must_use]
    pub fn sf(&self, radius: f64) -> f64 {
        self.probability(radius, self.shape.lower().opposite())
    }

    /// The radius below which R falls with probability `p`.
    ///
    /// Returns 0 for `p <= 0` and infinity for `p >= 1`. Where the quantile of a probability between
    /// them is beyond the range of f64 (D far below 1), returns the smallest or largest positive
    /// normal number.
    #[must_use]
    pub fn quantile(&self, p: f64) -> f64 {
        if p <= 0.5 {
            self.solve(p, self.shape.lower())
        } else {
            self.solve(1.0 - p, self.shape.lower().opposite())
        }
    }

    /// The radius above which R falls with probability `q`: `quantile(1 - q)`, precise for small `q`.
    #[must_use]
    pub fn upper_quantile(&self, q: f64) -> f64 {
        if q <= 0.5 {
            self.solve(q, self.shape.lower().opposite())
        } else {
            self.solve(1.0 - q, self.shape.lower())
        }
    }

    /// E\[R\]; infinite for D <= 1, where the integral diverges.
    ///
    /// ```text
    /// E[R] = sigma sqrt(D) Γ((N+1)/2) Γ((D-1)/2) / (Γ(N/2) Γ(D/2)),   D > 1
    /// ```
    #[must_use]
    pub fn mean(&self) -> f64 {
        let (n, d) = (self.kernel.n() as f64, self.kernel.d().value());
        if d <= 1.0 {
            return f64::INFINITY;
        }
        let gaussian = 0.5 * n.ln() + ln_gamma_ratio_scaled(0.5 * n, 0.5);
        if d.is_infinite() {
            return self.radius(gaussian);
        }
        let heavy_tail = 0.5 * (d / (d - 1.0)).ln() - ln_gamma_ratio_scaled(0.5 * (d - 1.0), 0.5);
        self.radius(gaussian + heavy_tail)
    }

    /// The most probable R; zero for N = 1.
    ///
    /// ```text
    /// mode = sigma sqrt((N - 1) D / (D + 1))
    /// ```
    #[must_use]
    pub fn mode(&self) -> f64 {
        let shrink = (1.0 + 1.0 / self.kernel.d().value()).sqrt();
        self.sigma * (((self.kernel.n() - 1) as f64).sqrt() / shrink)
    }

    /// Draws R: a chi-square of N degrees of freedom for the normals, then the mixture scale of
    /// [`Kernel::draw_mixture_scale`]; held within the normal numbers.
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        let ln_chi_square = LN_2 + self.chi_square.draw_ln_half(rng);
        let scale = self.kernel.draw_mixture_scale(rng);
        self.radius(0.5 * ln_chi_square + scale.ln())
    }

    fn probability(&self, radius: f64, side: Side) -> f64 {
        let is_lower = side == self.shape.lower();
        if radius > 0.0 && radius.is_finite() {
            self.shape.ln_mass(self.t(radius), side).exp()
        } else if (radius == f64::INFINITY) == is_lower {
            1.0
        } else {
            0.0
        }
    }

    /// The radius with probability `mass <= 1/2` on `side`.
    fn solve(&self, mass: f64, side: Side) -> f64 {
        if mass > 0.0 {
            let t = self.shape.solve(mass.ln(), side);
            let half_ln_n = 0.5 * (self.kernel.n() as f64).ln();
            self.radius(self.shape.reflect(t) + half_ln_n)
        } else if side == self.shape.lower() {
            0.0
        } else {
            f64::INFINITY
        }
    }

    /// The coordinate of [`LogRadius`]: `±ln(R / (sigma sqrt(N)))`.
    fn t(&self, radius: f64) -> f64 {
        let root_n = (self.kernel.n() as f64).sqrt();
        let ratio = radius / self.sigma / root_n;
        let s = if ratio.is_normal() {
            ratio.ln()
        } else {
            radius.ln() - self.sigma.ln() - root_n.ln()
        };
        self.shape.reflect(s)
    }

    /// The radius at `ln(R / sigma)`, held within the normal numbers.
    fn radius(&self, ln_ratio: f64) -> f64 {
        // In two halves, because the ratio alone may overflow where the radius does not.
        let half = (0.5 * ln_ratio).exp();
        (self.sigma * half * half).clamp(f64::MIN_POSITIVE, f64::MAX)
    }
}
