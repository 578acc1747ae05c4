//! The data sets of a sweep, each loaded once, and their reference rows.

use candle_core::Device;
use pfgmpp_config::RunConfig;
use pfgmpp_data::{DataSource, Splits};
use pfgmpp_run::{Reference, ResolvedRun, RunError, load, references};

use crate::report::DataSet;
use crate::{Plan, Point, ResolvedPlan};

/// A data set that runs name.
pub(crate) type Loaded = (DataSource, Splits);

/// The reference rows of every way in which the runs are scored, named by their first run where ways differ in
/// what they say of one data set.
pub(crate) fn all_references(
    plan: &ResolvedPlan,
    data: &[Loaded],
    device: &Device,
) -> Result<Vec<Reference>, RunError> {
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
    let mut all: Vec<(&str, Reference)> = Vec::new();
    for (point, run) in ways {
        let splits = splits_of(data, &point.config);
        for row in references(splits, &point.data, run, device)? {
            match all.iter_mut().find(|(_, other)| agree(other, &row)) {
                None => all.push((&point.name, row)),
                Some((_, other)) if other.scores.iter().count() < row.scores.iter().count() => {
                    *other = row;
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
    Ok(named.collect())
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

/// Loads each data set that a run names, once.
pub(crate) fn load_data(plan: &Plan) -> Result<Vec<Loaded>, RunError> {
    let mut data: Vec<Loaded> = Vec::new();
    for Point { config, .. } in &plan.points {
        if !data.iter().any(|(source, _)| *source == config.data) {
            data.push((config.data.clone(), load(&config.data)?));
        }
    }
    Ok(data)
}

pub(crate) fn splits_of<'d>(data: &'d [Loaded], config: &RunConfig) -> &'d Splits {
    let found = data.iter().find(|(source, _)| *source == config.data);
    &found.expect("every run's data were loaded").1
}

/// The data sets by the names that the runs have for them.
pub(crate) fn data_sets(plan: &Plan, data: &[Loaded]) -> Vec<DataSet> {
    let mut sets: Vec<DataSet> = Vec::new();
    for Point {
        data: name, config, ..
    } in &plan.points
    {
        if sets.iter().all(|set| set.name != *name) {
            let found = &splits_of(data, config).found;
            sets.push(DataSet {
                name: name.clone(),
                n: found.shape.iter().product(),
                found: found.to_string(),
            });
        }
    }
    sets
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
