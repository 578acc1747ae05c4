//! Where the pixels of a convolution lie.
//!
//! ```text
//! out[p] = Σ_tap in[(stride · p + tap - before) / spacing] W[tap]        where the division leaves nothing, else zero
//! ```
//!
//! The gradient of the input is the same with stride and spacing exchanged and the taps reversed.

use super::parallel::for_each_piece;
use super::scratch::Scratch;

/// Extents of a convolution with a square `kernel` over a batch of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) batch: usize,
    /// Rows and columns of the inputs.
    pub(crate) image: (usize, usize),
    /// Rows and columns of the outputs.
    pub(crate) out: (usize, usize),
    pub(crate) kernel: usize,
    /// Zeros before the first row and the first column, fewer than `kernel`.
    pub(crate) before: usize,
    /// Distance between inputs, with zeros between them.
    pub(crate) spacing: usize,
    /// Distance between the inputs of one output and those of the next.
    pub(crate) stride: usize,
}

impl Geometry {
    /// That of the gradient of the input.
    pub(crate) fn adjoint(self) -> Self {
        Self {
            image: self.out,
            out: self.image,
            before: self.kernel - 1 - self.before,
            spacing: self.stride,
            stride: self.spacing,
            ..self
        }
    }

    /// Pixels of one input.
    pub(crate) fn pixels_in(&self) -> usize {
        self.image.0 * self.image.1
    }

    /// Pixels of one output.
    pub(crate) fn pixels_out(&self) -> usize {
        self.out.0 * self.out.1
    }

    /// Whether outputs lie where inputs do, one under one.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.spacing == 1 && self.stride == 1 && self.image == self.out
    }

    /// Rows and columns of an image with its zeros, as far as outputs reach.
    pub(crate) fn padded(&self) -> (usize, usize) {
        let reach = |out: usize| (out - 1) * self.stride + self.kernel;
        (reach(self.out.0), reach(self.out.1))
    }

    /// Values between the rows of a padded image.
    pub(crate) fn padded_row(&self, channels: usize) -> usize {
        self.padded().1 * channels
    }

    /// Values of a padded image.
    pub(crate) fn padded_len(&self, channels: usize) -> usize {
        self.padded().0 * self.padded_row(channels)
    }

    /// Every sample of `x` with its zeros.
    pub(crate) fn pad(&self, channels: usize, x: &[f32]) -> Scratch {
        let (len, padded_len) = (self.pixels_in() * channels, self.padded_len(channels));
        assert_eq!(x.len(), self.batch * len, "inputs of every sample");
        let mut padded = Scratch::new(self.batch * padded_len);
        let images = &mut padded[..self.batch * padded_len];
        for_each_piece(images, padded_len, x.len(), |b, image| {
            image.fill(0.0);
            self.pad_into(channels, &x[b * len..(b + 1) * len], image);
        });
        padded
    }

    /// Copies one sample into its place in a padded image, leaving the zeros as they are.
    fn pad_into(&self, channels: usize, sample: &[f32], padded: &mut [f32]) {
        let ((rows, columns), row) = (self.padded(), self.padded_row(channels));
        // Where a stride leaves a remainder, no output reaches the last inputs.
        let reached = |len: usize, padded: usize| {
            let room = padded.saturating_sub(self.before);
            len.min(room.div_ceil(self.spacing))
        };
        let width = reached(self.image.1, columns);
        let lines = sample.chunks_exact(self.image.1 * channels);
        for (y, line) in lines.take(reached(self.image.0, rows)).enumerate() {
            let start = (self.before + y * self.spacing) * row + self.before * channels;
            if self.spacing == 1 {
                padded[start..start + width * channels].copy_from_slice(&line[..width * channels]);
                continue;
            }
            for (x, pixel) in line.chunks_exact(channels).take(width).enumerate() {
                let at = start + x * self.spacing * channels;
                padded[at..at + channels].copy_from_slice(pixel);
            }
        }
    }
}
