//! Space that a thread keeps from one task to the next, so that only the first one's memory has to be cleared.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use super::product::LINE;

/// A line of the cache, so that no vector lies across two.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

thread_local! {
    /// Space that nobody on this thread uses at the moment.
    static SPARE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Values that a thread keeps: 32 MiB, as much as the convolutions of a large network want at a time.
pub(crate) const MOST_KEPT: usize = 8 << 20;

/// Values of any content, lent to a task.
pub(crate) struct Scratch(Vec<Line>);

impl Scratch {
    /// At least `len` values, left as the last task left them.
    pub(crate) fn new(len: usize) -> Self {
        let len = len.div_ceil(LINE);
        let fitting = |spare: &mut Vec<Vec<Line>>| {
            let fits = spare
                .iter()
                .enumerate()
                .filter(|(_, lines)| lines.len() >= len);
            let (smallest, _) = fits.min_by_key(|(_, lines)| lines.len())?;
            Some(spare.swap_remove(smallest))
        };
        Self(
            SPARE
                .with_borrow_mut(fitting)
                .unwrap_or_else(|| vec![Line([0.0; LINE]); len]),
        )
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.0);
        // A thread that ends has no place to keep it.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            let kept: usize = spare.iter().map(Vec::len).sum();
            if (kept + lines.len()) * LINE <= MOST_KEPT {
                spare.push(lines);
            }
        });
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a line is `LINE` values and nothing else.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE) }
    }
}
