//! The reference rows of a sweep, which are kept beside its table: measuring them scores ten sets of samples.

use std::path::Path;

use candle_core::Device;
use pfgmpp_config::RunConfig;
use pfgmpp_run::{
    Observer, Progress, Reference, ResolvedRun, RunError, from_sealed_json, reference_key,
    references, to_sealed_json,
};
use pfgmpp_store::{Lock, write_file};
use serde::{Deserialize, Serialize};

use crate::data::{Loaded, splits_of};
use crate::observer::SweepObserver;
use crate::{Point, ResolvedPlan};

/// The file in the sweep's folder.
const FILE: &str = "references.json";
/// Ways of scoring that it holds at most.
const MOST: usize = 1024;

/// The reference rows of each way in which runs are scored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct References {
    ways: Vec<Way>,
}

/// Those of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Way {
    /// [`reference_key`].
    key: String,
    rows: Vec<Reference>,
}

impl References {
    /// Takes those that an earlier call has left in the folder `out`, and measures the others, each of which is kept there as soon as
    /// it is known.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend, a network that cannot be read or does not fit the memory, any failure of the file system.
    pub(crate) fn of(
        plan: &ResolvedPlan,
        data: &[Loaded],
        (out, lock): (&Path, &Lock),
        device: &Device,
        observer: &dyn SweepObserver,
    ) -> Result<Self, RunError> {
        let mut kept = Self::read(out);
        let mut ways: Vec<Way> = Vec::new();
        for (point, run) in distinct(plan) {
            let splits = splits_of(data, &point.config);
            let key = reference_key(splits, run)?;
            let known = kept.ways.iter().find(|way| way.key == key).cloned();
            let mut way = match known {
                Some(way) => way,
                None => {
                    let rows =
                        references(splits, &point.data, run, device, &mut Measured(observer))?;
                    let way = Way { key, rows }.as_read();
                    lock.check()?;
                    kept.add(way.clone());
                    let path = out.join(FILE);
                    write_file(&path, to_sealed_json(&kept).as_bytes())
                        .map_err(RunError::io(&path))?;
                    way
                }
            };
            // Other files may have another name for the same data.
            way.rows
                .iter_mut()
                .for_each(|row| row.data.clone_from(&point.data));
            ways.push(way);
        }
        Ok(Self { ways })
    }

    /// Adds what was measured last, and forgets what was measured long ago.
    fn add(&mut self, way: Way) {
        self.ways.insert(0, way);
        self.ways.truncate(MOST);
    }

    /// What is kept in `out`, if anything that is whole.
    fn read(out: &Path) -> Self {
        let path = out.join(FILE);
        // A pipe would never end.
        let bytes = path.is_file().then(|| std::fs::read(path).ok()).flatten();
        let read = bytes.and_then(|bytes| from_sealed_json(&bytes).ok());
        read.unwrap_or_default()
    }

    /// The rows of all ways, named by their first run where ways differ in what they say of one data set.
    pub(crate) fn rows(&self, plan: &ResolvedPlan) -> Vec<Reference> {
        let mut all: Vec<(&str, Reference)> = Vec::new();
        for ((point, _), way) in distinct(plan).into_iter().zip(&self.ways) {
            for row in &way.rows {
                match all.iter_mut().find(|(_, other)| agree(other, row)) {
                    None => all.push((&point.name, row.clone())),
                    Some((_, other)) if other.scores.iter().count() < row.scores.iter().count() => {
                        other.clone_from(row);
                    }
                    Some(_) => {}
                }
            }
        }
        let same = |a: &Reference, b: &Reference| a.name == b.name && a.data == b.data;
        let several: Vec<bool> = all
            .iter()
            .map(|(_, row)| all.iter().filter(|(_, other)| same(row, other)).count() > 1)
            .collect();
        let named = all.into_iter().zip(several).map(|((run, row), several)| {
            let name = match several {
                true => format!("{} ({run})", row.name),
                false => row.name.clone(),
            };
            Reference { name, ..row }
        });
        named.collect()
    }
}

impl Way {
    /// As whoever reads the file finds it: JSON has no infinity.
    fn as_read(&self) -> Self {
        let text = serde_json::to_string(self).expect("rows have string keys");
        serde_json::from_str(&text).expect("what was written is JSON")
    }
}

/// The first run of each way in which runs are scored.
fn distinct(plan: &ResolvedPlan) -> Vec<(&Point, &ResolvedRun)> {
    let same = |a: &RunConfig, b: &RunConfig| {
        let sigma_max = |config: &RunConfig| config.sampler.schedule.sigma_max();
        a.data == b.data && a.scoring == b.scoring && sigma_max(a) == sigma_max(b)
    };
    let mut ways: Vec<(&Point, &ResolvedRun)> = Vec::new();
    for (point, run) in plan.points.iter().zip(plan.runs()) {
        if !ways.iter().any(|(way, _)| same(&way.config, &point.config)) {
            ways.push((point, run));
        }
    }
    ways
}

/// Whether two reference rows are of the same thing and one says all that the other does.
fn agree(a: &Reference, b: &Reference) -> bool {
    let [mut fewer, mut more] = [a, b].map(|row| row.scores.columns().collect::<Vec<_>>());
    if fewer.len() > more.len() {
        std::mem::swap(&mut fewer, &mut more);
    }
    let is_said = |(key, value): &(String, f64)| {
        let there = more.iter().find(|(name, _)| name == key);
        there.is_some_and(|(_, there)| there.to_bits() == value.to_bits())
    };
    a.name == b.name && a.data == b.data && fewer.iter().all(is_said)
}

/// Tells a sweep's observer how far they are.
struct Measured<'a>(&'a dyn SweepObserver);

impl Observer for Measured<'_> {
    fn progress(&mut self, progress: &Progress) {
        self.0.references(progress);
    }

    fn note(&mut self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use pfgmpp_metrics::Scores;

    use super::*;

    fn row(scores: &[(&str, f64)]) -> Reference {
        let mut all = Scores::default();
        for &(name, value) in scores {
            all.push(name, value);
        }
        Reference {
            name: "fitted Gaussian".into(),
            data: "digits".into(),
            meaning: String::new(),
            scores: all,
        }
    }

    #[test]
    fn rows_that_say_the_same_are_one() {
        let both = row(&[("energy_distance", 0.5), ("nll", 2.0)]);
        for (other, want) in [
            (row(&[("energy_distance", 0.5)]), true),
            (row(&[("energy_distance", 0.25)]), false),
            (row(&[("recall", 0.5)]), false),
        ] {
            assert_eq!(agree(&both, &other), want, "{other:?}");
            assert_eq!(agree(&other, &both), want, "{other:?}");
        }
    }
}
