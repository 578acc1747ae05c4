//! From a sweep file to an ordered list of runs.

mod axes;
mod data_name;
mod file;
mod name;
mod provider;
mod setup;

use std::path::Path;

use pfgmpp_config::{ConfigError, Document, Override, RunConfig};
use pfgmpp_metrics::Description;

use crate::Jobs;
use crate::slurm::SlurmConfig;
use file::SweepFile;
pub(crate) use setup::SETUP;
use setup::Setup;

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Stable, readable and unique: `d=128,seed=0`. Also the name of the run's folder.
    pub name: String,
    /// Each axis and this run's value on it, as text.
    pub values: Vec<(String, String)>,
    /// The name of its data set, another for each data set of the sweep.
    pub data: String,
    /// The complete configuration.
    pub config: RunConfig,
    /// The run of the plan that trains the model which this one samples, if one does.
    pub provider: Option<usize>,
}

impl Point {
    /// The run's value on an axis, `None` on one that it does not lie on.
    pub fn value(&self, axis: &str) -> Option<&String> {
        let found = self.values.iter().find(|(key, _)| key == axis);
        found.map(|(_, value)| value)
    }
}

/// The runs of a sweep, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name of the sweep.
    pub name: String,
    /// What the sweep asks.
    pub description: String,
    /// Runs at a time.
    pub jobs: Jobs,
    /// What each run asks Slurm for.
    pub slurm: SlurmConfig,
    /// The runs, first setup first, in it first axis slowest.
    pub points: Vec<Point>,
}

impl Plan {
    /// Reads a sweep file and the configurations it starts from, with overrides.
    ///
    /// A key under `axes.` changes an axis, wherever the file has it, and one under
    /// `base.SETUP.axes.` an axis of one setup; any other key changes the configuration of every run.
    ///
    /// # Errors
    ///
    /// Anything in the files or overrides that is not accepted, with the place where it stands; a run
    /// that samples the model of one that is not there or trains none.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Self, ConfigError> {
        let (_, mut file) = Document::read::<SweepFile>(path)?;
        let origin = path.display().to_string();
        let mut overrides = take_axes(&mut file, overrides)?;
        if let Some(value) = file.evaluations.take() {
            let (origin, key) = (origin.clone(), "evaluations".to_string());
            overrides.insert(0, Override { origin, key, value });
        }
        name::check_name(&file.name, &origin)?;
        let refused = |message| ConfigError::new(&origin, message);
        file.slurm.check().map_err(refused)?;
        let setups = Setup::read_all(&file, path, &overrides)?;
        if setups.iter().all(|setup| setup.axes.is_empty()) {
            let message = "axes: no axis: name at least one, such as d: [1, 128, inf]";
            return Err(ConfigError::new(origin, message));
        }
        axes::check_runs(setups.iter().map(|setup| &*setup.axes), &origin)?;
        let points: Vec<Vec<Point>> = setups.iter().map(Setup::points).collect::<Result<_, _>>()?;
        let mut points = points.concat();
        data_name::name_data(&mut points);
        name::check_points(&points, &origin)?;
        provider::name_providers(&mut points, &setups, &file.axes, &origin)?;
        provider::link(&mut points, &origin)?;
        Ok(Self {
            name: file.name,
            description: file.description,
            jobs: file.jobs,
            slurm: file.slurm,
            points,
        })
    }

    /// What the runs are scored by, in the order in which they name it.
    pub fn metrics(&self) -> Vec<Description> {
        let mut metrics: Vec<Description> = Vec::new();
        for point in &self.points {
            for metric in point.config.scoring.metrics.descriptions() {
                if !metrics.contains(&metric) {
                    metrics.push(metric);
                }
            }
        }
        metrics
    }
}

/// Takes the overrides of axes into `file`; gives the others, which are for the configurations.
fn take_axes(file: &mut SweepFile, overrides: &[Override]) -> Result<Vec<Override>, ConfigError> {
    let mut others = Vec::new();
    for other in overrides {
        others.extend(file.take(other.clone())?);
    }
    Ok(others)
}
