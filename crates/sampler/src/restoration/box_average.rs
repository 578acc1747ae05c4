//! Super-resolution: means of boxes are observed.

use candle_core::{Result, Tensor, bail};
use pfgmpp_transfer::ParameterError;

use super::Operator;

/// `A y`: the means of boxes of `factor` by `factor` pixels, in each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxAverage {
    factor: usize,
}

impl BoxAverage {
    /// Boxes of `factor` by `factor` pixels.
    ///
    /// # Errors
    ///
    /// A factor below 2.
    pub fn new(factor: usize) -> std::result::Result<Self, ParameterError> {
        ParameterError::counted("factor", factor as u64, 2, u64::MAX)?;
        Ok(Self { factor })
    }

    /// The sides of a box.
    #[must_use]
    pub fn factor(&self) -> usize {
        self.factor
    }
}

impl Operator for BoxAverage {
    fn observed_shape(&self, shape: &[usize]) -> std::result::Result<Vec<usize>, ParameterError> {
        let f = self.factor;
        match *shape {
            [channels, height, width] if height % f == 0 && width % f == 0 => {
                Ok(vec![channels, height / f, width / f])
            }
            _ => {
                let accepted = format!("a divisor of both sides of images of shape {shape:?}");
                Err(ParameterError::new("factor", f, accepted))
            }
        }
    }

    fn apply(&self, y: &Tensor) -> Result<Tensor> {
        let f = self.factor;
        let (batch, channels, height, width) = y.dims4()?;
        if height % f != 0 || width % f != 0 {
            bail!("factor {f} does not divide the sides of images of {height} x {width}");
        }
        let boxes = y.reshape(vec![batch, channels, height / f, f, width / f, f])?;
        boxes.sum(5)?.sum(3)? / (f * f) as f64
    }

    fn transpose(&self, u: &Tensor) -> Result<Tensor> {
        let f = self.factor;
        let (batch, channels, height, width) = u.dims4()?;
        let spread = u
            .reshape(vec![batch, channels, height, 1, width, 1])?
            .broadcast_as(vec![batch, channels, height, f, width, f])?
            .contiguous()?
            .reshape((batch, channels, height * f, width * f))?;
        spread / (f * f) as f64
    }
}
