//! Images made smaller or larger: each pixel of the result is a weighted mean of those that it covers.

/// What pixels are weighted by, stretched to the pixels of the result where it is smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All that lie within the new pixel alike: what a camera of fewer pixels sees.
    Box,
    /// `sinc(x) sinc(x / 3)` up to three new pixels away: sharper, and may overshoot at edges, where it is cut to the
    /// range of the data.
    Lanczos,
}

impl Filter {
    /// How far the weights reach, in pixels.
    fn support(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Self::Lanczos if x.abs() < 3.0 => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }

    /// For each of `to` pixels along a line of `from` the first that it covers and the weights from there on, whose sum
    /// is 1.
    fn lines(self, from: usize, to: usize) -> Vec<(usize, Vec<f64>)> {
        let scale = from as f64 / to as f64;
        let stretch = scale.max(1.0);
        let reach = self.support() * stretch;
        let line = |at: usize| {
            let centre = (at as f64 + 0.5) * scale;
            let first = (centre - reach + 0.5).floor().max(0.0) as usize;
            let end = ((centre + reach + 0.5).floor() as usize).min(from);
            let weight = |x: usize| self.weight((x as f64 + 0.5 - centre) / stretch);
            let weights: Vec<f64> = (first..end).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            (first, weights.iter().map(|weight| weight / sum).collect())
        };
        (0..to).map(line).collect()
    }
}

fn sinc(x: f64) -> f64 {
    let x = std::f64::consts::PI * x;
    if x == 0.0 { 1.0 } else { x.sin() / x }
}

/// A plane of `height` by `width` values, row after row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plane {
    pub height: usize,
    pub width: usize,
    pub values: Vec<f32>,
}

impl Plane {
    /// The largest part in the middle that has the shape of `height` by `width`.
    pub(super) fn cropped(&self, [height, width]: [usize; 2]) -> Self {
        // Rounded to the nearest pixel.
        let fit = |side: usize, a: usize, b: usize| ((2 * side * a + b) / (2 * b)).max(1);
        let rows = self.height.min(fit(self.width, height, width));
        let columns = self.width.min(fit(self.height, width, height));
        let (top, left) = ((self.height - rows) / 2, (self.width - columns) / 2);
        let line = |row: usize| &self.values[(top + row) * self.width + left..][..columns];
        Self {
            height: rows,
            width: columns,
            values: (0..rows).flat_map(line).copied().collect(),
        }
    }

    /// The same at `height` by `width`, within `[-1, 1]`.
    pub(super) fn resized(&self, [height, width]: [usize; 2], filter: Filter) -> Self {
        let across = filter.lines(self.width, width);
        let down = filter.lines(self.height, height);
        let mut narrow = Vec::with_capacity(self.height * width);
        for row in self.values.chunks_exact(self.width) {
            for (first, weights) in &across {
                let covered = row[*first..].iter().zip(weights);
                let mean: f64 = covered
                    .map(|(&value, weight)| f64::from(value) * weight)
                    .sum();
                narrow.push(mean);
            }
        }
        let mut values = Vec::with_capacity(height * width);
        for (first, weights) in &down {
            for column in 0..width {
                let covered = weights.iter().enumerate();
                let mean: f64 = covered
                    .map(|(row, weight)| narrow[(first + row) * width + column] * weight)
                    .sum();
                values.push(mean.clamp(-1.0, 1.0) as f32);
            }
        }
        Self {
            height,
            width,
            values,
        }
    }
}
