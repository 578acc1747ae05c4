//! What a run needs at its end, all of it checked before its start: hours of training are not to be lost to a
//! picture that cannot be drawn.
//!
//! - the picture of samples: [`check_drawable`];
//! - scores: at least two samples ([`ScoringConfig`](pfgmpp_config::ScoringConfig) refuses fewer), two held-out data and two
//!   training data;
//! - features of a network, where scores compare those: images that it can look at;
//! - the disk: [`preflight`](crate::preflight()) counts what a run leaves, and
//!   [`RunFolder::prepare`](crate::RunFolder::prepare) tries its folders;
//! - memory for the samples: [`SamplingModel::check_memory`](crate::SamplingModel::check_memory).

use candle_core::{DType, Device, Tensor};
use pfgmpp_config::{ConfigError, RunConfig};
use pfgmpp_data::{PictureError, Splits, is_image, is_planar};
use pfgmpp_metrics::{NEAREST, fewest_rows, is_of_tables};

use crate::error::RunError;
use crate::grid::sample_grid;

/// Fewer cannot be compared with anything.
const FEWEST: usize = 2;

/// Checks what the run of `config` needs of its data at its end.
pub(crate) fn check_ending(config: &RunConfig, splits: &Splits) -> Result<(), RunError> {
    check_drawable(splits.train.image_shape())
        .map_err(|e| ConfigError::new("data", format!("samples could not be shown: {e}")))?;
    check_tails(config, splits)?;
    check_features(config, splits)?;
    check_neighbours(config, splits)?;
    for (part, what) in [
        (&splits.train, "train on"),
        (
            &splits.held_out,
            "hold out, with which samples are compared",
        ),
    ] {
        let num = part.num_images();
        if num < FEWEST {
            let message = format!(
                "{} has {num} images to {what}: at least {FEWEST} are needed",
                config.data.name()
            );
            return Err(ConfigError::new("data", message).into());
        }
    }
    Ok(())
}

/// Refuses scores of tails where there are too few rows for any.
fn check_tails(config: &RunConfig, splits: &Splits) -> Result<(), RunError> {
    let (samples, held_out) = (config.scoring.num_samples, splits.held_out.num_images());
    let fewest = samples.min(held_out as u64);
    let metrics = config.scoring.metrics.descriptions();
    let too_many = |name: &&str| is_of_tables(name) && fewest < fewest_rows(name) as u64;
    let Some(name) = metrics.map(|metric| metric.name).find(too_many) else {
        return Ok(());
    };
    let needed = fewest_rows(name);
    let message = format!(
        "metrics: {name} needs {needed} rows to show tails, got num_samples {samples} and {held_out} rows held out: leave it out, or give \
         more"
    );
    Err(ConfigError::new("scoring", message).into())
}

/// Refuses scores by nearest neighbours where there are no more samples than those.
fn check_neighbours(config: &RunConfig, splits: &Splits) -> Result<(), RunError> {
    let (samples, held_out) = (
        config.scoring.num_samples,
        splits.held_out.num_images() as u64,
    );
    let mut names = config
        .scoring
        .metrics
        .descriptions()
        .map(|metric| metric.name);
    let by_neighbours = |name: &&str| ["precision", "recall", "density", "coverage"].contains(name);
    match names.find(by_neighbours) {
        Some(name) if samples.min(held_out) <= NEAREST as u64 => {
            let message = format!(
                "metrics: {name} needs more than {NEAREST} samples on either side, got num_samples {samples} and {held_out} held out: leave \
                 it out, or give more"
            );
            Err(ConfigError::new("scoring", message).into())
        }
        _ => Ok(()),
    }
}

/// Refuses features of what no network for images can look at.
fn check_features(config: &RunConfig, splits: &Splits) -> Result<(), RunError> {
    let Some(features) = &config.scoring.features else {
        return Ok(());
    };
    let shape @ [channels, height, width] = splits.train.image_shape();
    if is_image(shape) && splits.train.columns().is_none() {
        return Ok(());
    }
    let found = match splits.train.columns() {
        Some(_) => "rows of a table".to_string(),
        None => format!("{channels}x{height}x{width}"),
    };
    let message = format!(
        "features: {} looks at images of 1 or 3 channels, the data are {found}: leave it out",
        features.label()
    );
    Err(ConfigError::new("scoring", message).into())
}

/// Refuses samples of `shape` `[C, H, W]` that no picture shows.
///
/// # Errors
///
/// Other than grey or RGB images and points in the plane, and images of more pixels than a picture may have.
pub fn check_drawable(shape: [usize; 3]) -> Result<(), PictureError> {
    let [channels, height, width] = shape;
    // Nothing is drawn; the view of one value has the shape.
    let one = Tensor::zeros((1, 1, 1, 1), DType::F32, &Device::Cpu)?;
    match is_planar(shape) {
        true => Ok(()),
        false => sample_grid(&one.broadcast_as((1, channels, height, width))?, None).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_images_rgb_images_and_points_can_be_drawn_and_others_not() {
        for (shape, want) in [
            ([1, 8, 8], true),
            ([3, 32, 16], true),
            ([2, 1, 1], true),
            ([2, 8, 8], false),
            ([4, 32, 32], false),
        ] {
            let got = check_drawable(shape);
            assert_eq!(got.is_ok(), want, "{shape:?}: {got:?}");
        }
    }
}
