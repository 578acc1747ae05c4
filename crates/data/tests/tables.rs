//! Tables of numbers in text files.

use std::fs;
use std::path::Path;

use pfgmpp_data::{CsvTable, DataSource, Dataset, Splits};

fn table(folder: &Path, text: impl AsRef<[u8]>) -> CsvTable {
    let path = folder.join("t.csv");
    fs::write(&path, text).unwrap();
    CsvTable {
        path,
        range: [-10.0, 10.0],
        columns: None,
        label: None,
    }
}

fn load(table: &CsvTable) -> Splits {
    let source = DataSource::Csv(table.clone());
    source.load().unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(table: &CsvTable) -> String {
    let error = DataSource::Csv(table.clone())
        .load()
        .expect_err("it was accepted");
    assert!(error.is_bad_input(), "got {error}");
    let error = error.to_string();
    assert_eq!(error.lines().count(), 1, "got `{error}`");
    error
}

fn values(dataset: &Dataset) -> Vec<f32> {
    dataset
        .images()
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// Ten rows of `fields(i)` under `header`.
fn ten(header: &str, fields: impl Fn(usize) -> String) -> String {
    let rows: String = (0..10).map(|i| fields(i) + "\n").collect();
    header.to_string() + &rows
}

#[test]
fn fields_become_values_whatever_stands_between_them() {
    let folder = tempfile::tempdir().unwrap();
    for (delimiter, mark, end) in [(",", "", ""), (";", "\u{feff}", "\r"), ("\t", "", " ")] {
        let header = format!("{mark}a{delimiter}b{delimiter}\"c\"{end}\n");
        let text = ten(&header, |i| {
            format!("{i}{delimiter}-{i}.5{delimiter}1e-1{end}")
        });
        let parts = load(&table(folder.path(), text));
        assert_eq!(parts.train.image_shape(), [1, 1, 3]);
        assert_eq!(parts.found.name, "t.csv");
        let got = values(&parts.held_out);
        for (got, want) in got.iter().zip([0.4, -0.45, 0.01, 0.9, -0.95, 0.01]) {
            assert!((got - want).abs() < 1e-6, "got {got}, want {want}");
        }
    }
}

#[test]
fn a_table_without_names_of_columns_begins_with_its_first_line() {
    let folder = tempfile::tempdir().unwrap();
    let parts = load(&table(folder.path(), ten("", |i| format!("{i},{}", 9 - i))));
    assert!(parts.train.is_planar());
    assert_eq!(values(&parts.train)[..2], [0.0, 0.9]);
    let mut second = table(folder.path(), ten("", |i| format!("{i},{}", 9 - i)));
    second.columns = Some(vec!["1".to_string()]);
    assert_eq!(load(&second).train.image_shape(), [1, 1, 1]);
}

#[test]
fn a_column_of_classes_is_none_of_the_values() {
    let folder = tempfile::tempdir().unwrap();
    let text = ten("x,kind,y\n", |i| format!("{i},{},0", ["10", "9"][i % 2]));
    let mut classes = table(folder.path(), text);
    classes.label = Some("kind".to_string());
    let parts = load(&classes);
    assert!(parts.train.is_planar());
    let labels = parts.train.class_labels().unwrap().unwrap();
    assert_eq!(labels.names(), ["9", "10"]);
    assert_eq!(labels.values(), [1, 0, 1, 0, 0, 1, 0, 1]);
}

#[test]
fn what_is_no_number_is_refused_with_its_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    for (field, want) in [
        (
            "",
            "t.csv: line 6, column b: must be a number within the range [-10, 10], got nothing",
        ),
        (
            "NaN",
            "line 6, column b: must be a number within the range [-10, 10], got NaN",
        ),
        ("inf", "got inf"),
        ("11", "got 11"),
        ("1.000,5", "line 6: has 3 fields, those before have 2"),
        ("x", "got x"),
    ] {
        let text = ten("a,b\n", |i| {
            format!("{i},{}", if i == 4 { field } else { "0" })
        });
        let got = refusal(&table(folder.path(), text));
        assert!(got.contains(want), "got {got}, want {want}");
    }
}

#[test]
fn what_is_no_table_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rows = ten("a,b\n", |i| format!("{i},0"));
    for (bytes, want) in [
        (&b""[..], "is empty"),
        (b"a,b\n1,2\n", "holds 1 rows, at least 10 are needed"),
        (b"a,b\n\xff\xfe,1\n", "line 2: is not text of numbers"),
    ] {
        let got = refusal(&table(folder.path(), bytes));
        assert!(got.contains(want), "got {got}, want {want}");
    }
    let mut other = table(folder.path(), &rows);
    other.columns = Some(vec!["c".to_string()]);
    assert!(refusal(&other).contains("has no column c, but a, b"));
    other.columns = Some(Vec::new());
    assert!(refusal(&other).contains("none is left to take"));
    let mut other = table(folder.path(), &rows);
    other.range = [1.0, 1.0];
    assert!(refusal(&other).contains("the smaller first, got [1, 1]"));
}
