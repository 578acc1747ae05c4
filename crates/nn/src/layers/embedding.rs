//! Embeddings of the noise level.

use candle_core::{D, DType, Device, Result, Tensor};

/// Ratio of the highest to the lowest frequency.
const MAX_POSITIONS: f64 = 10_000.0;

/// Sines and cosines of the noise level at geometrically spaced frequencies.
///
/// ```text
/// out = [sin(f_i c_noise), cos(f_i c_noise)],   f_i = 10000^(-i / (n/2 - 1)),   i = 0 .. n/2 - 1
/// ```
///
/// Source: DDPM++ of Song et al. 2021, in the order of Karras et al. 2022.
pub(crate) struct Positional {
    frequencies: Tensor,
}

impl Positional {
    /// An embedding of `channels` values, an even number of at least 4.
    pub(crate) fn new(channels: usize, dtype: DType, device: &Device) -> Result<Self> {
        let half = channels / 2;
        let frequencies: Vec<f64> = (0..half)
            .map(|i| MAX_POSITIONS.powf(-(i as f64) / (half - 1) as f64))
            .collect();
        let frequencies = Tensor::from_vec(frequencies, (1, half), device)?.to_dtype(dtype)?;
        Ok(Self { frequencies })
    }

    /// `[B]` to `[B, channels]`.
    pub(crate) fn forward(&self, c_noise: &Tensor) -> Result<Tensor> {
        let phase = c_noise.unsqueeze(1)?.broadcast_mul(&self.frequencies)?;
        Tensor::cat(&[phase.sin()?, phase.cos()?], D::Minus1)
    }
}
