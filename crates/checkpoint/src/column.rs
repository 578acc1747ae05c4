//! How a table's columns were brought to the scale that a network is trained at.

use std::collections::HashSet;

use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

/// Values beyond it would not survive a square.
const LARGEST: f64 = 1e150;

/// A column of a table.
///
/// ```text
/// value = shift + scale * what the network is trained on
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// What the table calls it.
    pub name: String,
    /// The value that the network sees as 0, in the table's own unit.
    pub shift: f64,
    /// The table's own units in a unit of the network's; positive.
    pub scale: f64,
}

/// Checks the columns of rows of `shape` `[C, H, W]`.
pub(crate) fn check(columns: &[Column], shape: [usize; 3]) -> Result<(), ParameterError> {
    let values: usize = shape.iter().product();
    let refuse =
        |got: String, accepted: String| Err(ParameterError::new("data.columns", got, accepted));
    if columns.len() != values {
        let accepted = format!("absent, or one for each of the {values} values of a row");
        return refuse(format!("{} columns", columns.len()), accepted);
    }
    let mut names = HashSet::new();
    for Column { name, shift, scale } in columns {
        ParameterError::within("data.columns.shift", *shift, -LARGEST, LARGEST)?;
        ParameterError::positive("data.columns.scale", *scale)?;
        ParameterError::within("data.columns.scale", *scale, 0.0, LARGEST)?;
        if !names.insert(name) {
            return refuse(format!("{name} twice"), "different names".to_string());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, shift: f64, scale: f64) -> Column {
        let name = name.to_string();
        Column { name, shift, scale }
    }

    #[test]
    fn columns_that_are_none_of_the_rows_are_refused() {
        let a = column("a", 1.0, 2.0);
        let good = [a.clone(), column("b", -1e9, 1e-9)];
        assert!(check(&good, [2, 1, 1]).is_ok());
        for (columns, want) in [
            (vec![a.clone()], "1 columns"),
            (vec![a.clone(), a.clone()], "a twice"),
            (vec![a.clone(), column("b", 0.0, 0.0)], "data.columns.scale"),
            (
                vec![a.clone(), column("b", 0.0, f64::NAN)],
                "data.columns.scale",
            ),
            (
                vec![a, column("b", f64::INFINITY, 1.0)],
                "data.columns.shift",
            ),
        ] {
            let got = check(&columns, [2, 1, 1]).unwrap_err().to_string();
            assert!(got.contains(want), "got {got}, want {want}");
        }
    }
}
