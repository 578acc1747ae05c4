//! Columns of a table, brought to one scale and back.

use serde::{Deserialize, Serialize};

/// The quartiles of a Gaussian are so many standard deviations apart.
const QUARTILES_OF_A_GAUSSIAN: f64 = 1.348_979_500_392_163_4;

/// A column of a table, and how its values were brought to the scale of the others.
///
/// ```text
/// value = shift + scale * kept
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// What the table calls it.
    pub name: String,
    /// The value that is kept as 0, in the table's own unit.
    pub shift: f64,
    /// The table's own units in a unit of what is kept; positive.
    pub scale: f64,
}

impl Column {
    /// A value of the table from what is kept of it.
    #[must_use]
    pub fn value(&self, kept: f64) -> f64 {
        self.shift + self.scale * kept
    }

    /// What is kept of a value of the table.
    #[must_use]
    pub fn kept(&self, value: f64) -> f64 {
        (value - self.shift) / self.scale
    }
}

/// How the columns of a table are brought to one scale: each is shifted and scaled by what is measured of the rows to
/// learn from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardise {
    /// The standard deviation that each column gets, from 0.001 to 1000: that of the preconditioning.
    pub sigma_data: f64,
    /// What is measured; moments where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<StandardiseBy>,
}

/// What is measured of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandardiseBy {
    /// Its mean and standard deviation.
    #[default]
    Moments,
    /// Its median, and the distance of its quartiles over that of a standard Gaussian: numbers that a few extreme rows do not
    /// move, where a tail so heavy that its variance hardly exists would set the standard deviation.
    Quartiles,
}

impl Standardise {
    pub(crate) fn check(&self) -> Result<(), String> {
        match (1e-3..=1e3).contains(&self.sigma_data) {
            true => Ok(()),
            false => Err(format!(
                "standardise.sigma_data must be from 0.001 to 1000, got {}",
                self.sigma_data
            )),
        }
    }

    /// Measures the column `name` of `values`; why that is impossible otherwise.
    pub(crate) fn column(&self, name: &str, mut values: Vec<f64>) -> Result<Column, String> {
        let by = self.by.unwrap_or_default();
        let (shift, spread) = match by {
            StandardiseBy::Moments => moments(&values),
            StandardiseBy::Quartiles => quartiles(&mut values),
        };
        let scale = spread / self.sigma_data;
        if scale.is_normal() && shift.is_finite() {
            let name = name.to_string();
            return Ok(Column { name, shift, scale });
        }
        let varies = values.iter().any(|value| *value != values[0]);
        Err(match (by, varies) {
            (StandardiseBy::Quartiles, true) => format!(
                "column {name}: half of its rows or more have one value, so that its quartiles are equal: standardise by moments, or \
                 leave the column out (columns)"
            ),
            (_, false) => format!(
                "column {name}: has one value in all rows to learn from: leave it out (columns)"
            ),
            _ => format!("column {name}: its values are too large to be standardised"),
        })
    }
}

/// Mean and standard deviation, divisor their number.
fn moments(values: &[f64]) -> (f64, f64) {
    let num = values.len() as f64;
    let mean = values.iter().sum::<f64>() / num;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / num).sqrt())
}

/// Median, and the standard deviation of the Gaussian with the same distance of quartiles.
fn quartiles(values: &mut [f64]) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let at = |p: f64| {
        let place = p * (values.len() - 1) as f64;
        let (low, part) = (place as usize, place.fract());
        let high = (low + 1).min(values.len() - 1);
        values[low] + part * (values[high] - values[low])
    };
    (at(0.5), (at(0.75) - at(0.25)) / QUARTILES_OF_A_GAUSSIAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(by: StandardiseBy) -> Standardise {
        Standardise {
            sigma_data: 0.5,
            by: Some(by),
        }
    }

    #[test]
    fn moments_give_the_mean_and_deviation_worked_by_hand() {
        // Mean 3, mean square deviation 2.
        let values = vec![1.0, 2.0, 3.0, 4.0, 5.0];
        let got = by(StandardiseBy::Moments).column("a", values).unwrap();
        assert_eq!((got.shift, got.scale), (3.0, 2.0 * 2f64.sqrt()));
        for value in [-7.0, 3.0, 1e6] {
            let back = got.value(got.kept(value));
            assert!((back - value).abs() < 1e-9, "got {back}, want {value}");
        }
    }

    #[test]
    fn quartiles_are_not_moved_by_one_extreme_row() {
        let mut values: Vec<f64> = (0..101).map(f64::from).collect();
        let standardise = by(StandardiseBy::Quartiles);
        let before = standardise.column("a", values.clone()).unwrap();
        // Quartiles 25 and 75.
        let want = 2.0 * 50.0 / QUARTILES_OF_A_GAUSSIAN;
        assert_eq!((before.shift, before.scale), (50.0, want));
        values[100] = 1e12;
        assert_eq!(standardise.column("a", values).unwrap(), before);
    }

    #[test]
    fn a_column_that_cannot_be_standardised_is_named_with_what_to_change() {
        for (how, values, want) in [
            (StandardiseBy::Moments, vec![2.0; 9], "has one value"),
            (StandardiseBy::Quartiles, vec![2.0; 9], "has one value"),
            (
                StandardiseBy::Quartiles,
                vec![0.0, 0.0, 0.0, 0.0, 5.0],
                "standardise by moments",
            ),
            (StandardiseBy::Moments, vec![1e200, -1e200], "too large"),
        ] {
            let got = by(how).column("rain", values).unwrap_err();
            let named = got.starts_with("column rain: ") && got.contains(want);
            assert!(named, "got {got}, want {want}");
        }
    }
}
