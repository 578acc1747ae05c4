//! The residual block of diffusers' `UNet2DModel`.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::config::TimeScaleShift;
use super::{UNet2DConfig, conv, linear};
use crate::layers::{Conv2d, Dropout, GroupNorm, Linear, Resample};
use crate::memory::Trace;
use crate::network::Mode;
use crate::ops::{self, Activation, Filter};

/// What a block is built from.
#[derive(Clone, Copy)]
pub(super) struct ResnetSpec {
    pub(super) c_in: usize,
    pub(super) c_out: usize,
    /// Groups of the two normalisations.
    pub(super) groups: [usize; 2],
    /// What the sum of both branches is divided by.
    pub(super) scale_factor: f64,
    pub(super) resample: Resample,
    pub(super) filter: Filter,
    /// Whether the shortcut has weights even where it keeps the channels.
    pub(super) projects: bool,
}

impl ResnetSpec {
    /// A block that keeps the resolution, in the groups of the configuration.
    pub(super) fn plain(config: &UNet2DConfig, c_in: usize, c_out: usize) -> Self {
        Self {
            c_in,
            c_out,
            groups: [config.norm_num_groups; 2],
            scale_factor: 1.0,
            resample: Resample::None,
            filter: Filter::Box,
            projects: false,
        }
    }
}

/// Two convolutions with the noise embedding in between.
///
/// ```text
/// h = conv1(resample(silu(norm1(x))))
/// h = silu(norm2(h + time_emb_proj(e)))
///     or, of scale_shift:  silu(norm2(h) (1 + scale) + shift),  [scale, shift] = time_emb_proj(e)
/// out = (conv2(dropout(h)) + conv_shortcut(resample(x))) / scale_factor
/// ```
pub(super) struct Resnet {
    spec: ResnetSpec,
    modulated: bool,
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Linear,
    norm2: GroupNorm,
    dropout: Dropout,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl Resnet {
    pub(super) fn new(config: &UNet2DConfig, spec: ResnetSpec, vb: &VarBuilder) -> Result<Self> {
        let (c_in, c_out, eps) = (spec.c_in, spec.c_out, config.norm_eps);
        let modulated = config.resnet_time_scale_shift == TimeScaleShift::ScaleShift;
        let rows = if modulated { 2 * c_out } else { c_out };
        let shortcut = || conv(c_in, c_out, 1, &vb.pp("conv_shortcut"));
        Ok(Self {
            spec,
            modulated,
            norm1: GroupNorm::with_groups(c_in, spec.groups[0], eps, &vb.pp("norm1"))?,
            conv1: conv(c_in, c_out, 3, &vb.pp("conv1"))?,
            time_emb_proj: linear(config.embedding(), rows, &vb.pp("time_emb_proj"))?,
            norm2: GroupNorm::with_groups(c_out, spec.groups[1], eps, &vb.pp("norm2"))?,
            dropout: Dropout::new(config.dropout, vb.prefix()),
            conv2: conv(c_out, c_out, 3, &vb.pp("conv2"))?,
            conv_shortcut: (c_in != c_out || spec.projects)
                .then(shortcut)
                .transpose()?,
        })
    }

    /// Channels that go out.
    pub(super) fn c_out(&self) -> usize {
        self.spec.c_out
    }

    /// Counts what [`Self::forward`] gives of an image of `pixels` pixels.
    pub(super) fn trace(&self, trace: &mut Trace, pixels: usize) {
        let (c_in, resample) = (self.spec.c_in, self.spec.resample);
        let after = resample.pixels(pixels);
        let values = self.c_out() * after;
        trace.scope(values, |trace| {
            trace.output(c_in * pixels);
            resample.trace(trace, c_in, pixels);
            self.conv1.trace(trace, after);
            trace.output(values);
            self.dropout.trace(trace, values);
            self.conv2.trace(trace, after);
            resample.trace(trace, c_in, pixels);
            if let Some(conv) = &self.conv_shortcut {
                conv.trace(trace, after);
            }
            trace.output(values);
        });
    }

    /// Maps `x [B, H, W, c_in]` under the activated embedding `e [B, embedding]`.
    pub(super) fn forward(&self, x: &Tensor, e: &Tensor, mode: Mode) -> Result<Tensor> {
        let spec = &self.spec;
        let h = self.norm1.forward(x, Activation::Silu)?;
        let h = spec.resample.apply(&h, spec.filter)?;
        let h = if self.modulated {
            let rows = self.time_emb_proj.forward(e)?;
            let h = self.conv1.forward(&h)?;
            self.norm2.forward_modulated(&h, &rows, Activation::Silu)?
        } else {
            let bias = self.time_emb_proj.forward_plus(e, self.conv1.bias())?;
            let h = self.conv1.forward_with_bias(&h, &bias)?;
            self.norm2.forward(&h, Activation::Silu)?
        };
        let h = self.conv2.forward(&self.dropout.forward(&h, mode)?)?;
        let x = spec.resample.apply(x, spec.filter)?;
        let x = match &self.conv_shortcut {
            Some(conv) => conv.forward(&x)?,
            None => x,
        };
        ops::add_scaled(&h, &x, spec.scale_factor.recip())
    }
}
