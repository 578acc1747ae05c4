//! Sums over all ranks in a fixed order, and messages to all of them.

use std::ops::Range;

use super::communicator::{Communicator, RankError};

/// Puts the sum of `values` over all ranks in their place, on every rank; gives the bytes that this rank has sent.
///
/// The sum of each value is that of a binary tree over the ranks, whoever computes it:
///
/// ```text
/// 4 ranks: (v0 + v1) + (v2 + v3)      6: ((v0 + v1) + (v2 + v3)) + (v4 + v5)      3: (v0 + v1) + v2
/// ```
///
/// With a power of two each of a pair of ranks adds up one half of what both have, and the halves are collected the same way
/// back: a rank sends `2 (size - 1) / size` times the values. Otherwise the lower of a pair adds up everything.
///
/// # Errors
///
/// A rank that is gone.
pub fn all_reduce(comm: &mut dyn Communicator, values: &mut [f32]) -> Result<u64, RankError> {
    let (rank, size) = (comm.rank(), comm.size());
    let levels = size.next_power_of_two().trailing_zeros();
    let mut received = vec![0.0; values.len()];
    let mut sent = 0;
    // What this rank sums, from level to level.
    let mut own: Vec<Range<usize>> = std::iter::once(0..values.len()).collect();
    for level in 0..levels {
        let range = own.last().cloned().unwrap_or_default();
        let peer = rank ^ (1 << level);
        if peer >= size {
            own.push(range);
            continue;
        }
        let (mine, others) = divide(&range, rank < peer, size);
        sent += exchange(comm, peer, &values[others], &mut received[mine.clone()])?;
        for (value, other) in values[mine.clone()].iter_mut().zip(&received[mine.clone()]) {
            *value += other;
        }
        own.push(mine);
    }
    for level in (0..levels).rev() {
        let peer = rank ^ (1 << level);
        if peer >= size {
            continue;
        }
        let (mine, others) = divide(&own[level as usize], rank < peer, size);
        let (first, second) = values.split_at_mut(mine.start.max(others.start));
        let (out, into) = match mine.start < others.start || mine.end < others.end {
            true => (&first[mine], &mut second[..others.len()]),
            false => (&second[..mine.len()], &mut first[others]),
        };
        sent += exchange(comm, peer, out, into)?;
    }
    Ok(sent)
}

/// What the lower or the upper rank of a pair adds up of what both have, and what the other does.
fn divide(range: &Range<usize>, is_lower: bool, size: usize) -> (Range<usize>, Range<usize>) {
    let middle = match size.is_power_of_two() {
        true => range.start + range.len() / 2,
        false => range.end,
    };
    let (lower, upper) = (range.start..middle, middle..range.end);
    match is_lower {
        true => (lower, upper),
        false => (upper, lower),
    }
}

/// As [`Communicator::exchange`], nothing if both have nothing; gives the bytes that were sent.
fn exchange(
    comm: &mut dyn Communicator,
    peer: usize,
    out: &[f32],
    into: &mut [f32],
) -> Result<u64, RankError> {
    if out.is_empty() && into.is_empty() {
        return Ok(0);
    }
    comm.exchange(
        peer,
        bytemuck::cast_slice(out),
        bytemuck::cast_slice_mut(into),
    )?;
    Ok(size_of_val(out) as u64)
}

/// The messages of all ranks, on every rank: `own` is that of this one, `lengths` are their bytes.
///
/// # Errors
///
/// A rank that is gone.
pub fn gather(
    comm: &mut dyn Communicator,
    own: &[u8],
    lengths: &[usize],
) -> Result<Vec<Vec<u8>>, RankError> {
    let (rank, size) = (comm.rank(), comm.size());
    let mut all: Vec<Vec<u8>> = lengths.iter().map(|&length| vec![0; length]).collect();
    all[rank].copy_from_slice(own);
    // In each round every rank has one partner, itself in some.
    for round in 0..size {
        let peer = (round + size - rank) % size;
        if peer != rank {
            comm.exchange(peer, own, &mut all[peer])?;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::in_threads;

    /// The tree over `values`, by its definition.
    fn tree(values: &[f32]) -> f32 {
        match values {
            [one] => *one,
            _ => {
                let half = values.len().next_power_of_two() / 2;
                tree(&values[..half]) + tree(&values[half..])
            }
        }
    }

    /// Values whose sum depends on the order.
    fn values(rank: usize, length: usize) -> Vec<f32> {
        let value = |i: usize| ((7 * rank + 3 * i) % 11) as f32 * 0.1 + 1e-7 * (rank * i) as f32;
        (0..length).map(value).collect()
    }

    #[test]
    fn every_rank_has_the_sum_of_the_tree_bit_for_bit() {
        for size in 1..=9 {
            for length in [0, 1, 2, 7, 64] {
                let threads = in_threads(size).into_iter().map(|mut comm| {
                    std::thread::spawn(move || {
                        let mut sum = values(comm.rank(), length);
                        all_reduce(&mut comm, &mut sum).unwrap();
                        sum
                    })
                });
                let threads: Vec<_> = threads.collect();
                let want: Vec<u32> = (0..length)
                    .map(|i| {
                        let of_ranks: Vec<f32> =
                            (0..size).map(|rank| values(rank, length)[i]).collect();
                        tree(&of_ranks).to_bits()
                    })
                    .collect();
                for (rank, thread) in threads.into_iter().enumerate() {
                    let got: Vec<u32> =
                        thread.join().unwrap().iter().map(|v| v.to_bits()).collect();
                    assert_eq!(got, want, "rank {rank} of {size}, {length} values");
                }
            }
        }
    }

    #[test]
    fn with_a_power_of_two_each_rank_sends_the_least_there_is() {
        for size in [2, 4, 8] {
            let threads = in_threads(size).into_iter().map(|mut comm| {
                std::thread::spawn(move || all_reduce(&mut comm, &mut [1.0; 64]).unwrap())
            });
            let threads: Vec<_> = threads.collect();
            for thread in threads {
                let (got, want) = (
                    thread.join().unwrap(),
                    (2 * (size - 1) * 64 / size * 4) as u64,
                );
                assert_eq!(got, want, "{size} ranks: bytes");
            }
        }
    }

    #[test]
    fn messages_of_different_lengths_reach_every_rank() {
        for size in 1..=5 {
            let lengths: Vec<usize> = (0..size).map(|rank| 3 * rank + 1).collect();
            let threads = in_threads(size).into_iter().map(|mut comm| {
                let lengths = lengths.clone();
                std::thread::spawn(move || {
                    let own = vec![comm.rank() as u8; lengths[comm.rank()]];
                    gather(&mut comm, &own, &lengths).unwrap()
                })
            });
            let threads: Vec<_> = threads.collect();
            let want: Vec<Vec<u8>> = (0..size)
                .map(|rank| vec![rank as u8; 3 * rank + 1])
                .collect();
            for thread in threads {
                let got = thread.join().unwrap();
                assert_eq!(got, want, "{size} ranks");
            }
        }
    }
}
