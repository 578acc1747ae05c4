//! Image sets that are too large for memory: each image is decoded when it is needed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::archive::{Archive, Entry};
use super::decode::{self, Handled, Header};
use super::decoding::at_a_time;
use crate::file_error::FileError;
use crate::storage::Stored;

/// Images that stay in their archive or folder.
pub(super) struct InPlace {
    path: PathBuf,
    archive: Mutex<Box<dyn Archive>>,
    images: Vec<Entry>,
    first: Header,
}

impl fmt::Debug for InPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} images in {}", self.images.len(), self.path.display())
    }
}

impl InPlace {
    /// The `images` of the set at `path`, `first` the header of the first; the headers of all of them are read.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no image or is unlike the first. Pixels are not decoded yet.
    pub(super) fn checked(
        path: &Path,
        mut archive: Box<dyn Archive>,
        images: Vec<Entry>,
        first: Header,
    ) -> Result<Self, FileError> {
        let name = images[0].name.as_str();
        let mut left = images.as_slice();
        while !left.is_empty() {
            let (part, rest) = left.split_at(at_a_time(left, 0));
            left = rest;
            let files = read(archive.as_mut(), part);
            let check = |(bytes, image): (Result<Vec<u8>, FileError>, &Entry)| {
                decode::like(path, &image.name, &bytes?, (name, first)).map(|_| ())
            };
            files.into_par_iter().zip(part).try_for_each(check)?;
        }
        Ok(Self {
            path: path.to_path_buf(),
            archive: Mutex::new(archive),
            images,
            first,
        })
    }
}

/// Bytes of `num` images like `first` as levels.
pub(super) fn bytes_of_levels(num: usize, first: Header) -> u128 {
    let sizes = first.shape().map(|size| size as u128);
    sizes.iter().product::<u128>() * first.depth().bytes() as u128 * num as u128
}

fn read(archive: &mut dyn Archive, images: &[Entry]) -> Vec<Result<Vec<u8>, FileError>> {
    images.iter().map(|image| archive.read(image)).collect()
}

impl Stored for InPlace {
    fn read(&self, indices: &[usize]) -> Result<Vec<f32>, FileError> {
        let images: Vec<Entry> = indices.iter().map(|&i| self.images[i].clone()).collect();
        let n: usize = self.first.shape().iter().product();
        let mut values = Vec::with_capacity(indices.len() * n);
        let first = (self.images[0].name.as_str(), self.first);
        let mut left = images.as_slice();
        while !left.is_empty() {
            let (part, rest) = left.split_at(at_a_time(left, 4 * n as u64));
            left = rest;
            let files = {
                let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
                read(archive.as_mut(), part)
            };
            let decoded: Vec<Result<Vec<f32>, FileError>> = files
                .into_par_iter()
                .zip(part)
                .map(|(bytes, image)| {
                    let mut pixels = Vec::with_capacity(n);
                    let (name, mut handled) = (&image.name, Handled::default());
                    decode::decode(&self.path, name, &bytes?, first, &mut pixels, &mut handled)?;
                    Ok(pixels)
                })
                .collect();
            for pixels in decoded {
                values.extend(pixels?);
            }
        }
        Ok(values)
    }

    fn listing(&self, indices: &[usize], take: &mut dyn FnMut(&[u8])) {
        for image in indices.iter().map(|&i| &self.images[i]) {
            take(image.name.as_bytes());
            take(&image.size.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use candle_core::Device;
    use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

    use super::super::{Folder, Zip};
    use crate::error::DataError;
    use crate::mutated::mutated;
    use crate::splits::Splits;
    use crate::statistics::Statistics;
    use crate::storage::Room;

    /// What keeps values, what keeps levels, and what keeps nothing.
    fn rooms() -> [Room; 3] {
        [(1 << 20, 1 << 20), (0, 1 << 20), (0, 0)].map(|(values, levels)| Room { values, levels })
    }

    fn png(levels: &[u8], colour: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes)
            .write_image(levels, 2, 1, colour)
            .unwrap();
        bytes
    }

    /// Eleven images of 2 by 1 pixels, among them one of 16 bits, one with transparency and one of grey.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..11u8 {
            let bytes = match i {
                3 => png(
                    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
                    ExtendedColorType::Rgb16,
                ),
                4 => png(&[9, 8, 7, 128, 6, 5, 4, 255], ExtendedColorType::Rgba8),
                5 => png(&[200, 100], ExtendedColorType::L8),
                _ => png(
                    &[i, 2 * i, 3 * i, 255 - i, 17 * i, 0],
                    ExtendedColorType::Rgb8,
                ),
            };
            fs::write(folder.path().join(format!("{i:02}.png")), bytes).unwrap();
        }
        folder
    }

    fn read(path: &std::path::Path, room: Room) -> Result<Splits, DataError> {
        super::super::read(path, "set", Box::new(Folder::open(path)?), room)
    }

