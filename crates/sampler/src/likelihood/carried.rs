//! A state that carries its log-density, as a denoiser that any solver can follow.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Query, beside, in_f64};

use super::trace::{Trace, draw_probes};

/// `denoiser` with one log-density a probe beside the state.
///
/// A state is a row `[x (N values), l_1 .. l_K, i]` with `l_k` the integral so far by probe k and i the datum's place in
/// the batch, by which its probes are found when a solver asks for some of the batch only. The slope of a coordinate
/// is (itself - its estimate) / sigma, so the estimates of the carried ones are
///
/// ```text
/// l_k - (N - v_k^T J v_k)   and   i
/// ```
pub(super) struct Carried<'a> {
    denoiser: &'a dyn Denoiser,
    shape: &'a [usize],
    n: usize,
    trace: Trace,
    /// Of each probe, `[batch, N]`; none for the exact trace.
    probes: Vec<Tensor>,
    /// Rows that were evaluated.
    rows: AtomicUsize,
}

impl<'a> Carried<'a> {
    /// Draws the probes of data of `shape`, one seed a datum, of the dtype and on the device of `like`.
    pub fn new(
        denoiser: &'a dyn Denoiser,
        shape: &'a [usize],
        trace: Trace,
        seeds: &[u64],
        like: &Tensor,
    ) -> Result<Self> {
        let n = shape.iter().product();
        trace.check(n).map_err(candle_core::Error::wrap)?;
        let probes = match trace {
            Trace::Exact => Vec::new(),
            Trace::Hutchinson { probes, kind } => draw_probes(kind, probes, n, seeds, like)?,
        };
        Ok(Self {
            denoiser,
            shape,
            n,
            trace,
            probes,
            rows: AtomicUsize::new(0),
        })
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

    /// The states `[B, shape...]` and the integrals, `[B][K]`, of rows at the end.
    pub fn end(&self, rows: &Tensor) -> Result<(Tensor, Vec<Vec<f64>>)> {
        let carried = rows.narrow(1, self.n, self.trace.carried())?;
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
        let integral = (so_far + (traces - self.n as f64)?)?;
        Tensor::cat(&[&denoised, &integral, &place], 1)
    }
}
