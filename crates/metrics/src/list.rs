//! The list of metrics, and a choice among them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metric::{Description, Metric};
use crate::tails::FEWEST_ROWS;

/// Every metric that `scoring.metrics` may name.
pub static METRICS: &[&dyn Metric] = &[
    &crate::energy_distance::EnergyDistance,
    &crate::sliced_wasserstein::SlicedWasserstein,
    &crate::denoising_error::DenoisingError,
    &crate::nearest_training::NearestTraining,
    &crate::nll::Nll,
    &crate::precision::Precision,
    &crate::recall::Recall,
    &crate::density::Density,
    &crate::coverage::Coverage,
    &crate::frechet_distance::FrechetDistance,
    &crate::kernel_distance::KernelDistance,
    &crate::tails::Kurtosis,
    &crate::tails::Hill(crate::tails::Tail::Left95),
    &crate::tails::Hill(crate::tails::Tail::Right95),
    &crate::tails::Hill(crate::tails::Tail::Left99),
    &crate::tails::Hill(crate::tails::Tail::Right99),
    &crate::tails::TailDistance::Beyond95,
    &crate::tails::TailDistance::Beyond99,
    &crate::tails::CorrelationError,
];

/// Those of a configuration that names none, in the order of their columns.
const BY_DEFAULT: [&str; 3] = ["energy_distance", "sliced_wasserstein", "denoising_error"];

/// Whether the metric of this name compares the tails of a table's columns, which images do not have.
pub fn is_of_tables(name: &str) -> bool {
    let all = [
        "kurtosis",
        "hill_left",
        "hill_right",
        "hill_left_99",
        "hill_right_99",
        "tail_ks_95",
        "tail_ks_99",
        "correlation_error",
    ];
    all.contains(&name)
}

/// The fewest rows on either side that a metric of tables says anything of.
pub fn fewest_rows(name: &str) -> usize {
    match name {
        // A tail of 1 % has as many rows as one of 5 % of the fewest.
        "hill_left_99" | "hill_right_99" => 5 * FEWEST_ROWS,
        _ => FEWEST_ROWS,
    }
}

/// The metric of this name.
pub fn metric(name: &str) -> Option<&'static dyn Metric> {
    METRICS
        .iter()
        .copied()
        .find(|metric| metric.description().name == name)
}

/// Metrics to score by, each once, in the order of their columns; at least one.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Selection(Vec<&'static dyn Metric>);

impl Selection {
    /// The metrics.
    pub fn metrics(&self) -> &[&'static dyn Metric] {
        &self.0
    }

    /// What they say of themselves.
    pub fn descriptions(&self) -> impl Iterator<Item = Description> + '_ {
        self.0.iter().map(|metric| metric.description())
    }
}

impl Default for Selection {
    /// Those of a configuration that names none: energy distance, sliced Wasserstein distance, denoising error.
    fn default() -> Self {
        Self(BY_DEFAULT.iter().filter_map(|name| metric(name)).collect())
    }
}

impl TryFrom<Vec<String>> for Selection {
    type Error = SelectionError;

    fn try_from(names: Vec<String>) -> Result<Self, SelectionError> {
        if names.is_empty() {
            return Err(SelectionError::Empty);
        }
        let mut metrics: Vec<&'static dyn Metric> = Vec::new();
        for name in names {
            let Some(found) = metric(&name) else {
                return Err(SelectionError::Unknown { name });
            };
            if metrics.iter().any(|m| m.description().name == name) {
                return Err(SelectionError::Twice { name });
            }
            metrics.push(found);
        }
        Ok(Self(metrics))
    }
}

impl From<Selection> for Vec<String> {
    fn from(selection: Selection) -> Self {
        let names = selection.descriptions().map(|metric| metric.name);
        names.map(str::to_string).collect()
    }
}

impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        self.descriptions().eq(other.descriptions())
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.descriptions().map(|metric| metric.name);
        f.debug_list().entries(names).finish()
    }
}

/// Names that are no selection of metrics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No name.
    #[error("metrics must hold one or more of {}, got none", names())]
    Empty,
    /// A name that no metric has.
    #[error("metrics must be some of {}, got {name}{}", names(), usual_name(name))]
    Unknown {
        /// The name.
        name: String,
    },
    /// A name that stands twice.
    #[error("metrics must hold each metric once, got {name} twice")]
    Twice {
        /// The name.
        name: String,
    },
}

/// Which metric is meant by a name that is usual elsewhere.
fn usual_name(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "fid" => ": FID is frechet_distance of the features of Inception-v3",
        "kid" => ": KID is kernel_distance of the features of Inception-v3",
        _ => "",
    }
}

fn names() -> String {
    let names: Vec<&str> = METRICS.iter().map(|m| m.description().name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use pfgmpp_kernel::Stream;

    use super::*;
    use crate::scores::STANDARD_ERROR;

    #[test]
    fn names_that_are_usual_elsewhere_are_known() {
        let said = |name: &str| {
            let name = name.to_string();
            SelectionError::Unknown { name }.to_string()
        };
        assert!(said("FID").ends_with("FID is frechet_distance of the features of Inception-v3"));
        assert!(said("fir").ends_with("got fir"), "got {}", said("fir"));
    }

    #[test]
    fn names_and_streams_are_told_apart() {
        let mut names = HashSet::new();
        let mut streams = HashSet::new();
        for metric in METRICS {
            let Description { name, .. } = metric.description();
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(plain), "got {name}");
            assert!(
                name.starts_with(|c: char| c.is_ascii_lowercase()),
                "got {name}"
            );
            // A column of this name would be taken for the error of another.
            assert!(!name.ends_with(STANDARD_ERROR), "got {name}");
            assert!(names.insert(name), "{name} stands twice");
            assert!(streams.insert(Stream::score(name)), "{name}: stream shared");
        }
    }

    #[test]
    fn every_metric_says_what_it_needs_and_what_it_means() {
        for metric in METRICS {
            let about = metric.description();
            assert!(!metric.needs().is_empty(), "{}: no need", about.name);
            for text in [about.label, about.short, about.unit, about.meaning] {
                assert!(!text.is_empty(), "{}: an empty text", about.name);
            }
        }
    }

    #[test]
    fn a_configuration_that_names_none_has_the_columns_it_always_had() {
        let got: Vec<String> = Selection::default().into();
        assert_eq!(got, BY_DEFAULT);
    }

    #[test]
    fn a_selection_keeps_its_order_and_refuses_what_is_none() {
        let select = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
            Selection::try_from(names)
        };
        let names = ["denoising_error", "energy_distance"];
        let got: Vec<String> = select(&names).unwrap().into();
        assert_eq!(got, names);
        for (names, want) in [
            (&[][..], "got none"),
            (&["energy_distance", "fod"], "got fod"),
            (
                &["energy_distance", "energy_distance"],
                "got energy_distance twice",
            ),
        ] {
            let got = select(names).unwrap_err().to_string();
            assert!(
                got.starts_with("metrics must") && got.ends_with(want),
                "got {got}"
            );
        }
    }
}
