//! Tables whose columns were standardised, back in their own units.

use std::io::{self, Write};

use candle_core::{DType, Device, Tensor};
use pfgmpp_checkpoint::DataSummary;
use pfgmpp_data::Column;

/// How the columns of the data of a checkpoint were standardised.
pub(crate) fn columns(data: &DataSummary) -> Option<Vec<Column>> {
    let own = data.columns.as_ref()?;
    let column = |own: &pfgmpp_checkpoint::Column| Column {
        name: own.name.clone(),
        shift: own.shift,
        scale: own.scale,
    };
    Some(own.iter().map(column).collect())
}

/// What data with `columns` are called in messages.
pub(crate) fn in_words(columns: Option<&[Column]>) -> String {
    let Some(columns) = columns else {
        return "data that are not standardised".to_string();
    };
    let columns = columns
        .iter()
        .map(|Column { name, shift, scale }| format!("{name} (shift {shift}, scale {scale})"));
    let columns: Vec<String> = columns.take(3).collect();
    format!("a table of {}", columns.join(", "))
}

/// Rows `[n, ...]` that were standardised, as values of the table: the same shape, `f64`, in host memory.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn own_units(rows: &Tensor, columns: &[Column]) -> candle_core::Result<Tensor> {
    let kept = rows.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let kept = kept.flatten_all()?.to_vec1::<f64>()?;
    let values = kept.iter().zip(columns.iter().cycle());
    let values: Vec<f64> = values.map(|(&kept, column)| column.value(kept)).collect();
    Tensor::from_vec(values, rows.shape(), &Device::Cpu)
}

/// Writes the line of the names of columns, and behind them `class` if there are classes.
pub(crate) fn write_names(
    file: &mut impl Write,
    names: &[String],
    has_classes: bool,
) -> io::Result<()> {
    let mut line: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    if has_classes {
        line.push("class".to_string());
    }
    writeln!(file, "{}", line.join(","))
}

/// Writes a row, and behind it its class if it has one.
pub(crate) fn write_row(
    file: &mut impl Write,
    row: &[f64],
    class: Option<usize>,
) -> io::Result<()> {
    let mut line: Vec<String> = row.iter().map(|&value| number(value)).collect();
    line.extend(class.map(|class| class.to_string()));
    writeln!(file, "{}", line.join(","))
}

/// The shortest text that reads back as `value`: with 9 digits where it is an `f32`, which they tell apart.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.8e}").parse().unwrap_or(value);
    match f64::from(value as f32) == value && rounded as f32 == value as f32 {
        true => format!("{rounded:?}"),
        false => format!("{value:?}"),
    }
}

/// A field of CSV.
fn quoted(name: &str) -> String {
    match name.contains([',', ';', '\t', '"', '\n', '\r']) {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_as_text_that_reads_back() {
        let mut file = Vec::new();
        let names = ["a".to_string(), "b, in \"mm\"".to_string()];
        write_names(&mut file, &names, true).unwrap();
        write_row(&mut file, &[0.1, -1e300], Some(3)).unwrap();
        write_row(
            &mut file,
            &[f64::from(1.0f32 / 3.0), 1e12 + 0.0625],
            Some(0),
        )
        .unwrap();
        let got = String::from_utf8(file).unwrap();
        let want = "a,\"b, in \"\"mm\"\"\",class\n0.1,-1e300,3\n0.333333343,1000000000000.0625,0\n";
        assert_eq!(got, want);
    }

    #[test]
    fn rows_go_back_to_the_units_of_their_columns() {
        let column = |shift, scale| Column {
            name: String::new(),
            shift,
            scale,
        };
        let rows = Tensor::new(&[[0f32, 1.0], [-2.0, 0.5]], &Device::Cpu).unwrap();
        let rows = rows.reshape((2, 2, 1, 1)).unwrap();
        let got = own_units(&rows, &[column(10.0, 2.0), column(-1.0, 100.0)]).unwrap();
        assert_eq!(got.dims(), [2, 2, 1, 1]);
        let got = got.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(got, [10.0, 99.0, 6.0, 49.0]);
    }
}
