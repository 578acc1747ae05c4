//! Which pieces of a batch each rank differentiates.

use std::ops::Range;

use crate::lengths::TrainingConfig;
use crate::ranks::RankError;

/// How the ranks share the pieces of a batch: each has as many neighbours, a branch of the tree by which gradients are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sharing {
    /// Images of a piece.
    pub(crate) at_a_time: usize,
    /// Pieces of a rank.
    pieces: usize,
}

impl Sharing {
    /// How `size` ranks share the batches of `training`.
    ///
    /// # Errors
    ///
    /// Ranks that would have no branch of the tree each.
    pub(crate) fn of(training: &TrainingConfig, size: usize) -> Result<Self, RankError> {
        let batch = training.batch_size;
        let (at_a_time, key, value, accepted): (u64, _, _, Vec<u64>) = match training.micro_batch {
            Some(micro) => {
                let pieces = batch.div_ceil(micro);
                let accepted = (0..=pieces.trailing_zeros()).map(|level| pieces >> level);
                let accepted = accepted.chain([1]).collect();
                (micro, "training.micro_batch", micro.to_string(), accepted)
            }
            None => {
                let accepted = (1..=batch).filter(|size| batch.is_multiple_of(*size));
                let at_a_time = batch / (size as u64).min(batch);
                (
                    at_a_time,
                    "training.micro_batch",
                    "absent".to_string(),
                    accepted.collect(),
                )
            }
        };
        let pieces = batch.div_ceil(at_a_time);
        if !accepted.contains(&(size as u64)) {
            return Err(RankError::Shares {
                size,
                pieces,
                batch,
                key,
                value,
                accepted: listed(accepted),
            });
        }
        Ok(Self {
            at_a_time: at_a_time as usize,
            pieces: pieces as usize / size,
        })
    }

    /// The images of the next `batch_size`, the last ones of which may be fewer than a batch, that `rank` differentiates.
    pub(crate) fn images(&self, rank: usize, batch_size: usize) -> Range<usize> {
        let share = self.pieces * self.at_a_time;
        (rank * share).min(batch_size)..((rank + 1) * share).min(batch_size)
    }
}

/// Numbers in rising order, each once: `1, 2 or 4`.
fn listed(mut numbers: Vec<u64>) -> String {
    numbers.sort_unstable();
    numbers.dedup();
    let mut words: Vec<String> = numbers.iter().map(u64::to_string).collect();
    let last = words.pop().unwrap_or_default();
    match words.is_empty() {
        true => last,
        false => format!("{} or {last}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(batch_size: u64, micro_batch: Option<u64>) -> TrainingConfig {
        TrainingConfig {
            d_list: None,
            nimg: 1000,
            batch_size,
            log_every: 1,
            state_every: 1,
            grid_every: 0,
            score_every: None,
            micro_batch,
            start_from: None,
            non_finite: None,
        }
    }

    #[test]
    fn ranks_share_a_batch_in_branches_of_the_tree() {
        let sharing = Sharing::of(&training(64, Some(8)), 4).unwrap();
        let got: Vec<_> = (0..4).map(|rank| sharing.images(rank, 64)).collect();
        assert_eq!(got, [0..16, 16..32, 32..48, 48..64]);
        // The last batch of a training is shorter.
        let got: Vec<_> = (0..4).map(|rank| sharing.images(rank, 20)).collect();
        assert_eq!(got, [0..16, 16..20, 20..20, 20..20]);
        // A last piece of 4 images, of 3 pieces.
        let sharing = Sharing::of(&training(20, Some(8)), 3).unwrap();
        let got: Vec<_> = (0..3).map(|rank| sharing.images(rank, 20)).collect();
        assert_eq!(got, [0..8, 8..16, 16..20]);
        let sharing = Sharing::of(&training(12, None), 3).unwrap();
        assert_eq!((sharing.at_a_time, sharing.images(2, 12)), (4, 8..12));
    }

    #[test]
    fn ranks_that_pieces_cannot_be_shared_among_are_told_how_many_can() {
        for (batch, micro, size, want) in [
            (
                64,
                Some(8),
                3,
                "3 ranks cannot share the 8 pieces of a batch (training.batch_size 64, training.micro_batch 8): 1, 2, 4 or 8 ranks can",
            ),
            (48, Some(8), 4, "1, 3 or 6 ranks can"),
            (64, Some(64), 2, "1 ranks can"),
            (
                12,
                None,
                5,
                "training.micro_batch absent): 1, 2, 3, 4, 6 or 12 ranks can",
            ),
            (2, None, 3, "1 or 2 ranks can"),
        ] {
            let got = Sharing::of(&training(batch, micro), size)
                .unwrap_err()
                .to_string();
            assert!(got.contains(want), "got {got}, want {want}");
        }
    }

    #[test]
    fn one_rank_takes_any_batch() {
        for (batch, micro) in [(7, Some(2)), (64, None), (1, None), (12, Some(5))] {
            let sharing = Sharing::of(&training(batch, micro), 1).unwrap();
            assert_eq!(sharing.images(0, batch as usize), 0..batch as usize);
        }
    }
}
