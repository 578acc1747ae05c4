//! Sets of samples that are scored against each other, from wherever they stand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};
use pfgmpp_data::{
    DataSource, FileKind, ImageArchive, ImageFolder, Splits, read_array, read_table,
};
use pfgmpp_metrics::Moments;
use pfgmpp_store::write_file;

use crate::error::RunError;
use crate::memory::load;
use crate::table::own_units;

/// Why something cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum SampleSetError {
    /// A file without samples.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that is not a number, or infinite.
    #[error("{name}: values must be finite, got {value} in sample {sample}")]
    NotFinite {
        /// The set.
        name: String,
        /// The value.
        value: f64,
        /// The first sample that has one.
        sample: usize,
    },
    /// Fewer than two.
    #[error("{name}: must hold at least 2 samples, got {num}")]
    TooFew {
        /// The set.
        name: String,
        /// How many it holds.
        num: usize,
    },
}

/// Samples in memory, `[n, ...]` in `f32` or `f64`.
#[derive(Clone, Debug)]
pub struct SampleSet {
    /// What was read, in a line.
    pub found: String,
    /// The samples; rows of a table in its own units.
    pub values: Tensor,
    /// The names of the columns of a table; `None` of anything else.
    pub columns: Option<Vec<String>>,
}

impl SampleSet {
    /// Reads a folder or `.zip` of images, a `.npy` or `.npz` array, the `samples` of a `.safetensors` file or a table in a `.csv` file: all
    /// that it holds.
    ///
    /// Images are in `[-1, 1]`, `[n, C, H, W]`.
    ///
    /// # Errors
    ///
    /// What cannot be read, fewer than 2 samples, values that are not finite.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let mut columns = None;
        let values = match ending.map(str::to_ascii_lowercase).as_deref() {
            _ if path.is_dir() => {
                let path = path.to_path_buf();
                return Self::whole(&DataSource::Folder(ImageFolder { path }));
            }
            Some("zip") => {
                let path = path.to_path_buf();
                return Self::whole(&DataSource::Zip(ImageArchive { path }));
            }
            Some("safetensors") => from_safetensors(path)?,
            Some("csv") => {
                let (names, rows) = read_table(path)?;
                columns = Some(names);
                rows
            }
            _ => read_array(path)?,
        };
        if values.rank() == 0 {
            let (path, reason) = (
                path.to_path_buf(),
                "holds one number, samples are wanted".into(),
            );
            return Err(SampleSetError::File { path, reason }.into());
        }
        let name = path.display().to_string();
        let found = format!("{name}: {} samples of {}", values.dim(0)?, shape(&values));
        let set = Self::checked(&name, found, values)?;
        Ok(Self { columns, ..set })
    }

    /// The part of a data source that is held out.
    ///
    /// # Errors
    ///
    /// Data that cannot be read.
    pub fn held_out(source: &DataSource) -> Result<Self, RunError> {
        let Splits { held_out, .. } = load(source)?;
        let columns = held_out.columns();
        let values = held_out.reference_images()?;
        let values = match columns {
            Some(columns) => own_units(&values, columns)?,
            None => values,
        };
        let names = columns.map(|columns| columns.iter().map(|c| c.name.clone()).collect());
        let name = source.name();
        let found = format!(
            "{name}: {} samples that are held out, of {}",
            match values.dim(0)? {
                all if all == held_out.num_images() => format!("the {all}"),
                some => format!("{some} of {}", held_out.num_images()),
            },
            shape(&values)
        );
        let set = Self::checked(&name, found, values)?;
        Ok(Self {
            columns: names,
            ..set
        })
    }

    /// All of a data source.
    fn whole(source: &DataSource) -> Result<Self, RunError> {
        let splits = load(source)?;
        let values = Tensor::cat(&[splits.train.images()?, splits.held_out.images()?], 0)?;
        let name = source.name();
        let found = format!(
            "{name}: all {} images, of {}",
            values.dim(0)?,
            shape(&values)
        );
        Self::checked(&name, found, values)
    }

    fn checked(name: &str, found: String, values: Tensor) -> Result<Self, RunError> {
        let (name, num) = (name.to_string(), values.dim(0)?);
        if num < 2 {
            return Err(SampleSetError::TooFew { name, num }.into());
        }
        for sample in 0..num {
            let row = values
                .get(sample)?
                .flatten_all()?
                .to_dtype(DType::F64)?
                .to_vec1::<f64>()?;
            if let Some(&value) = row.iter().find(|value| !value.is_finite()) {
                return Err(SampleSetError::NotFinite {
                    name,
                    value,
                    sample,
                }
                .into());
            }
        }
        Ok(Self {
            found,
            values,
            columns: None,
        })
    }

    /// The same without the column `class` that stands behind the samples of a model with classes, where the table of
    /// `reference` has all other columns; whether there was one.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn without_class(&mut self, reference: &Self) -> Result<bool, RunError> {
        let (Some(own), Some(want)) = (&self.columns, &reference.columns) else {
            return Ok(false);
        };
        match own.split_last() {
            Some((last, rest)) if last == "class" && rest == want => {
                self.values = self.values.narrow(1, 0, rest.len())?.contiguous()?;
                self.columns = Some(want.clone());
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Values of one sample.
    pub fn n(&self) -> usize {
        self.values.elem_count() / self.values.dims()[0]
    }
}

fn shape(values: &Tensor) -> String {
    match values.dims() {
        [_, c, h, w] => format!("{c}x{h}x{w}"),
        [_, rest @ ..] => format!("{} values", rest.iter().product::<usize>()),
        [] => "no shape".to_string(),
    }
}

/// The tensors of a safetensors file; says in words what a file is that is none.
pub(crate) fn read_tensors(path: &Path) -> Result<HashMap<String, Tensor>, String> {
    safetensors::load(path, &Device::Cpu).map_err(|error| {
        let kind = FileKind::of_file(path);
        kind.map_or_else(
            || format!("cannot be read: {error}"),
            |kind| format!("is {kind}"),
        )
    })
}

fn from_safetensors(path: &Path) -> Result<Tensor, RunError> {
    let refuse = |reason: String| SampleSetError::File {
        path: path.to_path_buf(),
        reason,
    };
    let all = read_tensors(path).map_err(refuse)?;
    let is_float = |tensor: &Tensor| [DType::F32, DType::F64].contains(&tensor.dtype());
    let only = || {
        let mut floats = all.values().filter(|tensor| is_float(tensor));
        floats.next().filter(|_| floats.next().is_none())
    };
    let found = all
        .get("samples")
        .filter(|tensor| is_float(tensor))
        .or_else(only);
    let found = found.filter(|tensor| !tensor.dims().is_empty() && tensor.elem_count() > 0);
    let want = || refuse("must hold samples, or one tensor, of f32 or f64".to_string());
    Ok(found.cloned().ok_or_else(want)?)
}

/// The entry of the metadata of statistics that names the network.
const NETWORK: &str = "network";
/// What stands there for statistics of samples that no network has looked at.
pub const NO_NETWORK: &str = "none, the samples themselves";

/// Whether the file at `path` holds statistics of a reference, as [`save_moments`] writes them.
pub fn is_moments(path: &Path) -> bool {
    let is_safetensors = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    is_safetensors && read_moments(path).is_ok()
}

/// Reads statistics that [`save_moments`] wrote.
///
/// # Errors
///
/// A file that is none, or damaged.
pub fn read_moments(path: &Path) -> Result<Moments, RunError> {
    let refuse = |reason: String| SampleSetError::File {
        path: path.to_path_buf(),
        reason,
    };
    let all = read_tensors(path).map_err(refuse)?;
    let tensor = |name: &str| {
        let missing = || {
            refuse(format!(
                "must hold {name}, as saved moments of a reference do"
            ))
        };
        all.get(name).ok_or_else(missing)
    };
    let num = tensor("num")?
        .flatten_all()?
        .to_dtype(DType::I64)?
        .to_vec1::<i64>()?;
    let values = |name: &str| -> Result<Vec<f64>, RunError> {
        Ok(tensor(name)?
            .flatten_all()?
            .to_dtype(DType::F64)?
            .to_vec1::<f64>()?)
    };
    let num = num.first().copied().unwrap_or(0).max(0) as usize;
    Ok(Moments::new(num, values("mean")?, values("covariance")?)?)
}

/// The network whose features the statistics at `path` are of; `None` where the file does not say.
pub fn network_of_moments(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).ok()?;
    header.metadata().as_ref()?.get(NETWORK).cloned()
}

