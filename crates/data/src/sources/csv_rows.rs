//! The rows of a text file of numbers, one after the other.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use super::csv_hints as hints;
use crate::file_error::FileError;
use crate::file_kind::FileKind;

/// Bytes of a table.
const MAX_BYTES: u64 = 1 << 30;
/// Columns of a table, the values of one of its data.
const MAX_COLUMNS: usize = 1 << 16;
const ACCEPTED: &str = "text of numbers with , ; or tabs between them";

/// The rows of a table, one after the other.
pub(super) struct Rows<'t> {
    path: &'t Path,
    reader: csv::Reader<Box<dyn Read>>,
    record: StringRecord,
    /// A first line of numbers, which names nothing.
    waiting: bool,
    /// What columns are called.
    names: Vec<String>,
    /// Where the columns that are taken stand.
    pub columns: Vec<usize>,
    label: Option<usize>,
    /// The rows so far, if the first column has no name and counts them.
    counted: Option<u64>,
}

impl<'t> Rows<'t> {
    /// The table at `path`, of which `columns` are taken, or all but that of the `label`.
    pub fn open(
        path: &'t Path,
        columns: Option<&[String]>,
        label: Option<&String>,
    ) -> Result<Self, FileError> {
        let len = fs::metadata(path).map_err(FileError::io(path))?.len();
        if len > MAX_BYTES {
            let mib = MAX_BYTES >> 20;
            let reason = format!("has more than the {mib} MiB that are accepted: save it as .npy");
            return Err(FileError::file(path, reason));
        }
        if let Some(kind) = FileKind::of_file(path) {
            return Err(FileError::file(path, format!("is {kind}")));
        }
        let (reader, delimiter) = text(path)?;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .trim(csv::Trim::All)
            .from_reader(reader);
        let mut record = StringRecord::new();
        let there = reader.read_record(&mut record);
        if !there.map_err(|e| broken(path, &e, None))? {
            return Err(FileError::file(path, "is empty: a table has rows"));
        }
        if record.len() > MAX_COLUMNS {
            let reason = format!(
                "has {} columns, accepted are up to {MAX_COLUMNS}",
                record.len()
            );
            return Err(FileError::file(path, reason));
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
            counted: None,
        };
        rows.label = label.map(|name| rows.place(name)).transpose()?;
        rows.columns = match columns {
            Some(names) => {
                let places = names.iter().map(|name| rows.place(name));
                places.collect::<Result<_, _>>()?
            }
            None => (0..rows.names.len())
                .filter(|place| Some(*place) != rows.label)
                .collect(),
        };
        if rows.columns.is_empty() {
            return Err(FileError::file(path, "columns: none is left to take"));
        }
        let nameless = rows.names[0].is_empty() || rows.names[0].starts_with("Unnamed:");
        rows.counted = (nameless && rows.columns.contains(&0)).then_some(0);
        let names = rows.names();
        let mut seen = HashSet::new();
        let twice = names.iter().find(|name| !seen.insert(*name));
        match twice {
            None => Ok(rows),
            Some(name) => {
                let reason = format!(
                    "two of its columns are called {name}: rename one, or name the others in columns"
                );
                Err(FileError::file(path, reason))
            }
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

    /// What the columns that are taken are called, in their order.
    pub fn names(&self) -> Vec<String> {
        let names = self.columns.iter().map(|&place| self.names[place].clone());
        names.collect()
    }

    /// Goes on to the next row; whether there is one.
    pub fn next(&mut self) -> Result<bool, FileError> {
        if std::mem::take(&mut self.waiting) {
            return Ok(true);
        }
        let read = self.reader.read_record(&mut self.record);
        let is_there = read.map_err(|e| {
            let hint = hints::of_line(&self.names, &self.record, &e);
            broken(self.path, &e, hint)
        })?;
        if let (true, Some(rows)) = (is_there, self.counted) {
            let counts = self.record[0].parse() == Ok(rows);
            self.counted = counts.then_some(rows + 1);
        }
        Ok(is_there)
    }

    /// What there is to say of a first column that looks as if it were none of the data.
    pub fn remark(&self) -> Option<String> {
        self.counted.filter(|rows| *rows > 0)?;
        let others = self.columns.iter().filter(|place| **place != 0);
        let others: Vec<&str> = others.map(|&place| &*self.names[place]).collect();
        let (few, more) = match others.len() {
            0..=3 => (&others[..], ""),
            _ => (&others[..3], ", ..."),
        };
        Some(format!(
            "the first column has no name and counts the rows: if it is an index, columns: [{}{more}] leaves it out",
            few.join(", ")
        ))
    }

    /// Hands the row's values to `take`, none of which may lie beyond `range`; without one all that are finite will do.
    pub fn values(
        &self,
        range: Option<[f64; 2]>,
        mut take: impl FnMut(f64),
    ) -> Result<(), FileError> {
        let within = |value: &f64| match range {
            Some([low, high]) => (low..=high).contains(value),
            None => value.is_finite(),
        };
        for &column in &self.columns {
            let value = self.record[column].parse().ok().filter(within);
            let Some(value) = value else {
                let accepted = match range {
                    Some([low, high]) => {
                        format!("must be a number within the range [{low}, {high}]")
                    }
                    None => "must be a finite number".to_string(),
                };
                return Err(self.refuse(column, &accepted));
            };
            take(value);
        }
        Ok(())
    }

    /// The row's label, if there are any.
    pub fn label(&self) -> Result<Option<String>, FileError> {
        match self.label {
            None => Ok(None),
            Some(column) if self.record[column].is_empty() => {
                Err(self.refuse(column, "must be a class"))
            }
            // What marks rows of no class, and would be one more class.
            Some(column)
                if self.record[column]
                    .parse()
                    .is_ok_and(|class: f64| class < 0.0) =>
            {
                Err(self.refuse(column, "must be a class, 0 or above or a word"))
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
        let hint = hints::of_field(&self.names, name, &self.record[column]);
        let hint = hint.map_or(String::new(), |hint| format!(": {hint}"));
        let name = match name.is_empty() {
            true => format!("{} (without a name)", column + 1),
            false => name.clone(),
        };
        let reason = format!("line {line}, column {name}: {accepted}, got {got}{hint}");
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
    if let Some(reason) = hints::of_start(&start[mark..]) {
        return Err(FileError::file(path, reason));
    }
    let count = |delimiter: &u8| line.iter().filter(|byte| *byte == delimiter).count();
    // Of as many the last: a comma within fields that others divide is rarer than one that divides them.
    let delimiter = *b"\t;,"
        .iter()
        .max_by_key(|byte| count(byte))
        .unwrap_or(&b',');
    file.consume(mark);
    Ok((Box::new(file), delimiter))
}

/// An error of reading, with what to change about it where that is known.
fn broken(path: &Path, error: &csv::Error, hint: Option<&str>) -> FileError {
    let line = error.position().map_or(0, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            let hint = hint.map_or(String::new(), |hint| format!(": {hint}"));
            format!("line {line}: has {len} fields, those before have {expected_len}{hint}")
        }
        csv::ErrorKind::Utf8 { .. } => {
            format!("line {line}: is not {ACCEPTED} (UTF-8): save it as UTF-8")
        }
        _ => format!("cannot be read as {ACCEPTED}: {error}"),
    };
    FileError::file(path, reason)
}
