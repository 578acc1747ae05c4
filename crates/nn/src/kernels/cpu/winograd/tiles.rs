//! Where the tiles of a batch lie, and their way into products and out of them.

use std::array::from_fn;
use std::mem::MaybeUninit;

use pulp::{MemMask, Simd};

use super::transform::{Expansion, IN, OUT, POINTS, output};
use crate::kernels::cpu::bias::Bias;
use crate::kernels::cpu::geometry::Geometry;
use crate::kernels::cpu::parallel::Shared;
use crate::kernels::cpu::product::{load, load_part, store, store_part};

/// The tiles of a batch of images, counted sample by sample and row by row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiling {
    pub(super) inputs: Plane,
    pub(super) outputs: Plane,
    /// Tiles above each other.
    rows: usize,
    /// Tiles beside each other.
    columns: usize,
    /// Tiles of the batch.
    pub(super) count: usize,
}

/// Where the pixels of images lie, as seen from the outputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plane {
    height: usize,
    width: usize,
    /// Zeros before the first row and the first column.
    before: usize,
    /// Distance between pixels, with zeros between them.
    spacing: usize,
}

/// The first output of a tile.
#[derive(Debug, Clone, Copy)]
struct Corner {
    sample: usize,
    y: usize,
    x: usize,
}

/// Some channels of a batch of images: `values[pixel * step + first..]`, `len` of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channels {
    pub(super) step: usize,
    pub(super) first: usize,
    pub(super) len: usize,
}

impl Channels {
    /// All of `len`.
    pub(super) fn all(len: usize) -> Self {
        Self {
            step: len,
            first: 0,
            len,
        }
    }
}

impl Plane {
    /// Where `channels` of the pixels of one tile begin; outside the images and between their pixels lies none.
    #[inline(always)]
    fn offsets<const N: usize>(
        &self,
        corner: Corner,
        channels: Channels,
    ) -> [[Option<usize>; N]; N] {
        let inside = |at: usize, len: usize| {
            let at = at.checked_sub(self.before)?;
            (at.is_multiple_of(self.spacing) && at / self.spacing < len).then(|| at / self.spacing)
        };
        let rows: [_; N] = from_fn(|i| inside(corner.y + i, self.height));
        let columns: [_; N] = from_fn(|j| inside(corner.x + j, self.width));
        rows.map(|y| {
            columns.map(|x| {
                let pixel = (corner.sample * self.height + y?) * self.width + x?;
                Some(pixel * channels.step + channels.first)
            })
        })
    }
}

impl Tiling {
    pub(super) fn new(geometry: Geometry) -> Self {
        let (rows, columns) = (geometry.out.0.div_ceil(OUT), geometry.out.1.div_ceil(OUT));
        Self {
            inputs: Plane {
                height: geometry.image.0,
                width: geometry.image.1,
                before: geometry.before,
                spacing: geometry.spacing,
            },
            outputs: Plane {
                height: geometry.out.0,
                width: geometry.out.1,
                before: 0,
                spacing: 1,
            },
            rows,
            columns,
            count: geometry.batch * rows * columns,
        }
    }

    fn corner(&self, tile: usize) -> Corner {
        let (sample, tile) = (
            tile / (self.rows * self.columns),
            tile % (self.rows * self.columns),
        );
        Corner {
            sample,
            y: tile / self.columns * OUT,
            x: tile % self.columns * OUT,
        }
    }

    /// `T d Tᵀ` of one tile of `x`, which lies in `plane`: point `ξ`, channel `i` to `to + ξ * step + i` of `out`.
    ///
    /// Whole vectors are written, of which those values behind the last channel become zeros.
    ///
    /// # Safety
    ///
    /// Nobody else reads or writes there at the same time.
    #[inline(always)]
    pub(super) unsafe fn expand<S: Simd, T: Expansion<N>, const N: usize>(
        &self,
        simd: S,
        tile: usize,
        (x, plane, channels): (&[f32], Plane, Channels),
        (out, to, step): (&Shared<f32>, usize, usize),
    ) {
        let vectors = channels.len.div_ceil(S::F32_LANES);
        // SAFETY: as the caller promises.
        let out = unsafe { out.range(to, (POINTS - 1) * step + vectors * S::F32_LANES) };
        // Pixels outside the image read as zeros.
        let offsets: [[_; N]; N] = plane.offsets(self.corner(tile), channels);
        let last = offsets.iter().flatten().flatten().max();
        assert!(last.is_none_or(|last| last + channels.len <= x.len()));
        let whole = channels.len / S::F32_LANES;
        let tail = simd.mask_between_m32s(0, (channels.len % S::F32_LANES) as u32);
        for v in 0..vectors {
            let at = v * S::F32_LANES;
            // SAFETY: within `x` and `out`, as asserted above.
            unsafe {
                let (x, out) = (x.as_ptr().add(at), out.add(at));
                if v < whole {
                    expand_vector::<S, T, N, true>(simd, tail, (x, &offsets), (out, step));
                } else {
                    expand_vector::<S, T, N, false>(simd, tail, (x, &offsets), (out, step));
                }
            }
        }
    }

