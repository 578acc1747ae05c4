//! The exact posterior of a finite data set given the sample and an observation.

use candle_core::{D, DType, Device, Result, Tensor, bail};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Dimension, Query, column, in_f64, squared_norms};

use super::Observation;

/// Points that are taken through at a time: bounds the memory beside the data and the weights.
const BLOCK: usize = 4096;

/// The exact denoiser of a finite data set `{y_i}` given an observation, for any D in (0, ∞].
///
/// ```text
/// E[y | x, y_o] = Σ w_i y_i,   ln w_i = ln p(x | y_i) - |y_o - A y_i|²/(2 sigma_o²) + const
/// ln p(x | y_i) = -(N+D)/2 ln(1 + |x - y_i|²/(D sigma²)),   -|x - y_i|²/(2 sigma²) at D = ∞
/// ```
///
/// No approximation: what the others are measured by. In `f64`, with a weight for each point and sample in memory.
#[derive(Clone, Debug)]
pub struct ExactConditional {
    /// `[points, N]`.
    data: Tensor,
    shape: Vec<usize>,
    d: Dimension,
    observation: Observation,
}

impl ExactConditional {
    /// Of `data` `[points, ...]`, each equally likely, perturbed at `d` and observed by `observation`.
    ///
    /// # Errors
    ///
    /// Data without points, or that the operator is not for.
    pub fn new(data: &Tensor, d: Dimension, observation: Observation) -> Result<Self> {
        let shape = data.dims().get(1..).unwrap_or_default().to_vec();
        if data.rank() < 2 || data.elem_count() == 0 {
            bail!(
                "data must have shape [points, ...] with at least one value, got {:?}",
                data.dims()
            );
        }
        let fits = observation.operator().observed_shape(&shape);
        fits.map_err(candle_core::Error::wrap)?;
        let data = data.to_device(&Device::Cpu)?.detach();
        Ok(Self {
            data,
            shape,
            d,
            observation,
        })
    }

    /// The mean of the data given the observation alone, `E[y | y_o]`: of `observed` `[B, ...]`, `[B, ...]` in `f64`.
    ///
    /// # Errors
    ///
    /// An observation of another shape.
    pub fn mean_given(&self, observed: &Tensor) -> Result<Tensor> {
        self.mean(&self.ln_likelihood(observed)?)
    }

    /// `-|y_o - A y_i|²/(2 sigma_o²)` up to what all points share, `[B, points]`.
    fn ln_likelihood(&self, observed: &Tensor) -> Result<Tensor> {
        let operator = self.observation.operator();
        let excess = self.excess(observed, |block| operator.apply(block))?;
        excess * (-0.5 / self.observation.sigma_o().powi(2))
    }

    /// `ln p(x | y_i)` up to what all points share, `[B, points]`.
    fn ln_kernel(&self, x: &Tensor, sigma: &[f64]) -> Result<Tensor> {
        let excess = self.excess(x, |block| Ok(block.clone()))?;
        let Dimension::Finite(d) = self.d else {
            let halves: Vec<f64> = sigma.iter().map(|s| -0.5 / (s * s)).collect();
            return excess.broadcast_mul(&column(&halves, &excess)?);
        };
        // Relative to the nearest point, so that nothing cancels far from all of them:
        // ln((R² + r²)/(R'² + r²)) = ln(1 + (R² - R'²)/(R'² + r²)).
        let nearest = excess.min_keepdim(D::Minus1)?;
        let squares = squared_norms(x)?.into_iter().zip(sigma);
        let base: Vec<f64> = squares.map(|(square, s)| square + d * s * s).collect();
        let base = (column(&base, &excess)? + &nearest)?;
        let ratio = excess.broadcast_sub(&nearest)?.broadcast_div(&base)?;
        let n = self.shape.iter().product::<usize>() as f64;
        ln_1p(&ratio)? * (-0.5 * (n + d))
    }

    /// `|f(y_i)|² - 2 u_b·f(y_i)` of `u` `[B, ...]`, `[B, points]`: what differs between the points in `|u_b - f(y_i)|²`.
    fn excess(&self, u: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let u = in_f64(u)?.to_device(&Device::Cpu)?.flatten_from(1)?;
        let blocks: Vec<Tensor> = self
            .blocks()
            .map(|block| {
                let points = f(&block?)?.flatten_from(1)?;
                let squares = points.sqr()?.sum(1)?.unsqueeze(0)?;
                let products = u.matmul(&points.t()?)?;
                (products * -2.0)?.broadcast_add(&squares)
            })
            .collect::<Result<_>>()?;
        Tensor::cat(&blocks, 1)
    }

    /// `Σ w_i y_i` of the logarithms of weights `[B, points]`.
    fn mean(&self, ln_weights: &Tensor) -> Result<Tensor> {
        let batch = ln_weights.dim(0)?;
        let largest = ln_weights.max_keepdim(D::Minus1)?;
        let weights = ln_weights.broadcast_sub(&largest)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        let n = self.shape.iter().product::<usize>();
        let mut mean = Tensor::zeros((batch, n), DType::F64, &Device::Cpu)?;
        let mut first = 0;
        for block in self.blocks() {
            let block = block?.flatten_from(1)?;
            let rows = block.dim(0)?;
            let part = weights.narrow(1, first, rows)?.contiguous()?;
            mean = (mean + part.matmul(&block)?)?;
            first += rows;
        }
        let mut shape = vec![batch];
        shape.extend(&self.shape);
        mean.reshape(shape)
    }

    /// The data in `f64`, some points at a time.
    fn blocks(&self) -> impl Iterator<Item = Result<Tensor>> {
        let points = self.data.dims()[0];
        (0..points).step_by(BLOCK).map(move |first| {
            let rows = BLOCK.min(points - first);
            in_f64(&self.data.narrow(0, first, rows)?)?.contiguous()
        })
    }
}

/// `ln(1 + x)`, exact for small x.
fn ln_1p(x: &Tensor) -> Result<Tensor> {
    let values: Vec<f64> = x.flatten_all()?.to_vec1()?;
    let values = values.into_iter().map(f64::ln_1p).collect();
    Tensor::from_vec(values, x.dims(), x.device())
}

impl Denoiser for ExactConditional {
    /// None but the observation: the data set has no classes.
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        let condition = query.condition.without_observed();
        self.takes().check(&query.under(&condition))?;
        let observed = self.observation.of(query)?;
        let ln_weights =
            (self.ln_kernel(query.x, query.sigma)? + self.ln_likelihood(&observed)?)?;
        let mean = self.mean(&ln_weights)?;
        mean.to_dtype(query.x.dtype())?.to_device(query.x.device())
    }
}
