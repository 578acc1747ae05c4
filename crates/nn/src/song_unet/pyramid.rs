//! What a Song U-Net takes in and gives out at its lower resolutions.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{EPS, EncoderType};
use crate::layers::{Conv2d, GroupNorm, Scheme, check_filter};
use crate::memory::Trace;
use crate::ops::{self, Activation, Conv2dConfig, Filter};

/// Both parts of a sum have like variance, which this factor restores.
const SKIP_SCALE: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// What the encoder adds behind a halving; `aux` begins as the input of the network.
///
/// ```text
/// skip:      aux' = halve(aux)                          x' = x + conv(aux')
/// residual:  aux' = x' = (x + halve(conv(aux))) / sqrt(2)
/// ```
///
/// Source: Song et al. 2021, appendix H, as configured by Karras et al. 2022.
pub(super) enum Descent {
    Skip { conv: Conv2d, filter: Filter },
    Residual { conv: Conv2d, filter: Filter },
}

impl Descent {
    /// The layers of `kind` behind a halving to `c` channels, from an `aux` of `c_aux` channels; names begin
    /// with `name`.
    pub(super) fn new(
        kind: EncoderType,
        filter: Filter,
        (c_aux, c): (usize, usize),
        name: &str,
        vb: &VarBuilder,
    ) -> Result<Option<Self>> {
        let at = |part: &str| vb.pp(format!("{name}_{part}"));
        let conv = |kernel: usize, part: &str| {
            let init = Scheme::Song.layer(c_aux, c, kernel);
            Conv2d::new(c_aux, c, kernel, init, &at(part))
        };
        Ok(match kind {
            EncoderType::Standard => None,
            EncoderType::Skip => {
                check_filter(filter, &at("aux_down"))?;
                let conv = conv(1, "aux_skip")?;
                Some(Self::Skip { conv, filter })
            }
            EncoderType::Residual => {
                check_filter(filter, &at("aux_residual"))?;
                let conv = conv(3, "aux_residual")?;
                Some(Self::Residual { conv, filter })
            }
        })
    }

    /// Counts what [`Self::forward`] gives at `pixels` pixels behind the halving; `aux` has `c_aux` channels.
    pub(super) fn trace(&self, trace: &mut Trace, c_aux: usize, pixels: usize) {
        let (Self::Skip { conv, .. } | Self::Residual { conv, .. }) = self;
        let c = conv.c_out();
        // The output, and in a skip encoder the halved input, which is small; the sum takes the place of `x`.
        trace.scope(c * pixels, |trace| {
            match self {
                Self::Skip { .. } => {
                    trace.output(c_aux * pixels);
                    conv.trace(trace, pixels);
                }
                Self::Residual { .. } => {
                    conv.trace(trace, 4 * pixels);
                    trace.output(c * pixels);
                }
            }
            trace.output(c * pixels);
        });
        trace.free(c * pixels);
    }

    /// Channels of the `aux` that the next level sees, where this one has seen `c_aux`.
    pub(super) fn c_aux(&self, c_aux: usize) -> usize {
        match self {
            Self::Skip { .. } => c_aux,
            Self::Residual { conv, .. } => conv.c_out(),
        }
    }

    /// Returns the new `x` and `aux`.
    pub(super) fn forward(&self, x: &Tensor, aux: &Tensor) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Skip { conv, filter } => {
                let aux = ops::downsample(aux, *filter)?;
                Ok((ops::add_scaled(x, &conv.forward(&aux)?, 1.0)?, aux))
            }
            Self::Residual { conv, filter } => {
                let halved = match filter {
                    Filter::Box => ops::downsample(&conv.forward(aux)?, *filter)?,
                    // The filter reaches beyond the image, where the convolution's output is not zero.
                    Filter::Binomial => ops::downsample_framed(&conv.forward_with(aux, FRAMED)?)?,
                };
                let x = ops::add_scaled(x, &halved, SKIP_SCALE)?;
                Ok((x.clone(), x))
            }
        }
    }
}

/// Under a kernel of 3, one output more on each side than there are pixels, as `downsample_framed` takes it.
const FRAMED: Conv2dConfig = Conv2dConfig {
    stride: 1,
    padding_before: 2,
    padding_after: 2,
    groups: 1,
};

/// The image that a level of the decoder gives, and its sum with the one below.
///
/// ```text
/// image' = conv(silu(norm(x))) + double(image)
/// ```
pub(super) struct Head {
    norm: GroupNorm,
    conv: Conv2d,
    filter: Filter,
}

impl Head {
    /// From `c` channels to `c_out`; names begin with `name`. `lowest` says that no level below gives an image.
    pub(super) fn new(
        (c, c_out): (usize, usize),
        filter: Filter,
        lowest: bool,
        name: &str,
        vb: &VarBuilder,
    ) -> Result<Self> {
        let at = |part: &str| vb.pp(format!("{name}_{part}"));
        if !lowest {
            check_filter(filter, &at("aux_up"))?;
        }
        let init = Scheme::Song.last(c, c_out, 3);
        Ok(Self {
            norm: GroupNorm::new(c, EPS, &at("aux_norm"))?,
            conv: Conv2d::new(c, c_out, 3, init, &at("aux_conv"))?,
            filter,
        })
    }

    /// Counts what [`Self::forward`] gives at `pixels` pixels, on top of an image of the level `below` or not.
    pub(super) fn trace(&self, trace: &mut Trace, pixels: usize, below: bool) {
        let image = self.conv.c_out() * pixels;
        trace.scope(image, |trace| {
            trace.output(self.norm.channels() * pixels);
            self.conv.trace(trace, pixels);
            if below {
                trace.output(image);
                trace.output(image);
            }
        });
    }

    /// The image of features `x`, added to the `below` one.
    pub(super) fn forward(&self, x: &Tensor, below: Option<&Tensor>) -> Result<Tensor> {
        let image = self
            .conv
            .forward(&self.norm.forward(x, Activation::Silu)?)?;
        match below {
            Some(below) => ops::add_scaled(&image, &ops::upsample(below, self.filter)?, 1.0),
            None => Ok(image),
        }
    }
}
