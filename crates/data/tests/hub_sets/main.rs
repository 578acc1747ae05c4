//! The data sets of the Hub, from a cache that holds them.

mod parquet_file;

use std::fs;
use std::path::Path;
use std::time::Duration;

use pfgmpp_data::DataSource;
use pfgmpp_hub::{Hub, Settings};

use crate::parquet_file::parquet;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A Hub that may not be asked, with its cache in `folder`.
fn hub(folder: &Path) -> Hub {
    Hub::new(Settings {
        endpoint: "http://127.0.0.1:9".into(),
        token: None,
        cache: folder.to_path_buf(),
        offline: true,
        tries: 1,
        first_wait: Duration::ZERO,
        timeout: Duration::from_secs(1),
    })
}

/// Puts both splits of a data set into the cache.
fn put(cache: &Path, repo: &str, set: &str, splits: [&[u8]; 2]) {
    let folder = cache.join(format!("datasets--{repo}"));
    let reference = folder.join("refs/refs/convert/parquet");
    fs::create_dir_all(reference.parent().expect("a folder")).expect("a folder");
    fs::write(reference, COMMIT).expect("a file");
    for (split, bytes) in ["train", "test"].into_iter().zip(splits) {
        let folder = folder.join("snapshots").join(COMMIT).join(set).join(split);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("0000.parquet"), bytes).expect("a file");
    }
}

fn png(image: impl Into<image::DynamicImage>) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image: image::DynamicImage = image.into();
    let written = image.write_to(&mut bytes, image::ImageFormat::Png);
    written.expect("a picture");
    bytes.into_inner()
}

#[test]
fn a_library_reads_from_the_cache_that_it_was_told_whatever_the_environment_says() {
    let cache = tempfile::tempdir().expect("a folder");
    let level = |x: u32, y: u32| (9 * x + y) as u8;
    let grey = image::GrayImage::from_fn(28, 28, |x, y| image::Luma([level(x, y)]));
    let train = parquet("image", &[png(grey.clone()), png(grey.clone())], &[3, 9]);
    let test = parquet("image", &[png(grey)], &[0]);
    put(cache.path(), "ylecun--mnist", "mnist", [&train, &test]);
    let hub = hub(cache.path());
    let splits = DataSource::Mnist.load_from(&hub).expect("a data set");
    let classes = splits.train.labels(&[0, 1]).expect("classes");
    assert_eq!(classes, Some(vec![3, 9]), "got {classes:?}");
    let got = splits
        .held_out
        .images()
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    for (x, y) in [(0, 0), (27, 0), (0, 27), (5, 11)] {
        let want = f32::from(level(x, y)) / 127.5 - 1.0;
        let got = got[(28 * y + x) as usize];
        assert!(
            (got - want).abs() < 1e-6,
            "at {x}, {y}: got {got}, want {want}"
        );
    }
}

#[test]
fn rows_that_cannot_be_read_are_named_and_not_passed_over() {
    let colour = image::RgbImage::from_pixel(32, 32, image::Rgb([1, 2, 3]));
    let (good, small) = (png(colour), png(image::RgbImage::new(8, 8)));
    let whole = parquet("img", &[good.clone(), good.clone()], &[1, 2]);
    for (bytes, want) in [
        (
            parquet("img", &[good.clone(), b"GIF".to_vec()], &[1, 2]),
            "row 1: ",
        ),
        (
            parquet("img", &[small, good.clone()], &[1, 2]),
            "row 0: a picture of [8, 8], not [32, 32]",
        ),
        (
            parquet("img", &[good.clone(), good.clone()], &[1, 10]),
            "row 1: no label in 0..10",
        ),
        (
            parquet("img", &[good.clone(), good], &[-1, 1]),
            "row 0: no label in 0..10",
        ),
        (whole[..whole.len() / 2].to_vec(), "0000.parquet: "),
    ] {
        let cache = tempfile::tempdir().expect("a folder");
        put(cache.path(), "cifar10", "plain_text", [&whole, &bytes]);
        let error = DataSource::Cifar10.load_from(&hub(cache.path()));
        let got = error.expect_err("it was read").to_string();
        assert!(got.contains(want), "got {got}, want {want}");
        assert!(got.contains("test/0000.parquet"), "got {got}");
    }
}
