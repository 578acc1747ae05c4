//! The derivative of a lifted denoiser: by x itself, and by x through the level that the denoiser is asked at.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Denoiser, Pullback, Query, column, in_f64, inner_products};

use super::{EffectiveNoise, Guess, square_distances};
use crate::{Dual, Real};

/// A level with its derivatives by `|x - m|²` and by sigma.
type Level = Dual<2>;

/// One evaluation of the denoiser.
struct Evaluation {
    /// What the distance was measured from, shape `[B, ...]` or `[1, ...]`, in the dtype of x.
    m: Tensor,
    levels: Vec<Level>,
}

impl Evaluation {
    fn values(&self) -> Vec<f64> {
        self.levels.iter().map(|level| level.value).collect()
    }
}

impl<M: Denoiser> EffectiveNoise<M> {
    /// Evaluations forwards, then each pulled back in turn: an estimate hands on what the level after it takes.
    pub(super) fn pull(&self, query: &Query, d: f64, v: &Tensor) -> Result<Pullback> {
        let x = query.x.detach();
        let query = Query { x: &x, ..*query };
        let mut v = query.covector(v)?;
        let mut evaluations = vec![self.first(&query, d)?];
        for _ in 1..self.guess.evaluations() {
            let levels = evaluations.last().map(Evaluation::values);
            let m = self.ask(&query, &levels.unwrap_or_default())?.detach();
            let mut levels = near(self.n, d, &x, query.sigma, &m)?;
            self.add_denoising_error(&mut levels);
            evaluations.push(Evaluation { m, levels });
        }
        let mut gradient: Option<Pullback> = None;
        for evaluation in evaluations.into_iter().rev() {
            let pulled = self.pull_ask(&query, &evaluation.values(), &v)?;
            let levels = || pulled.sigma.iter().zip(&evaluation.levels);
            // The level moves with |x - m|², and that by 2 (x - m) with x, by as much with m the other way.
            let by_square: Vec<f64> = levels().map(|(g, level)| 2.0 * g * level.by[0]).collect();
            let by_sigma = levels().map(|(g, level)| g * level.by[1]);
            let by_level = x
                .broadcast_sub(&evaluation.m)?
                .broadcast_mul(&column(&by_square, &x)?)?;
            let by_x = (&pulled.x + &by_level)?;
            gradient = Some(match gradient {
                None => Pullback {
                    x: by_x,
                    sigma: by_sigma.collect(),
                    ..pulled
                },
                Some(sum) => Pullback {
                    x: (sum.x + by_x)?,
                    sigma: sum.sigma.iter().zip(by_sigma).map(|(a, b)| a + b).collect(),
                    denoised: sum.denoised,
                },
            });
            v = by_level.neg()?;
        }
        gradient.ok_or_else(|| candle_core::Error::Msg("a lift of no evaluations".into()))
    }

    /// The evaluation whose level is known without another one. Its m is held fixed.
    fn first(&self, query: &Query, d: f64) -> Result<Evaluation> {
        let &Query { x, sigma, .. } = query;
        let like = |m: Tensor| m.detach().to_dtype(x.dtype())?.to_device(x.device());
        if let (Guess::Previous, Some(m)) = (self.guess, query.guess) {
            let mut levels = near(self.n, d, x, sigma, m)?;
            self.add_denoising_error(&mut levels);
            let m = like(m.clone())?;
            return Ok(Evaluation { m, levels });
        }
        let mean = self.mean_like(x)?;
        let squares = square_distances(x, &mean)?.into_iter().zip(sigma);
        let level = |(square, &sigma)| {
            let (square, sigma) = (Level::variable(square, 0), Level::variable(sigma, 1));
            self.posterior.sigma_eff_of(square, sigma)
        };
        let levels = squares.map(level).collect();
        let m = like(mean)?;
        Ok(Evaluation { m, levels })
    }

    /// [`Self::ask`] with `v` taken back to x and to the levels.
    fn pull_ask(&self, query: &Query, levels: &[f64], v: &Tensor) -> Result<Pullback> {
        let at = |x, sigma| Query {
            x,
            sigma,
            guess: None,
            ..*query
        };
        if levels.iter().all(|&level| level <= self.sigma_max) {
            return self.denoiser.pullback(&at(query.x, levels), v);
        }
        // Inside: c (x - mean) about the mean, at a level no higher than the highest; outside, c times the answer.
        let (c, bounded) = self.extension(levels);
        let times_c = |t: &Tensor| t.broadcast_mul(&column(&c, t)?);
        let inside = self.about_mean(query.x, &c)?;
        let pulled = (self.denoiser).pullback(&at(&inside, &bounded), &times_c(v)?)?;
        let mean = in_f64(&self.mean_like(query.x)?)?;
        let about = |t: &Tensor| in_f64(t)?.broadcast_sub(&mean.to_device(t.device())?);
        let by_answer = inner_products(&about(&pulled.denoised)?, v)?;
        let by_input = inner_products(&about(query.x)?, &pulled.x)?;
        let by_level = (0..levels.len()).map(|b| {
            if levels[b] <= self.sigma_max {
                return pulled.sigma[b];
            }
            -(by_answer[b] + by_input[b]) * c[b] / levels[b]
        });
        Ok(Pullback {
            denoised: self.about_mean(&pulled.denoised, &c)?,
            x: times_c(&pulled.x)?,
            sigma: by_level.collect(),
        })
    }

    /// Raises levels that were measured by an estimate of the denoiser.
    ///
    /// ```text
    /// s² = level² + e(s)/(N+D),   ds = 2 level dlevel / (2 s - e'(s)/(N+D))
    /// ```
    pub(super) fn add_denoising_error<R: Real>(&self, levels: &mut [R]) {
        let Some(error) = &self.error else {
            return;
        };
        let total = self.n as f64 + self.d.value();
        for level in levels {
            let s = self.with_error(error, level.value());
            let by_s = error.at_of(Dual::<1>::variable(s, 0)).by[0];
            let slope = 2.0 * level.value() / (2.0 * s - by_s / total);
            *level = level.mapped(s, slope);
        }
    }
}

/// `sigma_eff² = (|x - m|² + D sigma²) / (N + D)` of each sample.
fn near(n: usize, d: f64, x: &Tensor, sigma: &[f64], m: &Tensor) -> Result<Vec<Level>> {
    let squares = square_distances(x, m)?.into_iter().zip(sigma);
    let level = |(square, &sigma)| {
        let (square, sigma) = (Level::variable(square, 0), Level::variable(sigma, 1));
        super::level_near(n, d, square, sigma)
    };
    Ok(squares.map(level).collect())
}
