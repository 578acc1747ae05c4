//! Arrays in files of every kind, against what NumPy wrote (`make.py`), the binary versions of CIFAR, and damaged files.

#[path = "../all_values/mod.rs"]
mod all_values;
mod cifar_python;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pfgmpp_data::{CifarFiles, DataSource, Dataset, NpzArchive, Splits};

use all_values::values;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// What all the files hold.
#[derive(Deserialize)]
struct Expected {
    levels: Vec<u32>,
    classes: Vec<u32>,
    cifar: BTreeMap<String, CifarPart>,
}

/// What NumPy read of a part of CIFAR.
#[derive(Deserialize)]
struct CifarPart {
    /// The SHA-256 of its levels.
    sha256: String,
    classes: Vec<u32>,
}

/// Values of an image, 4 by 5.
const N: usize = 20;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arrays")
}

fn expected() -> Expected {
    serde_json::from_slice(&fs::read(here().join("expected.json")).unwrap()).unwrap()
}

fn at(name: &str) -> DataSource {
    DataSource::at(&here().join("files").join(name)).unwrap_or_else(|e| panic!("{e}"))
}

fn load(source: &DataSource) -> Splits {
    source.load().unwrap_or_else(|e| panic!("{e}"))
}

/// Every item of both parts in the order of the source.
fn all<T: Clone>(train: &[T], held_out: &[T], size: usize) -> Vec<T> {
    let (mut train, mut held_out) = (train.chunks(size), held_out.chunks(size));
    let next = |i| {
        if i % 5 == 4 {
            held_out.next()
        } else {
            train.next()
        }
    };
    (0..).map_while(next).flatten().cloned().collect()
}

fn refusal(source: &DataSource) -> String {
    let error = source.load().expect_err("it was accepted");
    assert!(error.is_bad_input(), "got {error}");
    let error = error.to_string();
    assert_eq!(error.lines().count(), 1, "got `{error}`");
    error
}

