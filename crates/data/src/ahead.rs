//! Images read while the batch before them is being worked on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::file_error::FileError;
use crate::storage::Stored;

/// What was read ahead, and what is being read.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    batches: Mutex<Batches>,
}

#[derive(Debug, Default)]
struct Batches {
    ready: Batch,
    coming: Option<(Vec<usize>, Reading)>,
}

/// A thread that reads images.
type Reading = JoinHandle<Result<Vec<f32>, FileError>>;

/// The values of images, and where each of them begins, counted in images.
#[derive(Debug, Default)]
struct Batch {
    places: HashMap<usize, usize>,
    values: Vec<f32>,
}

impl Batch {
    fn has(&self, indices: &[usize]) -> bool {
        indices.iter().all(|index| self.places.contains_key(index))
    }
}

impl Ahead {
    /// Begins to read the images at `indices` of `set`, unless they are there or others are still being read.
    pub(crate) fn begin(&self, set: &Arc<dyn Stored>, indices: Vec<usize>) {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        match &batches.coming {
            _ if batches.ready.has(&indices) => return,
            // What was read and never asked for makes room for others.
            Some((coming, reading)) if !reading.is_finished() || *coming == indices => return,
            _ => {}
        }
        let (set, wanted) = (set.clone(), indices.clone());
        let reading = std::thread::Builder::new()
            .name("read ahead".to_string())
            .spawn(move || set.read(&wanted));
        // Without a thread they are read when they are needed.
        batches.coming = reading.ok().map(|reading| (indices, reading));
    }

    /// The values of the images at `indices` of `set`, of `n` values each: what was read ahead if it was, else read now.
    ///
    /// # Errors
    ///
    /// As [`Stored::read`].
    pub(crate) fn read(
        &self,
        set: &Arc<dyn Stored>,
        indices: &[usize],
        n: usize,
    ) -> Result<Vec<f32>, FileError> {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        if !batches.ready.has(indices) {
            let all_of =
                |coming: &(Vec<usize>, _)| indices.iter().all(|index| coming.0.contains(index));
            if let Some((coming, reading)) = batches.coming.take_if(|coming| all_of(coming))
                // What failed is read again below, which says why.
                && let Ok(Ok(values)) = reading.join()
            {
                let places = coming.into_iter().zip(0..).collect();
                batches.ready = Batch { places, values };
            }
        }
        if !batches.ready.has(indices) {
            // Others go on meanwhile.
            drop(batches);
            return set.read(indices);
        }
        let Batch { places, values } = &batches.ready;
        let mut found = Vec::with_capacity(indices.len() * n);
        for index in indices {
            let start = places[index] * n;
            found.extend_from_slice(&values[start..start + n]);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Image `i` is `[i, -i]`; counts what is read.
    #[derive(Debug, Default)]
    struct Numbers(AtomicUsize);

    impl Stored for Numbers {
        fn read(&self, indices: &[usize]) -> Result<Vec<f32>, FileError> {
            self.0.fetch_add(indices.len(), Ordering::Relaxed);
            Ok(indices
                .iter()
                .flat_map(|&i| [i as f32, -(i as f32)])
                .collect())
        }

        fn listing(&self, _: &[usize], _: &mut dyn FnMut(&[u8])) {}
    }

    #[test]
    fn what_was_asked_for_ahead_is_read_once_and_given_in_any_order_and_in_parts() {
        let (numbers, ahead) = (Arc::new(Numbers::default()), Ahead::default());
        let set: Arc<dyn Stored> = numbers.clone();
        ahead.begin(&set, vec![3, 1, 4]);
        assert_eq!(
            ahead.read(&set, &[4, 3], 2).unwrap(),
            [4.0, -4.0, 3.0, -3.0]
        );
        ahead.begin(&set, vec![5, 9]);
        assert_eq!(ahead.read(&set, &[1], 2).unwrap(), [1.0, -1.0]);
        assert_eq!(
            ahead.read(&set, &[5, 9], 2).unwrap(),
            [5.0, -5.0, 9.0, -9.0]
        );
        assert_eq!(numbers.0.load(Ordering::Relaxed), 5);
        // Others are read when they are needed.
        assert_eq!(
            ahead.read(&set, &[9, 2], 2).unwrap(),
            [9.0, -9.0, 2.0, -2.0]
        );
        assert_eq!(numbers.0.load(Ordering::Relaxed), 7);
    }
}