    #[test]
    fn images_are_the_same_to_the_bit_wherever_they_lie() {
        let folder = folder();
        let [values, levels, files] = rooms().map(|room| read(folder.path(), room).unwrap());
        assert!(files.train.is_in_files() && !levels.train.is_in_files());
        let wanted = [6, 0, 3, 8, 3];
        for (part, want) in [(&levels, &values), (&files, &values)] {
            for (got, want) in [(&part.train, &want.train), (&part.held_out, &want.held_out)] {
                let all = |set: &crate::Dataset| {
                    let images = set.images().unwrap().flatten_all().unwrap();
                    images.to_vec1::<f32>().unwrap()
                };
                assert_eq!(all(got), all(want));
                assert_eq!(got.image_shape(), want.image_shape());
                let [got, want] = [got, want].map(|set| Statistics::measure(set).unwrap());
                assert_eq!(got, want);
            }
            let batch = |splits: &Splits| {
                let train = &splits.train;
                train.prepare(&wanted).unwrap();
                let batch = train.batch(&wanted, &Device::Cpu).unwrap();
                batch.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            assert_eq!(batch(part), batch(want));
            let of = |splits: &Splits| {
                let set = splits
                    .train
                    .subset("some", &[7, 2])
                    .unwrap()
                    .images()
                    .unwrap();
                set.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            assert_eq!(of(part), of(want));
        }
    }

    #[test]
    fn images_in_files_are_held_against_the_first_before_any_is_needed() {
        let folder = folder();
        let path = folder.path().join("07.png");
        let other = png(&[1, 2, 3, 4], ExtendedColorType::La8);
        let mut wide = Vec::new();
        PngEncoder::new(&mut wide)
            .write_image(&[0; 9], 3, 1, ExtendedColorType::Rgb8)
            .unwrap();
        fs::write(&path, other).unwrap();
        assert!(
            read(folder.path(), rooms()[2]).is_ok(),
            "grey becomes coloured"
        );
        for (bytes, want) in [
            (wide, "all must be alike"),
            (b"text".to_vec(), "not an image"),
        ] {
            fs::write(&path, bytes).unwrap();
            let got = read(folder.path(), rooms()[2]).unwrap_err().to_string();
            assert!(got.contains("07.png") && got.contains(want), "got {got}");
        }
    }

    #[test]
    fn files_of_other_names_sizes_or_pixels_are_other_data() {
        let folder = folder();
        let of = |room: Room| read(folder.path(), room).unwrap().fingerprint().unwrap();
        let [values, levels, files] = rooms().map(of);
        assert_eq!(values, levels, "of the same pixels");
        assert_ne!(values, files);
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
        let of_copy = read(copy.path(), rooms()[2]).unwrap().fingerprint();
        assert_eq!(of_copy.unwrap(), files, "a copy is the same data");
        let path = folder.path().join("07.png");
        let other = png(&[9, 9, 9, 9, 9, 9], ExtendedColorType::Rgb8);
        fs::write(&path, &other).unwrap();
        let pixels = rooms().map(of);
        fs::rename(&path, folder.path().join("07b.png")).unwrap();
        let named = of(rooms()[2]);
        for (before, after) in [
            (&values, &pixels[0]),
            (&levels, &pixels[1]),
            (&files, &pixels[2]),
            (&pixels[2], &named),
        ] {
            assert_ne!(before, after);
        }
    }

    #[test]
    fn a_damaged_archive_that_images_stay_in_is_read_or_refused_by_name() {
        let (images, place) = (folder(), tempfile::tempdir().unwrap());
        let path = place.path().join("images.zip");
        let mut archive = ::zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for entry in fs::read_dir(images.path()).unwrap() {
            let entry = entry.unwrap();
            let options = ::zip::write::SimpleFileOptions::default();
            let name = entry.file_name().to_string_lossy().into_owned();
            archive.start_file(name, options).unwrap();
            let bytes = fs::read(entry.path()).unwrap();
            std::io::Write::write_all(&mut archive, &bytes).unwrap();
        }
        archive.finish().unwrap();
        let whole = fs::read(&path).unwrap();
        let mut read = 0;
        for seed in 0..200 {
            fs::write(&path, mutated(&whole, seed)).unwrap();
            let archive = Zip::open(&path).map_err(DataError::from);
            let loaded = archive.and_then(|archive| {
                super::super::read(&path, "set", Box::new(archive), rooms()[2])
            });
            match loaded.and_then(|splits| splits.train.images()) {
                Ok(_) => read += 1,
                Err(error) => {
                    let got = error.to_string();
                    assert!(got.contains("images.zip"), "mutation {seed}: got {got}");
                    assert_eq!(got.lines().count(), 1, "mutation {seed}: got {got}");
                }
            }
        }
        assert!((1..200).contains(&read), "got {read} read");
    }

    #[test]
    fn an_image_that_is_damaged_later_is_named_when_it_is_needed() {
        let folder = folder();
        let splits = read(folder.path(), rooms()[2]).unwrap();
        fs::write(folder.path().join("00.png"), b"gone").unwrap();
        let train = &splits.train;
        train.prepare(&[0, 1]).unwrap();
        let got = train.batch(&[0, 1], &Device::Cpu).unwrap_err().to_string();
        assert!(
            got.contains("00.png") && got.contains("not an image"),
            "got {got}"
        );
        assert!(train.batch(&[1, 2], &Device::Cpu).is_ok());
    }
}
