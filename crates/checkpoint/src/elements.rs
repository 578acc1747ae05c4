//! Tensors straight from a file's bytes.

use std::io;

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_store::Window;

/// Bytes that are read at a time where something looks at them: they are in the processor's cache still when it does.
const PIECE: usize = 1 << 18;

/// Reads a contiguous tensor of little-endian elements from `offset` on.
///
/// `f32`, which nearly all weights are, is read into its final place; others through one buffer.
pub(crate) fn read(
    window: &Window,
    offset: u64,
    dtype: DType,
    shape: &[usize],
    device: &Device,
) -> Result<Tensor> {
    let read = |bytes: &mut [u8]| window.read_at(bytes, offset);
    read_by(read, dtype, shape, device)
}

/// As [`read`], with every byte given to `take` from front to back.
pub(crate) fn read_taking(
    window: &Window,
    offset: u64,
    (dtype, shape): (DType, &[usize]),
    device: &Device,
    take: &mut impl FnMut(&[u8]),
) -> Result<Tensor> {
    let read = |bytes: &mut [u8]| {
        let mut at = offset;
        for piece in bytes.chunks_mut(PIECE) {
            window.read_at(piece, at)?;
            take(piece);
            at += piece.len() as u64;
        }
        Ok(())
    };
    read_by(read, dtype, shape, device)
}

fn read_by(
    read: impl FnOnce(&mut [u8]) -> io::Result<()>,
    dtype: DType,
    shape: &[usize],
    device: &Device,
) -> Result<Tensor> {
    let count = shape.iter().product::<usize>();
    if dtype == DType::F32 {
        let mut values = vec![0f32; count];
        read(bytemuck::cast_slice_mut(&mut values))?;
        if cfg!(target_endian = "big") {
            for value in &mut values {
                *value = f32::from_le_bytes(value.to_ne_bytes());
            }
        }
        return Tensor::from_vec(values, shape, device);
    }
    let mut bytes = vec![0; count * dtype.size_in_bytes()];
    read(&mut bytes)?;
    Tensor::from_raw_buffer(&bytes, dtype, shape, device)
}

/// Gives the bytes of `window` to `take`, from front to back in pieces that fit a processor's cache.
pub(crate) fn for_each_piece(window: &Window, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < window.len() {
        let len = (window.len() - at).min(piece.len() as u64);
        let bytes = &mut piece[..len as usize];
        window.read_at(bytes, at)?;
        take(bytes);
        at += len;
    }
    Ok(())
}
