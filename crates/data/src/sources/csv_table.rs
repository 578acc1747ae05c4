//! Tables of numbers in text files (CSV): a row an item, a column a value.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};
use serde::{Deserialize, Serialize};

use super::file_name;
use crate::error::DataError;
use crate::file_error::FileError;
use crate::labels::{ClassLabels, Labels, MAX_CLASSES};
use crate::source::Source;
use crate::splits::{Divided, MIN_IMAGES, Splits};

/// Bytes of a table.
const MAX_BYTES: u64 = 1 << 30;
/// Rows after which the size of what was read is looked at.
const ROWS_A_LOOK: usize = 1 << 16;
const ACCEPTED: &str = "text of numbers with , ; or tabs between them";

/// A table in a text file, with `,`, `;` or tabs between its fields. Row `i` is held out when `i % 5 == 4`.
///
/// The first line names the columns if one of its fields is not a number. Two columns are points in the plane,
/// `[2, 1, 1]`; any other number of them is `[1, 1, n]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvTable {
    /// The file; a relative path starts from the working directory.
    pub path: PathBuf,
    /// The values that become -1 and 1, which none may lie beyond.
    pub range: [f64; 2],
    /// The columns to take, by name, or by number from 0 where they have none; all but the label if not named.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// The column of the classes: each text that stands in it is one, in the order of the texts.
    #[serde(default)]
    pub label: Option<String>,
}

impl Source for CsvTable {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn load(&self) -> Result<Splits, DataError> {
        let mut rows = Rows::open(self)?;
        let n = rows.columns.len();
        let shape = if n == 2 { [2, 1, 1] } else { [1, 1, n] };
        let mut divided = Divided::new(self.name(), shape, 0);
        let (mut num, mut labels) = (0, Vec::new());
        while rows.next()? {
            rows.values(self.range, divided.next_image())?;
            labels.extend(rows.label()?);
            num += 1;
            if num % ROWS_A_LOOK == 0 {
                FileError::check_size(&self.path, num, shape)?;
            }
        }
        FileError::check_size(&self.path, num, shape)?;
        if num < MIN_IMAGES {
            let error = FileError::TooFew {
                path: self.path.clone(),
                what: "rows",
                num,
                skipped: Vec::new(),
            };
            return Err(error.into());
        }
        let labels = match &self.label {
            None => Labels::Absent,
            Some(_) => classes(&labels),
        };
        divided.finish(&labels)
    }
}

/// A class for each text, in the order of the texts; of whole numbers in theirs.
fn classes(labels: &[String]) -> Labels {
    let texts: BTreeSet<&str> = labels.iter().map(String::as_str).collect();
    if texts.len() > MAX_CLASSES {
        let several = texts.len();
        return Labels::Unusable(format!(
            "{several} different labels, up to {MAX_CLASSES} are accepted"
        ));
    }
    let mut names: Vec<&str> = texts.into_iter().collect();
    // Numbers would stand as 1, 10, 2.
    names.sort_by_key(|name| name.parse::<u64>().unwrap_or(u64::MAX));
    let places: HashMap<&str, u32> = names.iter().copied().zip(0..).collect();
    let values = labels.iter().map(|label| places[label.as_str()]).collect();
    let names = names.into_iter().map(str::to_string).collect();
    Labels::Classes(ClassLabels::named(values, names))
}

/// The rows of a table, one after the other.
struct Rows<'t> {
    path: &'t Path,
    reader: csv::Reader<Box<dyn Read>>,
    record: StringRecord,
    /// A first line of numbers, which names nothing.
    waiting: bool,
    /// What columns are called, and where those that are taken stand.
    names: Vec<String>,
    columns: Vec<usize>,
    label: Option<usize>,
}

