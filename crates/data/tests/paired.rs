//! Pairs of images from two sources.

use std::fs;
use std::path::Path;

use candle_core::Device;
use image::{GrayImage, Luma, RgbImage};
use pfgmpp_data::{DataSource, Dataset, ImageFolder, NpyArray, Paired};

/// Twelve grey images of 4 by 2, image `i` of level `10 i`, called `00.png` and so on.
fn targets(folder: &Path) -> DataSource {
    let place = folder.join("targets");
    fs::create_dir_all(&place).unwrap();
    for i in 0..12u8 {
        let image = GrayImage::from_pixel(4, 2, Luma([10 * i]));
        image.save(place.join(format!("{i:02}.png"))).unwrap();
    }
    DataSource::Folder(ImageFolder { path: place })
}

/// Coloured images of the same names but for their endings, image `i` of level `10 i + 1` and `width` pixels wide.
fn inputs(folder: &Path, name: &str, width: u32) -> DataSource {
    let place = folder.join(name);
    fs::create_dir_all(&place).unwrap();
    for i in 0..12u8 {
        let image = RgbImage::from_pixel(width, 2, image::Rgb([10 * i + 1, 0, 0]));
        image.save(place.join(format!("{i:02}.bmp"))).unwrap();
    }
    DataSource::Folder(ImageFolder { path: place })
}

fn paired(input: &DataSource, target: &DataSource) -> DataSource {
    let (input, target) = (Box::new(input.clone()), Box::new(target.clone()));
    DataSource::Paired(Paired { input, target })
}

/// The level of the first value of each image.
fn levels(set: &Dataset) -> Vec<i32> {
    let all: Vec<usize> = (0..set.num_images()).collect();
    let images = set.batch(&all, &Device::Cpu).unwrap();
    let images = images.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    let level = |image: &Vec<f32>| ((image[0] + 1.0) * 127.5).round() as i32;
    images.iter().map(level).collect()
}

#[test]
fn each_image_has_the_one_of_its_name_beside_it_in_both_parts_and_in_subsets() {
    let folder = tempfile::tempdir().unwrap();
    let (input, target) = (inputs(folder.path(), "in", 4), targets(folder.path()));
    let splits = paired(&input, &target).load().unwrap();
    let subset = splits.train.subset("some", &[7, 2]).unwrap();
    for (set, want) in [(&splits.train, 10), (&splits.held_out, 2), (&subset, 2)] {
        let beside = set.input().expect("an input");
        assert_eq!(beside.image_shape(), [3, 2, 4]);
        assert_eq!(set.image_shape(), [1, 2, 4]);
        let own = levels(set);
        assert_eq!(own.len(), want);
        let beside = levels(beside);
        assert!(
            own.iter().zip(&beside).all(|(a, b)| a + 1 == *b),
            "got {own:?} and {beside:?}"
        );
    }
    let said = splits.found.to_string();
    assert!(said.contains("paired by name with in, 3x2x4"), "got {said}");
    let alone = target.load().unwrap();
    assert!(alone.train.input().is_none());
    let (with, without) = (&splits.train, &alone.train);
    assert_ne!(with.fingerprint().unwrap(), without.fingerprint().unwrap());
}

#[test]
fn sources_without_names_are_paired_by_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.npy");
    let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (12, 2, 4, 1), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let text = format!("{text:<117}\n");
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend((0..12u8).flat_map(|i| [10 * i + 1; 8]));
    fs::write(&path, bytes).unwrap();
    let input = DataSource::Npy(NpyArray {
        path,
        labels: None,
        range: None,
        layout: None,
    });
    let splits = paired(&input, &targets(folder.path())).load().unwrap();
    let beside = levels(splits.held_out.input().unwrap());
    assert_eq!(beside, [41, 91]);
    let said = splits.found.to_string();
    let want =
        "paired by order with in.npy, 1x2x4, for condition: paired, as only one of them has names";
    assert!(said.contains(want), "got {said}");
}

#[test]
fn what_are_no_pairs_is_refused_in_one_line_that_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let target = targets(folder.path());
    let input = inputs(folder.path(), "in", 4);
    let wide = inputs(folder.path(), "wide", 5);
    let more = inputs(folder.path(), "more", 4);
    let fewer = inputs(folder.path(), "fewer", 4);
    let extra = RgbImage::from_pixel(4, 2, image::Rgb([0; 3]));
    extra.save(folder.path().join("more/12.bmp")).unwrap();
    fs::rename(
        folder.path().join("fewer/03.bmp"),
        folder.path().join("fewer/03b.bmp"),
    )
    .unwrap();
    for (input, want) in [
        (wide, "images of 2x5 and of 2x4 pixels"),
        (more, "12 of the input has no target of that name"),
        (fewer, "03b of the input has no target of that name"),
        (DataSource::Digits, "1438 and 10 images (training)"),
        (paired(&input, &target), "one of them is paired itself"),
        (
            target.clone(),
            "both hold the same images: name what the network is to be shown as input",
        ),
    ] {
        let got = paired(&input, &target).load().unwrap_err().to_string();
        assert!(got.contains(want), "got {got}, want {want}");
        assert!(
            got.starts_with("data.paired: ") && got.contains("targets"),
            "got {got}"
        );
        assert_eq!(got.lines().count(), 1, "got {got}");
    }
}
