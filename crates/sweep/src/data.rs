//! The data sets of a sweep, each loaded once, and their reference rows.

use pfgmpp_config::RunConfig;
use pfgmpp_data::{DataSource, Splits};
use pfgmpp_run::{Reference, RunError, load, references};

use crate::report::DataSet;
use crate::{Plan, Point};

/// A data set that runs name.
pub(crate) type Loaded = (DataSource, Splits);

/// The reference rows of every way in which the runs are scored, named by their first run when
/// there are several ways for one data set.
pub(crate) fn all_references(plan: &Plan, data: &[Loaded]) -> Result<Vec<Reference>, RunError> {
    let same = |a: &RunConfig, b: &RunConfig| {
        let sigma_max = |config: &RunConfig| config.sampler.schedule.sigma_max();
        a.data == b.data && a.scoring == b.scoring && sigma_max(a) == sigma_max(b)
    };
    let mut ways: Vec<&Point> = Vec::new();
    for point in &plan.points {
        if !ways.iter().any(|way| same(&way.config, &point.config)) {
            ways.push(point);
        }
    }
    let mut all = Vec::new();
    let of_data = |data: &DataSource| ways.iter().filter(|way| way.config.data == *data).count();
    for Point {
        name,
        data: data_set,
        config,
        ..
    } in &ways
    {
        let sigma_max = config.sampler.schedule.sigma_max();
        let splits = splits_of(data, config);
        let mut rows = references(splits, data_set, &config.scoring, sigma_max)?;
        if of_data(&config.data) > 1 {
            rows.iter_mut()
                .for_each(|row| row.name = format!("{} ({name})", row.name));
        }
        all.extend(rows);
    }
    Ok(all)
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