/// Writes what the Fréchet distance needs of a reference: `mean` `[N]`, `covariance` `[N, N]` and `num` `[1]`; and which
/// `network` they are features of, [`NO_NETWORK`] if of none; `None` where that is not known.
///
/// # Errors
///
/// Any failure of the file system.
pub fn save_moments(
    path: &Path,
    moments: &Moments,
    network: Option<String>,
) -> Result<(), RunError> {
    let n = moments.mean().len();
    let num = Tensor::new(&[moments.num() as i64], &Device::Cpu)?;
    let mean = Tensor::from_slice(moments.mean(), n, &Device::Cpu)?;
    let covariance = Tensor::from_slice(moments.covariance(), (n, n), &Device::Cpu)?;
    let tensors = [("covariance", covariance), ("mean", mean), ("num", num)];
    let metadata = network.map(|name| [(NETWORK.to_string(), name)].into());
    let tensors = tensors.iter().map(|(name, tensor)| (*name, tensor));
    let bytes = ::safetensors::serialize(tensors, metadata);
    let bytes = bytes.map_err(candle_core::Error::from)?;
    write_file(path, &bytes).map_err(RunError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stats.safetensors");
        let values: Vec<f64> = (0..40).map(|k| f64::from(k * k % 17)).collect();
        let samples = Tensor::from_vec(values, (10, 4), &Device::Cpu).unwrap();
        let want = Moments::of(&samples).unwrap();
        save_moments(&path, &want, Some("a network".to_string())).unwrap();
        assert_eq!(network_of_moments(&path).as_deref(), Some("a network"));
        assert!(is_moments(&path));
        assert_eq!(read_moments(&path).unwrap(), want);
    }

    #[test]
    fn samples_of_a_safetensors_file_are_not_taken_for_statistics() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let samples = Tensor::zeros((3, 1, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let seeds = Tensor::new(&[0i64, 1, 2], &Device::Cpu).unwrap();
        let all = [
            ("samples".to_string(), samples),
            ("seeds".to_string(), seeds),
        ];
        safetensors::save(&all.into_iter().collect(), &path).unwrap();
        assert!(!is_moments(&path));
        let set = SampleSet::read(&path).unwrap();
        assert_eq!((set.values.dims(), set.n()), (&[3, 1, 2, 2][..], 4));
        let error = read_moments(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("must hold num, as saved moments of a reference do"),
            "got {error}"
        );
    }

    #[test]
    fn samples_that_are_not_finite_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let samples = Tensor::new(&[[0f32, 1.0], [2.0, f32::NAN]], &Device::Cpu).unwrap();
        safetensors::save(
            &[("samples".to_string(), samples)].into_iter().collect(),
            &path,
        )
        .unwrap();
        let error = SampleSet::read(&path).unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        assert!(
            error
                .to_string()
                .ends_with("values must be finite, got NaN in sample 1"),
            "got {error}"
        );
    }
}
