//! Images of another size.
//!
//! Each axis is a linear map of its own: a pixel of the result is a weighted sum of a few that lie side by side.
//! Pixel `i` has its centre at `i + 1/2`; there is no alignment of corners.

/// The weights of one axis.
pub(crate) struct Axis {
    /// For each pixel of the result, the first pixel that it is made of and the weight of that and the next ones.
    taps: Vec<(usize, Vec<f32>)>,
    from: usize,
}

impl Axis {
    /// Linear interpolation between the two nearest pixels, whatever the sizes; nothing is averaged where an image shrinks.
    pub(crate) fn linear(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let tap = |i: usize| {
            let place = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
            let first = (place as usize).min(from - 1);
            let behind = (place - first as f64) as f32;
            match first + 1 < from {
                true => (first, vec![1.0 - behind, behind]),
                false => (first, vec![1.0]),
            }
        };
        Self {
            taps: (0..to).map(tap).collect(),
            from,
        }
    }

    /// Cubic convolution with `a = -1/2` (Keys 1981), as wide as a pixel of the result where the image shrinks, with the
    /// weights beyond the edge given to the others: what imaging libraries call antialiased.
    pub(crate) fn smooth_cubic(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let width = scale.max(1.0);
        let tap = |i: usize| {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - 2.0 * width + 0.5).max(0.0) as usize;
            let end = ((centre + 2.0 * width + 0.5) as usize).min(from);
            let weight = |j: usize| cubic((j as f64 + 0.5 - centre) / width, -0.5);
            let weights: Vec<f64> = (first..end).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            let weights = weights.iter().map(|weight| (weight / sum) as f32);
            (first, weights.collect())
        };
        Self {
            taps: (0..to).map(tap).collect(),
            from,
        }
    }

    /// Cubic convolution with `a = -3/4` of the four nearest pixels, one pixel of the result for `scale` of the image; those
    /// beyond the edge are as the one at the edge.
    pub(crate) fn cubic(from: usize, to: usize, scale: f64) -> Self {
        let tap = |i: usize| {
            let place = (i as f64 + 0.5) * scale - 0.5;
            let before = place.floor();
            let near = (0..4).map(|k| {
                let at = before + f64::from(k) - 1.0;
                let pixel = at.clamp(0.0, (from - 1) as f64) as usize;
                (pixel, cubic(at - place, -0.75))
            });
            let near: Vec<(usize, f64)> = near.collect();
            let (first, last) = (near[0].0, near[3].0);
            let mut weights = vec![0.0f64; last - first + 1];
            for (pixel, weight) in near {
                weights[pixel - first] += weight;
            }
            (first, weights.into_iter().map(|w| w as f32).collect())
        };
        Self {
            taps: (0..to).map(tap).collect(),
            from,
        }
    }

    /// Pixels of the result.
    pub(crate) fn len(&self) -> usize {
        self.taps.len()
    }
}

/// Cubic convolution's weight of a pixel at the distance `x`.
///
/// ```text
/// |x| < 1:  (a+2)|x|³ - (a+3)|x|² + 1,    |x| < 2:  a|x|³ - 5a|x|² + 8a|x| - 4a
/// ```
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((x - 5.0) * x + 8.0) * x * a - 4.0 * a
    } else {
        0.0
    }
}

/// A plane of another size, by the axis of its rows and that of its columns.
pub(crate) fn resample(plane: &[f32], rows: &Axis, columns: &Axis) -> Vec<f32> {
    let mut narrowed = Vec::with_capacity(rows.from * columns.len());
    for row in plane.chunks(columns.from) {
        narrowed.extend(columns.taps.iter().map(|(first, weights)| {
            let terms = row[*first..].iter().zip(weights);
            terms.map(|(value, weight)| value * weight).sum::<f32>()
        }));
    }
    let width = columns.len();
    let mut result = vec![0.0; rows.len() * width];
    for (out, (first, weights)) in result.chunks_mut(width).zip(&rows.taps) {
        for (row, weight) in narrowed[first * width..].chunks(width).zip(weights) {
            for (sum, value) in out.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor, safetensors};

    use super::*;

    /// Planes before and after, as PyTorch's `interpolate` has them: `tests/data/make.py`.
    const REFERENCE: &[u8] = include_bytes!("../tests/data/resample.safetensors");

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn every_kind_agrees_with_pytorch() {
        let all = safetensors::load_buffer(REFERENCE, &Device::Cpu).unwrap();
        let mut checked = 0;
        for (name, want) in &all {
            let Some(kind) = name.strip_prefix("to.") else {
                continue;
            };
            let plane = &all[&format!("from.{kind}")];
            let (from, to) = (plane.dims().to_vec(), want.dims().to_vec());
            let axis = |k: usize| match kind {
                _ if kind.starts_with("linear") => Axis::linear(from[k], to[k]),
                _ if kind.starts_with("smooth") => Axis::smooth_cubic(from[k], to[k]),
                _ => Axis::cubic(from[k], to[k], from[k] as f64 / (to[k] as f64 + 0.1)),
            };
            let got = resample(&values(plane), &axis(0), &axis(1));
            let want = values(want);
            assert_eq!(got.len(), want.len(), "{kind}");
            for (got, want) in got.iter().zip(&want) {
                assert!((got - want).abs() < 2e-5, "{kind}: got {got}, want {want}");
            }
            checked += 1;
        }
        assert_eq!(checked, 7, "cases in the file");
    }

    #[test]
    fn an_image_of_the_same_size_stays_as_it_is() {
        let plane: Vec<f32> = (0..35).map(|k| (k * k % 17) as f32).collect();
        for of in [Axis::linear, Axis::smooth_cubic] {
            let got = resample(&plane, &of(5, 5), &of(7, 7));
            assert_eq!(got, plane, "got {got:?}, want {plane:?}");
        }
    }
}
