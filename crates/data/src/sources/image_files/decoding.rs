//! Images of a set decoded on all threads, in the order of the set.

use std::path::Path;

use rayon::prelude::*;

use super::archive::{Archive, Entry};
use super::decode::{Handled, Header, decode};
use crate::file_error::FileError;
use crate::levels::Depth;

/// Images decoded at a time, and bytes of their files and of their pixels as `f32`.
const MOST_IMAGES: usize = 256;
const MOST_BYTES: u64 = 64 << 20;

/// What the images of a set are decoded by.
pub(super) struct Decoding<'s> {
    /// The set.
    pub path: &'s Path,
    /// Name and header of the first image, which all others are like.
    pub first: (&'s str, Header),
    /// What was done to them.
    pub handled: Handled,
}

impl Decoding<'_> {
    /// Gives the pixels of `images`, one after the other, to `take`, with the depth of their levels.
    ///
    /// # Errors
    ///
    /// That of the first image that cannot be read or is unlike the first.
    pub(super) fn all(
        &mut self,
        archive: &mut dyn Archive,
        images: &[Entry],
        mut take: impl FnMut(Vec<f32>, Depth),
    ) -> Result<(), FileError> {
        let pixels = 4 * self.first.1.shape().iter().product::<usize>() as u64;
        let mut left = images;
        while !left.is_empty() {
            let (part, rest) = left.split_at(at_a_time(left, pixels));
            left = rest;
            let files: Vec<Result<Vec<u8>, FileError>> =
                part.iter().map(|image| archive.read(image)).collect();
            let decoded: Vec<_> = files
                .into_par_iter()
                .zip(part)
                .map(|(bytes, image)| self.one(image, &bytes?))
                .collect();
            for image in decoded {
                let (pixels, handled) = image?;
                self.handled.add(&handled);
                take(pixels, handled.depth());
            }
        }
        Ok(())
    }

    fn one(&self, image: &Entry, bytes: &[u8]) -> Result<(Vec<f32>, Handled), FileError> {
        let (mut pixels, mut handled) = (Vec::new(), Handled::default());
        decode(
            self.path,
            &image.name,
            bytes,
            self.first,
            &mut pixels,
            &mut handled,
        )?;
        Ok((pixels, handled))
    }
}

/// How many of `images`, of `pixels` bytes once decoded, lie in memory at a time; at least one.
pub(super) fn at_a_time(images: &[Entry], pixels: u64) -> usize {
    let mut sum = 0u64;
    let fits = images.iter().take(MOST_IMAGES).take_while(|image| {
        sum = sum.saturating_add(image.size).saturating_add(pixels);
        sum <= MOST_BYTES
    });
    fits.count().max(1)
}
