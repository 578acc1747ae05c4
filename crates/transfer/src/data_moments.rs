//! Where the data lie and how far they spread about there.

use candle_core::{DType, Device, Result, Tensor};

use crate::{DataScale, DenoisingError, ParameterError};

/// Mean of the data and the scale of what is left about it.
#[derive(Clone, Debug)]
pub struct DataMoments {
    mean: Tensor,
    scale: DataScale,
    denoising_error: Option<DenoisingError>,
}

impl DataMoments {
    /// Measures `data` `[points, ...]`, any float dtype, in `f64` on the CPU.
    ///
    /// ```text
    /// second_moment = E|y - mean|² / N,   n_eff = 2 E[|y - mean|²]² / Var(|y - mean|²)
    /// ```
    ///
    /// Bounded as [`DataScale::of_squared_norms`] says, where every point is equally far from the mean.
    ///
    /// # Errors
    ///
    /// Data without points, and failures of the tensor backend.
    pub fn measure(data: &Tensor) -> Result<Self> {
        let data = data.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let mean = data.mean(0)?;
        let squares = data.broadcast_sub(&mean)?.sqr()?.flatten_from(1)?.sum(1)?;
        let scale = DataScale::of_squared_norms(&squares.to_vec1::<f64>()?, mean.elem_count());
        Ok(Self {
            mean,
            scale,
            denoising_error: None,
        })
    }

    /// Moments that are known without the data: `mean` `[...]` and the scale about it.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn new(mean: &Tensor, scale: DataScale) -> Result<Self> {
        let mean = mean.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        Ok(Self {
            mean,
            scale,
            denoising_error: None,
        })
    }

    /// With what is left of the data's spread once a denoiser has seen them perturbed, by level.
    ///
    /// # Errors
    ///
    /// A curve that [`DenoisingError::check`] refuses.
    pub fn with_denoising_error(
        self,
        error: DenoisingError,
    ) -> std::result::Result<Self, ParameterError> {
        error.check()?;
        let denoising_error = Some(error);
        Ok(Self {
            denoising_error,
            ..self
        })
    }

    /// The squared error of a denoiser of the data by level, where it is known.
    #[must_use]
    pub fn denoising_error(&self) -> Option<&DenoisingError> {
        self.denoising_error.as_ref()
    }

    /// The mean, shape of one sample, `f64`, on the CPU.
    #[must_use]
    pub fn mean(&self) -> &Tensor {
        &self.mean
    }

    /// The scale of the data about their mean.
    #[must_use]
    pub fn scale(&self) -> DataScale {
        self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_four_points_are_those_worked_by_hand() {
        // Mean (1, 0); squared distances 1, 1, 4, 4: average 2.5, variance 2.25.
        let points = [[2.0_f32, 0.0], [0.0, 0.0], [1.0, 2.0], [1.0, -2.0]];
        let got = DataMoments::measure(&Tensor::new(&points, &Device::Cpu).unwrap()).unwrap();
        assert_eq!(got.mean().to_vec1::<f64>().unwrap(), [1.0, 0.0]);
        let want = DataScale {
            second_moment: 1.25,
            n_eff: 2.0 * 6.25 / 2.25,
        };
        assert_eq!(got.scale(), want);
    }

    #[test]
    fn points_on_a_sphere_have_the_largest_effective_dimension() {
        let points = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        let got = DataMoments::measure(&Tensor::new(&points, &Device::Cpu).unwrap()).unwrap();
        assert_eq!(got.scale().n_eff, 1e9);
    }
}