    /// `Aᵀ M A + bias` of one tile to the pixels that lie in the image.
    ///
    /// - `products`: point `ξ`, channel `o` at `ξ * step + o`, whole vectors.
    /// - `bias`: a row for each sample, or one for all.
    /// - `out`: all samples; written are `channels`.
    ///
    /// # Safety
    ///
    /// Nobody else reads or writes these channels of the tile's pixels at the same time.
    #[inline(always)]
    pub(super) unsafe fn collect<S: Simd>(
        &self,
        simd: S,
        tile: usize,
        (products, step): (&[f32], usize),
        bias: Option<Bias>,
        (out, channels): (&Shared<MaybeUninit<f32>>, Channels),
    ) {
        let corner = self.corner(tile);
        let vectors = channels.len.div_ceil(S::F32_LANES);
        assert!((POINTS - 1) * step + vectors * S::F32_LANES <= products.len());
        let row = bias.map(|bias| &bias.row(corner.sample)[channels.first..][..channels.len]);
        let pixels: [[_; OUT]; OUT] = self.outputs.offsets(corner, channels);
        let end = pixels.iter().flatten().flatten().max().copied();
        // SAFETY: as the caller promises.
        let out = unsafe { out.range(0, end.map_or(0, |last| last + channels.len)) };
        let whole = channels.len / S::F32_LANES;
        let tail = simd.mask_between_m32s(0, (channels.len % S::F32_LANES) as u32);
        for v in 0..vectors {
            let at = v * S::F32_LANES;
            // SAFETY: within products, bias and output, as asserted above.
            unsafe {
                let bias = row.map(|row| row.as_ptr().add(at));
                let (m, out) = (products.as_ptr().add(at), out.cast::<f32>().add(at));
                if v < whole {
                    collect_vector::<S, true>(simd, tail, (m, step), bias, (out, &pixels));
                } else {
                    collect_vector::<S, false>(simd, tail, (m, step), bias, (out, &pixels));
                }
            }
        }
    }
}

/// [`Tiling::expand`] for one vector of channels.
///
/// # Safety
///
/// A vector, or one up to `tail`, lies at each of `offsets`, and a whole one at each point of `out`.
#[inline(always)]
unsafe fn expand_vector<S: Simd, T: Expansion<N>, const N: usize, const WHOLE: bool>(
    simd: S,
    tail: MemMask<S::m32s>,
    (x, offsets): (*const f32, &[[Option<usize>; N]; N]),
    (out, step): (*mut f32, usize),
) {
    let mut half = [[simd.splat_f32s(0.0); IN]; N];
    for (j, half) in half.iter_mut().enumerate() {
        let mut column = [simd.splat_f32s(0.0); N];
        for (value, offsets) in column.iter_mut().zip(offsets) {
            if let Some(offset) = offsets[j] {
                // SAFETY: as the caller promises.
                *value = unsafe { load_part::<S, WHOLE>(simd, tail, x.add(offset)) };
            }
        }
        *half = T::apply(simd, column);
    }
    for i in 0..IN {
        let row = half.map(|column| column[i]);
        for (j, &value) in T::apply(simd, row).iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe { store::<S>(out.add((i * IN + j) * step), value) };
        }
    }
}

/// [`Tiling::collect`] for one vector of channels.
///
/// # Safety
///
/// A whole vector lies at each point of `products`, and one, or one up to `tail`, at the bias and at each of
/// `pixels`.
#[inline(always)]
unsafe fn collect_vector<S: Simd, const WHOLE: bool>(
    simd: S,
    tail: MemMask<S::m32s>,
    (products, step): (*const f32, usize),
    bias: Option<*const f32>,
    (out, pixels): (*mut f32, &[[Option<usize>; OUT]; OUT]),
) {
    let mut half = [[simd.splat_f32s(0.0); OUT]; IN];
    for (j, half) in half.iter_mut().enumerate() {
        let mut column = [simd.splat_f32s(0.0); IN];
        for (i, value) in column.iter_mut().enumerate() {
            // SAFETY: as the caller promises.
            *value = unsafe { load::<S>(products.add((i * IN + j) * step)) };
        }
        *half = output(simd, column);
    }
    let bias = match bias {
        // SAFETY: as the caller promises.
        Some(at) => unsafe { load_part::<S, WHOLE>(simd, tail, at) },
        None => simd.splat_f32s(0.0),
    };
    for (i, pixels) in pixels.iter().enumerate() {
        let row = half.map(|column| column[i]);
        for (&value, pixel) in output(simd, row).iter().zip(pixels) {
            if let Some(pixel) = *pixel {
                let value = simd.add_f32s(value, bias);
                // SAFETY: as the caller promises.
                unsafe { store_part::<S, WHOLE>(simd, tail, out.add(pixel), value) };
            }
        }
    }
}
