//! One block of the transformer.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_nn::{LayerNorm, Linear, Module};

use super::HEAD;
use crate::error::FeatureError;
use crate::weights::Weights;

/// What the norms add to a variance.
const EPS: f64 = 1e-6;

/// Attention and a perceptron, each behind a norm, scaled by channel and added to what came in.
pub(super) struct Block {
    norms: [LayerNorm; 2],
    qkv: Linear,
    projection: Linear,
    perceptron: Perceptron,
    /// `[width]` each.
    scales: [Tensor; 2],
}

/// What a block does with each token by itself.
enum Perceptron {
    /// `fc2(gelu(fc1(x)))`
    Gelu { first: Linear, second: Linear },
    /// `w3(silu(a) b)`, `[a, b] = w12(x)`: of the largest network (arXiv:2002.05202).
    Gated { first: Linear, second: Linear },
}

impl Block {
    /// Takes the weights below `name`, such as `blocks.3`.
    pub(super) fn take(
        weights: &mut Weights,
        name: &str,
        width: usize,
    ) -> std::result::Result<Self, FeatureError> {
        let norm1 = norm(weights, &format!("{name}.norm1"), width)?;
        let qkv = match weights.has(&format!("{name}.attn.query.weight")) {
            true => joined(weights, &format!("{name}.attn"), width)?,
            false => linear(weights, &format!("{name}.attn.qkv"), width, 3 * width)?,
        };
        let projection = linear(weights, &format!("{name}.attn.proj"), width, width)?;
        let norm2 = norm(weights, &format!("{name}.norm2"), width)?;
        let perceptron = Perceptron::take(weights, name, width)?;
        let mut scale = |which: &str| weights.take(&format!("{name}.{which}.gamma"), &[width]);
        Ok(Self {
            norms: [norm1, norm2],
            qkv,
            projection,
            perceptron,
            scales: [scale("ls1")?, scale("ls2")?],
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [norm1, norm2] = &self.norms;
        let [scale1, scale2] = &self.scales;
        let x = (x + self.attention(&norm1.forward(x)?)?.broadcast_mul(scale1)?)?;
        let change = self.perceptron.forward(&norm2.forward(&x)?)?;
        x + change.broadcast_mul(scale2)?
    }

    fn attention(&self, x: &Tensor) -> Result<Tensor> {
        let (num, tokens, width) = x.dims3()?;
        let qkv = self.qkv.forward(x)?;
        let qkv = qkv.reshape((num, tokens, 3, width / HEAD, HEAD))?;
        // [3, n, heads, tokens, 64]
        let qkv = qkv.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let (q, k, v) = (qkv.get(0)?, qkv.get(1)?, qkv.get(2)?);
        let q = (q * (HEAD as f64).powf(-0.5))?;
        let weights = softmax_last_dim(&q.matmul(&k.t()?)?)?;
        let mixed = weights.matmul(&v)?.transpose(1, 2)?;
        self.projection
            .forward(&mixed.reshape((num, tokens, width))?)
    }
}

impl Perceptron {
    fn take(
        weights: &mut Weights,
        block: &str,
        width: usize,
    ) -> std::result::Result<Self, FeatureError> {
        let gated = format!("{block}.mlp.w12");
        if weights.has(&format!("{gated}.weight")) {
            let out = format!("{block}.mlp.w3");
            let inner = inner(weights, &out)?;
            return Ok(Self::Gated {
                first: linear(weights, &gated, width, 2 * inner)?,
                second: linear(weights, &out, inner, width)?,
            });
        }
        let out = format!("{block}.mlp.fc2");
        let inner = inner(weights, &out)?;
        Ok(Self::Gelu {
            first: linear(weights, &format!("{block}.mlp.fc1"), width, inner)?,
            second: linear(weights, &out, inner, width)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Gelu { first, second } => second.forward(&first.forward(x)?.gelu_erf()?),
            Self::Gated { first, second } => {
                let both = first.forward(x)?.chunk(2, D::Minus1)?;
                second.forward(&(both[0].silu()? * &both[1])?)
            }
        }
    }
}

/// How many values the map of this name takes.
fn inner(weights: &Weights, name: &str) -> std::result::Result<usize, FeatureError> {
    let shape = weights.shape(&format!("{name}.weight"))?;
    Ok(shape.last().copied().unwrap_or(0))
}

fn linear(
    weights: &mut Weights,
    name: &str,
    from: usize,
    to: usize,
) -> std::result::Result<Linear, FeatureError> {
    let weight = weights.take(&format!("{name}.weight"), &[to, from])?;
    let bias = weights.take(&format!("{name}.bias"), &[to])?;
    Ok(Linear::new(weight, Some(bias)))
}

/// Query, key and value as one map.
fn joined(
    weights: &mut Weights,
    name: &str,
    width: usize,
) -> std::result::Result<Linear, FeatureError> {
    let mut parts = Vec::new();
    for part in ["query", "key", "value"] {
        parts.push(linear(weights, &format!("{name}.{part}"), width, width)?);
    }
    let all: Vec<&Tensor> = parts.iter().map(Linear::weight).collect();
    let biases: Vec<&Tensor> = parts.iter().filter_map(Linear::bias).collect();
    let (weight, bias) = (Tensor::cat(&all, 0)?, Tensor::cat(&biases, 0)?);
    Ok(Linear::new(weight, Some(bias)))
}

/// The norm over channels of this name.
pub(super) fn norm(
    weights: &mut Weights,
    name: &str,
    width: usize,
) -> std::result::Result<LayerNorm, FeatureError> {
    let weight = weights.take(&format!("{name}.weight"), &[width])?;
    let bias = weights.take(&format!("{name}.bias"), &[width])?;
    Ok(LayerNorm::new(weight, bias, EPS))
}
