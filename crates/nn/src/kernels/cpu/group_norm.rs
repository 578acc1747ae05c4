//! Group normalisation of channels-last images, with or without SiLU behind it.
//!
//! ```text
//! x_hat = (x - mean_g) / sqrt(var_g + eps)        z = x_hat weight_c + bias_c        out = z  or  z sigmoid(z)
//! ```
//!
//! Mean and (biased) variance are those of one sample's group of consecutive channels over all pixels.

use std::mem::MaybeUninit;

use super::conv_weight::add_rows;
use super::elementwise::{silu, silu_slope};
use super::parallel::{for_each_pair_with, for_each_piece_with, written};
use super::scratch::Scratch;
use super::vectorized::vectorized;

/// What a normalisation is made of beside its input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm<'a> {
    /// The first sample's weights.
    pub(crate) weight: &'a [f32],
    /// The first sample's biases.
    pub(crate) bias: &'a [f32],
    /// Distance from one sample's weights and biases to the next one's; 0 where all share them.
    pub(crate) step: usize,
    pub(crate) channels: usize,
    pub(crate) groups: usize,
    pub(crate) eps: f32,
    pub(crate) activate: bool,
}

/// Gradients of a normalisation.
pub(crate) struct NormGradients {
    pub(crate) x: Vec<f32>,
    /// Of weight and bias, `[batch, 2 C]`: for each sample a row of weights and one of biases.
    pub(crate) rows: Vec<f32>,
}

/// Cost of an element relative to a multiply-add, for scheduling.
const ELEMENT_WORK: usize = 8;

impl<'a> Norm<'a> {
    fn channels(&self) -> usize {
        self.channels
    }

    /// The normalisation of one sample.
    fn of_sample(&self, sample: usize) -> Self {
        let part = |rows: &'a [f32]| &rows[sample * self.step..][..self.channels];
        Self {
            weight: part(self.weight),
            bias: part(self.bias),
            ..*self
        }
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
                    || Quantities::new(c),
                    |scratch, b, out| {
                        let (norm, x) = (self.of_sample(b), &x[b * len..(b + 1) * len]);
                        vectorized(
                            #[inline(always)]
                            || {
                                scratch.measure(&norm, x);
                                if norm.activate {
                                    scratch.apply(&norm, x, out, silu);
                                } else {
                                    scratch.apply(&norm, x, out, |z| z);
                                }
                            },
                        );
                    },
                );
            })
        }
    }

    /// Gradients with respect to input, weight and bias.
    pub(crate) fn backward(&self, x: &[f32], grad: &[f32], batch: usize) -> NormGradients {
        let (c, len) = (self.channels(), x.len() / batch.max(1));
        let mut per_sample = vec![0.0; batch * 2 * c];
        // SAFETY: each piece is one sample, every element of which is written.
        let dx = unsafe {
            written(x.len(), |dx| {
                let work = x.len() * 2 * ELEMENT_WORK;
                let task = |scratch: &mut Quantities, b: usize, dx: &mut [_], sums: &mut [f32]| {
                    let (x, grad) = (&x[b * len..(b + 1) * len], &grad[b * len..(b + 1) * len]);
                    vectorized(
                        #[inline(always)]
                        || {
                            let norm = self.of_sample(b);
                            norm.backward_sample(scratch, (x, grad), dx, sums);
                        },
                    );
                };
                let lens = (len, 2 * c);
                for_each_pair_with(dx, &mut per_sample, lens, work, || Quantities::new(c), task);
            })
        };
        NormGradients {
            x: dx,
            rows: per_sample,
        }
    }

    /// Writes the input gradient, and Σ dz x_hat and Σ dz over the sample's pixels to `sums`.
    #[inline(always)]
    fn backward_sample(
        &self,
        scratch: &mut Quantities,
        (x, grad): (&[f32], &[f32]),
        dx: &mut [MaybeUninit<f32>],
        sums: &mut [f32],
    ) {
        scratch.measure(self, x);
        if scratch.dz.len() < x.len() {
            scratch.dz = Scratch::new(x.len());
        }
        if self.activate {
            scratch.gather(self, (x, grad), sums, |z, g| g * silu_slope(z));
        } else {
            scratch.gather(self, (x, grad), sums, |_, g| g);
        }
        scratch.project(self, sums, x.len() / self.channels());
        scratch.scatter(x, dx);
    }
}

/// Per-channel quantities of one sample; `mean`, `rstd` and the projections are equal within a group.
struct Quantities {
    mean: Vec<f32>,
    rstd: Vec<f32>,
    /// `z = scale x + shift`; later on the scale of the gradient.
    scale: Vec<f32>,
    shift: Vec<f32>,
    /// Gradient of z, all pixels.
    dz: Scratch,
}

