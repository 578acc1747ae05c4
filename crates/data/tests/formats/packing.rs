//! Sets packed of photographs: resized as Pillow does, with their classes, the same archive each time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pfgmpp_data::{
    DataSource, Filter, ImageArchive, PackOptions, Packed, Splits, pack, pack_set, read_image,
};

use super::{file, here};

const LANCZOS: PackOptions = PackOptions {
    size: Some([6, 8]),
    filter: Filter::Lanczos,
    skip_unreadable: false,
};

/// Twelve photographs in two folders, the first of which is a small grey image.
fn photographs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..12 {
        let class = folder.path().join(["cat", "dog"][i % 2]);
        fs::create_dir_all(&class).unwrap();
        let name = if i == 0 { "grey.jpg" } else { "photo.png" };
        fs::write(class.join(format!("{i:02}_{name}")), file(name)).unwrap();
    }
    folder
}

fn packed(path: &Path, options: &PackOptions) -> Packed {
    let mut seen = 0;
    let mut progress = |done: usize, total: usize| seen = 100 * done / total;
    let packed = pack(path, options, &mut progress).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(seen, 100, "progress");
    packed
}

fn refusal(path: &Path, options: &PackOptions) -> String {
    let error = pack(path, options, &mut |_, _| {}).expect_err("it was accepted");
    assert!(error.is_bad_input(), "got {error}");
    error.to_string()
}

