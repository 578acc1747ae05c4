//! Image files of every kind, against what Pillow and NumPy read in them (`make.py`), and damaged ones.

mod packing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pfgmpp_data::{DataSource, ImageFiles, ImageFolder, read_image, read_opaque_image};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// What stands in `expected.json` of a file.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Expected {
    shape: Vec<usize>,
    levels: Vec<u32>,
    white: u32,
    tolerance: u32,
    refused: Option<String>,
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

fn expected() -> BTreeMap<String, Expected> {
    let text = fs::read(here().join("expected.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    fs::read(here().join("files").join(name)).unwrap()
}

#[test]
fn pixels_are_those_that_pillow_and_numpy_read() {
    let mut read = 0;
    for (name, want) in expected() {
        let path = here().join("files").join(&name);
        let got = read_image(&path);
        if let Some(words) = want.refused {
            let got = got.expect_err(&name).to_string();
            assert!(got.contains(&words), "got `{got}`, want `{words}` in it");
            assert!(got.contains(&name), "got `{got}`");
            continue;
        }
        let got = got.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(got.dims(), want.shape, "{name}");
        let half = want.white as f32 / 2.0;
        let got = got.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        if want.tolerance == 0 {
            let values: Vec<f32> = want.levels.iter().map(|&v| v as f32 / half - 1.0).collect();
            assert_eq!(got, values, "{name}");
        }
        let levels = got.iter().map(|v| (half * (v + 1.0)).round() as u32);
        for (at, (got, want_level)) in levels.zip(&want.levels).enumerate() {
            let off = got.abs_diff(*want_level);
            assert!(
                off <= want.tolerance,
                "{name}, value {at}: got {got}, want {want_level}"
            );
        }
        read += 1;
    }
    assert_eq!(read, 35, "files that are read");
}

/// A set of the coloured files of one size, ten or more.
fn mixed() -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let coloured = |(name, want): (String, Expected)| (want.shape == [3, 5, 7]).then_some(name);
    let names: Vec<String> = expected().into_iter().filter_map(coloured).collect();
    for name in &names {
        fs::write(folder.path().join(name), file(name)).unwrap();
    }
    fs::write(folder.path().join("zz_grey.png"), file("grey.png")).unwrap();
    (folder, names)
}

#[test]
fn a_set_of_many_formats_says_what_was_done_to_it() {
    let (folder, names) = mixed();
    let path = folder.path().to_path_buf();
    let splits = DataSource::Folder(ImageFolder { path }).load().unwrap();
    let total = splits.train.num_images() + splits.held_out.num_images();
    assert_eq!(total, names.len() + 1);
    let got = splits.found.to_string();
    for want in [
        "4 images with transparency laid on white",
        "3 images turned as their EXIF orientation says",
        "1 image of grey made coloured like the first",
        "1 image of 16 bits",
    ] {
        assert!(got.contains(want), "got {got}, want {want}");
    }
    assert!(!got.contains("left out"), "got {got}");
}

#[test]
fn grey_among_coloured_images_has_three_equal_planes() {
    let (folder, _) = mixed();
    let files = ImageFiles::read(folder.path()).unwrap();
    let last = files.names.len() - 1;
    assert_eq!(files.names[last], "zz_grey.png");
    let planes = files.images.get(last).unwrap().to_vec3::<f32>().unwrap();
    let grey = read_image(&here().join("files/grey.png")).unwrap();
    let grey = grey.to_vec3::<f32>().unwrap();
    for plane in &planes {
        assert_eq!(plane, &grey[0]);
    }
}

#[test]
fn an_image_that_says_seen_or_hidden_has_no_transparency() {
    for (name, opaque) in [
        ("grey.png", true),
        ("rgb.png", true),
        ("rgba.png", false),
        ("grey_alpha.png", false),
    ] {
        let path = here().join("files").join(name);
        let got = read_opaque_image(&path).map(|image| image.dims().to_vec());
        let got = got.map_err(|e| e.to_string());
        match opaque {
            true => assert!(got.is_ok(), "{name}: got {got:?}"),
            false => {
                let got = got.unwrap_err();
                let want = "has transparent pixels";
                assert!(got.contains(name) && got.contains(want), "got {got}");
            }
        }
    }
}

#[test]
fn a_file_is_what_its_bytes_are_whatever_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let called = folder.path().join("photo.png");
    fs::write(&called, file("rgb.webp")).unwrap();
    let got = read_image(&called).unwrap().to_vec3::<f32>().unwrap();
    let want = read_image(&here().join("files/rgb.webp")).unwrap();
    assert_eq!(got, want.to_vec3::<f32>().unwrap());
}

/// What a damaged copy of `bytes` is: with a few bits turned, or cut off.
fn damaged(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |end: usize| (rng.next_u64() % end as u64) as usize;
    let mut copy = bytes.to_vec();
    if seed % 4 == 3 {
        copy.truncate(below(bytes.len()));
        return copy;
    }
    for _ in 0..1 + below(4) {
        let (at, bit) = (below(bytes.len()), below(8));
        copy[at] ^= 1 << bit;
    }
    copy
}

#[test]
fn four_hundred_damaged_files_are_read_or_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = expected().into_keys().collect();
    let (mut read, mut refused) = (0, 0);
    for seed in 0..400 {
        let name = &names[seed % names.len()];
        let path = folder.path().join(name);
        fs::write(&path, damaged(&file(name), seed as u64)).unwrap();
        match read_image(&path) {
            Ok(image) => {
                read += 1;
                let values = image.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert!(values.iter().all(|v| v.abs() <= 1.0), "{name}, seed {seed}");
            }
            Err(error) => {
                refused += 1;
                let got = error.to_string();
                assert!(error.is_bad_input(), "seed {seed}: got `{got}`");
                assert!(got.contains(name.as_str()), "seed {seed}: got `{got}`");
                assert_eq!(got.lines().count(), 1, "seed {seed}: got `{got}`");
            }
        }
    }
    assert!(refused > 200, "read {read}, refused {refused}");
}

#[test]
fn a_cut_file_is_never_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "rgb.png",
        "RGB.JPEG",
        "progressive.jpg",
        "rgb.webp",
        "lossy.webp",
        "rgb.bmp",
        "rgb.tif",
    ] {
        let whole = file(name);
        let path = folder.path().join(name);
        for part in 1..8 {
            fs::write(&path, &whole[..whole.len() * part / 8]).unwrap();
            let got = read_image(&path).map(|_| part);
            assert!(got.is_err(), "{name}: {part} of 8 parts were read");
        }
    }
}
