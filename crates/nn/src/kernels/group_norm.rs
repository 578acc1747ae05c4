//! Group normalisation of channels-last images, with or without SiLU behind it.
//!
//! ```text
//! x_hat = (x - mean_g) / sqrt(var_g + eps)        z = x_hat weight_c + bias_c        out = z  or  z sigmoid(z)
//! ```
//!
//! Mean and (biased) variance are those of one sample's group of consecutive channels over all pixels.

use std::mem::MaybeUninit;

use pulp::Arch;

use super::conv_weight::add_rows;
use super::elementwise::{silu, silu_slope};
use super::parallel::{for_each_pair_with, for_each_piece_with, written};

/// What a normalisation is made of beside its input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) groups: usize,
    pub(crate) eps: f32,
    pub(crate) activate: bool,
}

/// Gradients of a normalisation.
pub(crate) struct NormGradients {
    pub(crate) x: Vec<f32>,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// Cost of an element relative to a multiply-add, for scheduling.
const ELEMENT_WORK: usize = 8;

impl Norm<'_> {
    fn channels(&self) -> usize {
        self.weight.len()
    }

    /// Normalises `x`, `batch` samples.
    pub(crate) fn forward(&self, x: &[f32], batch: usize) -> Vec<f32> {
        let (c, len) = (self.channels(), x.len() / batch.max(1));
        // SAFETY: each piece is one sample, every element of which is written.
        unsafe {
            written(x.len(), |out| {
                for_each_piece_with(
                    out,
                    len,
                    x.len() * ELEMENT_WORK,
                    || Scratch::new(c),
                    |scratch, b, out| {
                        let x = &x[b * len..(b + 1) * len];
                        Arch::new().dispatch(|| self.forward_sample(scratch, x, out));
                    },
                );
            })
        }
    }

    #[inline(always)]
    fn forward_sample(&self, scratch: &mut Scratch, x: &[f32], out: &mut [MaybeUninit<f32>]) {
        let c = self.channels();
        scratch.measure(self, x);
        for ((weight, bias), (mean, rstd)) in self
            .weight
            .iter()
            .zip(self.bias)
            .zip(scratch.mean.iter_mut().zip(&mut scratch.rstd))
        {
            // From here on the pair holds scale and shift: z = x rstd + mean.
            *rstd *= weight;
            *mean = bias - *mean * *rstd;
        }
        for (x, out) in x.chunks_exact(c).zip(out.chunks_exact_mut(c)) {
            for (((out, x), shift), scale) in
                out.iter_mut().zip(x).zip(&scratch.mean).zip(&scratch.rstd)
            {
                let z = x * scale + shift;
                out.write(if self.activate { silu(z) } else { z });
            }
        }
    }

    /// Gradients with respect to input, weight and bias; the latter two are added in the order of the samples.
    pub(crate) fn backward(&self, x: &[f32], grad: &[f32], batch: usize) -> NormGradients {
        let (c, len) = (self.channels(), x.len() / batch.max(1));
        let mut per_sample = vec![0.0; batch * 2 * c];
        // SAFETY: each piece is one sample, every element of which is written.
        let dx = unsafe {
            written(x.len(), |dx| {
                let outputs = ((dx, len), (per_sample.as_mut_slice(), 2 * c));
                let work = x.len() * 2 * ELEMENT_WORK;
                for_each_pair_with(
                    outputs.0,
                    outputs.1,
                    work,
                    || Scratch::new(c),
                    |scratch, b, dx, sums| {
                        let (x, grad) = (&x[b * len..(b + 1) * len], &grad[b * len..(b + 1) * len]);
                        Arch::new().dispatch(|| self.backward_sample(scratch, x, grad, dx, sums));
                    },
                );
            })
        };
        let mut weight = vec![0.0; 2 * c];
        add_rows(&mut weight, &per_sample);
        let bias = weight.split_off(c);
        NormGradients {
            x: dx,
            weight,
            bias,
        }
    }

