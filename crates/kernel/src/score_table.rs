//! Quantiles of the chi-square law as a smooth function of a normal score.

use std::f64::consts::{LN_2, PI};

use crate::log_radius::{LogRadius, Side};

/// Scores beyond this occur once in 1e17 draws; the law is followed along its tangent there.
const FARTHEST: f64 = 8.5;
/// Distance of the nodes. Between them the error is about `STEP^6 / 46080` of the sixth derivative, 1e-10.
const STEP: f64 = 0.125;
/// Newton's method doubles the digits; from the node before a few steps reach the last.
const MAX_STEPS: usize = 60;

/// `s(z)` with `P(ln sqrt(chi²_k / k) <= s) = Φ(z)`, Φ the standard normal law, at evenly spaced z with its first two
/// derivatives.
///
/// Between the nodes it is the polynomial of fifth degree that has all of them, so it is twice continuously
/// differentiable, and it rises with z.
#[derive(Clone, Debug)]
pub(crate) struct ScoreTable {
    nodes: Vec<Node>,
}

/// Value and derivatives, those in units of the step.
#[derive(Clone, Copy, Debug)]
struct Node {
    s: f64,
    ds: f64,
    dds: f64,
}

impl ScoreTable {
    /// The table of `k` degrees of freedom, positive and finite.
    pub(crate) fn new(k: f64) -> Self {
        let law = LogRadius::new(k, f64::INFINITY);
        // From the middle outwards, each node from the one before.
        let count = (FARTHEST / STEP) as usize;
        let middle = node(&law, k, 0.0, 0.0);
        let side = |sign: f64| {
            let mut last = middle;
            let mut side = Vec::with_capacity(count);
            for i in 1..=count {
                let guess = last.s + sign * last.ds + 0.5 * last.dds;
                last = node(&law, k, sign * STEP * i as f64, guess);
                side.push(last);
            }
            side
        };
        let mut nodes = side(-1.0);
        nodes.reverse();
        nodes.push(middle);
        nodes.extend(side(1.0));
        Self { nodes }
    }

    /// `s(z)`.
    pub(crate) fn value(&self, z: f64) -> f64 {
        let place = (z + FARTHEST) / STEP;
        let last = self.nodes.len() - 1;
        if place <= 0.0 {
            let end = self.nodes[0];
            return end.s + place * end.ds;
        }
        if place >= last as f64 {
            let end = self.nodes[last];
            return end.s + (place - last as f64) * end.ds;
        }
        let i = (place as usize).min(last - 1);
        between(self.nodes[i], self.nodes[i + 1], place - i as f64)
    }
}

/// The polynomial of fifth degree with the values and derivatives of `a` at 0 and of `b` at 1.
fn between(a: Node, b: Node, u: f64) -> f64 {
    let rest = b.s - a.s - a.ds - 0.5 * a.dds;
    let slope = b.ds - a.ds - a.dds;
    let bend = b.dds - a.dds;
    let c3 = 10.0 * rest - 4.0 * slope + 0.5 * bend;
    let c4 = -15.0 * rest + 7.0 * slope - bend;
    let c5 = 6.0 * rest - 3.0 * slope + 0.5 * bend;
    a.s + u * (a.ds + u * (0.5 * a.dds + u * (c3 + u * (c4 + u * c5))))
}

/// Solves `P(S <= s) = Φ(z)` from a guess, on the side where the probability is the smaller.
fn node(law: &LogRadius, k: f64, z: f64, guess: f64) -> Node {
    let side = if z <= 0.0 { Side::Left } else { Side::Right };
    let ln_mass = ln_tail(z.abs());
    let mut s = guess;
    let mut found = false;
    for _ in 0..MAX_STEPS {
        let here = law.ln_mass(s, side);
        let rate = (law.ln_pdf(s) - here).exp();
        let step = side.outwards() * (here - ln_mass) / rate;
        // Far from the root, or with a density of 0, there is nothing to follow.
        if !step.is_finite() {
            break;
        }
        s += step;
        if step.abs() <= 1e-13 * (s.abs() + rate.recip()) {
            found = true;
            break;
        }
    }
    if !found {
        s = law.solve(ln_mass, side);
    }
    let ln_normal = -0.5 * z * z - 0.5 * (2.0 * PI).ln();
    let ds = (ln_normal - law.ln_pdf(s)).exp();
    // (ln pdf)' of ln sqrt(chi²_k / k) is k (1 - e^(2s)).
    let bend = -k * (2.0 * s).exp_m1();
    let dds = ds * (-z - bend * ds);
    Node {
        s,
        ds: ds * STEP,
        dds: dds * STEP * STEP,
    }
}

/// `ln P(Z > z)` for z of at least 0: half of the probability that the radius of a line is beyond z.
fn ln_tail(z: f64) -> f64 {
    if z == 0.0 {
        return -LN_2;
    }
    LogRadius::new(1.0, f64::INFINITY).ln_mass(z.ln(), Side::Right) - LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ContinuousCDF, Normal};

    #[test]
    fn the_normal_tail_is_that_of_statrs() {
        let normal = Normal::new(0.0, 1.0).unwrap();
        for z in [0.0, 0.1, 1.0, 3.0, 6.0, 8.0] {
            let (got, want) = (ln_tail(z), normal.sf(z).ln());
            assert!(
                (got - want).abs() < 1e-9 * want.abs(),
                "z {z}: got {got}, want {want}"
            );
        }
    }

    /// Between the nodes the probability of the value is that of the score.
    #[test]
    fn the_quantile_at_a_score_has_its_probability() {
        for k in [0.25, 0.5, 1.0, 2.0, 8.0, 128.0, 2048.0, 1e6, 1e12] {
            let (table, law) = (ScoreTable::new(k), LogRadius::new(k, f64::INFINITY));
            let mut worst = 0.0f64;
            for i in -160..=160 {
                let z = f64::from(i) * 0.0511;
                let side = if z <= 0.0 { Side::Left } else { Side::Right };
                let (got, want) = (law.ln_mass(table.value(z), side), ln_tail(z.abs()));
                worst = worst.max((got - want).abs());
            }
            println!("k {k}: ln of the probability to {worst:.1e}");
            assert!(worst < 1e-8, "k {k}: got {worst}");
        }
    }

    #[test]
    fn at_two_degrees_of_freedom_the_quantile_has_a_closed_form() {
        // chi²_2 / 2 is exponential: P(> q) = exp(-q).
        let table = ScoreTable::new(2.0);
        for z in [-6.03, -2.0, -0.3, 0.01, 1.7, 5.2f64] {
            let ln_upper = if z >= 0.0 {
                ln_tail(z)
            } else {
                (-ln_tail(-z).exp()).ln_1p()
            };
            let (got, want) = (table.value(z), 0.5 * (-ln_upper).ln());
            assert!(
                (got - want).abs() < 1e-9 * want.abs().max(1.0),
                "z {z}: got {got}, want {want}"
            );
        }
    }

    #[test]
    fn values_rise_with_the_score_and_stay_finite_at_every_k() {
        for k in [1e-300, 1e-6, 0.1, 1.0, 64.0, 1e15] {
            let table = ScoreTable::new(k);
            let values: Vec<f64> = (-1000..=1000)
                .map(|i| table.value(f64::from(i) * 0.01))
                .collect();
            let rises = values.windows(2).all(|pair| pair[0] <= pair[1]);
            assert!(rises, "k {k}: values fall");
            assert!(values.iter().all(|s| s.is_finite()), "k {k}: not finite");
        }
    }
}
