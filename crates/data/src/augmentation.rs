//! Images changed at random while a network trains, and what it is told of the change (Karras et al. 2022,
//! arXiv:2206.00364, appendix F.2).

use std::f64::consts::{PI, TAU};

use rand::Rng;
use serde::{Deserialize, Serialize};

use self::affine::Affine;
use self::resample::resample;

mod affine;
mod resample;

/// Numbers that tell a network how an image was changed.
pub const AUGMENT_LABELS: usize = 9;

/// The deviations of the logarithms, to base 2, of size and aspect.
const SCALE: f64 = 0.2;
const ANISOTROPY: f64 = 0.2;
/// The deviation of shifts, as a share of the side.
const TRANSLATION: f64 = 0.125;

/// How training images are changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// Every other image, at random, is its mirror image. The network is not told, so samples are mirrored as well: for
    /// data to which left and right are alike.
    #[serde(default, skip_serializing_if = "is_false")]
    pub x_flip: bool,
    /// The probability of each geometric transformation but the horizontal flip, which is drawn for every image; none are
    /// made if left out. The network is told all of them, and no sample shows any (Karras et al. 2022 take 0.12 for
    /// CIFAR-10, 0.15 for FFHQ and AFHQ).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometric: Option<f64>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl AugmentConfig {
    /// Numbers that a network is told of an image: 9 of one that may be transformed, 0 else.
    pub fn label_dim(&self) -> usize {
        self.geometric.map_or(0, |_| AUGMENT_LABELS)
    }

    /// Changes one image in place and writes what a network is told of it to `labels`, of length
    /// [`Self::label_dim`]; zeros stand for an image as it was.
    ///
    /// - `image`: values of `[C, H, W]` = `shape`.
    /// - `rng`: the image's own generator.
    pub fn apply(
        &self,
        image: &mut [f32],
        shape: [usize; 3],
        labels: &mut [f32],
        rng: &mut impl Rng,
    ) {
        if self.x_flip && coin(rng) {
            flip(image, shape, true);
        }
        if let Some(probability) = self.geometric {
            let drawn = Transformation::draw(probability, rng);
            drawn.apply(image, shape);
            labels.copy_from_slice(&drawn.labels());
        }
    }
}

/// A geometric transformation, in the notation of table 6 of arXiv:2206.00364.
///
/// ```text
/// a0   x-flip        SCALE2D(1 - 2 a0, 1)                                       told a0
/// a1   y-flip        SCALE2D(1, 1 - 2 a1)                                       told a1
/// a2   scaling       SCALE2D(2^(0.2 a2), 2^(0.2 a2))                            told a2
/// a3   rotation      ROTATE2D(-a3)                                              told cos a3 - 1, sin a3
/// a4,5 anisotropy    ROTATE2D(a4) SCALE2D(2^(0.2 a5), 2^(-0.2 a5)) ROTATE2D(-a4)   told a5 cos a4, a5 sin a4
/// a6,7 translation   TRANSLATE2D(a6 / 8, a7 / 8) of the sides                   told a6, a7
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Transformation {
    x_flip: bool,
    y_flip: bool,
    scale: f64,
    rotation: f64,
    anisotropy: [f64; 2],
    translation: [f64; 2],
}

impl Transformation {
    /// Draws every parameter, and leaves out each transformation but the x-flip with 1 less `probability`.
    fn draw(probability: f64, rng: &mut impl Rng) -> Self {
        let x_flip = coin(rng);
        let y_flip = coin(rng) && uniform(rng) < probability;
        let mut scale = normal(rng);
        let mut rotation = PI * (2.0 * uniform(rng) - 1.0);
        let mut anisotropy = [PI * (2.0 * uniform(rng) - 1.0), normal(rng)];
        let mut translation = [normal(rng), normal(rng)];
        for value in [&mut scale, &mut rotation] {
            *value *= f64::from(uniform(rng) < probability);
        }
        for pair in [&mut anisotropy, &mut translation] {
            let kept = f64::from(uniform(rng) < probability);
            *pair = pair.map(|value| value * kept);
        }
        Self {
            x_flip,
            y_flip,
            scale,
            rotation,
            anisotropy,
            translation,
        }
    }

    fn labels(&self) -> [f32; AUGMENT_LABELS] {
        let [angle, stretch] = self.anisotropy;
        [
            f64::from(self.x_flip),
            f64::from(self.y_flip),
            self.scale,
            self.rotation.cos() - 1.0,
            self.rotation.sin(),
            stretch * angle.cos(),
            stretch * angle.sin(),
            self.translation[0],
            self.translation[1],
        ]
        .map(|label| label as f32)
    }

    /// What moves pixels between their places, for images of `height` and `width` pixels.
    fn affine(&self, height: usize, width: usize) -> Affine {
        let size = (SCALE * self.scale).exp2();
        let [angle, stretch] = self.anisotropy;
        let stretch = (ANISOTROPY * stretch).exp2();
        let [right, down] = self.translation;
        Affine::scale(size, size)
            .then(&Affine::rotate(-self.rotation))
            .then(&Affine::rotate(-angle))
            .then(&Affine::scale(stretch, 1.0 / stretch))
            .then(&Affine::rotate(angle))
            .then(&Affine::translate(
                TRANSLATION * right * width as f64,
                TRANSLATION * down * height as f64,
            ))
    }

    fn moves_pixels(&self) -> bool {
        let Self {
            scale,
            rotation,
            anisotropy: [_, stretch],
            translation: [right, down],
            ..
        } = *self;
        [scale, rotation, stretch, right, down] != [0.0; 5]
    }

    fn apply(&self, image: &mut [f32], shape: [usize; 3]) {
        for (flipped, horizontally) in [(self.x_flip, true), (self.y_flip, false)] {
            if flipped {
                flip(image, shape, horizontally);
            }
        }
        if self.moves_pixels() {
            let [_, height, width] = shape;
            resample(image, shape, &self.affine(height, width));
        }
    }
}

/// Mirrors an image of `[C, H, W]`.
fn flip(image: &mut [f32], [_, height, width]: [usize; 3], horizontally: bool) {
    match horizontally {
        true => image.chunks_exact_mut(width).for_each(<[f32]>::reverse),
        false => {
            for channel in image.chunks_exact_mut(height * width) {
                for row in 0..height / 2 {
                    let (above, below) = channel.split_at_mut((height - 1 - row) * width);
                    above[row * width..][..width].swap_with_slice(&mut below[..width]);
                }
            }
        }
    }
}

/// A number from 0 to 1, both left out.
fn uniform(rng: &mut impl Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

fn coin(rng: &mut impl Rng) -> bool {
    rng.next_u64() >> 63 == 1
}

/// A standard normal number, by Box and Muller's transformation.
fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v) = (uniform(rng), uniform(rng));
    (-2.0 * u.ln()).sqrt() * (TAU * v).cos()
}

#[cfg(test)]
mod tests;
