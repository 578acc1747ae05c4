//! The posterior of the mixture scale, given how far a sample is from its data.

use std::f64::consts::LN_2;

use rand::Rng;

use crate::mixture::{ChiSquare, LARGEST, SMALLEST};
use crate::{Dimension, Kernel};

impl Kernel {
    /// Draws the true noise scale `s = sigma sqrt(w)` of a sample at distance R from its clean data.
    ///
    /// ```text
    /// s² | R ~ InvGamma((N+D)/2, (R² + D sigma²)/2),   s² = (R² + D sigma²) / chi²_(N+D)
    /// ```
    ///
    /// It is the conjugate posterior of the scale mixture: `x - y` is Gaussian of scale s, and
    /// `s² = D sigma² / chi²_D` beforehand. Exactly `sigma`, without a draw, at D = ∞.
    ///
    /// - `sigma`: nominal noise level, above 0, in units of the data.
    /// - `distance`: R = `|x - y|`, at least 0, in units of the data.
    ///
    /// The result is held within [1e-150, 1e150].
    pub fn draw_posterior_scale<R: Rng + ?Sized>(
        &self,
        sigma: f64,
        distance: f64,
        rng: &mut R,
    ) -> f64 {
        let Dimension::Finite(d) = self.d() else {
            return sigma;
        };
        // Logarithms: neither R² nor D sigma² may leave the range of f64 where s does not.
        let (from_noise, from_distance) = (d.ln() + 2.0 * sigma.ln(), 2.0 * distance.ln());
        let larger = from_noise.max(from_distance);
        let ln_sum = larger + (from_noise.min(from_distance) - larger).exp().ln_1p();
        let ln_half_chi_square = ChiSquare::new(self.n() as f64 + d).draw_ln_half(rng);
        let ln_square = ln_sum - LN_2 - ln_half_chi_square;
        (0.5 * ln_square).exp().clamp(SMALLEST, LARGEST)
    }
}
