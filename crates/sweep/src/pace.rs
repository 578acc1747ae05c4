//! How often something is done that may take long.

use std::time::{Duration, Instant};

/// The share of the time that it may take: one part in so many.
const SHARE: u32 = 20;

/// What is done over and over, but not so often that it takes much of the time: the table of 10,000 runs has
/// megabytes, and is written anew for each.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When it was done last, and how long it took.
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// Does it, unless the last time was just now in comparison with how long it took.
    pub fn now_and_then<E>(&mut self, what: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let began = Instant::now();
        let early = |&(ended, took): &(Instant, Duration)| began - ended < SHARE * took;
        if self.last.as_ref().is_some_and(early) {
            return Ok(());
        }
        what()?;
        self.last = Some((Instant::now(), began.elapsed()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn what_takes_long_is_done_seldom() {
        let mut pace = Pace::default();
        let (mut done, began) = (0, Instant::now());
        while began.elapsed() < Duration::from_millis(300) {
            pace.now_and_then(|| {
                done += 1;
                sleep(Duration::from_millis(4));
                Ok::<_, ()>(())
            })
            .unwrap();
        }
        assert!((1..=5).contains(&done), "got {done}, want 300 / (4 + 80)");
    }

    #[test]
    fn a_failure_is_tried_again_at_once() {
        let mut pace = Pace::default();
        assert_eq!(pace.now_and_then(|| Err(1)), Err(1));
        let mut done = false;
        pace.now_and_then(|| {
            done = true;
            Ok::<_, i32>(())
        })
        .unwrap();
        assert!(done);
    }
}
