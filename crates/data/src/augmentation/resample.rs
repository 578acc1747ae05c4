//! An image at other places of its plane: between a doubling and a halving of its resolution (Karras et al. 2020,
//! arXiv:2006.06676, appendix B).

use super::affine::Affine;

/// The low-pass filter of Daubechies' least asymmetric wavelet with six vanishing moments, sym6. Its shifts by two are
/// orthonormal, so an image that is doubled and halved with nothing in between is itself.
const SYM6: [f64; TAPS] = [
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
];
const TAPS: usize = 12;

/// Where the filter's weight lies: the value of the doubled image at index `n` is that of the plane at `(n - c) / 2`.
fn centre() -> f64 {
    let moment = SYM6.iter().enumerate().map(|(k, h)| k as f64 * h);
    moment.sum::<f64>() / SYM6.iter().sum::<f64>()
}

/// Moves an image of `[C, H, W]` by `map`: what was at `p` is then at `map(p)`. Beyond its edges it is continued by
/// reflection.
pub(super) fn resample(image: &mut [f32], [_, height, width]: [usize; 3], map: &Affine) {
    let back = map.inverse();
    let (rows, columns) = (Axis::new(height), Axis::new(width));
    let margin = margin(&back, rows, columns);
    for channel in image.chunks_exact_mut(height * width) {
        let wide = reflected(channel, height, width, margin);
        let (tall, long) = (height + 2 * margin, width + 2 * margin);
        let doubled = double(&double_rows(&wide, long), tall, 2 * long + TAPS - 2);
        let source = Doubled {
            values: doubled,
            height: 2 * tall + TAPS - 2,
            width: 2 * long + TAPS - 2,
            margin,
        };
        let moved = source.moved(&back, rows, columns);
        let halved = halve_rows(&moved, columns.doubled(), width);
        let halved = halve(&halved, rows.doubled(), width, height);
        for (out, value) in channel.iter_mut().zip(halved) {
            *out = value as f32;
        }
    }
}

/// The pixels of one direction.
#[derive(Clone, Copy)]
struct Axis(usize);

impl Axis {
    fn new(pixels: usize) -> Self {
        Self(pixels)
    }

    /// Values of the doubled image that halving reads.
    fn doubled(self) -> usize {
        2 * self.0 + TAPS - 2
    }

    /// The place of the doubled value `n`, in pixels about the centre of the image.
    fn place(self, n: usize) -> f64 {
        (n as f64 - centre()) / 2.0 - (self.0 as f64 - 1.0) / 2.0
    }
}

/// Pixels by which the image is continued, so that nothing is asked for beyond.
fn margin(back: &Affine, rows: Axis, columns: Axis) -> usize {
    let ends = |axis: Axis| [axis.place(0), axis.place(axis.doubled() - 1)];
    let mut most = 0.0f64;
    for y in ends(rows) {
        for x in ends(columns) {
            let [x, y] = back.of([x, y]);
            let beyond = |place: f64, axis: Axis| place.abs() - (axis.0 as f64 - 1.0) / 2.0;
            most = most.max(beyond(x, columns)).max(beyond(y, rows));
        }
    }
    // Half the filter, so that every value asked for is made of all of its taps.
    most.ceil() as usize + TAPS / 2 + 1
}

/// The image `[height, width]` continued by `margin` on every side, its edge pixels not repeated.
fn reflected(image: &[f32], height: usize, width: usize, margin: usize) -> Vec<f64> {
    let inside = |i: usize, len: usize| {
        let period = (2 * (len - 1)).max(1);
        let at = (i as i64 - margin as i64).rem_euclid(period as i64) as usize;
        at.min(period - at).min(len - 1)
    };
    let columns: Vec<usize> = (0..width + 2 * margin).map(|x| inside(x, width)).collect();
    (0..height + 2 * margin)
        .flat_map(|y| {
            let row = &image[inside(y, height) * width..][..width];
            columns.iter().map(|&x| f64::from(row[x]))
        })
        .collect()
}

/// Doubles a row: `u[2 i + k] += sqrt(2) h[k] p[i]`.
fn double_row(row: &[f64], out: &mut [f64]) {
    for (i, value) in row.iter().enumerate() {
        for (k, h) in SYM6.iter().enumerate() {
            out[2 * i + k] += std::f64::consts::SQRT_2 * h * value;
        }
    }
}

/// Doubles every row of an image of `width` columns.
fn double_rows(image: &[f64], width: usize) -> Vec<f64> {
    let long = 2 * width + TAPS - 2;
    let mut out = vec![0.0; image.len() / width * long];
    for (row, out) in image.chunks_exact(width).zip(out.chunks_exact_mut(long)) {
        double_row(row, out);
    }
    out
}

/// Doubles every column of an image `[height, width]`.
fn double(image: &[f64], height: usize, width: usize) -> Vec<f64> {
    let mut out = vec![0.0; (2 * height + TAPS - 2) * width];
    for (i, row) in image.chunks_exact(width).enumerate() {
        for (k, h) in SYM6.iter().enumerate() {
            let out = &mut out[(2 * i + k) * width..][..width];
            for (out, value) in out.iter_mut().zip(row) {
                *out += std::f64::consts::SQRT_2 * h * value;
            }
        }
    }
    out
}

/// Halves every row of an image of `long` columns to `width`: `d[i] = sum_k h[k] u[2 i + k] / sqrt(2)`.
fn halve_rows(image: &[f64], long: usize, width: usize) -> Vec<f64> {
    let row = |row: &[f64]| -> Vec<f64> {
        let value = |i: usize| {
            let terms = SYM6.iter().zip(&row[2 * i..]).map(|(h, u)| h * u);
            terms.sum::<f64>() / std::f64::consts::SQRT_2
        };
        (0..width).map(value).collect()
    };
    image.chunks_exact(long).flat_map(row).collect()
}

