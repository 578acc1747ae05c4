//! Twofold resampling with a low-pass filter.
//!
//! ```text
//! down[y, x] = Σ_(u, v) f[u] f[v] in[2y + u - pad, 2x + v - pad]        up = 4 downᵀ
//! box: f = [1, 1] / 2, pad 0        binomial: f = [1, 3, 3, 1] / 8, pad 1
//! ```
//!
//! Zeros stand outside the image. With the box filter, `down` takes means of two by two pixels and `up`
//! repeats pixels.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{to_channels_first, to_channels_last};
use crate::host::{output, slice, tensor, values};
use crate::kernels::cpu::resample::{Fir, down, up};
use crate::kernels::is_fused;
use crate::tape::apply1;

/// The low-pass filter of a resampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// `[1, 1]`: the mean of two by two pixels.
    Box,
    /// `[1, 3, 3, 1]`.
    Binomial,
}

impl Filter {
    /// The taps as whole numbers.
    pub fn taps(self) -> &'static [u32] {
        match self {
            Self::Box => &[1, 1],
            Self::Binomial => &[1, 3, 3, 1],
        }
    }

    fn fir(self) -> Fir {
        match self {
            Self::Box => Fir {
                taps: &[0.5, 0.5],
                pad: 0,
            },
            Self::Binomial => Fir {
                taps: &[0.125, 0.375, 0.375, 0.125],
                pad: 1,
            },
        }
    }
}

/// Halves height and width of `x [B, H, W, C]`, both even.
///
/// # Errors
///
/// An odd height or width.
pub fn downsample(x: &Tensor, filter: Filter) -> Result<Tensor> {
    halve(x, filter.fir())
}

/// Halves a framed image `x [B, H + 2, W + 2, C]` to `[B, H/2, W/2, C]`, its frame taking the place of zeros outside.
///
/// # Errors
///
/// An odd height or width, or a filter that reaches no further than the image.
pub(crate) fn downsample_framed(x: &Tensor) -> Result<Tensor> {
    halve(
        x,
        Fir {
            pad: 0,
            ..Filter::Binomial.fir()
        },
    )
}

fn halve(x: &Tensor, fir: Fir) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    if h % 2 != 0 || w % 2 != 0 {
        bail!("downsampling needs an even height and width, got {h} by {w}");
    }
    if is_fused(x) {
        return apply1(&x.contiguous()?, Downsample { fir });
    }
    // Channels join the batch: each is filtered alone.
    let planes = to_channels_first(x)?.reshape((b * c, 1, h, w))?;
    let out = planes.conv2d(&square(fir, x)?, fir.pad, 2, 1, 1)?;
    let (rows, columns) = (fir.halved(h), fir.halved(w));
    to_channels_last(&out.reshape((b, c, rows, columns))?)
}

/// Doubles height and width of `x [B, H, W, C]`.
///
/// # Errors
///
/// A tensor that does not have four dimensions.
pub fn upsample(x: &Tensor, filter: Filter) -> Result<Tensor> {
    let (b, h, w, c) = x.dims4()?;
    let fir = filter.fir();
    if is_fused(x) {
        return apply1(&x.contiguous()?, Upsample { fir });
    }
    if filter == Filter::Box {
        // Not `upsample_nearest2d`: its gradient overwrites other contributions.
        return x
            .reshape((b, h, 1, w, 1, c))?
            .broadcast_as((b, h, 2, w, 2, c))?
            .reshape((b, 2 * h, 2 * w, c));
    }
    let planes = to_channels_first(x)?.reshape((b * c, 1, h, w))?;
    let taps = (square(fir, x)? * 4.0)?;
    let out = planes.conv_transpose2d(&taps, fir.pad, 0, 2, 1)?;
    to_channels_last(&out.reshape((b, c, 2 * h, 2 * w))?)
}

/// The filter in two dimensions, `[1, 1, k, k]`, of the kind of `like`.
fn square(fir: Fir, like: &Tensor) -> Result<Tensor> {
    let k = fir.taps.len();
    let product = |i: usize| f64::from(fir.taps[i / k]) * f64::from(fir.taps[i % k]);
    let values: Vec<f64> = (0..k * k).map(product).collect();
    Tensor::from_vec(values, (1, 1, k, k), like.device())?.to_dtype(like.dtype())
}

struct Downsample {
    fir: Fir,
}

impl CustomOp1 for Downsample {
    fn name(&self) -> &'static str {
        "downsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, h, w, c) = layout.shape().dims4()?;
        let out = down(slice(x, layout)?, (b, h, w, c), self.fir, 1.0);
        Ok(output(out, (b, self.fir.halved(h), self.fir.halved(w), c)))
    }

    fn bwd(&self, x: &Tensor, out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let ((_, h, w, _), grad) = (x.dims4()?, grad.contiguous()?);
        let dx = up(&values(&grad)?, out.dims4()?, (h, w), self.fir, 1.0);
        Ok(Some(tensor(dx, x.shape())?))
    }
}

struct Upsample {
    fir: Fir,
}

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, h, w, c) = layout.shape().dims4()?;
        let full = (2 * h, 2 * w);
        let out = up(slice(x, layout)?, (b, h, w, c), full, self.fir, 4.0);
        Ok(output(out, (b, 2 * h, 2 * w, c)))
    }

    fn bwd(&self, x: &Tensor, out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let dx = down(&values(&grad)?, out.dims4()?, self.fir, 4.0);
        Ok(Some(tensor(dx, x.shape())?))
    }
}
