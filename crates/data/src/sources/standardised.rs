//! Tables whose columns are brought to one scale.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::columns::Column;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::labels::Labels;
use crate::splits::{Splits, is_held_out};

/// The shape of a row of so many values: two are points in the plane.
pub(super) fn shape_of(columns: usize) -> [usize; 3] {
    match columns {
        2 => [2, 1, 1],
        n => [1, 1, n],
    }
}

/// Divides the rows `values`, one after the other, and brings each column to the scale that `measure` finds in its rows
/// to learn from.
pub(super) fn standardised(
    name: &str,
    names: &[String],
    values: &[f64],
    labels: &Labels,
    measure: impl Fn(&str, Vec<f64>) -> Result<Column, DataError>,
) -> Result<Splits, DataError> {
    let n = names.len();
    let (held_out, train): (Vec<usize>, Vec<usize>) =
        (0..values.len() / n).partition(|&row| is_held_out(row));
    let columns = names.iter().enumerate().map(|(place, name)| {
        let column = train.iter().map(|row| values[row * n + place]);
        measure(name, column.collect())
    });
    let columns: Arc<[Column]> = columns.collect::<Result<Vec<_>, _>>()?.into();
    let [channels, height, width] = shape_of(n);
    let part = |part: &str, rows: &[usize]| {
        let rows_kept = rows.iter().flat_map(|row| {
            let row = &values[row * n..(row + 1) * n];
            let kept = row.iter().zip(&*columns);
            kept.map(|(&value, column)| column.kept(value) as f32)
        });
        let shape = (rows.len(), channels, height, width);
        let kept = Tensor::from_vec(rows_kept.collect::<Vec<f32>>(), shape, &Device::Cpu)?;
        let name = format!("{name}/{part}");
        Dataset::table(name, kept, labels.select(rows), Arc::clone(&columns))
    };
    let (train, held_out) = (part("train", &train)?, part("held_out", &held_out)?);
    let mut splits = Splits::new(name, train, held_out);
    splits.found.remarks.push(format!(
        "{} standardised, samples are in the table's own units",
        match n {
            1 => "1 column".to_string(),
            several => format!("{several} columns"),
        }
    ));
    Ok(splits)
}
