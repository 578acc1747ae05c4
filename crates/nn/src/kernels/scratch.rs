//! Space that a thread keeps from one task to the next, so that no task clears memory that it is about to write.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

thread_local! {
    /// Space that nobody on this thread uses at the moment.
    static SPARE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Values that a thread keeps: 32 MiB, several times what the convolutions of a large network want.
const MOST_KEPT: usize = 8 << 20;

/// Values of any content, lent to a task.
pub(crate) struct Scratch(Vec<f32>);

impl Scratch {
    /// At least `len` values, left as the last task left them.
    pub(crate) fn new(len: usize) -> Self {
        let fitting = |spare: &mut Vec<Vec<f32>>| {
            let fits = spare
                .iter()
                .enumerate()
                .filter(|(_, values)| values.len() >= len);
            let (smallest, _) = fits.min_by_key(|(_, values)| values.len())?;
            Some(spare.swap_remove(smallest))
        };
        Self(
            SPARE
                .with_borrow_mut(fitting)
                .unwrap_or_else(|| vec![0.0; len]),
        )
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.0);
        // A thread that ends has no place to keep it.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            let kept: usize = spare.iter().map(Vec::len).sum();
            if kept + values.len() <= MOST_KEPT {
                spare.push(values);
            }
        });
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}
