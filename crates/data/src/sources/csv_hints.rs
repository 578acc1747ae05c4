//! What to change about a text file that is refused as a table, where its text tells.

use csv::{ErrorKind, StringRecord};

const COMMENT: &str = "remove the lines of comments, which begin with #";
const EMPTY: &str = "fill it in, or leave the row out, or the column by `columns: [...]`";
const TEXT: &str =
    "leave the column out by `columns: [...]`, or make it the class by `label: NAME`";
const TRAILING: &str = "remove what stands behind the last field of each line";
const POINTS: &str = "write decimals with a point, as in 0.5, not with a comma";
const HYPHENS: &str = "write a minus as -, the sign of the keyboard";
/// The sign of print.
const MINUS: char = '\u{2212}';
const DELIMITERS: &str = "divide the fields by commas, semicolons or tabs";

/// Why a file that begins with these bytes is no table.
pub(super) fn of_start(start: &[u8]) -> Option<String> {
    if [[0xff, 0xfe], [0xfe, 0xff]]
        .iter()
        .any(|mark| start.starts_with(mark))
    {
        return Some("is text in UTF-16: save it as UTF-8".to_string());
    }
    let line = start
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let separator = line.trim_ascii().strip_prefix(b"sep=")?;
    // One that is longer is the name of a column.
    (separator.len() <= 1).then(|| {
        "line 1: says what divides the fields (sep=), which is found without it: remove that line".to_string()
    })
}

/// What to change about a line of another number of fields than those before it, under columns of these `names`.
pub(super) fn of_line(
    names: &[String],
    line: &StringRecord,
    error: &csv::Error,
) -> Option<&'static str> {
    let ErrorKind::UnequalLengths {
        expected_len, len, ..
    } = error.kind()
    else {
        return None;
    };
    let is_comment = |text: &str| text.starts_with('#');
    let first = names.first().is_some_and(|name| is_comment(name));
    let ends_empty = line.iter().next_back() == Some("");
    the_first([
        (line.get(0).is_some_and(is_comment), COMMENT),
        (first && expected_len < len, COMMENT),
        (*len == expected_len + 1 && ends_empty, TRAILING),
        // A comma within each of the numbers that commas divide.
        (*len == 2 * expected_len, POINTS),
    ])
}

/// What to change about `field`, which is no number, in the column `name` of a table of these `names`.
pub(super) fn of_field(names: &[String], name: &str, field: &str) -> Option<&'static str> {
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    let is_last = name.is_empty() && names.last().is_some_and(String::is_empty);
    let with_point = field.replace(',', ".");
    the_first([
        (field.starts_with('#'), COMMENT),
        (field.is_empty() && is_last, TRAILING),
        (field.contains(',') && is_number(&with_point), POINTS),
        (
            field.contains(MINUS) && is_number(&field.replace(MINUS, "-")),
            HYPHENS,
        ),
        (
            names.len() == 1 && field.contains([' ', '|', ':']),
            DELIMITERS,
        ),
        (field.is_empty(), EMPTY),
        (!is_number(field), TEXT),
    ])
}

fn the_first<const N: usize>(hints: [(bool, &'static str); N]) -> Option<&'static str> {
    hints
        .into_iter()
        .find_map(|(fits, hint)| fits.then_some(hint))
}
