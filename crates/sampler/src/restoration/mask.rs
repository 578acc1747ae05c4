//! Inpainting: some values are observed, the others are not.

use candle_core::{Result, Tensor, bail};
use pfgmpp_transfer::ParameterError;

use super::Operator;

/// `A y`: the seen values of y, in their order.
#[derive(Clone, Debug)]
pub struct Mask {
    shape: Vec<usize>,
    /// Places of the seen values in a datum.
    seen: Vec<u32>,
}

impl Mask {
    /// The mask of data of `shape` `[C, H, W]` of which the pixels are `seen` `[H W]`, in all channels.
    ///
    /// # Errors
    ///
    /// Another number of pixels, and a mask that hides nothing or everything.
    pub fn new(seen: &[bool], shape: [usize; 3]) -> std::result::Result<Self, ParameterError> {
        let [channels, height, width] = shape;
        let plane = height * width;
        if seen.len() != plane {
            let accepted = format!("of {plane} pixels, as the images are");
            return Err(ParameterError::new("mask", seen.len(), accepted));
        }
        let num = seen.iter().filter(|seen| **seen).count();
        if num == 0 || num == plane {
            let got = format!("{num} seen of {plane}");
            let accepted = "one that hides some pixels and shows some";
            return Err(ParameterError::new("mask", got, accepted));
        }
        let places = 0..(channels * plane) as u32;
        Ok(Self {
            shape: shape.to_vec(),
            seen: places.filter(|&i| seen[i as usize % plane]).collect(),
        })
    }

    /// The number of seen values of a datum.
    #[must_use]
    pub fn num_seen(&self) -> usize {
        self.seen.len()
    }

    fn places(&self, like: &Tensor) -> Result<Tensor> {
        Tensor::new(&self.seen[..], like.device())
    }
}

impl Operator for Mask {
    fn observed_shape(&self, shape: &[usize]) -> std::result::Result<Vec<usize>, ParameterError> {
        if shape == self.shape {
            return Ok(vec![self.seen.len()]);
        }
        let accepted = format!("of the shape of the data, {shape:?}");
        let got = format!("one of {:?}", self.shape);
        Err(ParameterError::new("mask", got, accepted))
    }

    fn apply(&self, y: &Tensor) -> Result<Tensor> {
        if y.dims()[1..] != self.shape {
            bail!(
                "the mask is of {:?}, the data of {:?}",
                self.shape,
                y.dims()
            );
        }
        let flat = y.flatten_from(1)?.contiguous()?;
        flat.index_select(&self.places(y)?, 1)
    }

    fn transpose(&self, u: &Tensor) -> Result<Tensor> {
        let batch = u.dim(0)?;
        let n: usize = self.shape.iter().product();
        let zeros = Tensor::zeros((batch, n), u.dtype(), u.device())?;
        let mut shape = vec![batch];
        shape.extend(&self.shape);
        zeros
            .index_add(&self.places(u)?, &u.contiguous()?, 1)?
            .reshape(shape)
    }
}
