//! `f64` on the host and on devices, of which Metal knows none.

use candle_core::{DType, Device, Result, Shape, Tensor};

/// The widest float type that `device` computes with: `f64`, but `f32` on Metal.
pub fn widest_float(device: &Device) -> DType {
    if device.is_metal() {
        DType::F32
    } else {
        DType::F64
    }
}

/// `x` in `f64`, where it lies, or on the host if its device knows no `f64`.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn in_f64(x: &Tensor) -> Result<Tensor> {
    if x.device().is_metal() {
        return x.to_device(&Device::Cpu)?.to_dtype(DType::F64);
    }
    x.to_dtype(DType::F64)
}

/// `values` of the given shape beside `like`: of its type, rounded on the host, and on its device.
///
/// # Errors
///
/// A number of values that does not fill the shape, and failures of the tensor backend.
pub fn beside(values: Vec<f64>, shape: impl Into<Shape>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)?
        .to_dtype(like.dtype())?
        .to_device(like.device())
}

/// One value a sample, shaped to multiply `like` `[B, ...]`, of its type and on its device.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn column(values: &[f64], like: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; like.rank()];
    shape[0] = values.len();
    beside(values.to_vec(), shape, like)
}

/// `a_b · b_b` of each sample of `a` and `b`, both `[B, ...]`, summed in `f64`.
///
/// # Errors
///
/// Unlike shapes, and failures of the tensor backend.
pub fn inner_products(a: &Tensor, b: &Tensor) -> Result<Vec<f64>> {
    (in_f64(a)? * in_f64(b)?)?
        .flatten_from(1)?
        .sum(1)?
        .to_vec1()
}

/// `|x_b|²` of each sample of `x` `[B, ...]`, summed in `f64`.
///
/// # Errors
///
/// Failures of the tensor backend.
pub fn squared_norms(x: &Tensor) -> Result<Vec<f64>> {
    in_f64(x)?.sqr()?.flatten_from(1)?.sum(1)?.to_vec1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_type_and_place_of_another_tensor() {
        let like = Tensor::zeros((2, 1), DType::F32, &Device::Cpu).unwrap();
        let got = beside(vec![0.1, 2.0], (2, 1), &like).unwrap();
        assert_eq!(got.to_vec2::<f32>().unwrap(), [[0.1], [2.0]]);
        assert!(beside(vec![0.1], (2, 1), &like).is_err());
        assert_eq!(widest_float(&Device::Cpu), DType::F64);
    }

    #[test]
    fn norms_are_summed_in_f64() {
        // In f32 the square of the second value is lost beside that of the first.
        let x = Tensor::new(&[[4096f32, 1e-2], [3.0, 4.0]], &Device::Cpu).unwrap();
        let got = squared_norms(&x).unwrap();
        let want = 4096f64.powi(2) + f64::from(1e-2f32).powi(2);
        assert_eq!(got, [want, 25.0]);
    }
}