/// What the archive gives as a data source.
fn read(folder: &Path, packed: &Packed) -> Splits {
    let path = folder.join("packed.zip");
    fs::write(&path, &packed.bytes).unwrap();
    let source = DataSource::Zip(ImageArchive { path });
    source.load().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn images_are_cropped_and_resized_as_pillow_does() {
    let want: BTreeMap<String, Vec<u8>> =
        serde_json::from_slice(&fs::read(here().join("packed.json")).unwrap()).unwrap();
    let folder = photographs();
    for (name, filter) in [("box", Filter::Box), ("lanczos", Filter::Lanczos)] {
        let options = PackOptions { filter, ..LANCZOS };
        let out = tempfile::tempdir().unwrap();
        let parts = read(out.path(), &packed(folder.path(), &options));
        assert_eq!(parts.train.image_shape(), [3, 6, 8]);
        let image = parts
            .train
            .images()
            .unwrap()
            .get(1)
            .unwrap()
            .permute((1, 2, 0))
            .unwrap();
        let got = image.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (at, (got, want)) in got.iter().zip(&want[name]).enumerate() {
            let got = (127.5 * (got + 1.0)).round() as u8;
            // Pillow rounds to levels between rows and columns.
            assert!(
                got.abs_diff(*want) <= 1,
                "{name}, value {at}: got {got}, want {want}"
            );
        }
    }
}

#[test]
fn classes_and_their_order_go_with_the_images() {
    let folder = photographs();
    let got = packed(folder.path(), &LANCZOS);
    assert_eq!(
        (got.num_images, got.shape, got.num_classes),
        (12, [3, 6, 8], 2)
    );
    let remarks = got.remarks.join("; ");
    let want = "1 image of grey made coloured";
    assert!(remarks.contains(want), "got {remarks}, want {want}");
    let parts = read(folder.path(), &got);
    let labels =
        |part: &pfgmpp_data::Dataset| part.class_labels().unwrap().unwrap().values().to_vec();
    assert_eq!(labels(&parts.train), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    assert_eq!(labels(&parts.held_out), [0, 1]);
    let again = packed(folder.path(), &LANCZOS);
    assert!(
        got.bytes == again.bytes,
        "two archives of the same images differ"
    );
}

#[test]
fn images_of_the_size_that_is_asked_for_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..10 {
        fs::write(folder.path().join(format!("{i}.webp")), file("rgb.webp")).unwrap();
    }
    let options = PackOptions {
        size: None,
        ..LANCZOS
    };
    let parts = read(folder.path(), &packed(folder.path(), &options));
    let got = parts
        .train
        .images()
        .unwrap()
        .get(0)
        .unwrap()
        .to_vec3::<f32>()
        .unwrap();
    let want = read_image(&here().join("files/rgb.webp")).unwrap();
    assert_eq!(got, want.to_vec3::<f32>().unwrap());
}

#[test]
fn what_cannot_be_packed_is_refused_with_what_to_do() {
    let folder = photographs();
    let got = refusal(
        folder.path(),
        &PackOptions {
            size: None,
            ..LANCZOS
        },
    );
    let want = "cat/02_photo.png: is 30 x 20, image cat/00_grey.jpg is 7 x 5: name the size";
    assert!(got.contains(want), "got {got}, want {want}");
    let got = refusal(
        folder.path(),
        &PackOptions {
            size: Some([0, 8]),
            ..LANCZOS
        },
    );
    assert!(
        got.contains("size must be from 1 to 4096 pixels a side, got 8 x 0"),
        "got {got}"
    );
    let damaged = folder.path().join("dog/05_photo.png");
    fs::write(&damaged, &file("photo.png")[..900]).unwrap();
    let got = refusal(folder.path(), &LANCZOS);
    assert!(
        got.contains("dog/05_photo.png: is a PNG image that is cut off"),
        "got {got}"
    );
    let got = packed(
        folder.path(),
        &PackOptions {
            skip_unreadable: true,
            ..LANCZOS
        },
    );
    assert_eq!(got.num_images, 11);
    let skipped: Vec<String> = got.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(skipped, ["1 image that cannot be read (dog/05_photo.png)"]);
    let parts = read(folder.path(), &got);
    let classes = parts.train.class_counts()[0] + parts.held_out.class_counts()[0];
    assert_eq!(classes, 6, "images of the first class");
}

#[test]
fn a_set_of_any_source_is_packed_and_read_again_with_the_same_parts_and_classes() {
    let folder = tempfile::tempdir().unwrap();
    // The levels of MNIST are those of a PNG, those of the digits lie between them.
    for (name, exact) in [("mnist_5k: {side: 28}", true), ("digits", false)] {
        let source: DataSource = match exact {
            true => serde_json::from_str(r#"{"mnist_5k": {"side": 28}}"#).unwrap(),
            false => serde_json::from_str(r#""digits""#).unwrap(),
        };
        let want = source.load().unwrap();
        let packed = pack_set(&want, &mut |_, _| {}).unwrap_or_else(|e| panic!("{name}: {e}"));
        let rounded = packed.remarks.iter().any(|it| it.contains("rounded"));
        assert_eq!(rounded, !exact, "{name}: got {:?}", packed.remarks);
        let got = read(folder.path(), &packed);
        for (got, want) in [(&got.train, &want.train), (&got.held_out, &want.held_out)] {
            let [a, b] = [got, want].map(|part| part.images().unwrap());
            let apart = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
            let apart = apart.max(0).unwrap().to_scalar::<f32>().unwrap();
            let bound = if exact { 1e-6 } else { 1.01 / 255.0 };
            assert!(apart <= bound, "{name}: got {apart}, want {bound}");
            let [a, b] = [got, want].map(|part| part.class_labels().unwrap().unwrap().values());
            assert_eq!(a, b, "{name}");
        }
    }
}

#[test]
fn what_is_no_picture_is_not_packed() {
    let source: DataSource = serde_json::from_str(r#""two_moons""#).unwrap();
    let error = pack_set(&source.load().unwrap(), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("must be images"), "got {error}");
    let input = r#"{"noise": {"shape": [1, 8, 8], "num": 1797}}"#;
    let pairs = format!(r#"{{"paired": {{"input": {input}, "target": "digits"}}}}"#);
    let source: DataSource = serde_json::from_str(&pairs).unwrap();
    let error = pack_set(&source.load().unwrap(), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("no pairs"), "got {error}");
}