#[test]
fn every_kind_is_told_by_what_it_is_and_holds_what_numpy_wrote() {
    let want = expected();
    for (name, classes) in [
        ("grey.npy", false),
        ("plain.npz", true),
        ("packed.npz", true),
        ("unnamed.npz", false),
        ("set.safetensors", true),
        ("one.safetensors", false),
        ("train-images-idx3-ubyte", true),
        ("t10k-images-idx3-ubyte.gz", true),
        ("alone.idx", false),
    ] {
        let parts = load(&at(name));
        assert_eq!(parts.train.image_shape(), [1, 4, 5], "{name}");
        let got = all(&values(&parts.train), &values(&parts.held_out), N);
        let levels: Vec<u32> = got
            .iter()
            .map(|v| (127.5 * (v + 1.0)).round() as u32)
            .collect();
        assert_eq!(levels, want.levels, "{name}");
        let labels = |part: &Dataset| {
            let labels = part.class_labels().unwrap();
            labels.map_or_else(Vec::new, |labels| labels.values().to_vec())
        };
        let got = all(&labels(&parts.train), &labels(&parts.held_out), 1);
        let want = if classes { &want.classes[..] } else { &[] };
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn what_else_a_file_holds_is_said() {
    let got = load(&at("packed.npz")).found.to_string();
    assert!(got.ends_with("left out: 1 array (mean)"), "got {got}");
    let got = load(&at("train-images-idx3-ubyte")).found.to_string();
    assert!(
        got.ends_with("classes from train-labels-idx1-ubyte"),
        "got {got}"
    );
}

#[test]
fn arrays_of_unusual_names_are_asked_for_by_name() {
    let got = refusal(&at("strange.npz"));
    assert!(
        got.contains(
            "strange.npz: holds several arrays: name that of the images, images: one of a, b"
        ),
        "got {got}"
    );
    let named = |images: &str, labels: Option<&str>| {
        DataSource::Npz(NpzArchive {
            path: here().join("files/strange.npz"),
            images: Some(images.to_string()),
            labels: labels.map(str::to_string),
            range: None,
            layout: None,
        })
    };
    assert_eq!(load(&named("a", Some("b"))).train.num_classes(), 4);
    assert_eq!(load(&named("a", None)).train.num_classes(), 0);
    let got = refusal(&named("c", None));
    assert!(got.contains("holds no array c, but a, b"), "got {got}");
}

#[test]
fn floats_need_a_range_in_an_archive_too() {
    let path = here().join("files/floats.npz");
    let got = refusal(&at("floats.npz"));
    assert!(
        got.contains("floats.npz: data: an array that is not of u8 needs the range"),
        "got {got}"
    );
    let json = serde_json::json!({"npz": {"path": path, "range": [0, 1]}});
    let source: DataSource = serde_json::from_value(json).unwrap();
    let parts = load(&source);
    let got = all(&values(&parts.train), &values(&parts.held_out), N);
    for (got, level) in got.iter().zip(expected().levels) {
        let want = level as f32 / 127.5 - 1.0;
        assert!((got - want).abs() < 1e-6, "got {got}, want {want}");
    }
}

/// Pixel `i` of image `image` of the file `file`.
fn level(file: usize, image: usize, i: usize) -> u8 {
    (file * 71 + image * 31 + i * 7 + i / 1024 * 50) as u8
}

/// A folder with the files `names`, ten images each, whose class is `class(file, image)` behind `before` bytes.
fn cifar(names: &[&str], before: usize, class: impl Fn(usize, usize) -> u8) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, name) in names.iter().enumerate() {
        let mut bytes = Vec::new();
        for image in 0..10 {
            bytes.extend(vec![9; before]);
            bytes.push(class(file, image));
            bytes.extend((0..3072).map(|i| level(file, image, i)));
        }
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

const CIFAR_10: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

#[test]
fn cifar_keeps_its_own_test_images() {
    let folder = cifar(&CIFAR_10, 0, |file, image| ((file + image) % 10) as u8);
    let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    fs::write(folder.path().join("batches.meta.txt"), names).unwrap();
    let parts = load(&DataSource::at(folder.path()).unwrap());
    let counts = (parts.train.num_images(), parts.held_out.num_images());
    assert_eq!(counts, (50, 10));
    assert_eq!(parts.train.image_shape(), [3, 32, 32]);
    let classes = parts.train.class_labels().unwrap().unwrap();
    assert_eq!(
        (classes.names()[9].as_str(), classes.values()[23]),
        ("truck", 5)
    );
    let images = values(&parts.train);
    for (image, i) in [(0, 0), (23, 1024), (49, 3071)] {
        let want = f32::from(level(image / 10, image % 10, i)) / 127.5 - 1.0;
        assert_eq!(images[image * 3072 + i], want, "image {image}, value {i}");
    }
    let want = f32::from(level(5, 9, 17)) / 127.5 - 1.0;
    assert_eq!(values(&parts.held_out)[9 * 3072 + 17], want);
}

#[test]
fn cifar_100_has_its_fine_classes() {
    let folder = cifar(&["train.bin", "test.bin"], 1, |_, image| 90 + image as u8);
    let parts = load(&DataSource::at(folder.path()).unwrap());
    let classes = parts.train.class_labels().unwrap().unwrap();
    assert_eq!((classes.num_classes(), classes.values()[3]), (100, 93));
}

#[test]
fn other_versions_of_cifar_and_damaged_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = DataSource::Cifar(CifarFiles {
        path: folder.path().to_path_buf(),
        labels: None,
    });
    assert!(refusal(&source).contains("holds neither data_batch_1.bin"));
    fs::write(folder.path().join("data_batch_1"), b"\x80\x02").unwrap();
    let got = refusal(&source);
    assert!(
        got.contains("data_batch_1: the pickle ends too early, at byte 2"),
        "got {got}"
    );
    let folder = cifar(&CIFAR_10, 0, |_, image| image as u8 + u8::from(image == 9));
    let got = refusal(&DataSource::at(folder.path()).unwrap());
    assert!(
        got.contains("data_batch_1.bin: label of image 9 must be in 0..10, got 10"),
        "got {got}"
    );
    fs::write(folder.path().join("data_batch_1.bin"), vec![0; 40_000]).unwrap();
    let got = refusal(&DataSource::at(folder.path()).unwrap());
    assert!(
        got.contains("has 40000 bytes, which are not 10 or more images of 3073"),
        "got {got}"
    );
}

#[test]
fn what_is_no_data_is_told_with_what_is() {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, want) in [
        (
            &b"hello"[..],
            "data are a folder or ZIP archive of images, .npy",
        ),
        (
            b"\xff\xd8\xff\xe0",
            "is a JPEG image: a set of images is a folder or an archive; data are",
        ),
        (b"GIF89a", "is a GIF image: convert it to PNG"),
    ] {
        let path = folder.path().join("x");
        fs::write(&path, bytes).unwrap();
        let error = DataSource::at(&path).unwrap_err();
        assert!(error.is_bad_input(), "got {error}");
        assert!(error.to_string().contains(want), "got {error}, want {want}");
    }
    assert!(
        DataSource::at(&folder.path().join("gone"))
            .unwrap_err()
            .is_bad_input()
    );
}

#[test]
fn three_hundred_damaged_files_are_read_or_refused_in_one_line() {
    let names = [
        "grey.npy",
        "plain.npz",
        "packed.npz",
        "set.safetensors",
        "train-images-idx3-ubyte",
        "t10k-images-idx3-ubyte.gz",
    ];
    let folder = tempfile::tempdir().unwrap();
    let (mut read, mut refused) = (0, 0);
    for seed in 0..300 {
        let name = names[seed % names.len()];
        let mut rng = ChaCha8Rng::seed_from_u64(seed as u64);
        let mut below = |end: usize| (rng.next_u64() % end as u64) as usize;
        let mut bytes = fs::read(here().join("files").join(name)).unwrap();
        match seed % 4 {
            3 => bytes.truncate(below(bytes.len())),
            _ => (0..1 + below(4)).for_each(|_| {
                // The beginning is where most of a description stands.
                let end = if below(2) == 0 {
                    bytes.len()
                } else {
                    bytes.len().min(160)
                };
                let (at, bit) = (below(end), below(8));
                bytes[at] ^= 1 << bit;
            }),
        }
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        match DataSource::at(&path).and_then(|source| source.load()) {
            Ok(parts) => {
                read += 1;
                assert!(
                    values(&parts.train).iter().all(|v| v.abs() <= 1.0),
                    "seed {seed}"
                );
            }
            Err(error) => {
                refused += 1;
                let got = error.to_string();
                assert!(error.is_bad_input(), "seed {seed}: got `{got}`");
                assert!(got.contains(name), "seed {seed}: got `{got}`");
                assert_eq!(got.lines().count(), 1, "seed {seed}: got `{got}`");
            }
        }
    }
    assert!(refused > 150, "read {read}, refused {refused}");
}
