//! Scores: an ordered list of named values.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::inputs::Inputs;
use crate::list::{is_of_tables, metric};
use crate::metric::{Description, Estimate, Metric};
use crate::samples::MetricError;

/// What the name of a metric ends in where its standard error is meant.
pub(crate) const STANDARD_ERROR: &str = "_standard_error";

/// A metric's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The metric's name.
    pub name: String,
    /// What was found.
    pub estimate: Estimate,
}

impl Score {
    /// What the metric says of itself; `None` of one that is not known here.
    pub fn description(&self) -> Option<Description> {
        metric(&self.name).map(|metric| metric.description())
    }
}

impl Score {
    /// Why this is no number, in a sentence; `None` of a value that is one.
    pub fn absence(&self) -> Option<String> {
        let (name, value) = (&self.name, self.estimate.value);
        let why = match (is_of_tables(name), value.is_nan()) {
            _ if value.is_finite() => return None,
            (true, true) => {
                "no value: no column of the data has what it measures: their values are all the same, or tied where the \
                 tail begins, as counts and values that were cut off are"
            }
            (true, false) => {
                "infinite: in a column that has this tail in the data, the samples have none: their values are all the \
                 same or tied there"
            }
            (false, true) => "no value: it is not a number",
            (false, false) => "infinite",
        };
        Some(format!("{name}: {why}"))
    }
}

/// Values by metric, in the order of their columns.
///
/// Written as a map from names to numbers; a standard error follows its value as `NAME_standard_error`. In JSON a
/// value that is not finite is null and read as not a number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(Vec<Score>);

impl Scores {
    /// Measures those of `metrics` whose needs `inputs` meet.
    ///
    /// # Errors
    ///
    /// The first that fails.
    pub fn measure(metrics: &[&dyn Metric], inputs: &Inputs<'_>) -> Result<Self, MetricError> {
        let mut scores = Self::default();
        for metric in metrics {
            if metric.needs().iter().all(|need| inputs.has(*need)) {
                scores.push(metric.description().name, metric.evaluate(inputs)?);
            }
        }
        Ok(scores)
    }

    /// Appends a value.
    pub fn push(&mut self, name: impl Into<String>, estimate: impl Into<Estimate>) {
        self.0.push(Score {
            name: name.into(),
            estimate: estimate.into(),
        });
    }

    /// The scores in order.
    pub fn iter(&self) -> impl Iterator<Item = &Score> {
        self.0.iter()
    }

    /// What the metric of this name found.
    pub fn get(&self, name: &str) -> Option<Estimate> {
        self.iter()
            .find(|score| score.name == name)
            .map(|score| score.estimate)
    }

    /// Names and numbers as files and tags have them: each value, then its standard error if there is one.
    pub fn columns(&self) -> impl Iterator<Item = (String, f64)> + '_ {
        self.iter().flat_map(|Score { name, estimate }| {
            let error = estimate.standard_error;
            let error = error.map(|error| (standard_error_of(name), error));
            std::iter::once((name.clone(), estimate.value)).chain(error)
        })
    }

    /// The mean of several scores of the same metrics, each set independent of the others.
    pub fn mean(sets: &[Self]) -> Self {
        let num = sets.len().max(1) as f64;
        let mut mean = Self::default();
        for Score { name, .. } in sets.iter().take(1).flat_map(Self::iter) {
            let found: Vec<Estimate> = sets.iter().filter_map(|set| set.get(name)).collect();
            let errors: Option<Vec<f64>> = found.iter().map(|e| e.standard_error).collect();
            let squares = errors.map(|errors| errors.iter().map(|e| e * e).sum::<f64>());
            let estimate = Estimate {
                value: found.iter().map(|e| e.value).sum::<f64>() / num,
                standard_error: squares.map(|sum| sum.sqrt() / num),
            };
            mean.push(name, estimate);
        }
        mean
    }
}

/// The column of the standard error of `name`.
pub fn standard_error_of(name: &str) -> String {
    format!("{name}{STANDARD_ERROR}")
}

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.columns() {
            map.serialize_entry(&name, &value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ScoresVisitor)
    }
}

struct ScoresVisitor;

impl<'de> Visitor<'de> for ScoresVisitor {
    type Value = Scores;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from names of metrics to numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scores, A::Error> {
        let mut scores = Scores::default();
        // JSON has no other way to write a value that is not a number or infinite than null.
        while let Some((name, value)) = map.next_entry::<String, Option<f64>>()? {
            let value = value.unwrap_or(f64::NAN);
            match scores.0.last_mut() {
                Some(last) if name == standard_error_of(&last.name) => {
                    last.estimate.standard_error = Some(value);
                }
                _ => scores.push(name, value),
            }
        }
        Ok(scores)
    }
}
