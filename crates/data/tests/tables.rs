//! Tables of numbers in text files.

mod all_values;

use std::fs;
use std::path::Path;

use pfgmpp_data::{CsvTable, DataSource, Splits, Standardise, StandardiseBy};

use all_values::values;

fn table(folder: &Path, text: impl AsRef<[u8]>) -> CsvTable {
    let path = folder.join("t.csv");
    fs::write(&path, text).unwrap();
    CsvTable {
        path,
        range: Some([-10.0, 10.0]),
        standardise: None,
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
fn what_is_no_table_is_told_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for (text, want) in [
        ("<!doctype html>\n<html>1,2</html>\n", "a web page (HTML)"),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
            "git lfs pull",
        ),
        ("{\"error\": \"Not Found\"}", "JSON"),
    ] {
        let got = refusal(&table(folder.path(), text));
        assert!(got.contains(want), "got {got}, want {want}");
    }
    let wide: Vec<String> = (0..70_000).map(|i| i.to_string()).collect();
    let got = refusal(&table(folder.path(), wide.join(",")));
    assert!(got.contains("70000 columns"), "got {got}");
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
fn a_negative_number_in_the_column_of_classes_is_refused_and_does_not_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let text = ten("x,kind,y\n", |i| {
        format!("{i},{},0", if i == 4 { -1 } else { 1 })
    });
    let mut classes = table(folder.path(), text);
    classes.label = Some("kind".to_string());
    let got = refusal(&classes);
    let want = "t.csv: line 6, column kind: must be a class, 0 or above or a word, got -1";
    assert!(got.contains(want), "got {got}, want {want}");
}

#[test]
fn what_is_no_number_is_refused_with_its_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    for (field, want) in [
        (
            "",
            "t.csv: line 6, column b: must be a number within the range [-10, 10], got nothing: fill it in",
        ),
        (
            "NaN",
            "line 6, column b: must be a number within the range [-10, 10], got NaN",
        ),
        ("inf", "got inf"),
        ("11", "got 11"),
        ("1.000,5", "line 6: has 3 fields, those before have 2"),
        ("x", "got x: leave the column out by `columns: [...]`"),
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
    other.range = Some([1.0, 1.0]);
    assert!(refusal(&other).contains("the smaller first, got [1, 1]"));
}

/// A table that standardises in place of the range.
fn standardised(folder: &Path, text: &str, by: StandardiseBy) -> CsvTable {
    CsvTable {
        range: None,
        standardise: Some(Standardise {
            sigma_data: 0.5,
            by: Some(by),
        }),
        ..table(folder, text)
    }
}

#[test]
fn standardised_columns_have_mean_zero_and_the_deviation_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    // Far beyond [-1, 1], of very different scales; every fifth row, which is held out, is not measured.
    let text = ten("small,large,odd\n", |i| {
        let held_out = if i % 5 == 4 { 1e7 } else { 0.0 };
        format!(
            "{},{},{}",
            i as f64 * 1e-4,
            1e6 - (i * i) as f64 * 1e4,
            held_out + (i % 3) as f64
        )
    });
    let parts = load(&standardised(folder.path(), &text, StandardiseBy::Moments));
    let (rows, columns) = (values(&parts.train), parts.train.columns().unwrap());
    for (place, column) in columns.iter().enumerate() {
        let kept: Vec<f64> = rows
            .iter()
            .skip(place)
            .step_by(3)
            .map(|&v| f64::from(v))
            .collect();
        let mean = kept.iter().sum::<f64>() / 8.0;
        let variance = kept.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 8.0;
        let deviation = variance.sqrt();
        assert!(
            mean.abs() < 1e-6,
            "{}: got mean {mean}, want 0",
            column.name
        );
        assert!(
            (deviation - 0.5).abs() < 1e-6,
            "{}: got {deviation}, want 0.5",
            column.name
        );
    }
    let large = columns[1].value(f64::from(rows[3 + 1]));
    assert!((large - 990_000.0).abs() < 0.1, "got {large}, want 990000");
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["small", "large", "odd"]);
    assert_eq!(parts.held_out.columns(), parts.train.columns());
    let said = parts.found.to_string();
    assert!(said.contains("3 columns standardised"), "got {said}");
}

#[test]
fn rows_are_kept_by_the_columns_of_another_table_if_they_have_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let text = ten("a,b\n", |i| format!("{i},{}", i * i));
    let first = load(&standardised(folder.path(), &text, StandardiseBy::Moments)).train;
    let text = ten("a,b\n", |i| format!("{},{}", 3 * i + 7, i * i));
    let second = load(&standardised(
        folder.path(),
        &text,
        StandardiseBy::Quartiles,
    ))
    .train;
    let got = second.standardised_as(first.columns().unwrap()).unwrap();
    assert_eq!(got.columns(), first.columns());
    // Row 1 of the second is (10, 1).
    let (columns, kept) = (first.columns().unwrap(), values(&got));
    for (got, (column, value)) in kept[2..4].iter().zip(columns.iter().zip([10.0, 1.0])) {
        let want = column.kept(value);
        assert!(
            (f64::from(*got) - want).abs() < 1e-6,
            "got {got}, want {want}"
        );
    }
    let text = ten("a,c\n", |i| format!("{i},{}", i * i));
    let other = load(&standardised(folder.path(), &text, StandardiseBy::Moments)).train;
    let error = other.standardised_as(columns).unwrap_err();
    assert!(error.is_bad_input(), "got {error}");
    assert!(error.to_string().ends_with("got a, c"), "got {error}");
    let text = ten("a,b\n", |i| format!("{i},{i}"));
    let plain = load(&table(folder.path(), &text)).train;
    let error = plain.standardised_as(columns).unwrap_err().to_string();
    assert!(
        error.ends_with("got none that are standardised"),
        "got {error}"
    );
}

