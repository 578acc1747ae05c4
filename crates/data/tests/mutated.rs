//! Files with a few bytes changed, cut off or doubled: each is read as what it then is, or refused in one line that names it.

#[path = "../src/mutated.rs"]
mod damage;

use std::fs;
use std::path::{Path, PathBuf};

use damage::mutated;
use pfgmpp_data::{CifarFiles, CsvTable, DataSource, ImageArchive, Splits, Standardise};

/// Files of each kind.
const FILES: u64 = 200;

fn check_values(splits: &Splits, bounded: bool, what: &str) {
    for part in [&splits.train, &splits.held_out] {
        let values = part.images().unwrap().flatten_all().unwrap();
        let values = values.to_vec1::<f32>().unwrap();
        let bad = values
            .iter()
            .find(|v| !v.is_finite() || (bounded && v.abs() > 1.0));
        assert_eq!(bad, None, "{what}");
    }
}

/// Loads `source` with each of 200 mutations of the file at `path`; says how many were read.
fn survives(path: &Path, source: &DataSource, bounded: bool) -> usize {
    let whole = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut read = 0;
    check_values(&source.load().unwrap(), bounded, &name);
    for seed in 0..FILES {
        let bytes = mutated(&whole, seed);
        fs::write(path, &bytes).unwrap();
        let what = format!("{name}, mutation {seed}");
        match source.load() {
            Ok(splits) => {
                check_values(&splits, bounded, &what);
                read += 1;
            }
            Err(error) => {
                let said = error.to_string();
                assert_eq!(said.lines().count(), 1, "{what}: got {said}");
                assert!(
                    said.contains(&name),
                    "{what}: got {said}, which names no file"
                );
            }
        }
    }
    fs::write(path, whole).unwrap();
    println!("{name}: {read} of {FILES} were read, the others refused");
    read
}

/// A copy of the file `name` among those of `tests/arrays`, and the folder that holds it.
fn copied(name: &str) -> (tempfile::TempDir, PathBuf) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/arrays/files")
        .join(name);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::copy(from, &path).unwrap();
    (folder, path)
}

#[test]
fn arrays_are_read_or_refused_by_name() {
    for name in ["grey.npy", "packed.npz", "set.safetensors", "alone.idx"] {
        let (_folder, path) = copied(name);
        let source = DataSource::at(&path).unwrap();
        let read = survives(&path, &source, true);
        assert!((1..FILES as usize).contains(&read), "{name}: {read} read");
    }
}

#[test]
fn tables_are_read_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let mut text = "a,b,kind\n".to_string();
    for i in 0..40 {
        let (a, b) = (f64::from(i % 7) / 10.0, f64::from(i * i % 11) / -20.0);
        text += &format!("{a},{b},k{}\n", i % 3);
    }
    fs::write(&path, text).unwrap();
    let table = |range, standardise| {
        DataSource::Csv(CsvTable {
            path: path.clone(),
            columns: None,
            label: Some("kind".to_string()),
            range,
            standardise,
        })
    };
    let scaled = table(Some([-1.0, 1.0]), None);
    survives(&path, &scaled, true);
    let standardise = Standardise {
        sigma_data: 0.5,
        by: None,
    };
    survives(&path, &table(None, Some(standardise)), false);
}

#[test]
fn binary_files_of_cifar_are_read_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<u8> = (0..10u32)
        .flat_map(|image| {
            (0..3073).map(move |i| {
                if i == 0 {
                    image as u8
                } else {
                    (i * 7 % 256) as u8
                }
            })
        })
        .collect();
    let files = (1..=5).map(|i| format!("data_batch_{i}.bin"));
    for name in files.chain(["test_batch.bin".to_string()]) {
        fs::write(folder.path().join(name), &rows).unwrap();
    }
    let source = DataSource::Cifar(CifarFiles {
        path: folder.path().to_path_buf(),
        labels: None,
    });
    survives(&folder.path().join("data_batch_3.bin"), &source, true);
}

#[test]
fn python_files_of_cifar_are_read_or_refused_by_name() {
    let (_folder, path) = copied("cifar-10-python.tar.gz");
    let source = DataSource::at(&path).unwrap();
    survives(&path, &source, true);
    // Behind gzip's checksum every change is found; not so in a pickle that lies open.
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arrays/files/cifar-100-python");
    for name in ["train", "test", "meta"] {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    let source = DataSource::at(folder.path()).unwrap();
    let read = survives(&folder.path().join("train"), &source, true);
    assert!((1..FILES as usize).contains(&read), "{read} read");
}

#[test]
fn archives_of_images_are_read_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.zip");
    let mut archive = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for i in 0..12u8 {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(format!("{i:02}.png"), options).unwrap();
        let image = image::GrayImage::from_fn(4, 3, |x, y| image::Luma([i * 9 + (x * y) as u8]));
        let mut png = std::io::Cursor::new(Vec::new());
        image.write_to(&mut png, image::ImageFormat::Png).unwrap();
        std::io::Write::write_all(&mut archive, png.get_ref()).unwrap();
    }
    archive.finish().unwrap();
    let source = DataSource::Zip(ImageArchive { path: path.clone() });
    survives(&path, &source, true);
}
