//! How many runs fit the memory.

use std::fmt;

/// How many runs go on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// As many as were asked for and wait.
    pub asked: usize,
    /// As many of them as fit the memory, at least one.
    pub fit: usize,
    /// Bytes that the runs asked for would take at their peaks.
    needed: u64,
    /// Bytes that are free.
    free: u64,
}

impl Workers {
    /// Of `asked` runs at a time those that fit into `free` bytes, whichever they are: `memory` is what each of the
    /// waiting ones takes.
    pub(crate) fn that_fit(asked: usize, mut memory: Vec<u64>, free: Option<u64>) -> Self {
        let asked = asked.clamp(1, memory.len().max(1));
        memory.sort_unstable_by(|a, b| b.cmp(a));
        memory.truncate(asked);
        let free = free.unwrap_or(u64::MAX);
        let mut sum = 0u64;
        let sums = memory.iter().map(|bytes| {
            sum = sum.saturating_add(*bytes);
            sum
        });
        let fit = sums.take_while(|sum| *sum <= free).count();
        Self {
            asked,
            fit: fit.max(1),
            needed: memory
                .iter()
                .fold(0, |sum, bytes| sum.saturating_add(*bytes)),
            free,
        }
    }

    /// Whether fewer runs fit than were asked for.
    pub fn are_fewer(&self) -> bool {
        self.fit < self.asked
    }
}

/// Why there are fewer.
impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let gib = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
        write!(
            f,
            "jobs: {} in place of {}, which would need about {:.1} GiB of memory ({:.1} GiB are free)",
            self.fit,
            self.asked,
            gib(self.needed),
            gib(self.free)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn as_many_runs_go_on_as_fit_whichever_they_are() {
        let memory = || vec![GIB, 4 * GIB, 2 * GIB, GIB];
        for (asked, free, want) in [
            (4, Some(8 * GIB), 4),
            (4, Some(7 * GIB), 3),
            (4, Some(5 * GIB), 1),
            (4, Some(GIB), 1),
            (2, Some(6 * GIB), 2),
            (9, None, 4),
            (0, None, 1),
        ] {
            let got = Workers::that_fit(asked, memory(), free);
            assert_eq!(got.fit, want, "{asked} asked, {free:?} free: got {got:?}");
            assert_eq!(got.are_fewer(), want < asked.clamp(1, 4));
        }
        assert_eq!(Workers::that_fit(3, Vec::new(), Some(0)).fit, 1);
    }

    #[test]
    fn fewer_runs_are_said_with_the_figures() {
        let got = Workers::that_fit(2, vec![3 * GIB, 3 * GIB], Some(4 * GIB)).to_string();
        let want =
            "jobs: 1 in place of 2, which would need about 6.0 GiB of memory (4.0 GiB are free)";
        assert_eq!(got, want);
    }
}
