//! A state that carries its log-density, as a denoiser that any solver can follow.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{Condition, ConditionSpec, Denoiser, Query, beside, in_f64};

use super::trace::{Trace, draw_probes};

/// Where `N - tr J` turns from its share at the lowest level to N in [`Carried`]'s split, in units of the data: about
/// their deviation. Any value is right, and this one makes what is left small for data between -1 and 1.
const TURN: f64 = 0.5;

/// `denoiser` with one log-density a probe beside the state.
///
/// A state is a row `[x (N values), l_1 .. l_K, i]` with `l_k` an integral so far by probe k and i the datum's place in
/// the batch, by which its probes are found when a solver asks for some of the batch only. The slope of a coordinate
/// is (itself - its estimate) / sigma, so the estimates of the carried ones are
///
/// ```text
/// l_k - (N - v_k^T J v_k - h_k)   and   i
/// h_k(sigma) = N (c_k + (1 - c_k) g(sigma)),   g = sigma² / (sigma² + s²),   c_k N = N - v_k^T J v_k at sigma_min
/// ```
///
/// The part h_k, about what the integrand is at both ends, is integrated in closed form and added at the end. It costs
/// an evaluation, and saves the error that a few steps in sigma make in an integrand that goes with 1 / sigma: that of
/// `heun` over 17 steps is a fifteenth of the whole integral.
pub(super) struct Carried<'a> {
    denoiser: &'a dyn Denoiser,
    shape: &'a [usize],
    n: usize,
    trace: Trace,
    /// Of each probe, `[batch, N]`; none for the exact trace.
    probes: Vec<Tensor>,
    /// The level at the beginning.
    sigma_min: f64,
    /// `c_k` of each datum, `[batch, K]`.
    shares: Tensor,
    /// Rows that were evaluated.
    rows: AtomicUsize,
}

