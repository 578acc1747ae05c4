//! Space that a thread keeps from one task to the next, so that no task clears memory that it is about to write.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

thread_local! {
    /// Space that nobody on this thread uses at the moment.
    static SPARE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Values of any content, lent to a task.
pub(crate) struct Scratch(Vec<f32>);

impl Scratch {
    /// At least `len` values, left as the last task left them.
    pub(crate) fn new(len: usize) -> Self {
        let mut values = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        if values.len() < len {
            values.resize(len, 0.0);
        }
        Self(values)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.0);
        // A thread that ends has no place to keep it.
        let _ = SPARE.try_with(|spare| spare.borrow_mut().push(values));
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
