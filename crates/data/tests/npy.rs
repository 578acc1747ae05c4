//! Arrays of NumPy. The files are written here as the format's description says.

mod all_values;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use candle_core::Device;
use pfgmpp_data::{DataSource, NpyArray, NpzArchive, Splits};

use all_values::values;

/// The bytes of an array.
fn npy(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [
        b"\x93NUMPY\x01\x00",
        length.as_slice(),
        header.as_bytes(),
        elements,
    ]
    .concat()
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> NpyArray {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    NpyArray {
        path,
        labels: None,
        range: None,
        layout: None,
    }
}

fn load(array: &NpyArray) -> Splits {
    let source = DataSource::Npy(array.clone());
    source.load().unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(array: &NpyArray) -> String {
    let error = DataSource::Npy(array.clone())
        .load()
        .expect_err("it was accepted");
    assert!(error.is_bad_input(), "got {error}");
    error.to_string()
}

fn f32s(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

#[test]
fn bytes_go_from_minus_one_to_one_as_those_of_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let levels: Vec<u8> = (0..10).flat_map(|i| [0, 255, 51, i]).collect();
    let parts = load(&written(
        folder.path(),
        "a.npy",
        &npy("|u1", "(10, 2, 2)", &levels),
    ));
    assert_eq!(parts.train.image_shape(), [1, 2, 2]);
    assert_eq!(parts.found.name, "a.npy");
    let got = values(&parts.held_out);
    for (image, number) in got.chunks(4).zip([4.0, 9.0]) {
        let want = [-1.0, 1.0, -0.6, number / 127.5 - 1.0];
        for (got, want) in image.iter().zip(want) {
            assert!((got - want).abs() < 1e-6, "got {got}, want {want}");
        }
    }
}

#[test]
fn floats_of_both_sizes_need_a_range_and_keep_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: Vec<f32> = (0..20).map(|i| i as f32 / 19.0).collect();
    let wide = numbers
        .iter()
        .flat_map(|&v| f64::from(v).to_le_bytes())
        .collect::<Vec<u8>>();
    for (descr, bytes) in [("<f4", f32s(numbers.clone())), ("<f8", wide)] {
        let mut array = written(folder.path(), "p.npy", &npy(descr, "(10, 2)", &bytes));
        let got = refusal(&array);
        assert!(
            got.contains("p.npy: an array that is not of u8 needs the range"),
            "got {got}"
        );
        array.range = Some([0.0, 1.0]);
        let parts = load(&array);
        assert!(parts.train.is_planar());
        assert_eq!(values(&parts.train)[0], -1.0);
        assert_eq!(values(&parts.held_out)[3], 1.0);
        array.range = Some([-1.0, 1.0]);
        assert_eq!(
            values(&load(&array).train),
            [&numbers[..8], &numbers[10..18]].concat()
        );
        array.range = Some([0.0, 0.5]);
        let got = refusal(&array);
        let want = "value 0 of row 5 must be within the range [0, 0.5], got 0.526";
        assert!(got.contains(want), "got {got}, want {want}");
        array.range = Some([1.0, 0.0]);
        assert!(refusal(&array).contains("the smaller first, got [1, 0]"));
    }
    let array = NpyArray {
        range: Some([0.0, 1.0]),
        ..written(
            folder.path(),
            "n.npy",
            &npy("<f4", "(10, 1)", &f32s([f32::NAN; 10])),
        )
    };
    assert!(refusal(&array).contains("value 0 of row 0 must be within the range [0, 1], got NaN"));
}

#[test]
fn channels_are_found_in_front_and_behind() {
    let folder = tempfile::tempdir().unwrap();
    let levels: Vec<u8> = (0..240).collect();
    let behind = load(&written(
        folder.path(),
        "b.npy",
        &npy("|u1", "(10, 4, 2, 3)", &levels),
    ));
    assert_eq!(behind.train.image_shape(), [3, 4, 2]);
    let level = |v: f32| (127.5 * (v + 1.0)).round() as usize;
    let got = values(&behind.train);
    // Channel c of the pixel in row h and column w stands at 6 h + 3 w + c.
    for (c, h, w) in [(0, 0, 0), (2, 0, 0), (1, 3, 1), (0, 2, 1)] {
        assert_eq!(level(got[8 * c + 2 * h + w]), 6 * h + 3 * w + c);
    }
    let front = load(&written(
        folder.path(),
        "f.npy",
        &npy("|u1", "(10, 3, 4, 2)", &levels),
    ));
    assert_eq!(front.train.image_shape(), [3, 4, 2]);
    assert_eq!(
        values(&front.train)
            .iter()
            .map(|&v| level(v))
            .take(24)
            .collect::<Vec<_>>(),
        (0..24).collect::<Vec<_>>()
    );

    let mut both = written(
        folder.path(),
        "e.npy",
        &npy("|u1", "(10, 3, 8, 1)", &levels),
    );
    assert!(
        refusal(&both).contains("state layout: hwc or layout: chw"),
        "{}",
        refusal(&both)
    );
    both.layout = serde_json::from_value("hwc".into()).unwrap();
    assert_eq!(load(&both).train.image_shape(), [1, 3, 8]);
    both.layout = serde_json::from_value("chw".into()).unwrap();
    assert_eq!(load(&both).train.image_shape(), [3, 8, 1]);
    let four = written(
        folder.path(),
        "g.npy",
        &npy("|u1", "(10, 4, 6, 1)", &levels),
    );
    assert_eq!(load(&four).train.image_shape(), [1, 4, 6]);
    let none = written(
        folder.path(),
        "h.npy",
        &npy("|u1", "(10, 4, 3, 2)", &levels),
    );
    assert!(refusal(&none).contains("must have 1 or 3 channels"));
}

#[test]
fn rows_of_a_table_are_images_of_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let array = written(folder.path(), "t.npy", &npy("|u1", "(10, 5)", &[7; 50]));
    assert_eq!(load(&array).train.image_shape(), [1, 1, 5]);
}

