//! The residual block of DDPM++, NCSN++ and ADM.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{Conv2d, Dropout, GroupNorm, Linear, Resample, Scheme, SelfAttention, check_filter};
use crate::memory::Trace;
use crate::network::Mode;
use crate::ops::{self, Activation, Filter};

/// What all blocks of a network have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Length of the noise embedding.
    pub(crate) embedding: usize,
    /// Offset of the variances.
    pub(crate) eps: f64,
    /// Factor of a sum of two branches.
    pub(crate) skip_scale: f64,
    /// Whether the embedding scales and shifts the second normalisation, or is added before it.
    pub(crate) adaptive_scale: bool,
    /// Whether a skip that changes the resolution has weights even if it keeps the channels.
    pub(crate) resample_proj: bool,
    pub(crate) filter: Filter,
    pub(crate) dropout: f64,
    pub(crate) scheme: Scheme,
}

/// What a block is built from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockSpec {
    pub(crate) c_in: usize,
    pub(crate) c_out: usize,
    pub(crate) resample: Resample,
    /// Heads of the self-attention, 0 for none.
    pub(crate) heads: usize,
}

/// Norm, SiLU and convolution twice, with the noise embedding in between; then self-attention, if any.
///
/// ```text
/// h = conv0(resample(silu(norm0(x))))
/// h = silu(norm1(h + affine(e)))        or, adaptive:  silu(norm1(h) (1 + scale) + shift),  [scale, shift] = affine(e)
/// y = (conv1(dropout(h)) + skip(resample(x))) skip_scale
/// out = (proj(attention(qkv(norm2(y)))) + y) skip_scale
/// ```
///
/// Source: Song et al. 2021, appendix H, and Dhariwal and Nichol 2021, as configured by Karras et al. 2022, table 1.
pub(crate) struct Block {
    style: Style,
    resample: Resample,
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
    pub(crate) fn new(spec: BlockSpec, style: Style, vb: &VarBuilder) -> Result<Self> {
        let (c_in, c_out, scheme) = (spec.c_in, spec.c_out, style.scheme);
        let resamples = spec.resample != Resample::None;
        if resamples {
            check_filter(style.filter, &vb.pp("conv0"))?;
            check_filter(style.filter, &vb.pp("skip"))?;
        }
        let conv =
            |name: &str, c_in, kernel, init| Conv2d::new(c_in, c_out, kernel, init, &vb.pp(name));
        let projects = c_in != c_out || resamples && style.resample_proj;
        let skip = || conv("skip", c_in, 1, scheme.layer(c_in, c_out, 1));
        let (rows, e) = (
            if style.adaptive_scale { 2 } else { 1 } * c_out,
            style.embedding,
        );
        Ok(Self {
            style,
            resample: spec.resample,
            norm0: GroupNorm::new(c_in, style.eps, &vb.pp("norm0"))?,
            conv0: conv("conv0", c_in, 3, scheme.layer(c_in, c_out, 3))?,
            affine: Linear::new(e, rows, scheme.layer(e, rows, 1), &vb.pp("affine"))?,
            norm1: GroupNorm::new(c_out, style.eps, &vb.pp("norm1"))?,
            dropout: Dropout::new(style.dropout, vb.prefix()),
            conv1: conv("conv1", c_out, 3, scheme.last(c_out, c_out, 3))?,
            skip: projects.then(skip).transpose()?,
            attention: (spec.heads > 0)
                .then(|| SelfAttention::new(c_out, spec.heads, &style, vb))
                .transpose()?,
        })
    }

    /// Maps `x [B, H, W, c_in]` under the embedding `e [B, embedding]`.
    pub(crate) fn forward(&self, x: &Tensor, e: &Tensor, mode: Mode) -> Result<Tensor> {
        let h = self.norm0.forward(x, Activation::Silu)?;
        let h = self.resample.apply(&h, self.style.filter)?;
        let h = if self.style.adaptive_scale {
            let h = self.conv0.forward(&h)?;
            let m = self.affine.forward(e)?;
            self.norm1.forward_modulated(&h, &m, Activation::Silu)?
        } else {
            // The embedding joins the bias, so that no pass over the image is spent on it.
            let bias = self.affine.forward_plus(e, self.conv0.bias())?;
            let h = self.conv0.forward_with_bias(&h, &bias)?;
            self.norm1.forward(&h, Activation::Silu)?
        };
        let h = self.conv1.forward(&self.dropout.forward(&h, mode)?)?;
        let scale = self.style.skip_scale;
        let y = ops::add_scaled(&h, &self.skip(x)?, scale)?;
        match &self.attention {
            Some(attention) => ops::add_scaled(&attention.forward(&y)?, &y, scale),
            None => Ok(y),
        }
    }

    /// Counts what [`Self::forward`] gives of an image of `pixels` pixels; returns its pixels.
    pub(crate) fn trace(&self, trace: &mut Trace, pixels: usize) -> usize {
        let (c_in, c_out) = (self.norm0.channels(), self.conv0.c_out());
        let after = self.resample.pixels(pixels);
        trace.scope(c_out * after, |trace| {
            trace.output(c_in * pixels);
            self.resample.trace(trace, c_in, pixels);
            self.conv0.trace(trace, after);
            trace.output(c_out * after);
            // What came between the two is dropped with the branch that it is computed in.
            trace.free(c_out * after);
            self.dropout.trace(trace, c_out * after);
            self.conv1.trace(trace, after);
            self.trace_skip(trace, c_in, pixels);
            trace.output(c_out * after);
            if let Some(attention) = &self.attention {
                attention.trace(trace, after);
                trace.output(c_out * after);
            }
        });
        after
    }

    /// The same of [`Self::skip`].
    fn trace_skip(&self, trace: &mut Trace, c_in: usize, pixels: usize) {
        match (&self.skip, self.resample) {
            (Some(conv), Resample::Up) if self.style.filter == Filter::Box => {
                conv.trace(trace, pixels);
                self.resample.trace(trace, conv.c_out(), pixels);
                trace.free(conv.c_out() * pixels);
            }
            (None, resample) => resample.trace(trace, c_in, pixels),
            (Some(conv), Resample::None) => conv.trace(trace, pixels),
            (Some(conv), resample) => {
                let after = resample.pixels(pixels);
                resample.trace(trace, c_in, pixels);
                conv.trace(trace, after);
                trace.free(c_in * after);
            }
        }
    }

    /// Channels that go out.
    pub(crate) fn c_out(&self) -> usize {
        self.conv0.c_out()
    }

    fn skip(&self, x: &Tensor) -> Result<Tensor> {
        let filter = self.style.filter;
        match (&self.skip, self.resample) {
            // A kernel of one commutes with repetition, and there are four times fewer pixels before it.
            (Some(conv), Resample::Up) if filter == Filter::Box => {
                ops::upsample(&conv.forward(x)?, filter)
            }
            (Some(conv), resample) => conv.forward(&resample.apply(x, filter)?),
            (None, resample) => resample.apply(x, filter),
        }
    }
}