// In the loops below all slices are cut to one length first: that spares the bounds checks that would keep them from
// becoming vector instructions.
impl Quantities {
    fn new(channels: usize) -> Self {
        let zeros = || vec![0.0; channels];
        Self {
            mean: zeros(),
            rstd: zeros(),
            scale: zeros(),
            shift: zeros(),
            dz: Scratch::new(0),
        }
    }

    /// Mean, reciprocal standard deviation, and scale and shift from x to z.
    ///
    /// The variance takes a second pass, so that a large mean costs no digits.
    #[inline(always)]
    fn measure(&mut self, norm: &Norm, x: &[f32]) {
        let c = norm.channels();
        let width = c / norm.groups;
        let share = 1.0 / (x.len() / norm.groups) as f32;
        self.mean.fill(0.0);
        add_rows(&mut self.mean, x);
        spread(&mut self.mean, width, |sum| sum * share);
        self.rstd.fill(0.0);
        let (mean, rstd) = (&self.mean[..c], &mut self.rstd[..c]);
        for x in x.chunks_exact(c) {
            for i in 0..c {
                rstd[i] += (x[i] - mean[i]) * (x[i] - mean[i]);
            }
        }
        spread(rstd, width, |sum| 1.0 / (sum * share + norm.eps).sqrt());
        for i in 0..c {
            self.scale[i] = rstd[i] * norm.weight[i];
            self.shift[i] = norm.bias[i] - mean[i] * self.scale[i];
        }
    }

    /// `out = f(z)`.
    #[inline(always)]
    fn apply(&self, norm: &Norm, x: &[f32], out: &mut [MaybeUninit<f32>], f: impl Fn(f32) -> f32) {
        let c = norm.channels();
        let (scale, shift) = (&self.scale[..c], &self.shift[..c]);
        for (x, out) in x.chunks_exact(c).zip(out.chunks_exact_mut(c)) {
            for i in 0..c {
                out[i].write(f(x[i] * scale[i] + shift[i]));
            }
        }
    }

    /// `dz = f(z, grad)`, and its sums over pixels, with x_hat and plain.
    #[inline(always)]
    fn gather(
        &mut self,
        norm: &Norm,
        (x, grad): (&[f32], &[f32]),
        sums: &mut [f32],
        f: impl Fn(f32, f32) -> f32,
    ) {
        let c = norm.channels();
        let (weight_sum, bias_sum) = sums.split_at_mut(c);
        let (mean, rstd) = (&self.mean[..c], &self.rstd[..c]);
        let (scale, shift, bias_sum) = (&self.scale[..c], &self.shift[..c], &mut bias_sum[..c]);
        let pixels = x
            .chunks_exact(c)
            .zip(grad.chunks_exact(c))
            .zip(self.dz.chunks_exact_mut(c));
        for ((x, grad), dz) in pixels {
            for i in 0..c {
                let d = f(x[i] * scale[i] + shift[i], grad[i]);
                dz[i] = d;
                weight_sum[i] += d * ((x[i] - mean[i]) * rstd[i]);
                bias_sum[i] += d;
            }
        }
    }

    /// Turns `mean` and `shift` into the terms that the statistics' own gradients take away:
    /// `dx = scale dz - shift - mean x`.
    #[inline(always)]
    fn project(&mut self, norm: &Norm, sums: &[f32], pixels: usize) {
        let c = norm.channels();
        let width = c / norm.groups;
        let share = 1.0 / (pixels * width) as f32;
        let (weight_sum, bias_sum) = sums.split_at(c);
        let mut along_x_hat: Vec<f32> = weight_sum
            .iter()
            .zip(norm.weight)
            .map(|(sum, w)| sum * w)
            .collect();
        let mut along_one: Vec<f32> = bias_sum
            .iter()
            .zip(norm.weight)
            .map(|(sum, w)| sum * w)
            .collect();
        spread(&mut along_x_hat, width, |sum| sum * share);
        spread(&mut along_one, width, |sum| sum * share);
        for i in 0..c {
            let slope = self.rstd[i] * self.rstd[i] * along_x_hat[i];
            self.shift[i] = self.rstd[i] * along_one[i] - slope * self.mean[i];
            self.mean[i] = slope;
        }
    }

    /// Writes the input gradient.
    #[inline(always)]
    fn scatter(&self, x: &[f32], dx: &mut [MaybeUninit<f32>]) {
        let c = self.mean.len();
        let (scale, shift, slope) = (&self.scale[..c], &self.shift[..c], &self.mean[..c]);
        let pixels = x
            .chunks_exact(c)
            .zip(self.dz.chunks_exact(c))
            .zip(dx.chunks_exact_mut(c));
        for ((x, dz), dx) in pixels {
            for i in 0..c {
                dx[i].write(dz[i] * scale[i] - shift[i] - x[i] * slope[i]);
            }
        }
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
