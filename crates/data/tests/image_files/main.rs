//! Image sets in ZIP archives and folders.

mod archives;
mod bounds;
mod files;
mod labels;
mod left_out;

use std::fs;

use candle_core::Device;
use image::ExtendedColorType;
use pfgmpp_data::{DataSource, ImageArchive};
use zip::CompressionMethod;

use files::*;

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
        ["00000/img00000005.png", 0], ["00000/img00000006.png", 0], ["00000/img00000007.png", 0],
        ["00000/img00000008.png", 0], ["00000/img00000009.png", 5], ["elsewhere.png", 9]], "of another program": {}}"#;
    let files = with(numbered(10), "dataset.json", json);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let folder = temporary();
        let zip = load(&zipped(folder.path(), &files, method));
        let unpacked = load(&unpacked(folder.path(), &files));
        for parts in [&zip, &unpacked] {
            assert_eq!(labels(&parts.train), Some(vec![7, 0, 1, 2, 0, 0, 0, 0]));
            assert_eq!(labels(&parts.held_out), Some(vec![3, 5]));
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
fn colour_pixels_become_planes_from_minus_one_to_one() {
    let folder = temporary();
    let image = png(&[0, 51, 255, 102, 153, 204], 2, ExtendedColorType::Rgb8);
    let files: Files = (0..10)
        .map(|i| (format!("{i}.png"), image.clone()))
        .collect();
    let parts = load(&stored(folder.path(), &files));
    assert_eq!(parts.held_out.image_shape(), [3, 1, 2]);
    let want = [0, 102, 51, 153, 255, 204].map(|v: u8| f32::from(v) / 127.5 - 1.0);
    assert_eq!(values(&parts.held_out)[..6], want);
    let batch = parts.held_out.batch(&[0], &Device::Cpu).unwrap();
    let picture = pfgmpp_data::to_image(&batch.get(0).unwrap()).unwrap();
    assert_eq!(picture.bytes(), [0, 51, 255, 102, 153, 204]);
}

#[test]
fn names_that_climb_are_only_names() {
    let outer = temporary();
    let folder = outer.path().join("a/b");
    fs::create_dir_all(&folder).unwrap();
    let files = with(numbered(9), "../../climbed.png", grey(200));
    let parts = load(&stored(&folder, &files));
    // `..` sorts before the digits.
    assert_eq!(numbers(&parts.train), [200, 0, 1, 2, 4, 5, 6, 7]);
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
    use ExtendedColorType::Rgb8;
    let animation = chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    let image = grey(1);
    let mut damaged = image.clone();
    damaged[45] ^= 0x55;
    for (bytes, want) in [
        (
            png(&[0; 12], 2, Rgb8),
            "shape [3, 2, 2], image 00000/img00000000.png has [1, 2, 2]",
        ),
        (png(&[0; 6], 2, ExtendedColorType::L8), "shape [1, 3, 2]"),
        (
            edited(&image, 2, 2, &animation),
            "is animated, still images",
        ),
        (
            edited(&image, 100_000, 3, &[]),
            "has 100000 x 3 pixels, sides of up to 4096",
        ),
        (image[..40].to_vec(), "is a PNG image that is cut off"),
        (damaged, "is a PNG image that is damaged"),
        (
            b"GIF89a".to_vec(),
            "is not an image (PNG, JPEG, WebP, TIFF or BMP) but a GIF image",
        ),
        (b"<html>404</html>".to_vec(), "a web page (HTML)"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".to_vec(),
            "git lfs pull",
        ),
        (b"nothing".to_vec(), "is not an image"),
        (Vec::new(), "TIFF or BMP) but empty"),
    ] {
        let folder = temporary();
        let files = with(numbered(10), "00000/img00000003.png", &bytes);
        for source in [
            stored(folder.path(), &files),
            unpacked(folder.path(), &files),
        ] {
            let got = refusal(&source);
            assert!(got.contains(want), "got `{got}`, want `{want}` in it");
            assert!(got.contains("img00000003.png"), "got `{got}`");
        }
    }
}

// Whatever is cut off or turned over, the answer is an error or images, never a panic.
#[test]
fn a_damaged_archive_does_no_harm() {
    let folder = temporary();
    let files = with(numbered(10), "dataset.json", r#"{"labels": null}"#);
    let whole = zip_bytes(&files, CompressionMethod::Deflated);
    let (mut refused, mut accepted) = (0, 0);
    for place in (0..whole.len()).step_by(7) {
        let mut turned = whole.clone();
        turned[place] ^= 0xff;
        for bytes in [&whole[..place], &turned] {
            match archive(folder.path(), bytes).load() {
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
        DataSource::Zip(ImageArchive {
            path: "a/b.zip".into()
        })
    );
    assert_eq!(source.name(), "b.zip");
    let json = r#"{"folder": {"path": "a", "paths": 1}}"#;
    let got = serde_json::from_str::<DataSource>(json)
        .unwrap_err()
        .to_string();
    assert!(got.contains("unknown field `paths`"), "got {got}");
}
