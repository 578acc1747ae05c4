//! Where the data lie and how far they spread about there.

use candle_core::{DType, Device, Result, Tensor};

use crate::{DataScale, DenoisingError, ParameterError};

/// Values that are looked at together.
const BLOCK: usize = 1 << 20;

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
        let data = data.to_device(&Device::Cpu)?;
        let (points, shape) = (data.dim(0)?, data.dims()[1..].to_vec());
        let n: usize = shape.iter().product();
        // In blocks, so that the data never lie in memory in f64 all at once.
        let block = (BLOCK / n.max(1)).clamp(1, points.max(1));
        let block_at = |start: usize| {
            data.narrow(0, start, block.min(points - start))?
                .to_dtype(DType::F64)
        };
        let mut sum = vec![0.0; n];
        for start in (0..points).step_by(block) {
            let values = block_at(start)?.flatten_all()?.to_vec1::<f64>()?;
            for point in values.chunks_exact(n) {
                sum.iter_mut()
                    .zip(point)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
        let mean = (Tensor::from_vec(sum, shape, &Device::Cpu)? * (1.0 / points as f64))?;
        let mut squares = Vec::with_capacity(points);
        for start in (0..points).step_by(block) {
            let about = block_at(start)?.broadcast_sub(&mean)?;
            squares.extend(about.sqr()?.flatten_from(1)?.sum(1)?.to_vec1::<f64>()?);
        }
        let scale = DataScale::of_squared_norms(&squares, n);
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

    #[test]
    fn blocks_of_points_have_the_moments_of_all_at_once_to_the_bit() {
        let points = Tensor::randn(0.1_f32, 1.0, (5, BLOCK / 2), &Device::Cpu).unwrap();
        let got = DataMoments::measure(&points).unwrap();
        let all = points.to_dtype(DType::F64).unwrap();
        let mean = all.mean(0).unwrap();
        let squares = all.broadcast_sub(&mean).unwrap().sqr().unwrap();
        let squares = squares.sum(1).unwrap().to_vec1::<f64>().unwrap();
        let bits = |values: &Tensor| -> Vec<u64> {
            let values = values.to_vec1::<f64>().unwrap();
            values.into_iter().map(f64::to_bits).collect()
        };
        assert!(bits(got.mean()) == bits(&mean), "the means differ");
        let want = DataScale::of_squared_norms(&squares, BLOCK / 2);
        assert_eq!(got.scale(), want);
    }
}