impl<'t> Rows<'t> {
    fn open(table: &'t CsvTable) -> Result<Self, FileError> {
        let path = table.path.as_path();
        let [low, high] = table.range;
        if !(low < high && low.is_finite() && high.is_finite()) {
            let reason =
                format!("range must be two numbers, the smaller first, got [{low}, {high}]");
            return Err(FileError::file(path, reason));
        }
        let len = fs::metadata(path).map_err(FileError::io(path))?.len();
        if len > MAX_BYTES {
            let mib = MAX_BYTES >> 20;
            let reason = format!("has more than the {mib} MiB that are accepted: save it as .npy");
            return Err(FileError::file(path, reason));
        }
        let (reader, delimiter) = text(path)?;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .trim(csv::Trim::All)
            .from_reader(reader);
        let mut record = StringRecord::new();
        let there = reader.read_record(&mut record);
        if !there.map_err(|e| broken(path, &e))? {
            return Err(FileError::file(path, "is empty: a table has rows"));
        }
        let waiting = record.iter().all(|field| field.parse::<f64>().is_ok());
        let names: Vec<String> = match waiting {
            true => (0..record.len()).map(|place| place.to_string()).collect(),
            false => record.iter().map(str::to_string).collect(),
        };
        let mut rows = Self {
            path,
            reader,
            record,
            waiting,
            names,
            columns: Vec::new(),
            label: None,
        };
        let label = table.label.as_ref();
        rows.label = label.map(|name| rows.place(name)).transpose()?;
        rows.columns = match &table.columns {
            Some(names) => {
                let places = names.iter().map(|name| rows.place(name));
                places.collect::<Result<_, _>>()?
            }
            None => (0..rows.names.len())
                .filter(|place| Some(*place) != rows.label)
                .collect(),
        };
        match rows.columns.is_empty() {
            true => Err(FileError::file(path, "columns: none is left to take")),
            false => Ok(rows),
        }
    }

    /// Where the column `name` stands.
    fn place(&self, name: &str) -> Result<usize, FileError> {
        let found = self.names.iter().position(|other| other == name);
        found.ok_or_else(|| {
            let names = self.names.join(", ");
            FileError::file(self.path, format!("has no column {name}, but {names}"))
        })
    }

    /// Goes on to the next row; whether there is one.
    fn next(&mut self) -> Result<bool, FileError> {
        if std::mem::take(&mut self.waiting) {
            return Ok(true);
        }
        let read = self.reader.read_record(&mut self.record);
        read.map_err(|e| broken(self.path, &e))
    }

    /// Appends the row's values in `[-1, 1]`.
    fn values(&self, [low, high]: [f64; 2], into: &mut Vec<f32>) -> Result<(), FileError> {
        for &column in &self.columns {
            let field = &self.record[column];
            let value = field
                .parse()
                .ok()
                .filter(|value| (low..=high).contains(value));
            let value: f64 = value.ok_or_else(|| {
                self.refuse(
                    column,
                    &format!("must be a number within the range [{low}, {high}]"),
                )
            })?;
            into.push((2.0 * ((value - low) / (high - low)) - 1.0) as f32);
        }
        Ok(())
    }

    /// The row's label, if there are any.
    fn label(&self) -> Result<Option<String>, FileError> {
        match self.label {
            None => Ok(None),
            Some(column) if self.record[column].is_empty() => {
                Err(self.refuse(column, "must be a class"))
            }
            Some(column) => Ok(Some(self.record[column].to_string())),
        }
    }

    fn refuse(&self, column: usize, accepted: &str) -> FileError {
        let line = self.record.position().map_or(0, csv::Position::line);
        let (name, got) = (&self.names[column], &self.record[column]);
        let got = match got.is_empty() {
            true => "nothing".to_string(),
            false => got.chars().take(40).collect(),
        };
        let reason = format!("line {line}, column {name}: {accepted}, got {got}");
        FileError::file(self.path, reason)
    }
}

/// The text of a file without a byte order mark, and what stands between its fields: what its first line has most of.
fn text(path: &Path) -> Result<(Box<dyn Read>, u8), FileError> {
    let mut file =
        BufReader::with_capacity(1 << 16, File::open(path).map_err(FileError::io(path))?);
    let start = file.fill_buf().map_err(FileError::io(path))?;
    let mark = if start.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let line = start
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let count = |delimiter: &u8| line.iter().filter(|byte| *byte == delimiter).count();
    // Of as many the last: a comma within fields that others divide is rarer than one that divides them.
    let delimiter = *b"\t;,"
        .iter()
        .max_by_key(|byte| count(byte))
        .unwrap_or(&b',');
    file.consume(mark);
    Ok((Box::new(file), delimiter))
}

fn broken(path: &Path, error: &csv::Error) -> FileError {
    let line = error.position().map_or(0, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("line {line}: has {len} fields, those before have {expected_len}"),
        csv::ErrorKind::Utf8 { .. } => format!("line {line}: is not {ACCEPTED} (UTF-8)"),
        _ => format!("cannot be read as {ACCEPTED}: {error}"),
    };
    FileError::file(path, reason)
}