#[test]
fn a_table_that_cannot_be_standardised_says_what_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let by_moments = |text: &str| standardised(folder.path(), text, StandardiseBy::Moments);
    let constant = by_moments(&ten("a,b\n", |i| format!("{i},7")));
    let got = refusal(&constant);
    assert!(
        got.ends_with("column b: has one value in all rows to learn from: leave it out (columns)"),
        "got {got}"
    );
    let infinite = by_moments(&ten("a,b\n", |i| {
        format!("{i},{}", if i == 3 { "inf" } else { "1" })
    }));
    let got = refusal(&infinite);
    assert!(
        got.ends_with("line 5, column b: must be a finite number, got inf"),
        "got {got}"
    );
    let mut both = by_moments(&ten("a,b\n", |i| format!("{i},{i}")));
    both.range = Some([0.0, 9.0]);
    assert!(refusal(&both).contains("either range"));
    both.range = None;
    both.standardise = None;
    assert!(refusal(&both).ends_with("got neither"));
    both.standardise = Some(Standardise {
        sigma_data: 0.0,
        by: None,
    });
    assert!(refusal(&both).ends_with("standardise.sigma_data must be from 0.001 to 1000, got 0"));
}

#[test]
fn a_class_whose_rows_are_all_held_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rare.csv");
    let mut text = "a,b,c,kind\n".to_string();
    for row in 0..20 {
        // Every fifth row is held out, from the fifth on.
        let kind = if row == 4 {
            "rare"
        } else {
            ["x", "y"][row % 2]
        };
        text += &format!("0.{row},0.5,-0.5,{kind}\n");
    }
    fs::write(&path, text).unwrap();
    let table = CsvTable {
        path,
        columns: None,
        label: Some("kind".to_string()),
        range: Some([-1.0, 1.0]),
        standardise: None,
    };
    let said = load(&table).found.to_string();
    let want = "3 classes; class rare has none to learn from";
    assert!(said.contains(want), "got {said}, want {want}");
}

#[test]
fn what_to_change_about_a_table_is_said_with_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let points = "write decimals with a point";
    let comments = "remove the lines of comments";
    let trailing = "remove what stands behind the last field";
    let utf_16: Vec<u8> = "\u{feff}a,b\n1,2\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let latin_1 = ten("gr\u{1}\u{1}e,b\n", |i| format!("{i},0"));
    let latin_1: Vec<u8> = latin_1
        .bytes()
        .map(|byte| if byte == 1 { 0xfc } else { byte })
        .collect();
    for (text, want) in [
        (ten("a;b\n", |i| format!("{i},5;{i}")).into(), points),
        (ten("a,b\n", |i| format!("{i},5,{i},5")).into(), points),
        (
            ten("# of today\na,b\n", |i| format!("{i},5")).into(),
            comments,
        ),
        (
            ten("a,b\n1,2\n# so far\n", |i| format!("{i},5")).into(),
            comments,
        ),
        (ten("a,b,\n", |i| format!("{i},5,")).into(), trailing),
        (ten("a,b\n", |i| format!("{i},5,")).into(), trailing),
        (
            ten("sep=;\na;b\n", |i| format!("{i};5")).into(),
            "remove that line",
        ),
        (
            ten("a|b\n", |i| format!("{i}|5")).into(),
            "divide the fields by commas",
        ),
        (
            ten("a,b\n", |i| format!("{i},\u{2212}5")).into(),
            "write a minus as -",
        ),
        (utf_16, "is text in UTF-16: save it as UTF-8"),
        (latin_1, "save it as UTF-8"),
    ] {
        let got = refusal(&table(folder.path(), text));
        assert!(got.contains(want), "got {got}, want {want}");
    }
}

#[test]
fn a_column_without_a_name_that_counts_the_rows_is_named_as_a_possible_index() {
    let folder = tempfile::tempdir().unwrap();
    let want = "if it is an index, columns: [a, b] leaves it out";
    for (header, first, said) in [
        (",a,b\n", 0, true),
        ("Unnamed: 0,a,b\n", 0, true),
        (",a,b\n", 1, false),
        ("n,a,b\n", 0, false),
    ] {
        let text = ten(header, |i| format!("{},{i},-{i}", (i + first) % 10));
        let mut source = table(folder.path(), text);
        let got = load(&source).found.to_string();
        assert_eq!(
            got.contains(want),
            said,
            "{header:?} from {first}: got {got}"
        );
        source.columns = Some(vec!["a".to_string(), "b".to_string()]);
        let got = load(&source).found.to_string();
        assert!(!got.contains("index"), "got {got}");
    }
}
