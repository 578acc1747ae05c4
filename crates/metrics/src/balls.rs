//! A set as the union of balls around its samples, each reaching to the `k`-th nearest of the others.

use rayon::prelude::*;

use crate::metric::Estimate;
use crate::pairs::Scratch;
use crate::samples::{MetricError, Samples};

/// Neighbours of a configuration: what the published precision, recall, density and coverage are computed with.
pub const NEAREST: usize = 5;

/// Which points lie in which balls.
pub(crate) struct Balls {
    /// For each point, in how many balls it lies.
    pub holders: Vec<usize>,
    /// For each ball, whether any point lies in it.
    pub occupied: Vec<bool>,
}

impl Balls {
    /// The balls around `centres` and the `points` that lie strictly within.
    pub fn of(
        (name, centres): (&'static str, &Samples),
        points: &Samples,
        k: usize,
    ) -> Result<Self, MetricError> {
        let num = centres.num;
        if k == 0 || num <= k {
            return Err(MetricError::Neighbours { set: name, k, num });
        }
        let (squared_radii, centre) = (squared_radii(centres, k), centres.mean());
        let blocks: Vec<_> = centres.blocks().collect();
        let of_block = |rows: &std::ops::Range<usize>| {
            let mut scratch = Scratch::new(centre.len());
            let (mut holders, mut occupied) = (vec![0; points.num], vec![false; rows.len()]);
            for columns in points.blocks() {
                scratch.fill((centres, rows.clone()), (points, columns.clone()), &centre);
                for (i, occupied) in occupied.iter_mut().enumerate() {
                    let radius = squared_radii[rows.start + i];
                    let distances = scratch.squared(i, 0..columns.len());
                    for (holders, squared) in holders[columns.clone()].iter_mut().zip(distances) {
                        let inside = *squared < radius;
                        *holders += usize::from(inside);
                        *occupied |= inside;
                    }
                }
            }
            (holders, occupied)
        };
        let found: Vec<_> = blocks.par_iter().map(of_block).collect();
        let mut all = Self {
            holders: vec![0; points.num],
            occupied: Vec::with_capacity(num),
        };
        for (holders, occupied) in found {
            all.holders
                .iter_mut()
                .zip(holders)
                .for_each(|(all, own)| *all += own);
            all.occupied.extend(occupied);
        }
        Ok(all)
    }
}

/// The squared distance of each sample to the `k`-th nearest of the others.
fn squared_radii(set: &Samples, k: usize) -> Vec<f64> {
    let centre = set.mean();
    let blocks: Vec<_> = set.blocks().collect();
    let of_block = |rows: &std::ops::Range<usize>| {
        let mut scratch = Scratch::new(centre.len());
        let mut distances = vec![Vec::with_capacity(set.num); rows.len()];
        for columns in set.blocks() {
            scratch.fill((set, rows.clone()), (set, columns.clone()), &centre);
            for (i, all) in distances.iter_mut().enumerate() {
                all.extend_from_slice(scratch.squared(i, 0..columns.len()));
            }
        }
        // The sample itself is the first of the k + 1 nearest.
        let radius = |mut all: Vec<f64>| *all.select_nth_unstable_by(k, f64::total_cmp).1;
        distances.into_iter().map(radius).collect::<Vec<f64>>()
    };
    blocks.par_iter().flat_map_iter(of_block).collect()
}

/// The mean of `values` and its standard error over them.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Estimate {
    let values: Vec<f64> = values.collect();
    let num = values.len() as f64;
    let value = values.iter().sum::<f64>() / num;
    let squares: f64 = values.iter().map(|v| (v - value).powi(2)).sum();
    Estimate {
        value,
        standard_error: Some((squares / (num - 1.0) / num).sqrt()),
    }
}

/// `1` of what holds, `0` of what does not.
pub(crate) fn indicator(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