#[test]
fn classes_come_from_a_second_array_of_whole_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let labels: Vec<i64> = (0..10).map(|i| i % 3).collect();
    let bytes = |width: usize| -> Vec<u8> {
        labels
            .iter()
            .flat_map(|label| label.to_le_bytes()[..width].to_vec())
            .collect()
    };
    let mut array = written(folder.path(), "x.npy", &npy("|u1", "(10, 1)", &[0; 10]));
    for (descr, width, shape) in [
        ("|u1", 1, "(10,)"),
        ("|i1", 1, "(10,)"),
        ("<i4", 4, "(10,)"),
        ("<u2", 2, "(10, 1)"),
        ("<i8", 8, "(10,)"),
    ] {
        array.labels =
            Some(written(folder.path(), "y.npy", &npy(descr, shape, &bytes(width))).path);
        let parts = load(&array);
        assert_eq!(parts.found.classes, 3, "{descr}");
        assert_eq!(
            parts.train.class_labels().unwrap().unwrap().values(),
            [0, 1, 2, 0, 2, 0, 1, 2]
        );
        assert_eq!(
            parts.held_out.class_labels().unwrap().unwrap().values(),
            [1, 0]
        );
    }
    let minus = (-1i64).to_le_bytes().repeat(10);
    for (bytes, want) in [
        (
            npy("<i8", "(9,)", &bytes(8)[..72]),
            "y.npy: labels must have shape [10], got [9]",
        ),
        (
            npy("<i8", "(10,)", &minus),
            "y.npy: label of row 0 must be in 0..65536, got -1",
        ),
        (
            npy("<f4", "(10,)", &f32s([0.0; 10])),
            "y.npy: labels must be whole numbers, got floats",
        ),
    ] {
        array.labels = Some(written(folder.path(), "y.npy", &bytes).path);
        let got = refusal(&array);
        assert!(got.ends_with(want), "got {got}, want {want}");
    }
}

