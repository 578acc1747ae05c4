//! Toy sets: points in the plane, as images `[2, 1, 1]`.
//!
//! Points are drawn once, from a fixed seed, and cast to `f32`: the same on every machine. All lie
//! within `[-1, 1]²`; `eps` below is a standard normal pair, `u` and `v` are uniform on `[0, 1)`.

use std::f64::consts::{PI, TAU};

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::labels::ClassLabels;
use crate::source::Source;
use crate::splits::Splits;

/// Points of each part.
const POINTS: usize = 4096;

/// The shape of a toy set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    EightGaussians,
    SwissRoll,
    Checkerboard,
    TwoMoons,
}

impl Shape {
    fn word(self) -> &'static str {
        match self {
            Self::EightGaussians => "eight_gaussians",
            Self::SwissRoll => "swiss_roll",
            Self::Checkerboard => "checkerboard",
            Self::TwoMoons => "two_moons",
        }
    }

    /// The number of classes, which hold equally many points.
    fn num_classes(self) -> usize {
        match self {
            Self::EightGaussians | Self::Checkerboard => 8,
            Self::SwissRoll => 1,
            Self::TwoMoons => 2,
        }
    }

    /// Draws one point of `class`.
    ///
    /// ```text
    /// eight_gaussians  0.75 (cos(π k/4), sin(π k/4)) + 0.04 eps,   k = 0..8, the class
    /// swiss_roll       t/(4.5 π) 0.9 (cos t, sin t) + 0.015 eps,   t = 1.5 π (1 + 2 u)
    /// checkerboard     uniform on the 8 dark squares of side 0.45 that tile [-0.9, 0.9]²; the class is the square
    /// two_moons        0.55 ((cos πu, sin πu) - (1/2, 1/4)) + 0.03 eps, or its mirror image about the origin; the class is the moon
    /// ```
    fn draw(self, class: u32, rng: &mut ChaCha8Rng) -> [f64; 2] {
        match self {
            Self::EightGaussians => {
                let (sin, cos) = (f64::from(class) * TAU / 8.0).sin_cos();
                near([0.75 * cos, 0.75 * sin], 0.04, rng)
            }
            Self::SwissRoll => {
                let t = 1.5 * PI * (1.0 + 2.0 * uniform(rng));
                let radius = 0.9 * t / (4.5 * PI);
                near([radius * t.cos(), radius * t.sin()], 0.015, rng)
            }
            Self::Checkerboard => {
                let (row, half) = (class / 2, class % 2);
                let column = 2 * half + row % 2;
                let place = |square: u32, u: f64| -0.9 + 0.45 * (f64::from(square) + u);
                let (u, v) = (uniform(rng), uniform(rng));
                [place(column, u), place(row, v)]
            }
            Self::TwoMoons => {
                let (sin, cos) = (PI * uniform(rng)).sin_cos();
                let sign = if class == 0 { 0.55 } else { -0.55 };
                let centre = [sign * (cos - 0.5), sign * (sin - 0.25)];
                near(centre, 0.03, rng)
            }
        }
    }

    fn part(self, part: &str, stream: u64) -> Result<Dataset, DataError> {
        let mut key = [0; 32];
        let name = self.word().as_bytes();
        key[..name.len()].copy_from_slice(name);
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        let (mut values, mut classes) = (Vec::new(), Vec::new());
        let num_classes = self.num_classes();
        for index in 0..POINTS {
            let class = (index % num_classes) as u32;
            let point = self.draw(class, &mut rng);
            values.extend(point.map(|v| v.clamp(-1.0, 1.0) as f32));
            classes.push(class);
        }
        let points = Tensor::from_vec(values, (POINTS, 2, 1, 1), &Device::Cpu)?;
        let labels = ClassLabels::new(classes, num_classes);
        Dataset::new(format!("{}/{part}", self.word()), &points, Some(labels))
    }
}

impl Source for Shape {
    fn name(&self) -> String {
        self.word().to_string()
    }

