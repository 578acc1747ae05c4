//! Draws of chi-square variates and of the mixture scale, as quantiles at one normal score each.

use std::sync::{Arc, OnceLock};

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::Dimension;
use crate::score_table::ScoreTable;

/// Bounds of the mixture scale: it and its square stay normal numbers.
const SMALLEST: f64 = 1e-150;
const LARGEST: f64 = 1e150;
/// Below this number of degrees of freedom the law is that of this one: what is drawn leaves the range of f64 anyway.
const FEWEST: f64 = 1e-300;

/// The law of `chi²_k`, drawn as its logarithm, which never underflows.
///
/// A draw takes one standard normal z from the generator, whatever k is, and is the quantile of the law at the
/// probability of z. So draws of one generator are paired across k: they rise together, and change continuously with k.
#[derive(Clone, Debug)]
pub(crate) struct ChiSquare {
    k: f64,
    ln_half_k: f64,
    /// Made at the first draw, shared by copies.
    table: Arc<OnceLock<ScoreTable>>,
}

impl ChiSquare {
    /// The law with `k` degrees of freedom, `k` positive and finite.
    pub(crate) fn new(k: f64) -> Self {
        let k = k.max(FEWEST);
        Self {
            k,
            ln_half_k: (k / 2.0).ln(),
            table: Arc::default(),
        }
    }

    /// Draws `ln(chi²_k / 2)`, the logarithm of a gamma variate of shape k/2.
    pub(crate) fn draw_ln_half<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        self.ln_half_k + 2.0 * self.ln_root(draw_score(rng))
    }

    /// `ln sqrt(chi²_k / k)` at the probability of the normal score `z`.
    pub(crate) fn ln_root(&self, z: f64) -> f64 {
        let table = self.table.get_or_init(|| ScoreTable::new(self.k));
        table.value(z)
    }
}

/// The law of sqrt(w), `w = D / chi²_D`.
#[derive(Clone, Debug)]
pub(crate) struct MixtureScale {
    /// `None` at D = ∞, where w is 1.
    law: Option<ChiSquare>,
}

impl MixtureScale {
    pub(crate) fn new(d: Dimension) -> Self {
        let law = match d {
            Dimension::Infinite => None,
            Dimension::Finite(d) => Some(ChiSquare::new(d)),
        };
        Self { law }
    }

    /// Draws sqrt(w), within [1e-150, 1e150]; one normal score at every D, ∞ included.
    pub(crate) fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        let z = draw_score(rng);
        match &self.law {
            None => 1.0,
            // Minus, so that the scale rises with the score.
            Some(chi_square) => (-chi_square.ln_root(-z)).exp().clamp(SMALLEST, LARGEST),
        }
    }
}

/// The score that a draw is a quantile at.
pub(crate) fn draw_score<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    StandardNormal.sample(rng)
}
