//! Rows of a multivariate Student-t: a table whose tails are known.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{ChiSquared, StandardNormal};
use serde::{Deserialize, Serialize};

use super::standardised::standardised;
use crate::columns::Column;
use crate::error::DataError;
use crate::labels::Labels;
use crate::source::Source;
use crate::splits::{MIN_IMAGES, Splits};

/// Values of all rows together.
const MAX_VALUES: usize = 1 << 26;
/// The columns are kept in units of two of their scale parameters, which is 1: about as wide as EDM takes data to be. Their
/// standard deviation is `sqrt(nu / (nu - 2))` times that, and does not exist up to `nu = 2`.
const UNIT: f64 = 2.0;

/// Rows of a multivariate Student-t, the same in every call. Row `i` is held out when `i % 5 == 4`.
///
/// ```text
/// y_j = sqrt(nu / chi²_nu) (sqrt(correlation) e_0 + sqrt(1 - correlation) e_j),   e ~ N(0, I)
/// ```
///
/// One chi-square a row: far rows are far in all columns. Each column has the tail index `nu` on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudentT {
    /// The degrees of freedom, from 0.5 to 1e6.
    pub nu: f64,
    /// The number of columns, from 1 to 4096.
    pub columns: usize,
    /// The number of rows, at least 10; all together have up to 2^26 values.
    pub num: usize,
    /// The correlation of the Gaussians of any two columns, from 0 to 0.99; 0 where it is left out.
    #[serde(default)]
    pub correlation: f64,
}

impl StudentT {
    fn check(&self) -> Result<(), DataError> {
        let values = self.num.checked_mul(self.columns);
        let in_range = (0.5..=1e6).contains(&self.nu)
            && (0.0..=0.99).contains(&self.correlation)
            && (1..=4096).contains(&self.columns)
            && self.num >= MIN_IMAGES
            && values.is_some_and(|values| values <= MAX_VALUES);
        match in_range {
            true => Ok(()),
            false => Err(DataError::StudentT {
                nu: self.nu,
                columns: self.columns,
                num: self.num,
                correlation: self.correlation,
            }),
        }
    }

    /// All rows, one after the other.
    fn rows(&self) -> Vec<f64> {
        let mut rng = ChaCha8Rng::from_seed(*b"rows of a multivariate Student-t");
        let chi_squared = ChiSquared::new(self.nu).expect("nu is positive");
        let (common, own) = (self.correlation.sqrt(), (1.0 - self.correlation).sqrt());
        let mut values = Vec::with_capacity(self.num * self.columns);
        for _ in 0..self.num {
            let spread = (self.nu / rng.sample::<f64, _>(chi_squared)).sqrt();
            let shared: f64 = rng.sample(StandardNormal);
            values.extend((0..self.columns).map(|_| {
                let alone: f64 = rng.sample(StandardNormal);
                spread * (common * shared + own * alone)
            }));
        }
        values
    }
}

impl Source for StudentT {
    fn name(&self) -> String {
        // What the rows follow from, as the name is what a state is told apart by.
        let correlation = match self.correlation {
            0.0 => String::new(),
            correlation => format!(", correlation {correlation}"),
        };
        format!("student_t of nu = {}{correlation}", self.nu)
    }

    fn load(&self) -> Result<Splits, DataError> {
        self.check()?;
        let names: Vec<String> = (0..self.columns).map(|j| format!("y{j}")).collect();
        let kept = |name: &str, _| {
            let name = name.to_string();
            Ok(Column {
                name,
                shift: 0.0,
                scale: UNIT,
            })
        };
        standardised(&self.name(), &names, &self.rows(), &Labels::Absent, kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(nu: f64, correlation: f64) -> StudentT {
        StudentT {
            nu,
            columns: 3,
            num: 40_000,
            correlation,
        }
    }

    /// `P(|y| <= q)` of a Student-t with 3 degrees of freedom, in closed form.
    fn within(q: f64) -> f64 {
        let u = q / 3f64.sqrt();
        std::f64::consts::FRAC_2_PI * (u / (1.0 + u * u) + u.atan())
    }

    #[test]
    fn each_column_has_the_law_of_a_student_t() {
        let rows = source(3.0, 0.0).rows();
        for column in 0..3 {
            for q in [0.5, 1.0, 3.0, 10.0] {
                let values = rows.iter().skip(column).step_by(3);
                let got = values.filter(|value| value.abs() <= q).count() as f64 / 40_000.0;
                let want = within(q);
                // Five standard errors.
                let error = 5.0 * (want * (1.0 - want) / 40_000.0).sqrt();
                assert!((got - want).abs() < error, "{q}: got {got}, want {want}");
            }
        }
    }

    #[test]
    fn columns_are_correlated_as_asked_for() {
        let rows = source(30.0, 0.6).rows();
        let (mut product, mut squares) = (0.0, [0.0; 2]);
        for row in rows.chunks_exact(3) {
            product += row[0] * row[1];
            squares[0] += row[0] * row[0];
            squares[1] += row[1] * row[1];
        }
        let got = product / (squares[0] * squares[1]).sqrt();
        // The deviation of a correlation is (1 - 0.36) / 200; the tails widen it a little.
        assert!((got - 0.6).abs() < 0.02, "got {got}, want 0.6");
    }

    #[test]
    fn rows_are_kept_in_the_unit_that_their_columns_name() {
        let splits = source(3.0, 0.0).load().unwrap();
        let columns = splits.train.columns().unwrap();
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["y0", "y1", "y2"]);
        let kept = splits.train.batch(&[0], &candle_core::Device::Cpu).unwrap();
        let kept = kept.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (want, (kept, column)) in source(3.0, 0.0).rows().iter().zip(kept.iter().zip(columns)) {
            let got = column.value(f64::from(*kept));
            assert!(
                (got - want).abs() < 1e-6 * want.abs(),
                "got {got}, want {want}"
            );
        }
        assert_eq!(splits.train.num_images(), 32_000);
    }

    #[test]
    fn what_is_out_of_range_is_refused_with_what_is_accepted() {
        for (nu, correlation) in [(0.0, 0.0), (f64::NAN, 0.0), (3.0, 1.0)] {
            let error = source(nu, correlation).load().unwrap_err();
            assert!(error.is_bad_input(), "got {error}");
            assert!(error.to_string().contains("nu from 0.5"), "got {error}");
        }
    }
}
