//! Images in a column of Parquet files.

#[path = "../src/mutated.rs"]
mod damage;
#[path = "hub_sets/parquet_file.rs"]
mod parquet_file;

use std::fs;
use std::path::Path;

use image::{GrayImage, ImageFormat, Luma};
use parquet_file::parquet;
use pfgmpp_data::{DataSource, ParquetFiles};

/// PNG files of 4 by 3 pixels, image `i` of level `10 i`.
fn pictures(from: u8, to: u8) -> Vec<Vec<u8>> {
    let picture = |i: u8| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = GrayImage::from_pixel(4, 3, Luma([10 * i]));
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    (from..to).map(picture).collect()
}

fn source(path: &Path, image: Option<&str>, label: Option<&str>) -> DataSource {
    DataSource::Parquet(ParquetFiles {
        path: path.to_path_buf(),
        image: image.map(str::to_string),
        label: label.map(str::to_string),
    })
}

#[test]
fn a_file_and_a_folder_of_parts_hold_the_same_images_and_classes() {
    let folder = tempfile::tempdir().unwrap();
    let parts = folder.path().join("parts");
    fs::create_dir(&parts).unwrap();
    let labels: Vec<i64> = (0..12).map(|i| i % 3).collect();
    let whole = folder.path().join("all.parquet");
    fs::write(&whole, parquet("image", &pictures(0, 12), &labels)).unwrap();
    for (name, from, to) in [("1.parquet", 5, 12), ("0.parquet", 0, 5)] {
        let labels = &labels[usize::from(from)..usize::from(to)];
        fs::write(
            parts.join(name),
            parquet("image", &pictures(from, to), labels),
        )
        .unwrap();
    }
    fs::write(parts.join("README.md"), "not data").unwrap();
    assert_eq!(DataSource::at(&whole).unwrap(), source(&whole, None, None));
    for path in [&whole, &parts] {
        let splits = source(path, Some("image"), None).load().unwrap();
        assert_eq!(splits.train.image_shape(), [1, 3, 4]);
        let levels = |set: &pfgmpp_data::Dataset| -> Vec<i32> {
            let images = set.images().unwrap().flatten_from(1).unwrap();
            let images = images.to_vec2::<f32>().unwrap();
            images
                .iter()
                .map(|image| ((image[0] + 1.0) * 127.5).round() as i32)
                .collect()
        };
        assert_eq!(
            levels(&splits.train),
            [0, 10, 20, 30, 50, 60, 70, 80, 100, 110]
        );
        assert_eq!(levels(&splits.held_out), [40, 90]);
        let classes = splits.train.class_labels().unwrap().unwrap();
        assert_eq!(classes.values(), [0, 1, 2, 0, 2, 0, 1, 2, 1, 2]);
        assert_eq!(classes.num_classes(), 3);
    }
}

#[test]
fn what_cannot_be_used_is_refused_in_one_line_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let labels = [0; 12];
    let good = parquet("image", &pictures(0, 12), &labels);
    let mut pictures_and_text = pictures(0, 12);
    pictures_and_text[7] = b"no image".to_vec();
    let text = parquet("image", &pictures_and_text, &labels);
    let few = parquet("image", &pictures(0, 4), &labels[..4]);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for (path, image, label, want) in [
        (
            at("a.parquet", &good),
            Some("picture"),
            None,
            "a.parquet: row 0: has no column picture, but image, label",
        ),
        (
            at("b.parquet", &good),
            None,
            Some("kind"),
            "row 0: has no column kind, but image, label",
        ),
        (
            at("c.parquet", &good[..good.len() / 2]),
            None,
            None,
            "c.parquet: cannot be read as Parquet",
        ),
        (at("d.parquet", &text), None, None, "row 7"),
        (at("e.parquet", &few), None, None, "e.parquet"),
        (empty, None, None, "empty: holds no .parquet file"),
    ] {
        let got = source(&path, image, label).load().unwrap_err().to_string();
        assert!(got.contains(want), "got {got}, want {want}");
        assert_eq!(got.lines().count(), 1, "got {got}");
    }
}