    /// Training and held-out points, drawn from streams of their own.
    fn load(&self) -> Result<Splits, DataError> {
        let (train, held_out) = (self.part("train", 0)?, self.part("held_out", 1)?);
        Ok(Splits::new(self.name(), train, held_out))
    }
}

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    // 53 random bits: every value is a multiple of 2^-53.
    (rng.next_u64() >> 11) as f64 * 2f64.powi(-53)
}

/// A Gaussian about `centre`, by Box and Muller's formula.
fn near(centre: [f64; 2], scale: f64, rng: &mut ChaCha8Rng) -> [f64; 2] {
    let radius = (-2.0 * (1.0 - uniform(rng)).ln()).sqrt();
    let (sin, cos) = (TAU * uniform(rng)).sin_cos();
    [
        centre[0] + scale * radius * cos,
        centre[1] + scale * radius * sin,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shape; 4] = [
        Shape::EightGaussians,
        Shape::SwissRoll,
        Shape::Checkerboard,
        Shape::TwoMoons,
    ];

    fn points(dataset: &Dataset) -> Vec<[f64; 2]> {
        let flat = dataset
            .images()
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        flat.chunks_exact(2)
            .map(|p| [f64::from(p[0]), f64::from(p[1])])
            .collect()
    }

    #[test]
    fn parts_are_fixed_and_share_no_point() {
        for shape in ALL {
            let (once, again) = (shape.load().unwrap(), shape.load().unwrap());
            assert_eq!(points(&once.train), points(&again.train), "{shape:?}");
            let train = points(&once.train);
            let shared = points(&once.held_out)
                .iter()
                .filter(|p| train.contains(p))
                .count();
            assert_eq!(shared, 0, "{shape:?}");
            assert_eq!(once.train.image_shape(), [2, 1, 1]);
        }
    }

    #[test]
    fn points_stay_inside_without_being_clamped() {
        for shape in ALL {
            for [x, y] in points(&shape.load().unwrap().train) {
                assert!(x.abs() < 1.0 && y.abs() < 1.0, "{shape:?}: got {x}, {y}");
            }
        }
    }

    #[test]
    fn gaussians_have_the_stated_centres_and_width() {
        let train = Shape::EightGaussians.load().unwrap().train;
        let indices: Vec<usize> = (0..POINTS).collect();
        let classes = train.labels(&indices).unwrap().unwrap();
        let mut square = 0.0;
        for (class, [x, y]) in classes.iter().zip(points(&train)) {
            let (sin, cos) = (f64::from(*class) * TAU / 8.0).sin_cos();
            square += (x - 0.75 * cos).powi(2) + (y - 0.75 * sin).powi(2);
        }
        let got = (square / (2 * POINTS) as f64).sqrt();
        // Five standard errors: 5 * 0.04 / sqrt(2 * 8192).
        assert!((got - 0.04).abs() < 0.0016, "got {got}, want 0.04");
    }

    #[test]
    fn a_checkerboard_has_no_point_on_light_squares() {
        for [x, y] in points(&Shape::Checkerboard.load().unwrap().train) {
            let square = |v: f64| ((v + 0.9) / 0.45).floor() as i64;
            assert_eq!((square(x) + square(y)) % 2, 0, "got {x}, {y}");
        }
    }

    #[test]
    fn a_swiss_roll_lies_on_its_spiral() {
        for [x, y] in points(&Shape::SwissRoll.load().unwrap().train) {
            let radius = x.hypot(y);
            let angle = y.atan2(x).rem_euclid(TAU);
            // The arm nearest to the point: t = angle + 2 π k.
            let gap = (0..4).map(|k| {
                let t = angle + TAU * f64::from(k);
                (radius - 0.9 * t / (4.5 * PI)).abs()
            });
            let gap = gap.fold(f64::INFINITY, f64::min);
            assert!(gap < 0.1, "got {x}, {y}, off by {gap}");
        }
    }
}
