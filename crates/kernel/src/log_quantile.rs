//! Quantiles of the log-radius by Newton's method on the logarithm of the probability.

use crate::log_radius::{LogRadius, Side};

/// No radius in f64 at any noise level in f64 is farther from the mode than this.
const FARTHEST: f64 = 1600.0;
/// Newton's method doubles the digits: below this residual the step taken is the last that matters.
const RESIDUAL: f64 = 1e-8;
/// About ten steps are usual, sixty where the law is doubly exponential; a bound on what rounding does.
const MAX_STEPS: usize = 200;

impl LogRadius {
    /// The t with `ln_mass(t, side) = ln_mass`, held within [-1600, 1600].
    ///
    /// The density is log-concave, and so is the probability of a side: from a point whose probability
    /// is too small Newton's method on its logarithm approaches the root without passing it, and from a
    /// point where it is too large a single step gets past it. The bracket and its bisection are for the
    /// far tails, where the logarithm itself is exponential and Newton's method would creep.
    pub(crate) fn solve(&self, ln_mass: f64, side: Side) -> f64 {
        let out = side.outwards();
        let (mut inner, mut outer) = (-FARTHEST, FARTHEST);
        // `x` is t counted outwards, so that the probability falls with it.
        let mut x = 0.0_f64;
        for _ in 0..MAX_STEPS {
            let here = self.ln_mass(out * x, side);
            let excess = here - ln_mass;
            if excess > 0.0 {
                inner = x;
            } else {
                outer = x;
            }
            let newton = x + excess / (self.ln_pdf(out * x) - here).exp();
            if excess.abs() < RESIDUAL {
                return if newton.is_finite() {
                    out * newton
                } else {
                    out * x
                };
            }
            let creeps = here < 2.0 * ln_mass - 10.0;
            let bisect = creeps || !(inner < newton && newton < outer);
            x = if bisect {
                0.5 * (inner + outer)
            } else {
                newton
            };
            if inner == x || outer == x {
                break;
            }
        }
        out * x
    }
}
