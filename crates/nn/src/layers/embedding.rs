//! Embeddings of the noise level.

use std::f64::consts::TAU;

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use crate::constants::FREQUENCIES;

/// Ratio of the highest to the lowest frequency of positional embeddings.
const MAX_POSITIONS: f64 = 10_000.0;

/// Standard deviation of the frequencies of Fourier embeddings, in turns.
const FOURIER_SCALE: f64 = 16.0;

/// How a network sees the noise level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseEmbedding {
    /// Sines and cosines at geometrically spaced frequencies from 1 down to 1/10000.
    Positional,
    /// Sines and cosines at random frequencies `2π 16 g`, `g ~ N(0, 1)`, which belong to the weights.
    Fourier,
}

/// Sines and cosines of the noise level at fixed frequencies.
///
/// ```text
/// out = [cos(f_i c_noise), sin(f_i c_noise)]
/// positional: f_i = 10000^(-i / (n/2 - shift)),   i = 0 .. n/2 - 1;   shift 1 reaches 1/10000, shift 0 stops short of it
/// Fourier:    f_i = 2π freqs_i
/// ```
///
/// Source: DDPM++ and NCSN++ of Song et al. 2021; ADM of Dhariwal and Nichol 2021 has shift 0.
pub(crate) struct Frequencies {
    /// Shape `[1, n/2]`.
    values: Tensor,
    /// Angle of one unit of `values`.
    unit: f64,
}

impl Frequencies {
    /// A positional embedding of `channels` values, an even number of at least 4; `shift` is less than half of it.
    pub(crate) fn positional(
        channels: usize,
        shift: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let half = channels / 2;
        let last = half - shift;
        let values: Vec<f64> = (0..half)
            .map(|i| MAX_POSITIONS.powf(-(i as f64) / last as f64))
            .collect();
        let values = Tensor::from_vec(values, (1, half), &Device::Cpu)?;
        let values = values.to_dtype(dtype)?.to_device(device)?;
        Ok(Self { values, unit: 1.0 })
    }

    /// A Fourier embedding of `channels` values; its frequencies stand as `freqs` among the weights and are
    /// not trained.
    pub(crate) fn fourier(channels: usize, vb: &VarBuilder) -> Result<Self> {
        Self::fourier_named(channels, FREQUENCIES, vb)
    }

    /// As [`Self::fourier`], with the frequencies of another name.
    pub(crate) fn fourier_named(channels: usize, name: &str, vb: &VarBuilder) -> Result<Self> {
        let init = Init::Randn {
            mean: 0.0,
            stdev: FOURIER_SCALE,
        };
        // A view: weights that are loaded later are seen.
        let values = vb.get_with_hints(channels / 2, name, init)?.detach();
        Ok(Self {
            values: values.unsqueeze(0)?,
            unit: TAU,
        })
    }

    /// `[B]` to the cosines and sines, each `[B, n/2]`.
    pub(crate) fn cos_sin(&self, c_noise: &Tensor) -> Result<(Tensor, Tensor)> {
        let angles = (&self.values * self.unit)?;
        let phase = c_noise.unsqueeze(1)?.broadcast_mul(&angles)?;
        Ok((phase.cos()?, phase.sin()?))
    }
}

/// `[a, b]` side by side.
pub(crate) fn beside(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Tensor::cat(&[a, b], D::Minus1)
}
