//! What is checked before any run begins and any file is written.

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_data::Dataset;

use crate::yaml::ConfigError;
use crate::{RunConfig, RunError, Trainer};

/// Copies of the weights that a run keeps: state (weights, two moments, average), checkpoint, and
/// the state that is written beside the old one.
const COPIES: u64 = 4 + 1 + 4;
/// Bytes of logs, events, configuration and grids a run.
const SMALL_FILES: u64 = 2 << 20;

/// Checks that every run's network fits its data and that its results fit the disk.
///
/// - `runs`: folder, configuration and training data of each.
/// - `out`: the folder that holds them all; it need not exist.
///
/// # Errors
///
/// A network that cannot be built, or too little space for the runs that are not finished.
pub fn preflight<'a>(
    runs: impl Iterator<Item = (PathBuf, &'a RunConfig, &'a Dataset)>,
    out: &Path,
) -> Result<(), RunError> {
    let mut sizes: Vec<(&RunConfig, u64)> = Vec::new();
    let mut needed = 0;
    for (folder, config, data) in runs {
        let same = |(other, _): &&(&RunConfig, u64)| {
            other.network == config.network && other.data == config.data
        };
        let params = match sizes.iter().find(same) {
            Some((_, params)) => *params,
            None => {
                let trainer = Trainer::new(config, data, &Device::Cpu).map_err(|e| {
                    ConfigError::new("network", format!("{e} (run {})", folder.display()))
                })?;
                let params = trainer.num_parameters() as u64;
                sizes.push((config, params));
                params
            }
        };
        if !folder.join("metrics.json").exists() {
            needed += COPIES * params * 4 + SMALL_FILES;
        }
    }
    let place = out.ancestors().find(|path| path.is_dir());
    let place = place.unwrap_or(Path::new("."));
    match fs4::available_space(place) {
        Ok(free) if free < needed => Err(RunError::Space {
            path: out.to_path_buf(),
            needed_mib: needed.div_ceil(1 << 20),
            free_mib: free >> 20,
        }),
        // A file system that does not say is found out when it is written to.
        _ => Ok(()),
    }
}
