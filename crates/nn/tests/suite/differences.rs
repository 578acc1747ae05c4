//! Derivatives of denoisers, which work in `f32`, beside central differences.

use candle_core::{DType, Device, Tensor};
use pfgmpp_kernel::{
    Denoiser, Query, SampleRng, Stream, column, inner_products, squared_norms, standard_normal,
};
use pfgmpp_nn::{Mlp, MlpConfig, Network, NoiseEmbedding, Parameters, Signature};

use crate::check::pattern;

/// Samples of a batch.
pub const B: usize = 3;
/// Steps to either side that a difference takes.
pub const REACH: i32 = 5;

/// A network of images `[C, H, W]` whose every weight matters; the layers' gain sets how much it bends.
pub fn mlp(shape: [usize; 3], out_channels: usize, gain: f64) -> Box<dyn Network> {
    let config = MlpConfig {
        hidden_dim: 16,
        num_layers: 1,
        embedding_type: NoiseEmbedding::Positional,
        label_dropout: 0.0,
    };
    let signature = Signature {
        out_channels,
        ..Signature::unconditional(shape)
    };
    let parameters = Parameters::new(0, &Device::Cpu);
    let network = Mlp::new(&config, signature, &parameters.builder()).unwrap();
    for (_, var) in parameters.vars() {
        let inputs = var.dims().last().copied().unwrap_or(1) as f64;
        let scaled = (pattern(var.dims()) * (gain / inputs.sqrt())).unwrap();
        var.set(&scaled.to_dtype(DType::F32).unwrap()).unwrap();
    }
    Box::new(network)
}

/// Standard normal samples, other ones for each seed.
pub fn normal(seed: u64, shape: [usize; 3]) -> Tensor {
    let mut rngs = SampleRng::batch(seed, Stream::Other(0), 0, B);
    standard_normal(&shape, &mut rngs, DType::F64, &Device::Cpu).unwrap()
}

/// Each sample times a number of its own.
pub fn scaled(x: &Tensor, by: &[f64]) -> Tensor {
    x.broadcast_mul(&column(by, x).unwrap()).unwrap()
}

/// The slope of each sample's `f(steps)` by a central difference of the tenth order: with wide steps, beside which
/// the rounding of `f32` is small.
fn slope(h: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let values: Vec<(f64, Vec<f64>)> = [2100.0, -600.0, 150.0, -25.0, 2.0]
        .into_iter()
        .zip(1..=REACH)
        .flat_map(|(weight, k)| {
            let k = f64::from(k);
            [(weight, f(&times(h, k))), (-weight, f(&times(h, -k)))]
        })
        .collect();
    let sum = |b: usize| values.iter().map(|(weight, f)| weight * f[b]).sum::<f64>();
    (0..h.len()).map(|b| sum(b) / (2520.0 * h[b])).collect()
}

/// All steps times as much.
pub fn times(steps: &[f64], k: f64) -> Vec<f64> {
    steps.iter().map(|h| k * h).collect()
}

/// Errors of the derivatives by x and sigma, relative to `v^T J`, with steps `h` along a direction and `h_sigma`.
pub fn errors(
    denoiser: &dyn Denoiser,
    x: &Tensor,
    sigma: f64,
    h: &[f64],
    h_sigma: &[f64],
) -> Vec<[f64; 2]> {
    let shape: [usize; 3] = x.dims()[1..].try_into().unwrap();
    let (v, u) = (normal(2, shape), normal(3, shape));
    let sigmas = [sigma; B];
    let got = denoiser.pullback(&Query::new(x, &sigmas), &v).unwrap();
    assert!(!got.x.track_op() && !got.denoised.track_op(), "a graph");
    let at = |x: &Tensor, sigma: &[f64]| {
        let denoised = denoiser.denoise(&Query::new(x, sigma)).unwrap();
        inner_products(&denoised, &v).unwrap()
    };
    let denoised = denoiser.denoise(&Query::new(x, &sigmas)).unwrap();
    let same = squared_norms(&(&got.denoised - denoised).unwrap()).unwrap();
    assert_eq!(same, [0.0; B], "the estimate is another");
    let by_x = slope(h, |k| at(&(x + scaled(&u, k)).unwrap(), &sigmas));
    let by_sigma = slope(h_sigma, |k| {
        at(x, &k.iter().map(|k| sigma + k).collect::<Vec<_>>())
    });
    let along = inner_products(&got.x, &u).unwrap();
    let [by_norm, x, v, m] = [&got.x, x, &v, &got.denoised].map(|t| {
        let squares = squared_norms(t).unwrap().into_iter();
        squares.map(f64::sqrt).collect::<Vec<_>>()
    });
    (0..B)
        .map(|b| {
            // v^T J may be next to nothing by chance; then beside an estimate that moves as x does.
            let scale = by_norm[b] + 0.3 * v[b] * m[b] / x[b];
            let scale_sigma = got.sigma[b].abs() * sigma + scale * x[b];
            [
                (along[b] - by_x[b]).abs() / scale,
                (got.sigma[b] - by_sigma[b]).abs() * sigma / scale_sigma,
            ]
        })
        .collect()
}