    /// Writes the input gradient, and Σ dz x_hat and Σ dz over the sample's pixels to `sums`.
    #[inline(always)]
    fn backward_sample(
        &self,
        scratch: &mut Scratch,
        x: &[f32],
        grad: &[f32],
        dx: &mut [MaybeUninit<f32>],
        sums: &mut [f32],
    ) {
        let c = self.channels();
        scratch.measure(self, x);
        let (weight_sum, bias_sum) = sums.split_at_mut(c);
        scratch.dz.clear();
        for (x, grad) in x.chunks_exact(c).zip(grad.chunks_exact(c)) {
            let start = scratch.dz.len();
            scratch.dz.extend_from_slice(grad);
            let dz = &mut scratch.dz[start..];
            let (mean, rstd) = (&scratch.mean[..c], &scratch.rstd[..c]);
            for i in 0..c {
                let x_hat = (x[i] - mean[i]) * rstd[i];
                if self.activate {
                    dz[i] *= silu_slope(x_hat * self.weight[i] + self.bias[i]);
                }
                weight_sum[i] += dz[i] * x_hat;
                bias_sum[i] += dz[i];
            }
        }
        scratch.project(self, weight_sum, bias_sum, x.len() / c);
        let rows = x
            .chunks_exact(c)
            .zip(scratch.dz.chunks_exact(c))
            .zip(dx.chunks_exact_mut(c));
        for ((x, dz), dx) in rows {
            for i in 0..c {
                let x_hat = (x[i] - scratch.mean[i]) * scratch.rstd[i];
                let centred =
                    dz[i] * self.weight[i] - scratch.along_one[i] - x_hat * scratch.along_x_hat[i];
                dx[i].write(scratch.rstd[i] * centred);
            }
        }
    }
}

/// Per-channel quantities of one sample; channels of a group hold equal values.
struct Scratch {
    mean: Vec<f32>,
    rstd: Vec<f32>,
    along_one: Vec<f32>,
    along_x_hat: Vec<f32>,
    /// Gradient of z, all pixels.
    dz: Vec<f32>,
}

impl Scratch {
    fn new(channels: usize) -> Self {
        let zeros = || vec![0.0; channels];
        Self {
            mean: zeros(),
            rstd: zeros(),
            along_one: zeros(),
            along_x_hat: zeros(),
            dz: Vec::new(),
        }
    }

    /// Mean and reciprocal standard deviation, in two passes so that a large mean costs no digits.
    #[inline(always)]
    fn measure(&mut self, norm: &Norm, x: &[f32]) {
        let c = norm.channels();
        let width = c / norm.groups;
        let scale = 1.0 / (x.len() / norm.groups) as f32;
        self.mean.fill(0.0);
        add_rows(&mut self.mean, x);
        spread(&mut self.mean, width, |sum| sum * scale);
        self.rstd.fill(0.0);
        for x in x.chunks_exact(c) {
            for ((sum, x), mean) in self.rstd.iter_mut().zip(x).zip(&self.mean) {
                *sum += (x - mean) * (x - mean);
            }
        }
        spread(&mut self.rstd, width, |sum| {
            1.0 / (sum * scale + norm.eps).sqrt()
        });
    }

    /// Means over each group of dz weight and dz weight x_hat: what the statistics' own gradients subtract.
    #[inline(always)]
    fn project(&mut self, norm: &Norm, weight_sum: &[f32], bias_sum: &[f32], pixels: usize) {
        let width = norm.channels() / norm.groups;
        let scale = 1.0 / (pixels * width) as f32;
        for i in 0..norm.channels() {
            self.along_one[i] = bias_sum[i] * norm.weight[i];
            self.along_x_hat[i] = weight_sum[i] * norm.weight[i];
        }
        spread(&mut self.along_one, width, |sum| sum * scale);
        spread(&mut self.along_x_hat, width, |sum| sum * scale);
    }
}

/// Replaces the channels of each group by a function of their sum.
#[inline(always)]
fn spread(channels: &mut [f32], width: usize, value: impl Fn(f32) -> f32) {
    for group in channels.chunks_exact_mut(width) {
        let sum = group.iter().sum();
        group.fill(value(sum));
    }
}
