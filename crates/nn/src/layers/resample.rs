//! Change of resolution at the entry of a block.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use pfgmpp_kernel::in_f64;

use crate::constants::RESAMPLE_FILTER;
use crate::memory::Trace;
use crate::ops::{self, Filter};

/// Change of resolution at the entry of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resample {
    None,
    Up,
    Down,
}

impl Resample {
    /// Resamples `x [B, H, W, C]`.
    pub(crate) fn apply(self, x: &Tensor, filter: Filter) -> Result<Tensor> {
        match self {
            Self::None => Ok(x.clone()),
            Self::Up => ops::upsample(x, filter),
            Self::Down => ops::downsample(x, filter),
        }
    }

    /// Pixels that come of so many.
    pub(crate) fn pixels(self, pixels: usize) -> usize {
        match self {
            Self::None => pixels,
            Self::Up => 4 * pixels,
            Self::Down => pixels / 4,
        }
    }

    /// Counts what [`Self::apply`] gives of an image of `channels` channels.
    pub(crate) fn trace(self, trace: &mut Trace, channels: usize, pixels: usize) {
        if self != Self::None {
            trace.output(channels * self.pixels(pixels));
        }
    }
}

/// Checks the filter that published state dictionaries carry, where there is one, against the network's own.
pub(crate) fn check_filter(filter: Filter, vb: &VarBuilder) -> Result<()> {
    if !vb.contains_tensor(RESAMPLE_FILTER) {
        return Ok(());
    }
    let taps = filter.taps();
    let (side, sum) = (taps.len(), f64::from(taps.iter().sum::<u32>()));
    // Where the builder makes parameters, it knows this constant by its name and shape.
    let got = vb.get_with_hints((1, 1, side, side), RESAMPLE_FILTER, Init::Const(0.0))?;
    let got = in_f64(&got.flatten_all()?)?.to_vec1::<f64>()?;
    let want = (0..side * side)
        .map(|i| f64::from(taps[i / side]) * f64::from(taps[i % side]) / (sum * sum));
    if got
        .iter()
        .zip(want)
        .any(|(got, want)| (got - want).abs() > 1e-6)
    {
        bail!(
            "{}.{RESAMPLE_FILTER} is made of {taps:?} in this network, got {got:?}",
            vb.prefix()
        );
    }
    Ok(())
}