/// A file of `n` images whose column `label` is of the Parquet type `kind`; `write` fills it.
fn labelled<T: parquet::data_type::DataType>(
    kind: &str,
    levels: &[i16],
    labels: &[T::T],
) -> Vec<u8> {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::writer::SerializedFileWriter;
    let schema = format!(
        "message schema {{ required binary image; optional {kind} label{}; }}",
        match kind {
            "binary" => " (UTF8)",
            _ => "",
        }
    );
    let schema = parquet::schema::parser::parse_message_type(&schema).expect("a schema");
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema.into(), Default::default()).expect("a writer");
    let mut group = writer.next_row_group().expect("a group");
    let images: Vec<ByteArray> = pictures(0, levels.len() as u8)
        .into_iter()
        .map(ByteArray::from)
        .collect();
    let mut next = group.next_column().expect("a column").expect("the images");
    next.typed::<ByteArrayType>()
        .write_batch(&images, None, None)
        .expect("bytes");
    next.close().expect("a column");
    let mut next = group.next_column().expect("a column").expect("the labels");
    next.typed::<T>()
        .write_batch(labels, Some(levels), None)
        .expect("labels");
    next.close().expect("a column");
    group.close().expect("a group");
    writer.close().expect("a file");
    bytes
}

#[test]
fn labels_that_cannot_be_used_are_said_with_the_reason() {
    use parquet::data_type::{BoolType, ByteArrayType, DoubleType, Int64Type};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let all = [1; 10];
    let mut some = all;
    some[3..5].fill(0);
    let numbers: Vec<i64> = (0..10).collect();
    let (mut negative, mut large) = (numbers.clone(), numbers.clone());
    negative[6] = -1;
    large[2] = 5_000_000_000;
    let words = ["b", "a"].iter().cycle().take(10);
    let words: Vec<parquet::data_type::ByteArray> = words.map(|&word| word.into()).collect();
    for (bytes, classes, want) in [
        (labelled::<Int64Type>("int64", &all, &numbers), 10, ""),
        (labelled::<ByteArrayType>("binary", &all, &words), 2, ""),
        (
            labelled::<Int64Type>("int64", &all, &negative),
            0,
            "labels are not used: column label: class of row 6 must be in 0..65536, got -1",
        ),
        (
            labelled::<Int64Type>("int64", &all, &large),
            0,
            "labels are not used: column label: class of row 2 must be in 0..65536, got 5000000000",
        ),
        (
            labelled::<Int64Type>("int64", &some, &numbers[..8]),
            0,
            "labels are not used: column label: 2 of 10 rows have no class, the first is row 3",
        ),
        (
            labelled::<Int64Type>("int64", &[0; 10], &[]),
            0,
            "labels are not used: column label: 10 of 10 rows have no class, the first is row 0",
        ),
        (
            labelled::<DoubleType>("double", &all, &[0.5; 10]),
            0,
            "labels are not used: column label: row 0 has 0.5, classes are whole numbers or texts",
        ),
        (
            labelled::<BoolType>("boolean", &all, &[true; 10]),
            0,
            "labels are not used: column label: row 0 has true, classes are whole numbers or texts",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        let splits = source(&path, None, None).load().unwrap();
        let got = splits.found.to_string();
        assert!(got.contains(want), "got {got}, want {want}");
        assert_eq!(
            got.contains("labels are not used"),
            !want.is_empty(),
            "got {got}"
        );
        assert_eq!(
            (splits.found.classes, got.lines().count()),
            (classes, 1),
            "got {got}"
        );
    }
}

#[test]
fn two_hundred_damaged_files_are_read_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let labels: Vec<i64> = (0..12).map(|i| i % 3).collect();
    let whole = parquet("image", &pictures(0, 12), &labels);
    let mut read = 0;
    for seed in 0..200 {
        fs::write(&path, damage::mutated(&whole, seed)).unwrap();
        match source(&path, None, None).load() {
            Ok(splits) => {
                read += 1;
                for part in [&splits.train, &splits.held_out] {
                    let values = part.images().unwrap().flatten_all().unwrap();
                    let values = values.to_vec1::<f32>().unwrap();
                    assert!(values.iter().all(|v| v.abs() <= 1.0), "mutation {seed}");
                }
            }
            Err(error) => {
                let got = error.to_string();
                assert!(error.is_bad_input(), "mutation {seed}: got {got}");
                assert!(got.contains("x.parquet"), "mutation {seed}: got {got}");
                assert_eq!(got.lines().count(), 1, "mutation {seed}: got {got}");
            }
        }
    }
    assert!((1..200).contains(&read), "got {read} read");
    println!("{read} of 200 were read, the others refused");
}
