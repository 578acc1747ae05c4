//! The one-dimensional transforms of F(4, 3), each on a few vectors.
//!
//! ```text
//! y = Aᵀ ((G g) ∘ (Bᵀ d))        d: 6 inputs, g: 3 weights, y: 4 outputs
//! ```
//!
//! The products are values of polynomials at the points 0, ±a, ±b and infinity, with a = 1/√2 and b = √2: for
//! a row `p` of `Aᵀ` the powers of the point, of `G` the same over `Π (p - q)`, of `Bᵀ` the coefficients of
//! `Π (x - q)`, `q` the other points. With ±1 and ±2, the usual choice, the powers reach 8 and the rounding
//! error is several times larger.
//!
//! Source: Winograd 1980; Lavin and Gray 2016 (arXiv:1509.09308).

use pulp::Simd;

/// Outputs of a tile along one side.
pub(super) const OUT: usize = 4;

/// Inputs of a tile along one side, and products.
pub(super) const IN: usize = 6;

/// Weights from one channel to another.
pub(super) const TAPS: usize = 9;

/// Products of a tile.
pub(super) const POINTS: usize = IN * IN;

const A: f32 = std::f32::consts::FRAC_1_SQRT_2;
const B: f32 = std::f32::consts::SQRT_2;
const A3: f32 = A / 2.0;
const B3: f32 = B * 2.0;

/// `factor x + sum`.
#[inline(always)]
fn fma<S: Simd>(simd: S, x: S::f32s, factor: f32, sum: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(x, simd.splat_f32s(factor), sum)
}

/// `factor x`.
#[inline(always)]
fn times<S: Simd>(simd: S, x: S::f32s, factor: f32) -> S::f32s {
    simd.mul_f32s(x, simd.splat_f32s(factor))
}

/// A transform from `N` values along one side of a tile to the [`IN`] points.
pub(super) trait Expansion<const N: usize> {
    /// The transform.
    fn apply<S: Simd>(simd: S, values: [S::f32s; N]) -> [S::f32s; IN];
}

/// `Bᵀ d`, from inputs.
pub(super) struct Input;

impl Expansion<IN> for Input {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; IN]) -> [S::f32s; IN] {
        input(simd, values)
    }
}

/// `A y`, from gradients of outputs.
pub(super) struct OutputAdjoint;

impl Expansion<OUT> for OutputAdjoint {
    #[inline(always)]
    fn apply<S: Simd>(simd: S, values: [S::f32s; OUT]) -> [S::f32s; IN] {
        output_adjoint(simd, values)
    }
}

/// `Bᵀ d`.
#[inline(always)]
fn input<S: Simd>(simd: S, d: [S::f32s; IN]) -> [S::f32s; IN] {
    let (near, far) = (fma(simd, d[2], -2.0, d[4]), fma(simd, d[2], -0.5, d[4]));
    let (near_odd, far_odd) = (fma(simd, d[1], -2.0, d[3]), fma(simd, d[1], -0.5, d[3]));
    [
        fma(simd, d[2], -2.5, simd.add_f32s(d[0], d[4])),
        fma(simd, near_odd, A, near),
        fma(simd, near_odd, -A, near),
        fma(simd, far_odd, B, far),
        fma(simd, far_odd, -B, far),
        fma(simd, d[3], -2.5, simd.add_f32s(d[1], d[5])),
    ]
}

/// `Aᵀ m`.
#[inline(always)]
pub(super) fn output<S: Simd>(simd: S, m: [S::f32s; IN]) -> [S::f32s; OUT] {
    let (near, near_odd) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (far, far_odd) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(near, far)),
        fma(simd, near_odd, A, times(simd, far_odd, B)),
        fma(simd, near, 0.5, times(simd, far, 2.0)),
        fma(simd, far_odd, B3, fma(simd, near_odd, A3, m[5])),
    ]
}

/// `A y`, the adjoint of [`output`].
#[inline(always)]
fn output_adjoint<S: Simd>(simd: S, y: [S::f32s; OUT]) -> [S::f32s; IN] {
    let (near, far) = (fma(simd, y[2], 0.5, y[0]), fma(simd, y[2], 2.0, y[0]));
    let (near_odd, far_odd) = (fma(simd, y[3], 0.5, y[1]), fma(simd, y[3], 2.0, y[1]));
    [
        y[0],
        fma(simd, near_odd, A, near),
        fma(simd, near_odd, -A, near),
        fma(simd, far_odd, B, far),
        fma(simd, far_odd, -B, far),
        y[3],
    ]
}

/// `G g`.
#[inline(always)]
pub(super) fn weight<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; IN] {
    let near = times(simd, fma(simd, g[2], 0.5, g[0]), -1.0 / 1.5);
    let far = times(simd, fma(simd, g[2], 2.0, g[0]), 1.0 / 6.0);
    [
        g[0],
        fma(simd, g[1], -A / 1.5, near),
        fma(simd, g[1], A / 1.5, near),
        fma(simd, g[1], B / 6.0, far),
        fma(simd, g[1], -B / 6.0, far),
        g[2],
    ]
}

/// `Gᵀ u`, the adjoint of [`weight`].
#[inline(always)]
pub(super) fn weight_adjoint<S: Simd>(simd: S, u: [S::f32s; IN]) -> [S::f32s; 3] {
    let (near, near_odd) = (simd.add_f32s(u[1], u[2]), simd.sub_f32s(u[1], u[2]));
    let (far, far_odd) = (simd.add_f32s(u[3], u[4]), simd.sub_f32s(u[3], u[4]));
    [
        fma(simd, far, 1.0 / 6.0, fma(simd, near, -1.0 / 1.5, u[0])),
        fma(simd, far_odd, B / 6.0, times(simd, near_odd, -A / 1.5)),
        fma(simd, far, 2.0 / 6.0, fma(simd, near, -0.5 / 1.5, u[5])),
    ]
}
