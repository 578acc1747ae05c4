//! The levels of an image as planes of values in `[-1, 1]`.

use image::DynamicImage;

use crate::levels::Level;

/// How the planes of an image are laid out.
pub(super) struct Planes {
    /// Of the image itself, without its transparency.
    pub channels: usize,
    /// Of each plane.
    pub copies: usize,
}

impl Planes {
    /// Appends the planes of `image` in `[-1, 1]`; whether any pixel is transparent, and whether levels have 16 bits.
    pub(super) fn of(&self, image: &DynamicImage, pixels: &mut Vec<f32>) -> (bool, bool) {
        let area = image.width() as usize * image.height() as usize;
        match (
            image.as_bytes(),
            image.color().bytes_per_pixel() / image.color().channel_count(),
        ) {
            (levels, 1) => (self.append(levels, area, pixels), false),
            (bytes, _) => {
                let levels = bytes.chunks_exact(2);
                let levels: Vec<u16> = levels
                    .map(|two| u16::from_ne_bytes([two[0], two[1]]))
                    .collect();
                (self.append(&levels, area, pixels), true)
            }
        }
    }

    fn append<L: Level>(&self, levels: &[L], area: usize, pixels: &mut Vec<f32>) -> bool {
        let stride = levels.len() / area;
        let opaque = |pixel: &[L]| stride == self.channels || pixel[self.channels].into() == L::MAX;
        let transparent = !levels.chunks_exact(stride).all(opaque);
        for channel in 0..self.channels {
            let start = pixels.len();
            pixels.extend(levels.chunks_exact(stride).map(|pixel| {
                let level: u32 = pixel[channel].into();
                match transparent {
                    false => L::value(level),
                    true => L::value(on_white(level, pixel[self.channels].into(), L::MAX)),
                }
            }));
            for _ in 1..self.copies {
                pixels.extend_from_within(start..start + area);
            }
        }
        transparent
    }
}

/// A pixel of opacity `alpha` before a white ground, rounded to a level: `(v a + max (max - a)) / max`.
fn on_white(level: u32, alpha: u32, max: u32) -> u32 {
    let sum = u64::from(level) * u64::from(alpha) + u64::from(max) * u64::from(max - alpha);
    ((sum + u64::from(max) / 2) / u64::from(max)) as u32
}
