//! How near restored images come to the whole ones.

use candle_core::{DType, Result, Tensor};
use serde::Serialize;

/// One image, as JSON.
#[derive(Serialize)]
pub struct Quality {
    /// The name of its files.
    pub name: String,
    /// Peak signal-to-noise ratio of its samples in dB, the mean over them; none where the whole image is not known.
    pub psnr: Option<f64>,
    /// That of the mean of its samples, if there are several.
    pub psnr_mean: Option<f64>,
    /// That of what was observed: hidden pixels grey, means of boxes in their boxes.
    pub psnr_observed: Option<f64>,
}

impl Quality {
    /// Of an image that is not known as a whole.
    pub fn unknown(name: &str) -> Self {
        Self {
            name: name.to_string(),
            psnr: None,
            psnr_mean: None,
            psnr_observed: None,
        }
    }
}

/// A ratio in words.
pub fn psnr(value: f64) -> String {
    format!("{value:.2} dB")
}

/// Each of `samples` `[images, K, C, H, W]` beside its `whole` image `[images, C, H, W]`.
pub fn measure(
    names: &[String],
    whole: &Tensor,
    observed: &Tensor,
    samples: &Tensor,
) -> Result<Vec<Quality>> {
    let several = samples.dim(1)? > 1;
    let each = names.iter().enumerate();
    each.map(|(i, name)| {
        let (whole, samples) = (whole.get(i)?, samples.get(i)?);
        let of_each: Vec<f64> = (0..samples.dim(0)?)
            .map(|k| ratio(&samples.get(k)?, &whole))
            .collect::<Result<_>>()?;
        let mean = match several {
            true => Some(ratio(&samples.mean(0)?, &whole)?),
            false => None,
        };
        Ok(Quality {
            name: name.clone(),
            psnr: Some(of_each.iter().sum::<f64>() / of_each.len() as f64),
            psnr_mean: mean,
            psnr_observed: Some(ratio(&observed.get(i)?, &whole)?),
        })
    })
    .collect()
}

/// `10 lg (2² / mean square)` of images in `[-1, 1]`, beyond which values are cut off as in a picture.
fn ratio(got: &Tensor, want: &Tensor) -> Result<f64> {
    // A picture of 8 bits knows no difference below half a level.
    const LEAST: f64 = (1.0 / 255.0) * (1.0 / 255.0);
    let got = got.to_dtype(DType::F64)?.clamp(-1.0, 1.0)?;
    let square = (got - want.to_dtype(DType::F64)?)?.sqr()?.mean_all()?;
    Ok(10.0 * (4.0 / square.to_scalar::<f64>()?.max(LEAST)).log10())
}
