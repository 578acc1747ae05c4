//! Compiles plain loops for the widest vector instructions that the machine has.

use pulp::{Arch, Simd, WithSimd};

/// Runs `f` in a context where the compiler may use the machine's vector instructions.
///
/// `f` and all that it calls must be `#[inline(always)]`: a function that stays one of its own is compiled for the
/// least machine.
#[inline(always)]
pub(crate) fn vectorized(f: impl FnMut()) {
    Arch::new().dispatch(Loops(f));
}

struct Loops<F>(F);

// Not pulp's own implementation for closures: that calls them through `FnOnce`, whose shim the compiler does
// not inline.
impl<F: FnMut()> WithSimd for Loops<F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        (self.0)();
    }
}
