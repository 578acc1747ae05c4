//! Scheduling: which pieces of an output go to which thread, never what is computed.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::awake::call_threads;

/// Below this many multiply-adds waking another thread costs more than it saves.
const SERIAL_BELOW: usize = 1 << 17;

/// An output of `len` values, each written by `fill` and none zeroed before.
///
/// # Safety
///
/// `fill` writes every element.
pub(crate) unsafe fn written<F>(len: usize, fill: F) -> Vec<f32>
where
    F: FnOnce(&mut [MaybeUninit<f32>]),
{
    let mut out = Vec::with_capacity(len);
    fill(&mut out.spare_capacity_mut()[..len]);
    // SAFETY: the caller promises that `fill` has written the first `len` elements.
    unsafe { out.set_len(len) };
    out
}

/// An output of which tasks write parts that are not contiguous.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    out: PhantomData<&'a mut [T]>,
}

// SAFETY: whoever asks for a place promises to be alone there.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(out: &'a mut [T]) -> Self {
        Self {
            start: out.as_mut_ptr(),
            len: out.len(),
            out: PhantomData,
        }
    }

    /// The first of `len` elements from `start` on.
    ///
    /// # Safety
    ///
    /// What is written through the pointer nobody else reads or writes at the same time.
    pub(crate) unsafe fn range(&self, start: usize, len: usize) -> *mut T {
        assert!(start + len <= self.len, "a task writes within its output");
        // SAFETY: within the output, as asserted.
        unsafe { self.start.add(start) }
    }
}

/// Runs `task(i, piece)` for each piece of `piece_len` values, `work` being the cost of the whole.
pub(crate) fn for_each_piece<T, F>(out: &mut [T], piece_len: usize, work: usize, task: F)
where
    T: Send,
    F: Fn(usize, &mut [T]) + Send + Sync,
{
    for_each_piece_with(out, piece_len, work, || (), |(), i, piece| task(i, piece));
}

/// As [`for_each_piece`], with scratch space that a thread makes once and keeps from piece to piece.
pub(crate) fn for_each_piece_with<T, S, I, F>(
    out: &mut [T],
    piece_len: usize,
    work: usize,
    scratch: I,
    task: F,
) where
    T: Send,
    I: Fn() -> S + Send + Sync,
    F: Fn(&mut S, usize, &mut [T]) + Send + Sync,
{
    if out.is_empty() {
        return;
    }
    if work < SERIAL_BELOW || rayon::current_num_threads() == 1 || out.len() <= piece_len {
        let mut space = scratch();
        for (i, piece) in out.chunks_mut(piece_len).enumerate() {
            task(&mut space, i, piece);
        }
        return;
    }
    call_threads();
    out.par_chunks_mut(piece_len)
        .enumerate()
        .for_each_init(scratch, |space, (i, piece)| task(space, i, piece));
}

/// As [`for_each_piece_with`], for two outputs with the same number of pieces, of the lengths `piece_lens`.
pub(crate) fn for_each_pair_with<T, S, I, F>(
    first: &mut [T],
    second: &mut [f32],
    piece_lens: (usize, usize),
    work: usize,
    scratch: I,
    task: F,
) where
    T: Send,
    I: Fn() -> S + Send + Sync,
    F: Fn(&mut S, usize, &mut [T], &mut [f32]) + Send + Sync,
{
    if first.is_empty() {
        return;
    }
    if work < SERIAL_BELOW || rayon::current_num_threads() == 1 {
        let mut space = scratch();
        let pairs = first
            .chunks_mut(piece_lens.0)
            .zip(second.chunks_mut(piece_lens.1));
        for (i, (a, b)) in pairs.enumerate() {
            task(&mut space, i, a, b);
        }
        return;
    }
    call_threads();
    let pairs = first
        .par_chunks_mut(piece_lens.0)
        .zip(second.par_chunks_mut(piece_lens.1));
    pairs
        .enumerate()
        .for_each_init(scratch, |space, (i, (a, b))| task(space, i, a, b));
}

/// Runs `task(i)` for `i` below `count`, with scratch space as in [`for_each_piece_with`].
pub(crate) fn for_each_index_with<S, I, F>(count: usize, work: usize, scratch: I, task: F)
where
    I: Fn() -> S + Send + Sync,
    F: Fn(&mut S, usize) + Send + Sync,
{
    if work < SERIAL_BELOW || count <= 1 || rayon::current_num_threads() == 1 {
        let mut space = scratch();
        for i in 0..count {
            task(&mut space, i);
        }
        return;
    }
    call_threads();
    (0..count)
        .into_par_iter()
        .for_each_init(scratch, |space, i| task(space, i));
}
