//! Tables of numbers in text files (CSV): a row an item, a column a value.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::csv_rows::Rows;
use super::file_name;
use super::standardised::{shape_of, standardised};
use crate::columns::Standardise;
use crate::error::DataError;
use crate::file_error::FileError;
use crate::labels::{ClassLabels, Labels, MAX_CLASSES};
use crate::source::Source;
use crate::splits::{Divided, MIN_IMAGES, Splits};

/// Rows after which the size of what was read is looked at.
const ROWS_A_LOOK: usize = 1 << 16;

/// A table in a text file, with `,`, `;` or tabs between its fields. Row `i` is held out when `i % 5 == 4`.
///
/// The first line names the columns if one of its fields is not a number. Two columns are points in the plane,
/// `[2, 1, 1]`; any other number of them is `[1, 1, n]`. Either `range` or `standardise` says what becomes of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvTable {
    /// The file; a relative path starts from the working directory.
    pub path: PathBuf,
    /// The values that become -1 and 1, the same for all columns, which none may lie beyond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// How each column gets a scale of its own, in place of `range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standardise: Option<Standardise>,
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
        match (self.range, &self.standardise) {
            (Some(range), None) => self.load_within(range),
            (None, Some(standardise)) => self.load_standardised(standardise),
            (range, _) => {
                let got = if range.is_some() { "both" } else { "neither" };
                let reason = format!(
                    "needs either range, the values that become -1 and 1, or standardise, such as {{sigma_data: 0.5}}, got {got}"
                );
                Err(FileError::file(&self.path, reason).into())
            }
        }
    }
}

impl CsvTable {
    fn rows(&self) -> Result<Rows<'_>, FileError> {
        Rows::open(&self.path, self.columns.as_deref(), self.label.as_ref())
    }

    fn load_within(&self, [low, high]: [f64; 2]) -> Result<Splits, DataError> {
        if !(low < high && low.is_finite() && high.is_finite()) {
            let reason =
                format!("range must be two numbers, the smaller first, got [{low}, {high}]");
            return Err(FileError::file(&self.path, reason).into());
        }
        let mut rows = self.rows()?;
        let shape = shape_of(rows.columns.len());
        let mut divided = Divided::new(self.name(), shape, 0);
        let labels = self.each_row(&mut rows, shape, |rows| {
            let into = divided.next_image();
            rows.values(Some([low, high]), |value| {
                into.push((2.0 * ((value - low) / (high - low)) - 1.0) as f32);
            })
        })?;
        let mut splits = divided.finish(&labels)?;
        splits.found.remarks.extend(rows.remark());
        Ok(splits)
    }

    fn load_standardised(&self, standardise: &Standardise) -> Result<Splits, DataError> {
        let refused = |reason| FileError::file(&self.path, reason);
        standardise.check().map_err(refused)?;
        let mut rows = self.rows()?;
        let shape = shape_of(rows.columns.len());
        let mut values = Vec::new();
        let labels = self.each_row(&mut rows, shape, |rows| {
            rows.values(None, |value| values.push(value))
        })?;
        let measure = |name: &str, column: Vec<f64>| {
            let measured = standardise.column(name, column);
            measured.map_err(|reason| DataError::from(refused(reason)))
        };
        let mut splits = standardised(&self.name(), &rows.names(), &values, &labels, measure)?;
        splits.found.remarks.extend(rows.remark());
        Ok(splits)
    }

    /// Hands each row to `take`; gives the labels of all.
    fn each_row<'t>(
        &'t self,
        rows: &mut Rows<'t>,
        shape: [usize; 3],
        mut take: impl FnMut(&Rows<'t>) -> Result<(), FileError>,
    ) -> Result<Labels, FileError> {
        let (mut num, mut labels) = (0, Vec::new());
        while rows.next()? {
            take(rows)?;
            labels.extend(rows.label()?);
            num += 1;
            if num % ROWS_A_LOOK == 0 {
                FileError::check_size(&self.path, num, shape)?;
            }
        }
        FileError::check_size(&self.path, num, shape)?;
        if num < MIN_IMAGES {
            return Err(FileError::TooFew {
                path: self.path.clone(),
                what: "rows",
                num,
                skipped: Vec::new(),
            });
        }
        Ok(match &self.label {
            None => Labels::Absent,
            Some(_) => classes(&labels),
        })
    }
}

/// All rows of the table at `path` as they stand there: the names of its columns, and `[n, columns]`, `f64`.
///
/// # Errors
///
/// A file that is not a table, is empty, or has a field that is not a finite number.
pub fn read_table(path: &Path) -> Result<(Vec<String>, Tensor), DataError> {
    let mut rows = Rows::open(path, None, None)?;
    let names = rows.names();
    let mut values = Vec::new();
    while rows.next()? {
        rows.values(None, |value| values.push(value))?;
    }
    let shape = (values.len() / names.len(), names.len());
    Ok((names, Tensor::from_vec(values, shape, &Device::Cpu)?))
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
