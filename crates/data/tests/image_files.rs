//! Image sets in ZIP archives and folders.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use candle_core::Device;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use pfgmpp_data::{DataSource, Dataset, Splits};
use tempfile::TempDir;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

type Files = Vec<(String, Vec<u8>)>;

fn png(levels: &[u8], width: u32, colour: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let height = levels.len() as u32 * 8 / u32::from(colour.bits_per_pixel()) / width;
    let encoder = PngEncoder::new(&mut bytes);
    encoder.write_image(levels, width, height, colour).unwrap();
    bytes
}

fn grey(level: u8) -> Vec<u8> {
    png(&[level, 0, 255, 128], 2, ExtendedColorType::L8)
}

/// `num` grey images of 2 by 2 pixels; the first pixel is the image's number.
fn numbered(num: u8) -> Files {
    let file = |i| (format!("00000/img{i:08}.png"), grey(i));
    (0..num).map(file).collect()
}

fn with(mut files: Files, name: &str, bytes: impl AsRef<[u8]>) -> Files {
    files.retain(|(other, _)| other != name);
    files.push((name.to_string(), bytes.as_ref().to_vec()));
    files
}

fn zipped(folder: &Path, files: &Files, method: CompressionMethod) -> DataSource {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    let path = folder.join("set.zip");
    fs::write(&path, zip.finish().unwrap().into_inner()).unwrap();
    DataSource::Zip { path }
}

fn stored(folder: &Path, files: &Files) -> DataSource {
    zipped(folder, files, CompressionMethod::Stored)
}

fn unpacked(folder: &Path, files: &Files) -> DataSource {
    let path = folder.join("set");
    for (name, bytes) in files {
        let file = path.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    DataSource::Folder { path }
}

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn values(dataset: &Dataset) -> Vec<f32> {
    let flat = dataset.images().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

/// The numbers of the images of `numbered`.
fn numbers(dataset: &Dataset) -> Vec<u32> {
    let first = |image: &[f32]| (127.5 * (image[0] + 1.0)).round() as u32;
    values(dataset)
        .chunks_exact(dataset.n())
        .map(first)
        .collect()
}

fn labels(dataset: &Dataset) -> Option<Vec<u32>> {
    let everything: Vec<usize> = (0..dataset.num_images()).collect();
    dataset.labels(&everything).unwrap()
}

fn refusal(source: &DataSource) -> String {
    source.load().expect_err("it was accepted").to_string()
}

fn load(source: &DataSource) -> Splits {
    source.load().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_fifth_image_in_the_order_of_names_is_held_out() {
    let (folder, mut files) = (temporary(), numbered(12));
    files.reverse();
    let parts = load(&stored(folder.path(), &files));
    assert_eq!(numbers(&parts.held_out), [4, 9]);
    assert_eq!(numbers(&parts.train), [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]);
    assert_eq!(parts.train.image_shape(), [1, 2, 2]);
    assert_eq!(parts.train.name(), "set.zip/train");
    assert_eq!(labels(&parts.train), None);
}

#[test]
fn an_archive_and_its_folder_hold_the_same_data() {
    let json = r#"{"labels": [["00000/img00000003.png", 2], ["00000/img00000000.png", 7],
        ["00000/img00000001.png", 0], ["00000/img00000002.png", 1], ["00000/img00000004.png", 3],
        ["elsewhere.png", 9]], "of another program": {}}"#;
    let files = with(numbered(5), "dataset.json", json);
    let files = with(files, "notes/README.md", "not an image");
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let folder = temporary();
        let zip = load(&zipped(folder.path(), &files, method));
        let unpacked = load(&unpacked(folder.path(), &files));
        for parts in [&zip, &unpacked] {
            assert_eq!(labels(&parts.train), Some(vec![7, 0, 1, 2]));
            assert_eq!(labels(&parts.held_out), Some(vec![3]));
            assert_eq!(
                (parts.train.num_classes(), parts.held_out.num_classes()),
                (8, 8)
            );
        }
        assert_eq!(values(&zip.train), values(&unpacked.train));
        assert_eq!(values(&zip.held_out), values(&unpacked.held_out));
    }
}

