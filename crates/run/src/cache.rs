//! What a process makes once for all its runs.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::RunError;

/// What was made last, each made once, whoever asks at the same time.
pub(crate) struct Cache<K, V> {
    kept: Mutex<Vec<(K, Slot<V>)>>,
    most: usize,
}

/// A value that is there, or that the one who holds the lock makes.
type Slot<V> = Arc<Mutex<OnceLock<Arc<V>>>>;

impl<K: PartialEq, V> Cache<K, V> {
    /// One that keeps `most` values.
    pub const fn of(most: usize) -> Self {
        Self {
            kept: Mutex::new(Vec::new()),
            most,
        }
    }

    /// What was made of `key`, or what `make` makes; nothing is kept of a failure.
    pub fn get_or_make(
        &self,
        key: K,
        make: impl FnOnce() -> Result<V, RunError>,
    ) -> Result<Arc<V>, RunError> {
        let slot = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.iter().position(|(other, _)| *other == key) {
                Some(found) => kept[found].1.clone(),
                None => {
                    if kept.len() == self.most {
                        kept.remove(0);
                    }
                    let slot = Slot::<V>::default();
                    kept.push((key, slot.clone()));
                    slot
                }
            }
        };
        let place = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = place.get() {
            return Ok(value.clone());
        }
        let value = Arc::new(make()?);
        Ok(place.get_or_init(|| value).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: usize = 3;

    #[test]
    fn a_value_is_made_once_and_a_failure_is_tried_again() {
        let kept: Cache<u32, u32> = Cache::of(KEPT);
        let failed = kept.get_or_make(1, || Err(RunError::Stopped));
        assert!(failed.is_err(), "got {failed:?}");
        assert_eq!(*kept.get_or_make(1, || Ok(10)).unwrap(), 10);
        assert_eq!(*kept.get_or_make(1, || Ok(11)).unwrap(), 10, "is kept");
        for key in 2..=KEPT as u32 + 1 {
            assert_eq!(*kept.get_or_make(key, || Ok(key)).unwrap(), key);
        }
        let again = *kept.get_or_make(1, || Ok(11)).unwrap();
        assert_eq!(again, 11, "the oldest of {KEPT} has given its place");
    }
}
