//! Levels of 8 or 16 bits, as image files store them.

use std::fmt;

/// A level of 8 or 16 bits.
pub(crate) trait Level: Copy + Into<u32> {
    /// White.
    const MAX: u32;

    /// A level as a value in `[-1, 1]`.
    fn value(level: u32) -> f32 {
        level as f32 / (Self::MAX as f32 / 2.0) - 1.0
    }

    /// The level whose value this is.
    fn level(value: f32) -> u32 {
        ((f64::from(value) + 1.0) * f64::from(Self::MAX) / 2.0).round() as u32
    }
}

impl Level for u8 {
    const MAX: u32 = u8::MAX as u32;
}

impl Level for u16 {
    const MAX: u32 = u16::MAX as u32;
}

/// How many levels a value can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// 256.
    Eight,
    /// 65,536.
    Sixteen,
}

impl Depth {
    /// Bytes of one value.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Eight => 1,
            Self::Sixteen => 2,
        }
    }
}

/// Values in `[-1, 1]` kept as the levels that they were made of: a quarter, or half, of what they take as `f32`.
#[derive(Clone)]
pub(crate) enum Levels {
    /// Of 8 bits, with the value of each level.
    Eight(Vec<u8>, Box<[f32; 256]>),
    /// Of 16 bits: level `v` is `v / 32767.5 - 1`.
    Sixteen(Vec<u16>),
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} levels", self.len())
    }
}

impl Levels {
    /// No levels yet, of 8 bits: level `v` is `v / 127.5 - 1`.
    pub(crate) fn of_images(capacity: usize) -> Self {
        let values = std::array::from_fn(|level| u8::value(level as u32));
        Self::Eight(Vec::with_capacity(capacity), Box::new(values))
    }

    /// No levels yet, of 8 bits whose values are `values`, within half a level of `v / 127.5 - 1`.
    pub(crate) fn of_bytes(capacity: usize, values: [f32; 256]) -> Self {
        Self::Eight(Vec::with_capacity(capacity), Box::new(values))
    }

    /// Appends values that were made of levels of `depth`. What is there becomes levels of 16 bits, with the same
    /// values, when the first of those come.
    pub(crate) fn append(&mut self, values: &[f32], depth: Depth) {
        if let (Self::Eight(levels, _), Depth::Sixteen) = (&*self, depth) {
            let mut wide = Vec::with_capacity(levels.capacity());
            wide.extend(levels.iter().map(|&level| u16::from(level) * 257));
            *self = Self::Sixteen(wide);
        }
        match self {
            Self::Eight(levels, _) => {
                levels.extend(values.iter().map(|&value| u8::level(value) as u8));
            }
            Self::Sixteen(levels) => {
                levels.extend(values.iter().map(|&value| u16::level(value) as u16));
            }
        }
    }

    /// Appends levels of 8 bits.
    pub(crate) fn append_bytes(&mut self, bytes: &[u8]) {
        match self {
            Self::Eight(levels, _) => levels.extend_from_slice(bytes),
            Self::Sixteen(levels) => {
                levels.extend(bytes.iter().map(|&level| u16::from(level) * 257));
            }
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Eight(levels, _) => levels.len(),
            Self::Sixteen(levels) => levels.len(),
        }
    }

    /// Appends the values at `places` to `values`.
    pub(crate) fn read(&self, places: std::ops::Range<usize>, values: &mut Vec<f32>) {
        match self {
            Self::Eight(levels, of) => {
                values.extend(levels[places].iter().map(|&level| of[usize::from(level)]));
            }
            Self::Sixteen(levels) => {
                let of = levels[places].iter().map(|&level| u16::value(level.into()));
                values.extend(of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(levels: &Levels) -> Vec<f32> {
        let mut values = Vec::new();
        levels.read(0..levels.len(), &mut values);
        values
    }

    #[test]
    fn every_level_comes_back_as_the_same_value() {
        let eight: Vec<f32> = (0..=255).map(u8::value).collect();
        let sixteen: Vec<f32> = (0..=65_535).map(u16::value).collect();
        let mut levels = Levels::of_images(0);
        levels.append(&eight, Depth::Eight);
        assert_eq!(values(&levels), eight);
        // Among levels of 16 bits those of 8 keep their values to the bit.
        levels.append(&sixteen, Depth::Sixteen);
        levels.append(&eight, Depth::Eight);
        assert_eq!(values(&levels), [&eight[..], &sixteen, &eight].concat());
    }

    #[test]
    fn bytes_keep_the_values_that_their_source_gives_them() {
        let of: [f32; 256] =
            std::array::from_fn(|level| (2.0 * (level as f64 / 255.0) - 1.0) as f32);
        let mut levels = Levels::of_bytes(0, of);
        levels.append(&of, Depth::Eight);
        assert_eq!(values(&levels), of);
    }
}
