//! The residual block of DDPM++.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use super::{ALMOST_ZERO, Conv2d, Dropout, GroupNorm, Linear};
use crate::network::Mode;
use crate::ops::{self, Activation};

/// Offset of the variances.
const EPS: f64 = 1e-6;

/// Both branches of a sum have like variance, which this factor restores.
const SKIP_SCALE: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// Change of resolution at the entry of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resample {
    None,
    Up,
    Down,
}

/// What a block is built from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockSpec {
    pub(crate) c_in: usize,
    pub(crate) c_out: usize,
    /// Length of the noise embedding.
    pub(crate) embedding: usize,
    pub(crate) resample: Resample,
    pub(crate) attention: bool,
    pub(crate) dropout: f64,
}

/// Norm, SiLU and convolution twice, with the noise embedding added in between; then self-attention, if any.
///
/// ```text
/// h = conv0(resample(silu(norm0(x)))) + affine(e)
/// y = (conv1(dropout(silu(norm1(h)))) + skip(resample(x))) / sqrt(2)
/// out = (proj(attention(qkv(norm2(y)))) + y) / sqrt(2)
/// ```
///
/// Source: Song et al. 2021, appendix H, as configured by Karras et al. 2022, table 1.
pub(crate) struct Block {
    spec: BlockSpec,
    norm0: GroupNorm,
    conv0: Conv2d,
    affine: Linear,
    norm1: GroupNorm,
    dropout: Dropout,
    conv1: Conv2d,
    skip: Option<Conv2d>,
    attention: Option<SelfAttention>,
}

impl Block {
    pub(crate) fn new(spec: BlockSpec, vb: &VarBuilder) -> Result<Self> {
        let BlockSpec {
            c_in,
            c_out,
            resample,
            ..
        } = spec;
        let changes = c_in != c_out || resample != Resample::None;
        if resample != Resample::None {
            check_filter(&vb.pp("conv0"))?;
            check_filter(&vb.pp("skip"))?;
        }
        Ok(Self {
            spec,
            norm0: GroupNorm::new(c_in, EPS, &vb.pp("norm0"))?,
            conv0: Conv2d::new(c_in, c_out, 3, 1.0, &vb.pp("conv0"))?,
            affine: Linear::new(spec.embedding, c_out, &vb.pp("affine"))?,
            norm1: GroupNorm::new(c_out, EPS, &vb.pp("norm1"))?,
            dropout: Dropout::new(spec.dropout, vb.prefix()),
            conv1: Conv2d::new(c_out, c_out, 3, ALMOST_ZERO, &vb.pp("conv1"))?,
            skip: changes
                .then(|| Conv2d::new(c_in, c_out, 1, 1.0, &vb.pp("skip")))
                .transpose()?,
            attention: spec
                .attention
                .then(|| SelfAttention::new(c_out, vb))
                .transpose()?,
        })
    }

    /// Channels that the block takes.
    pub(crate) fn c_in(&self) -> usize {
        self.spec.c_in
    }

    /// Maps `x [B, H, W, c_in]` under the embedding `e [B, embedding]`.
    pub(crate) fn forward(&self, x: &Tensor, e: &Tensor, mode: Mode) -> Result<Tensor> {
        let h = self.norm0.forward(x, Activation::Silu)?;
        let h = match self.spec.resample {
            Resample::None => h,
            Resample::Up => ops::upsample(&h)?,
            Resample::Down => ops::downsample(&h)?,
        };
        // The embedding joins the bias, so that no pass over the image is spent on it.
        let bias = self.affine.forward_plus(e, self.conv0.bias())?;
        let h = self.conv0.forward_with_bias(&h, &bias)?;
        let h = self.norm1.forward(&h, Activation::Silu)?;
        let h = self.conv1.forward(&self.dropout.forward(&h, mode)?)?;
        let y = ops::add_scaled(&h, &self.skip(x)?, SKIP_SCALE)?;
        match &self.attention {
            Some(attention) => ops::add_scaled(&attention.forward(&y)?, &y, SKIP_SCALE),
            None => Ok(y),
        }
    }

    fn skip(&self, x: &Tensor) -> Result<Tensor> {
        let Some(conv) = &self.skip else {
            return Ok(x.clone());
        };
        match self.spec.resample {
            Resample::None => conv.forward(x),
            Resample::Down => conv.forward(&ops::downsample(x)?),
            // A kernel of one commutes with repetition, and there are four times fewer pixels before it.
            Resample::Up => ops::upsample(&conv.forward(x)?),
        }
    }
}

/// Self-attention with one head.
struct SelfAttention {
    norm: GroupNorm,
    qkv: Conv2d,
    proj: Conv2d,
}

impl SelfAttention {
    fn new(channels: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            norm: GroupNorm::new(channels, EPS, &vb.pp("norm2"))?,
            qkv: Conv2d::new(channels, 3 * channels, 1, 0.2f64.sqrt(), &vb.pp("qkv"))?,
            proj: Conv2d::new(channels, channels, 1, ALMOST_ZERO, &vb.pp("proj"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm.forward(x, Activation::None)?)?;
        self.proj.forward(&ops::attention(&qkv, 1)?)
    }
}

/// Checks the filter that published state dictionaries carry, where there is one: this network's is the box.
fn check_filter(vb: &VarBuilder) -> Result<()> {
    const NAME: &str = "resample_filter";
    if !vb.contains_tensor(NAME) {
        return Ok(());
    }
    let filter = vb.get_with_hints((1, 1, 2, 2), NAME, Init::Const(0.25))?;
    let values = filter
        .flatten_all()?
        .to_dtype(candle_core::DType::F32)?
        .to_vec1::<f32>()?;
    if values.iter().any(|value| (value - 0.25).abs() > 1e-6) {
        bail!(
            "{}.{NAME} is the box filter (0.25 four times) in this network, got {values:?}",
            vb.prefix()
        );
    }
    Ok(())
}
