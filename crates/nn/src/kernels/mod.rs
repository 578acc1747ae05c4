//! The arithmetic of the fused operations: a folder for each kind of device that has kernels of its own.
//!
//! A device without any runs the same operations composed of the backend's own. Kernels for another one are a
//! folder beside [`cpu`], the tensors that they take in [`is_fused`], and in each operation of [`crate::ops`]
//! the method of candle's custom operations that is named after the device, beside `cpu_fwd`.

use candle_core::{DType, Device, Tensor};

pub(crate) mod cpu;

/// Whether kernels of this crate compute the fused operations on the device and in the type of `x`.
pub(crate) fn is_fused(x: &Tensor) -> bool {
    matches!((x.device(), x.dtype()), (Device::Cpu, DType::F32))
}
