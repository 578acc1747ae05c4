//! Access to the values of `f32` tensors in main memory.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Device, Layout, Result, Shape, Storage, StorageRef, Tensor, bail};

/// The values of a contiguous tensor, borrowed.
pub(crate) struct Values<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => unreachable!("`values` admits f32 in main memory only"),
        }
    }
}

/// Borrows the values of a contiguous `f32` tensor in main memory.
pub(crate) fn values(x: &Tensor) -> Result<Values<'_>> {
    let (storage, layout) = x.storage_and_layout();
    let range = contiguous_range(layout)?;
    if !matches!(&*storage, Storage::Cpu(CpuStorage::F32(_))) {
        bail!(
            "a fused operation needs f32 in main memory, got {:?} on {:?}",
            x.dtype(),
            x.device()
        );
    }
    Ok(Values { storage, range })
}

/// The values behind the arguments of a custom operation.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    Ok(&storage.as_slice::<f32>()?[contiguous_range(layout)?])
}

/// What a custom operation returns.
pub(crate) fn output(values: Vec<f32>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (CpuStorage::F32(values), shape.into())
}

/// A gradient of the given shape.
pub(crate) fn tensor(values: Vec<f32>, shape: &Shape) -> Result<Tensor> {
    Tensor::from_vec(values, shape.clone(), &Device::Cpu)
}

fn contiguous_range(layout: &Layout) -> Result<Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => bail!(
            "a fused operation needs contiguous values, got strides {:?}",
            layout.stride()
        ),
    }
}