/// Halves every column of an image `[tall, width]` to `height`.
fn halve(image: &[f64], tall: usize, width: usize, height: usize) -> Vec<f64> {
    debug_assert_eq!(image.len(), tall * width);
    let mut out = vec![0.0; height * width];
    for (i, out) in out.chunks_exact_mut(width).enumerate() {
        for (k, h) in SYM6.iter().enumerate() {
            let row = &image[(2 * i + k) * width..][..width];
            for (out, value) in out.iter_mut().zip(row) {
                *out += h * value / std::f64::consts::SQRT_2;
            }
        }
    }
    out
}

/// An image of twice the resolution, continued on every side.
struct Doubled {
    values: Vec<f64>,
    height: usize,
    width: usize,
    margin: usize,
}

impl Doubled {
    /// The doubled image whose value at each place is this one's at `back(place)`.
    fn moved(&self, back: &Affine, rows: Axis, columns: Axis) -> Vec<f64> {
        let xs: Vec<f64> = (0..columns.doubled()).map(|n| columns.place(n)).collect();
        let index = |place: f64, axis: Axis| {
            let pixel = place + (axis.0 as f64 - 1.0) / 2.0 + self.margin as f64;
            2.0 * pixel + centre()
        };
        (0..rows.doubled())
            .flat_map(|n| {
                let y = rows.place(n);
                xs.iter().map(move |&x| {
                    let [x, y] = back.of([x, y]);
                    self.between(index(y, rows), index(x, columns))
                })
            })
            .collect()
    }

    /// The value at a place between four values, by bilinear interpolation.
    fn between(&self, y: f64, x: f64) -> f64 {
        let split = |at: f64, len: usize| {
            let at = at.clamp(0.0, len as f64 - 1.0);
            let first = (at as usize).min(len - 2);
            (first, at - first as f64)
        };
        let ((row, down), (column, right)) = (split(y, self.height), split(x, self.width));
        let pair = |row: usize| {
            let two = &self.values[row * self.width + column..][..2];
            two[0] + right * (two[1] - two[0])
        };
        let (above, below) = (pair(row), pair(row + 1));
        above + down * (below - above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 16;

    /// A smooth image, of waves longer than four pixels.
    fn waves(x: f64, y: f64) -> f64 {
        (0.7 * x + 0.3).sin() + (0.4 * x - 0.6 * y).cos() + 0.1 * y
    }

    /// The image of `f` about the centre.
    fn image(f: impl Fn(f64, f64) -> f64) -> Vec<f32> {
        let place = |i: usize| i as f64 - (SIDE as f64 - 1.0) / 2.0;
        let row = |y| (0..SIDE).map(move |x| (place(x), place(y)));
        (0..SIDE)
            .flat_map(row)
            .map(|(x, y)| f(x, y) as f32)
            .collect()
    }

    fn resampled(map: &Affine) -> Vec<f32> {
        let mut out = image(waves);
        resample(&mut out, [1, SIDE, SIDE], map);
        out
    }

    /// The largest difference at least `edge` pixels from the edges.
    fn gap(got: &[f32], want: &[f32], edge: usize) -> f32 {
        let inner = edge..SIDE - edge;
        let pixels = inner
            .clone()
            .flat_map(|y| inner.clone().map(move |x| y * SIDE + x));
        pixels.map(|i| (got[i] - want[i]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn the_filter_is_that_of_an_orthonormal_wavelet_with_six_vanishing_moments() {
        for shift in 0..TAPS / 2 {
            let products = SYM6.iter().zip(&SYM6[2 * shift..]).map(|(a, b)| a * b);
            let (got, want) = (products.sum::<f64>(), f64::from(shift == 0));
            assert!(
                (got - want).abs() < 1e-12,
                "shift {shift}: got {got}, want {want}"
            );
        }
        for power in 0..6 {
            let moment = SYM6.iter().enumerate().map(|(k, h)| {
                let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
                sign * (k as f64 / TAPS as f64).powi(power) * h
            });
            let got: f64 = moment.sum();
            assert!(got.abs() < 1e-9, "moment {power}: got {got}, want 0");
        }
    }

    #[test]
    fn a_map_that_moves_nothing_gives_the_image_back() {
        let got = resampled(&Affine::scale(1.0, 1.0));
        let gap = gap(&got, &image(waves), 0);
        assert!(gap < 1e-6, "got a difference of {gap}");
    }

    #[test]
    fn a_shift_by_whole_pixels_is_exact_to_the_reflection_at_the_edge() {
        let got = resampled(&Affine::translate(3.0, -2.0));
        let want = image(|x, y| waves(x - 3.0, y + 2.0));
        // The edge that comes in, and the reach of the filter.
        let gap = gap(&got, &want, 6);
        assert!(gap < 1e-2, "got a difference of {gap}");
        let away = image(|x, y| waves(x + 3.0, y - 2.0));
        assert!(self::gap(&got, &away, 6) > 0.5, "it went the other way");
    }

    #[test]
    fn a_map_moves_what_is_at_a_point_to_its_image() {
        for map in [
            Affine::rotate(0.6),
            Affine::scale(1.25, 1.25),
            Affine::scale(1.2, 0.9).then(&Affine::rotate(-0.4)),
        ] {
            let got = resampled(&map);
            let back = map.inverse();
            let want = image(|x, y| {
                let [x, y] = back.of([x, y]);
                waves(x, y)
            });
            let gap = gap(&got, &want, 5);
            assert!(gap < 0.05, "{map:?}: got a difference of {gap}");
        }
    }
}
