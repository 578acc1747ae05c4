//! Between two latent states.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{in_f64, inner_products, squared_norms};

use pfgmpp_kernel::column;

/// The states a share `t` of the way from `a` to `b`, all `[B, ...]`: spherical in direction, geometric in norm.
///
/// ```text
/// |a|^(1-t) |b|^t (sin((1-t) phi) a/|a| + sin(t phi) b/|b|) / sin(phi),   phi the angle between a and b
/// ```
///
/// The prior of every D is rotation invariant, so that directions in between are as likely as those at the ends; its norm
/// spreads over decades at small D, so that it is the logarithm which is divided evenly. (A straight line would lead
/// through norms that the prior does not have: Shoemake 1985 for the direction.) Of opposite directions, between which no
/// shortest way is the one, the state moves straight through zero.
///
/// # Errors
///
/// Shapes that differ, and failures of the tensor backend.
pub fn interpolate(a: &Tensor, b: &Tensor, t: f64) -> Result<Tensor> {
    let (a, b) = (in_f64(a)?, in_f64(b)?);
    let norms = |x: &Tensor| -> Result<Vec<f64>> {
        Ok(squared_norms(x)?
            .into_iter()
            .map(|s| s.sqrt().max(1e-300))
            .collect())
    };
    let (of_a, of_b) = (norms(&a)?, norms(&b)?);
    let products = inner_products(&a, &b)?;
    let weights = products.iter().zip(of_a.iter().zip(&of_b));
    let (mut by_a, mut by_b) = (Vec::new(), Vec::new());
    for (product, (na, nb)) in weights {
        let phi = (product / (na * nb)).clamp(-1.0, 1.0).acos();
        let (wa, wb) = match phi.sin() {
            // Along one line: the limit of the formula where the directions agree.
            sin if sin < 1e-9 => (1.0 - t, t),
            sin => (((1.0 - t) * phi).sin() / sin, (t * phi).sin() / sin),
        };
        let norm = na.powf(1.0 - t) * nb.powf(t);
        by_a.push(norm * wa / na);
        by_b.push(norm * wb / nb);
    }
    a.broadcast_mul(&column(&by_a, &a)?)? + b.broadcast_mul(&column(&by_b, &b)?)?
}

#[cfg(test)]
mod tests {
    use super::interpolate;
    use candle_core::{Device, Tensor};

    fn between(a: [f64; 2], b: [f64; 2], t: f64) -> [f64; 2] {
        let row = |x: [f64; 2]| Tensor::new(&[x], &Device::Cpu).unwrap();
        let got = interpolate(&row(a), &row(b), t).unwrap();
        let got = got.to_vec2::<f64>().unwrap();
        [got[0][0], got[0][1]]
    }

    #[test]
    fn halfway_is_half_the_angle_and_the_geometric_mean_of_the_norms() {
        let half = 8.0 * std::f64::consts::FRAC_1_SQRT_2;
        for (a, b, t, want) in [
            ([2.0, 0.0], [0.0, 32.0], 0.0, [2.0, 0.0]),
            ([2.0, 0.0], [0.0, 32.0], 1.0, [0.0, 32.0]),
            ([2.0, 0.0], [0.0, 32.0], 0.5, [half, half]),
            // One direction: the norm alone.
            ([3.0, 0.0], [12.0, 0.0], 0.5, [6.0, 0.0]),
        ] {
            let got = between(a, b, t);
            let off = (got[0] - want[0]).abs().max((got[1] - want[1]).abs());
            assert!(
                off < 1e-12,
                "{a:?} to {b:?} at {t}: got {got:?}, want {want:?}"
            );
        }
    }

    #[test]
    fn opposite_directions_meet_at_zero() {
        let got = between([1.0, 0.0], [-1.0, 0.0], 0.5);
        assert!(got[0].abs() < 1e-12 && got[1].abs() < 1e-12, "got {got:?}");
    }
}
