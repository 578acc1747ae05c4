//! Variables that are changed in place.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Var, bail};

/// Lends the values of contiguous `f32` variables in main memory to `f`, in their order.
///
/// Each has storage of its own: it is locked while it is lent.
pub(super) fn lend(vars: &[&Var], f: impl FnOnce(&mut [&mut [f32]])) -> Result<()> {
    // One type for every depth of the recursion.
    let mut f = Some(f);
    lend_rest(vars, Vec::with_capacity(vars.len()), &mut |values| {
        if let Some(f) = f.take() {
            f(values);
        }
    })
}

fn lend_rest(
    vars: &[&Var],
    lent: Vec<&mut [f32]>,
    f: &mut dyn FnMut(&mut [&mut [f32]]),
) -> Result<()> {
    let Some((var, rest)) = vars.split_first() else {
        let mut lent = lent;
        f(&mut lent);
        return Ok(());
    };
    let op = Lend(RefCell::new(Some(|values: &mut [f32]| {
        let mut lent: Vec<&mut [f32]> = lent;
        lent.push(values);
        lend_rest(rest, lent, f)
    })));
    var.as_tensor().inplace_op1(&op)
}

/// An in-place operation that can be done once.
struct Lend<F>(RefCell<Option<F>>);

impl<F: FnOnce(&mut [f32]) -> Result<()>> InplaceOp1 for Lend<F> {
    fn name(&self) -> &'static str {
        "lend"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (storage, layout.contiguous_offsets(), self.0.take()) {
            (CpuStorage::F32(values), Some((from, to)), Some(f)) => f(&mut values[from..to]),
            _ => bail!("an update in place needs contiguous f32 values, got {layout:?}"),
        }
    }
}