impl<'a> Carried<'a> {
    /// Draws the probes of data `x` `[B, shape...]`, one seed a datum, and evaluates them at `sigma_min`.
    pub fn new(
        denoiser: &'a dyn Denoiser,
        condition: &Condition,
        (x, shape): (&Tensor, &'a [usize]),
        trace: Trace,
        seeds: &[u64],
        sigma_min: f64,
    ) -> Result<Self> {
        let n = shape.iter().product();
        trace.check(n).map_err(candle_core::Error::wrap)?;
        let probes = match trace {
            Trace::Exact => Vec::new(),
            Trace::Hutchinson { probes, kind } => draw_probes(kind, probes, n, seeds, x)?,
        };
        let batch = seeds.len();
        let mut carried = Self {
            denoiser,
            shape,
            n,
            trace,
            probes,
            sigma_min,
            shares: Tensor::zeros((batch, trace.carried()), x.dtype(), x.device())?,
            rows: AtomicUsize::new(batch),
        };
        let sigma = vec![sigma_min; batch];
        let places = Tensor::from_iter(0..batch as i64, x.device())?;
        let (_, traces) = carried.traces(&Query::new(x, &sigma).under(condition), &places)?;
        carried.shares = traces.affine(-1.0 / n as f64, 1.0)?;
        Ok(carried)
    }

    /// `h_k / N` at levels `sigma` of the data at `places`, `[places, K]`.
    fn split(&self, places: &Tensor, sigma: &[f64]) -> Result<Tensor> {
        let turned = |s: &f64| s * s / (s * s + TURN * TURN);
        let g: Vec<f64> = sigma.iter().map(turned).collect();
        let g = beside(g, (sigma.len(), 1), &self.shares)?;
        let shares = self.shares.index_select(places, 0)?;
        shares.broadcast_mul(&(1.0 - &g)?)?.broadcast_add(&g)
    }

    /// The integral of `h_k / sigma` from `sigma_min` to `sigma_max`, `[B, K]`.
    fn split_integral(&self, sigma_max: f64) -> Result<Tensor> {
        let (low, high) = (self.sigma_min, sigma_max);
        let all = (high / low).ln();
        let turned = (high.hypot(TURN) / low.hypot(TURN)).ln();
        let n = self.n as f64;
        self.shares.affine(n * (all - turned), n * turned)
    }

    /// Rows evaluated so far, over all data.
    pub fn evaluations(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// The rows of data `x` `[B, shape...]` at the beginning.
    pub fn begin(&self, x: &Tensor) -> Result<Tensor> {
        let batch = x.dim(0)?;
        let zeros = Tensor::zeros((batch, self.trace.carried()), x.dtype(), x.device())?;
        let places = (0..batch).map(|i| i as f64).collect::<Vec<f64>>();
        let places = beside(places, (batch, 1), x)?;
        Tensor::cat(&[&x.reshape((batch, self.n))?, &zeros, &places], 1)
    }

    /// The states `[B, shape...]` and the integrals, `[B][K]`, of rows at the end, at `sigma_max`.
    pub fn end(&self, rows: &Tensor, sigma_max: f64) -> Result<(Tensor, Vec<Vec<f64>>)> {
        let carried = rows.narrow(1, self.n, self.trace.carried())?;
        let carried = (carried + self.split_integral(sigma_max)?)?;
        Ok((self.states(rows)?, in_f64(&carried)?.to_vec2()?))
    }

    fn states(&self, rows: &Tensor) -> Result<Tensor> {
        let mut shape = vec![rows.dim(0)?];
        shape.extend_from_slice(self.shape);
        rows.narrow(1, 0, self.n)?.contiguous()?.reshape(shape)
    }

    /// The model's estimate `[B, N]` and its trace by each probe, `[B, K]`.
    fn traces(&self, query: &Query, places: &Tensor) -> Result<(Tensor, Tensor)> {
        let batch = query.x.dim(0)?;
        let ask = |v: &Tensor| -> Result<(Tensor, Tensor)> {
            let (denoised, product) = self.denoiser.vjp(query, &v.reshape(query.x.shape())?)?;
            let flat = |t: Tensor| t.reshape((batch, self.n));
            Ok((flat(denoised)?, flat(product)?))
        };
        let mut traces = Vec::with_capacity(self.trace.carried());
        let mut denoised = None;
        for probe in &self.probes {
            let v = probe.index_select(places, 0)?;
            let (estimate, product) = ask(&v)?;
            traces.push((product * v)?.sum_keepdim(1)?);
            denoised = Some(estimate);
        }
        if self.trace == Trace::Exact {
            let (estimate, trace) = self.exact(&ask, query.x, batch)?;
            (traces, denoised) = (vec![trace], Some(estimate));
        }
        let Some(denoised) = denoised else {
            candle_core::bail!("a likelihood needs one probe or more");
        };
        Ok((denoised, Tensor::cat(&traces, 1)?))
    }

    /// The model's estimate `[B, N]` and the sum of the Jacobian's diagonal, `[B, 1]`.
    fn exact(
        &self,
        ask: &dyn Fn(&Tensor) -> Result<(Tensor, Tensor)>,
        x: &Tensor,
        batch: usize,
    ) -> Result<(Tensor, Tensor)> {
        let mut sum = Tensor::zeros((batch, 1), x.dtype(), x.device())?;
        let mut denoised = sum.clone();
        for i in 0..self.n {
            let mut basis = vec![0.0; self.n];
            basis[i] = 1.0;
            let basis = beside(basis, (1, self.n), x)?.broadcast_as((batch, self.n))?;
            let (estimate, product) = ask(&basis.contiguous()?)?;
            sum = (sum + product.narrow(1, i, 1)?)?;
            denoised = estimate;
        }
        Ok((denoised, sum))
    }
}

impl Denoiser for Carried<'_> {
    fn takes(&self) -> ConditionSpec {
        self.denoiser.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        let (rows, carried) = (query.x, self.trace.carried());
        self.rows.fetch_add(rows.dim(0)?, Ordering::Relaxed);
        let place = rows.narrow(1, self.n + carried, 1)?;
        let places = in_f64(&place)?.flatten_all()?.to_vec1::<f64>()?;
        let places: Vec<i64> = places.iter().map(|place| place.round() as i64).collect();
        let places = Tensor::new(places, rows.device())?;
        let x = self.states(rows)?;
        // A guess would make the model another function of x at every step, whose density this would not be.
        let inner = Query::new(&x, query.sigma).under(query.condition);
        let (denoised, traces) = self.traces(&inner, &places)?;
        let so_far = rows.narrow(1, self.n, carried)?;
        let split = (self.split(&places, query.sigma)? * self.n as f64)?;
        let integral = (so_far + ((traces - self.n as f64)? + split)?)?;
        Tensor::cat(&[&denoised, &integral, &place], 1)
    }
}
