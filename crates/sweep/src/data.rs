//! The data sets of a sweep, each loaded once.

use pfgmpp_config::RunConfig;
use pfgmpp_data::{DataSource, Splits};
use pfgmpp_run::{RunError, load};

use crate::report::DataSet;
use crate::{Plan, Point};

/// A data set that runs name.
pub(crate) type Loaded = (DataSource, Splits);

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
