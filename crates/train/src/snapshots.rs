//! Averages of the weights at moments of training, a file each.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use pfgmpp_checkpoint::{Metadata, Tensors, read_sealed_tensors, write_sealed_tensors};
use pfgmpp_store::{StoreError, make_one};

use crate::ema::{Ema, Profile};
use crate::error::TrainError;
use crate::power::PowerProfile;
use crate::reconstruction::{Moment, Reconstruction, reconstruct};

/// A power-function average that was saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its profile and the images that had been seen.
    pub moment: Moment,
    /// The file.
    pub path: PathBuf,
}

impl Snapshot {
    /// The snapshots in `folder`, by length and then by age; none of a folder that is not there.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read.
    pub fn list(folder: &Path) -> Result<Vec<Self>, StoreError> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries.collect::<io::Result<Vec<_>>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let entries = entries.map_err(StoreError::io(folder))?;
        let snapshot = |entry: fs::DirEntry| {
            let moment = moment_of(entry.file_name().to_str()?)?;
            let path = entry.path();
            Some(Self { moment, path })
        };
        let mut all: Vec<Self> = entries.into_iter().filter_map(snapshot).collect();
        all.sort_by(|a, b| {
            let lengths = a.moment.0.sigma_rel().total_cmp(&b.moment.0.sigma_rel());
            lengths.then(a.moment.1.cmp(&b.moment.1))
        });
        Ok(all)
    }

    fn remove(&self) -> Result<(), StoreError> {
        fs::remove_file(&self.path).map_err(StoreError::io(&self.path))
    }
}

/// Saves those of `averages` that are of a power function as they are after `nimg` images, and removes all but the
/// latest `keep` of each.
pub(crate) fn save<'a>(
    folder: &Path,
    averages: impl Iterator<Item = &'a Ema>,
    nimg: u64,
    keep: Option<u64>,
) -> Result<(), TrainError> {
    make_one(folder)?;
    for ema in averages {
        if let Profile::Power(profile) = ema.profile() {
            let path = folder.join(file_name(profile, nimg));
            write_sealed_tensors(&path, &ema.tensors(), Metadata::new())?;
        }
    }
    let (Some(keep), all) = (keep, Snapshot::list(folder)?) else {
        return Ok(());
    };
    for of_one in all.chunk_by(|a, b| a.moment.0 == b.moment.0) {
        let surplus = of_one.len().saturating_sub(keep as usize);
        of_one[..surplus].iter().try_for_each(Snapshot::remove)?;
    }
    Ok(())
}

/// Removes what was saved after `nimg` images, where training goes on from.
pub(crate) fn forget_after(folder: &Path, nimg: u64) -> Result<(), TrainError> {
    let all = Snapshot::list(folder)?;
    let later = all.iter().filter(|snapshot| snapshot.moment.1 > nimg);
    Ok(later.into_iter().try_for_each(Snapshot::remove)?)
}

/// The average of `target` as a sum of `snapshots`, by weight; `None` of no snapshots.
///
/// They are read one after the other and added in `f64`.
///
/// # Errors
///
/// Files that cannot be read or were damaged, or that are not of one network.
pub fn reconstruct_weights(
    snapshots: &[Snapshot],
    target: Moment,
) -> Result<Option<(Tensors, Reconstruction)>, TrainError> {
    let moments: Vec<Moment> = snapshots.iter().map(|snapshot| snapshot.moment).collect();
    let Some(found) = reconstruct(&moments, target) else {
        return Ok(None);
    };
    let mut sums: Tensors = HashMap::new();
    for (i, (snapshot, &x)) in snapshots.iter().zip(&found.coefficients).enumerate() {
        let (tensors, ..) = read_sealed_tensors(&snapshot.path, &Device::Cpu)?;
        if i > 0 && tensors.len() != sums.len() {
            return Err(other_network(snapshot));
        }
        for (name, tensor) in tensors {
            let term = (tensor.to_dtype(DType::F64)? * x)?;
            let sum = match sums.get(&name) {
                None if i == 0 => term,
                Some(sum) if sum.shape() == term.shape() => (sum + term)?,
                _ => return Err(other_network(snapshot)),
            };
            sums.insert(name, sum);
        }
    }
    let rounded = |(name, sum): (String, Tensor)| Ok((name, sum.to_dtype(DType::F32)?));
    let weights = sums.into_iter().map(rounded);
    let weights = weights.collect::<candle_core::Result<_>>()?;
    Ok(Some((weights, found)))
}

fn other_network(snapshot: &Snapshot) -> TrainError {
    TrainError::State {
        path: snapshot.path.clone(),
        message: "its weights are not those of the other snapshots".to_string(),
    }
}

/// `sigma_rel=0.05,nimg=64000.safetensors`.
fn file_name(profile: &PowerProfile, nimg: u64) -> String {
    format!("sigma_rel={},nimg={nimg}.safetensors", profile.sigma_rel())
}

fn moment_of(name: &str) -> Option<Moment> {
    let name = name.strip_suffix(".safetensors")?;
    let (length, nimg) = name.strip_prefix("sigma_rel=")?.split_once(",nimg=")?;
    let profile = PowerProfile::new(length.parse().ok()?).ok()?;
    Some((profile, nimg.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_found_by_its_name_and_nothing_else_is() {
        let profile = PowerProfile::new(0.05).unwrap();
        let name = file_name(&profile, 64_000);
        assert_eq!(name, "sigma_rel=0.05,nimg=64000.safetensors");
        assert_eq!(moment_of(&name), Some((profile, 64_000)));
        for other in [
            "notes.txt",
            "sigma_rel=9,nimg=1.safetensors",
            "sigma_rel=0.05.safetensors",
        ] {
            assert_eq!(moment_of(other), None, "{other}");
        }
    }
}
