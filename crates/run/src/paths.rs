//! How a few samples came about, for the report: lines in the plane, or strips of pictures.

use candle_core::{DType, Device, Tensor};
use pfgmpp_config::RunConfig;
use pfgmpp_data::{GridLayout, Splits, grid};
use pfgmpp_sampler::Trajectory;
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::folder::RunFolder;
use crate::observer::StopFlag;
use crate::sampling_model::SamplingModel;

/// Paths drawn in the plane.
const PLANE: u64 = 64;
/// Held-out data drawn behind them.
const BEHIND: usize = 512;
/// Samples and pictures of each in a strip.
const STRIP: u64 = 6;
const PICTURES: usize = 8;
/// Pictures smaller than this are drawn larger, by a whole factor.
const VISIBLE: usize = 24;

/// Paths of samples in the plane, in units of the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanePaths {
    /// Some of the held-out data.
    pub held_out: Vec<[f64; 2]>,
    /// A polyline a sample, from the prior to the data.
    pub paths: Vec<Vec<[f64; 2]>>,
}

/// Draws the paths of a few samples into the run's folder.
pub(crate) fn write_paths(
    model: &SamplingModel,
    config: &RunConfig,
    splits: &Splits,
    folder: &RunFolder,
    (device, stop): (&Device, &StopFlag),
) -> Result<(), RunError> {
    let shape = splits.train.image_shape();
    if splits.train.is_planar() {
        let trajectories = model.trace(&config.sample_seeds(PLANE), device, stop)?;
        let paths = in_plane(&trajectories, splits)?;
        let json = serde_json::to_string(&paths).expect("paths are finite numbers");
        return Ok(folder.write(&RunFolder::paths_in(folder.path()), json.as_bytes())?);
    }
    let trajectories = model.trace(&config.sample_seeds(STRIP), device, stop)?;
    let pictures = strip(&trajectories, shape)?;
    let layout = GridLayout {
        columns: PICTURES,
        padding: 1,
        scale: (VISIBLE / shape[1].max(shape[2])).max(1),
    };
    let png = grid(&pictures, layout)?.to_png()?;
    Ok(folder.write(&RunFolder::strip_in(folder.path()), &png)?)
}

fn in_plane(trajectories: &[Trajectory], splits: &Splits) -> Result<PlanePaths, RunError> {
    let held_out = splits.held_out.reference_images()?;
    let held_out = held_out.narrow(0, 0, BEHIND.min(held_out.dim(0)?))?;
    let flat = held_out.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    Ok(PlanePaths {
        held_out: pairs(&flat),
        paths: trajectories.iter().map(|path| pairs(&path.x)).collect(),
    })
}

fn pairs(flat: &[f64]) -> Vec<[f64; 2]> {
    let pairs = flat.chunks_exact(2);
    pairs.map(|pair| [pair[0], pair[1]]).collect()
}

/// Pictures of each sample at places even along its path, scaled to the range of the data:
/// `[samples x PICTURES, C, H, W]`.
fn strip(trajectories: &[Trajectory], shape: [usize; 3]) -> Result<Tensor, RunError> {
    let n: usize = shape.iter().product();
    let mut pictures = Vec::new();
    for Trajectory { sigma, x } in trajectories {
        let last = sigma.len().saturating_sub(1);
        for picture in 0..PICTURES {
            let at = (picture * last + (PICTURES - 1) / 2) / (PICTURES - 1);
            let scale = sigma[at].hypot(1.0).recip();
            pictures.extend(x[at * n..(at + 1) * n].iter().map(|v| (v * scale) as f32));
        }
    }
    let [channels, height, width] = shape;
    let count = trajectories.len() * PICTURES;
    Ok(Tensor::from_vec(
        pictures,
        (count, channels, height, width),
        &Device::Cpu,
    )?)
}
