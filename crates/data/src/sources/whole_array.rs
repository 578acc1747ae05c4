//! A whole array as it stands in a file: samples or features, not data to learn from.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::array::{Array, Element};
use super::npz;
use crate::error::DataError;
use crate::file_error::FileError;

/// Bytes of an array at most.
const LARGEST: u64 = 8 << 30;
/// The array that is meant where an archive holds several, as evaluators of images call it.
const FIRST: &str = "arr_0";

/// Reads a `.npy` file, or of an `.npz` archive `arr_0` or, where there is none, its only array: `[n, ...]`.
///
/// Bytes are images: grey levels from 0 to 255 become values in `[-1, 1]`, and `[n, h, w, c]` of 1 or 3 channels
/// becomes `[n, c, h, w]`. Numbers of `f32` and `f64` stay as they are.
///
/// # Errors
///
/// A file that is no array, is cut off, is larger than 8 GiB or of another type; an archive with several arrays and none
/// called `arr_0`.
pub fn read_array(path: &Path) -> Result<Tensor, DataError> {
    let is_archive = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("npz"));
    if !is_archive {
        return tensor(path, Array::open_npy(path)?);
    }
    let mut archive = npz::open(path)?;
    let names = npz::names(&archive, path)?;
    let name = match names.as_slice() {
        [one] => one.clone(),
        names if names.iter().any(|name| name == FIRST) => FIRST.to_string(),
        names => {
            let names: Vec<&str> = names.iter().map(String::as_str).take(8).collect();
            let names = names.join(", ");
            let reason =
                format!("must hold {FIRST} or one array, got {names}: save the one that is meant");
            return Err(FileError::file(path, reason).into());
        }
    };
    tensor(path, npz::array(&mut archive, path, &name)?)
}

fn tensor(path: &Path, mut array: Array) -> Result<Tensor, DataError> {
    let shape = array.shape.clone();
    let sizes = shape.iter().map(|&size| size as u64);
    let values = sizes.fold(1, u64::saturating_mul);
    if values.saturating_mul(8) > LARGEST {
        return Err(FileError::file(
            path,
            format!("holds {values} values, up to {} are accepted", LARGEST / 8),
        )
        .into());
    }
    let element = array.element;
    let read = array.next(values as usize)?;
    Ok(match element {
        Element::F32 => {
            let values: Vec<f32> = read.into_iter().map(|value| value as f32).collect();
            Tensor::from_vec(values, shape, &Device::Cpu)?
        }
        Element::F64 => Tensor::from_vec(read, shape, &Device::Cpu)?,
        Element::U8 => {
            let values: Vec<f32> = read
                .into_iter()
                .map(|value| (value / 127.5 - 1.0) as f32)
                .collect();
            let images = Tensor::from_vec(values, shape.clone(), &Device::Cpu)?;
            match shape.as_slice() {
                [_, _, _, 1 | 3] => images.permute((0, 3, 1, 2))?.contiguous()?,
                [_, _, _] => images.unsqueeze(1)?,
                _ => images,
            }
        }
        Element::Whole(..) => {
            let reason =
                "is an array of whole numbers, accepted are u8 (|u1), f32 (<f4) and f64 (<f8)";
            return Err(FileError::file(path, reason).into());
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
        let text =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let length = (text.len() as u16).to_le_bytes();
        [
            b"\x93NUMPY\x01\x00".as_slice(),
            &length,
            text.as_bytes(),
            bytes,
        ]
        .concat()
    }

    fn archive(path: &Path, entries: &[(&str, Vec<u8>)]) {
        let mut archive = ZipWriter::new(File::create(path).unwrap());
        for (name, bytes) in entries {
            archive
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap();
    }

    #[test]
    fn images_of_an_archive_are_values_with_channels_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let images = npy("|u1", "1, 1, 2, 3", &[0, 51, 102, 153, 204, 255]);
        archive(
            &path,
            &[
                ("arr_0.npy", images),
                ("arr_1.npy", npy("<i8", "1,", &[0; 8])),
            ],
        );
        let got = read_array(&path).unwrap();
        assert_eq!(got.dims(), [1, 3, 1, 2]);
        let got = got.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (got, want) in got.into_iter().zip([-1.0, 0.2, -0.6, 0.6, -0.2, 1.0]) {
            assert!((got - want).abs() < 1e-6, "got {got}, want {want}");
        }
    }

    #[test]
    fn numbers_stay_as_they_are_and_the_only_array_has_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let bytes: Vec<u8> = [1.5f64, -3e5]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        archive(&path, &[("pool_3.npy", npy("<f8", "2, 1", &bytes))]);
        let got = read_array(&path).unwrap();
        assert_eq!(got.to_vec2::<f64>().unwrap(), [[1.5], [-3e5]]);
    }

    #[test]
    fn what_is_no_array_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let array = || npy("<f4", "1,", &[0; 4]);
        for (entries, want) in [
            (
                vec![("a.npy", array()), ("b.npy", array())],
                "must hold arr_0 or one array, got a, b",
            ),
            (
                vec![("arr_0.npy", b"hello".to_vec())],
                "arr_0: is not a NumPy array",
            ),
            (vec![("arr_0.npy", npy("<f4", "9, 9", &[0; 4]))], "cut off"),
            (
                vec![("arr_0.npy", npy("<i8", "1,", &[0; 8]))],
                "whole numbers",
            ),
            (vec![], "must hold arr_0 or one array"),
        ] {
            archive(&path, &entries);
            let got = read_array(&path).unwrap_err().to_string();
            assert!(got.contains(want), "got {got}, want {want}");
        }
        std::fs::write(&path, "text").unwrap();
        let got = read_array(&path).unwrap_err().to_string();
        assert!(got.contains("is not a NumPy archive (.npz)"), "got {got}");
    }
}