#[test]
fn what_is_not_an_array_that_can_be_read_is_told_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let whole = npy("|u1", "(10, 4)", &[0; 40]);
    let columns = npy("|u1", "(10, 4)", &[0; 40]);
    let at = columns.windows(5).position(|w| w == b"False").unwrap();
    let columns = [&columns[..at], b"True ", &columns[at + 5..]].concat();
    for (bytes, want) in [
        (whole[..whole.len() - 1].to_vec(), "cut off"),
        (whole[..20].to_vec(), "cut off"),
        (
            [whole.clone(), vec![0]].concat(),
            "holds more than its shape [10, 4] says",
        ),
        (
            columns,
            "is stored by columns: save numpy.ascontiguousarray of it",
        ),
        (
            npy("|O", "(10, 4)", b""),
            "is an array of |O, accepted are u8",
        ),
        (
            npy(">f4", "(10, 4)", &[0; 160]),
            "is an array of >f4, accepted are u8",
        ),
        (
            npy("|u1", "(10,)", &[0; 10]),
            "has shape [10], accepted are [num, n]",
        ),
        (npy("|u1", "(10, 0)", &[]), "rows without a value"),
        (
            npy("|u1", "(9, 4)", &[0; 36]),
            "holds 9 rows, at least 10 are needed",
        ),
        (
            npy("|u1", "(99999999999999999999, 4)", &[0; 36]),
            "description cannot be read",
        ),
        (
            npy("|u1", "(1000000000000, 4000000000000)", &[0; 36]),
            "cut off",
        ),
        (
            b"PK\x03\x04".to_vec(),
            "is not a NumPy array but a ZIP archive",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            "git lfs pull",
        ),
        (b"1,2,3\n".to_vec(), "is not a NumPy array"),
        (Vec::new(), "empty"),
    ] {
        let got = refusal(&written(folder.path(), "a.npy", &bytes));
        assert!(
            got.contains("a.npy: ") && got.contains(want),
            "got {got}, want {want}"
        );
        assert_eq!(got.lines().count(), 1);
    }
}

#[test]
fn an_array_larger_than_the_memory_it_may_have_is_read_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    // The file is sparse: its rows are zeros, which are -1, but for the last.
    let large = npy("|u1", "(1050000, 1024)", &[]);
    let array = written(folder.path(), "l.npy", &large);
    let mut file = fs::File::options().write(true).open(&array.path).unwrap();
    let len = large.len() as u64 + 1_050_000 * 1024;
    file.set_len(len).unwrap();
    file.seek(SeekFrom::Start(len - 1024)).unwrap();
    file.write_all(&[255; 1024]).unwrap();
    let splits = DataSource::Npy(array).load().unwrap();
    assert!(splits.held_out.is_in_files());
    let last = splits.held_out.num_images() - 1;
    let batch = splits.held_out.batch(&[last, 0], &Device::Cpu).unwrap();
    let means = batch.mean((1, 2, 3)).unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(means, [1.0, -1.0]);
}

#[test]
fn a_source_of_an_array_needs_its_path_alone() {
    let source: DataSource = serde_json::from_str(r#"{"npy": {"path": "a/b.npy"}}"#).unwrap();
    assert_eq!(source.name(), "b.npy");
    let again = serde_json::to_string(&source).unwrap();
    assert_eq!(
        again,
        r#"{"npy":{"path":"a/b.npy","labels":null,"range":null,"layout":null}}"#
    );
    assert_eq!(serde_json::from_str::<DataSource>(&again).unwrap(), source);
}

/// An archive of twenty images of bytes as samples are written, with `second` as its second array.
fn archive(path: &Path, second: &[u8]) -> Splits {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let images = npy("|u1", "(20, 2, 2, 1)", &[7; 80]);
    for (name, bytes) in [("arr_0.npy", &*images), ("arr_1.npy", second)] {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
    let source = DataSource::Npz(NpzArchive {
        path: path.to_path_buf(),
        images: None,
        labels: None,
        range: None,
        layout: None,
    });
    source.load().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_second_array_of_samples_is_their_classes_where_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.npz");
    let whole = |num: usize| -> Vec<u8> {
        let classes = (0..num as i64).map(|i| i % 3);
        classes.flat_map(i64::to_le_bytes).collect()
    };
    let found = archive(&path, &npy("<i8", "(20,)", &whole(20)));
    assert_eq!(
        found.train.class_labels().unwrap().unwrap().values()[..4],
        [0, 1, 2, 0]
    );
    let line = found.found.to_string();
    assert!(line.contains("3 classes; classes from arr_1"), "got {line}");
    for second in [
        npy("<i8", "(19,)", &whole(19)),
        npy("<f4", "(20,)", &f32s([1.0; 20])),
        npy("<i8", "(20,)", &[0xff; 160]),
    ] {
        let found = archive(&path, &second);
        assert_eq!(found.found.classes, 0);
        let line = found.found.to_string();
        assert!(line.contains("left out: 1 array"), "got {line}");
    }
}