#[test]
fn labels_may_be_null() {
    let folder = temporary();
    let files = with(numbered(5), "dataset.json", r#"{"labels": null}"#);
    assert_eq!(labels(&load(&stored(folder.path(), &files)).train), None);
}

#[test]
fn colour_pixels_become_planes_from_minus_one_to_one() {
    let folder = temporary();
    let image = png(&[0, 51, 255, 102, 153, 204], 2, ExtendedColorType::Rgb8);
    let files: Files = (0..5)
        .map(|i| (format!("{i}.png"), image.clone()))
        .collect();
    let parts = load(&stored(folder.path(), &files));
    assert_eq!(parts.held_out.image_shape(), [3, 1, 2]);
    let want = [0, 102, 51, 153, 255, 204].map(|v: u8| f32::from(v) / 127.5 - 1.0);
    assert_eq!(values(&parts.held_out), want);
    let batch = parts.held_out.batch(&[0], &Device::Cpu).unwrap();
    let picture = pfgmpp_data::to_image(&batch.get(0).unwrap()).unwrap();
    assert_eq!(picture.bytes(), [0, 51, 255, 102, 153, 204]);
}

#[test]
fn names_that_climb_are_only_names() {
    let outer = temporary();
    let folder = outer.path().join("a/b");
    fs::create_dir_all(&folder).unwrap();
    let files = with(numbered(4), "../../climbed.png", grey(200));
    let parts = load(&stored(&folder, &files));
    // `..` sorts before the digits.
    assert_eq!(numbers(&parts.train), [200, 0, 1, 2]);
    assert!(!outer.path().join("climbed.png").exists());
}

/// A PNG chunk with its checksum.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind.as_slice(), data].concat();
    let mut crc = u32::MAX;
    for &byte in &body {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let length = data.len() as u32;
    [
        &length.to_be_bytes(),
        body.as_slice(),
        &(!crc).to_be_bytes(),
    ]
    .concat()
}

/// `png` with its 25 bytes of header chunk replaced and chunks added behind it.
fn edited(png: &[u8], width: u32, height: u32, more: &[u8]) -> Vec<u8> {
    let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = chunk(b"IHDR", &[&sizes, &png[24..29]].concat());
    [&png[..8], &header, more, &png[33..]].concat()
}

#[test]
fn images_that_cannot_be_used_are_named_with_what_is_accepted() {
    use ExtendedColorType::{L16, Rgb8, Rgba8};
    let animation = chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    let image = grey(1);
    for (bytes, want) in [
        (png(&[0; 8], 2, L16), "kind L16, 8-bit grey or RGB"),
        (png(&[0; 16], 2, Rgba8), "kind Rgba8, 8-bit grey or RGB"),
        (
            png(&[0; 12], 2, Rgb8),
            "shape [3, 2, 2], image 00000/img00000000.png has [1, 2, 2]",
        ),
        (png(&[0; 6], 2, ExtendedColorType::L8), "shape [1, 3, 2]"),
        (
            edited(&image, 2, 2, &animation),
            "is animated, still images",
        ),
        (edited(&image, 100_000, 100_000, &[]), "img00000003.png: "),
        (image[..40].to_vec(), "img00000003.png: "),
        (b"GIF89a".to_vec(), "img00000003.png: "),
        (Vec::new(), "img00000003.png: "),
    ] {
        let folder = temporary();
        let files = with(numbered(6), "00000/img00000003.png", &bytes);
        for source in [
            stored(folder.path(), &files),
            unpacked(folder.path(), &files),
        ] {
            let got = refusal(&source);
            assert!(got.contains(want), "got `{got}`, want `{want}` in it");
            assert!(got.contains("img00000003.png"), "got `{got}`");
            assert_eq!(got.lines().count(), 1, "got `{got}`");
        }
    }
}

#[test]
fn sets_that_cannot_be_used_say_why() {
    let folder = temporary();
    let json = |json: &str| with(numbered(5), "dataset.json", json);
    let large = png(&vec![0; 4096 * 4096], 4096, ExtendedColorType::L8);
    for (files, want) in [
        (numbered(4), "holds 4 PNG images, at least 5 are needed"),
        (with(numbered(5), "a.JPG", ""), "a.JPG: is no PNG image"),
        (json("{"), "dataset.json: "),
        (json(r#"{"labels": {}}"#), "[[name, class], ...]"),
        (
            json(r#"{"labels": [["x.png", -1]]}"#),
            "[[name, class], ...]",
        ),
        (
            json(r#"{"labels": []}"#),
            "no class for image 00000/img00000000.png",
        ),
        (
            json(r#"{"labels": [["00000/img00000000.png", 65536]]}"#),
            "img00000000.png must be in 0..65536, got 65536",
        ),
        (
            (0..40)
                .map(|i| (format!("{i}.png"), large.clone()))
                .collect(),
            "40 images of shape [1, 4096, 4096] need 2560 MiB as f32, up to 2048 MiB",
        ),
    ] {
        let got = refusal(&zipped(folder.path(), &files, CompressionMethod::Deflated));
        assert!(got.contains(want), "got `{got}`, want `{want}` in it");
        assert!(got.contains("set.zip"), "got `{got}`");
        assert_eq!(got.lines().count(), 1, "got `{got}`");
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let folder = temporary();
    let zip = |path: PathBuf| DataSource::Zip { path };
    let got = refusal(&zip(folder.path().join("missing.zip")));
    assert!(got.contains("missing.zip: No such file"), "got `{got}`");
    let got = refusal(&zip(folder.path().to_path_buf()));
    assert!(got.contains("folder: {path: ...}"), "got `{got}`");
    let file = folder.path().join("text.zip");
    fs::write(&file, "not a zip archive").unwrap();
    let got = refusal(&zip(file.clone()));
    assert!(
        got.contains("text.zip: cannot be read as a zip"),
        "got `{got}`"
    );
    let got = refusal(&DataSource::Folder { path: file });
    assert!(got.contains("zip: {path: ...}"), "got `{got}`");
}

// Whatever is cut off or turned over, the answer is an error or images, never a panic.
#[test]
fn a_damaged_archive_does_no_harm() {
    let folder = temporary();
    let files = with(numbered(6), "dataset.json", r#"{"labels": null}"#);
    let DataSource::Zip { path } = zipped(folder.path(), &files, CompressionMethod::Deflated)
    else {
        unreachable!("`zipped` makes an archive");
    };
    let whole = fs::read(&path).unwrap();
    let (mut refused, mut accepted) = (0, 0);
    for place in (0..whole.len()).step_by(7) {
        let mut turned = whole.clone();
        turned[place] ^= 0xff;
        for bytes in [&whole[..place], &turned] {
            fs::write(&path, bytes).unwrap();
            match (DataSource::Zip { path: path.clone() }).load() {
                Ok(parts) => {
                    accepted += 1;
                    assert!(values(&parts.train).iter().all(|v| v.abs() <= 1.0));
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > accepted, "refused {refused}, accepted {accepted}");
}

#[test]
fn a_source_of_files_is_a_map_of_one_key() {
    let source: DataSource = serde_json::from_str(r#"{"zip": {"path": "a/b.zip"}}"#).unwrap();
    assert_eq!(
        source,
        DataSource::Zip {
            path: "a/b.zip".into()
        }
    );
    assert_eq!(source.name(), "b.zip");
    let json = r#"{"folder": {"path": "a", "paths": 1}}"#;
    let got = serde_json::from_str::<DataSource>(json)
        .unwrap_err()
        .to_string();
    assert!(got.contains("unknown field `paths`"), "got {got}");
}
