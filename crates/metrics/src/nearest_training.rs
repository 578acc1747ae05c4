//! How near samples lie to the training data: whether a model copies.

use rand::Rng;
use rayon::prelude::*;

use crate::inputs::{Inputs, Need};
use crate::matrix::{Matrix, multiply};
use crate::metric::{Better, Description, Estimate, Metric};
use crate::samples::{BLOCK, MetricError, Samples, block};

/// Samples and held-out data taken at most; the median of so many is good to about 5 %.
const MOST: usize = 1024;
/// Of them, how many are compared with a block of training data at a time.
const QUERIES: usize = 64;

/// The median distance of samples to their nearest training datum, in units of that of held-out data.
///
/// ```text
/// median over x of min_i |x - y_i|  /  median over held-out h of min_i |h - y_i|
/// ```
///
/// About 1 where samples lie to the training data as new data do, 0 where half of them are copies, above 1 where
/// they lie away from all data. Medians, because at small D single samples lie far out. The standard error is that of
/// both medians over what was drawn, for these training data. Not a number where half of the held-out data are
/// training data themselves. Up to 1,024 samples and held-out data are taken, drawn at random.
pub struct NearestTraining;

impl Metric for NearestTraining {
    fn description(&self) -> Description {
        Description {
            name: "nearest_training",
            label: "nearest training data",
            short: "nearest",
            unit: "those of held-out data",
            meaning: "how far samples lie from the training images nearest to them, in units of how far held-out \
                      images do (medians): about 1 for new images of the same kind, near 0 for copies",
            better: Better::Near(1.0),
            across_d: true,
        }
    }

    fn needs(&self) -> &'static [Need] {
        &[Need::Samples, Need::HeldOut, Need::Training]
    }

    fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Estimate, MetricError> {
        let training = Samples::read("training data", inputs.training()?)?;
        let sets = [
            ("samples", inputs.samples()?),
            ("held-out data", inputs.held_out()?),
        ];
        let mut medians = Vec::new();
        for (stream, (name, tensor)) in (0..).zip(sets) {
            let set = Samples::read(name, tensor)?;
            let (x, y) = (set.dim, training.dim);
            if x != y {
                return Err(MetricError::Dimension { x, y });
            }
            let chosen = choose(set.num, self.rng(inputs.seed, stream));
            medians.push(median(nearest(&set, &chosen, &training)));
        }
        let [of_samples, of_held_out] = [medians[0], medians[1]];
        let value = of_samples.value / of_held_out.value;
        let error = of_samples.error.hypot(value * of_held_out.error) / of_held_out.value;
        Ok(Estimate {
            // Of copies of copies nothing can be said.
            value: if value.is_finite() { value } else { f64::NAN },
            standard_error: error.is_finite().then_some(error),
        })
    }
}

/// Up to [`MOST`] of `0..num` in random order: those of the smallest random keys.
fn choose(num: usize, mut rng: impl Rng) -> Vec<usize> {
    let mut keyed: Vec<(u64, usize)> = (0..num).map(|index| (rng.next_u64(), index)).collect();
    keyed.sort_unstable();
    keyed.truncate(MOST);
    keyed.into_iter().map(|(_, index)| index).collect()
}

/// The distance of each of the `chosen` samples of `set` to the nearest of `training`.
fn nearest(set: &Samples, chosen: &[usize], training: &Samples) -> Vec<f64> {
    let centre = training.mean();
    let parts = chosen.par_chunks(QUERIES);
    parts
        .flat_map_iter(|chosen| nearest_of_few(set, chosen, training, &centre))
        .collect()
}

/// As [`nearest`] for up to [`QUERIES`] samples, on one thread.
fn nearest_of_few(set: &Samples, chosen: &[usize], training: &Samples, centre: &[f64]) -> Vec<f64> {
    let (num, dim) = (chosen.len(), training.dim);
    let (mut x, mut y) = (vec![0.0; num * dim], vec![0.0; block(dim) * dim]);
    for (&index, row) in chosen.iter().zip(x.chunks_exact_mut(dim)) {
        set.copy_centred(index..index + 1, centre, row);
    }
    let mut products = vec![0.0; num * BLOCK];
    let mut best = vec![(f64::INFINITY, 0); num];
    for block in training.blocks() {
        let len = block.len();
        training.copy_centred(block.clone(), centre, &mut y);
        let (queries, data) = (
            Matrix::new(&x, num, dim, dim),
            Matrix::new(&y, len, dim, dim),
        );
        multiply(queries, data.transposed(), &mut products, false);
        let norms: Vec<f64> = y.chunks_exact(dim).take(len).map(squared_norm).collect();
        for (best, products) in best.iter_mut().zip(products.chunks_exact(len)) {
            for (i, (norm, product)) in norms.iter().zip(products).enumerate() {
                // |x|² is the same for all.
                let distance = norm - 2.0 * product;
                if distance < best.0 {
                    *best = (distance, block.start + i);
                }
            }
        }
    }
    // From the differences themselves, so that a copy is at 0.
    let distances = best.iter().zip(x.chunks_exact(dim)).map(|(&(_, i), x)| {
        let mut y = vec![0.0; dim];
        training.copy_centred(i..i + 1, centre, &mut y);
        let squares = x.iter().zip(&y).map(|(x, y)| (x - y) * (x - y));
        squares.sum::<f64>().sqrt()
    });
    distances.collect()
}

fn squared_norm(row: &[f64]) -> f64 {
    row.iter().map(|v| v * v).sum()
}

/// A median and its standard error.
#[derive(Clone, Copy)]
struct Median {
    value: f64,
    error: f64,
}

/// The median of at least 2 values; the number of them below the true one is binomial with deviation `sqrt(n)/2`,
/// so that the values that far up and down in order lie about one standard error away.
fn median(mut values: Vec<f64>) -> Median {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len() - 1;
    let at = |place: f64| {
        let place = place.clamp(0.0, last as f64);
        let (low, part) = (place.floor() as usize, place.fract());
        values[low] + part * (values[(low + 1).min(last)] - values[low])
    };
    let (middle, step) = (0.5 * last as f64, 0.5 * (values.len() as f64).sqrt());
    Median {
        value: at(middle),
        error: 0.5 * (at(middle + step) - at(middle - step)),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use rand::RngExt;
    use rand_distr::StandardNormal;

    use super::*;
    use crate::stream::{Purpose, stream};

    const DIM: usize = 5;

    fn normals(num: usize, seed: u64) -> Tensor {
        let rng = stream(seed, Purpose::GaussianFit, 0);
        let values: Vec<f64> = rng.sample_iter(StandardNormal).take(num * DIM).collect();
        Tensor::from_vec(values, (num, DIM), &Device::Cpu).unwrap()
    }

    fn measure(samples: &Tensor, held_out: &Tensor, training: &Tensor) -> Estimate {
        let inputs = Inputs {
            samples: Some(samples),
            held_out: Some(held_out),
            training: Some(training),
            ..Inputs::default()
        };
        NearestTraining.evaluate(&inputs).unwrap()
    }

    #[test]
    fn distances_are_those_of_every_pair() {
        // More than one block of training data, a last one that is not full, and a mean far from 0.
        let (set, training) = (
            (normals(70, 1) + 30.0).unwrap(),
            (normals(600, 2) + 30.0).unwrap(),
        );
        let rows = |x: &Tensor| x.to_vec2::<f64>().unwrap();
        let pairs = |x: &Vec<f64>| {
            let distance = |y: Vec<f64>| {
                let squares = x.iter().zip(y).map(|(x, y)| (x - y).powi(2));
                squares.sum::<f64>().sqrt()
            };
            rows(&training)
                .into_iter()
                .map(distance)
                .fold(f64::INFINITY, f64::min)
        };
        let want: Vec<f64> = rows(&set).iter().map(pairs).collect();
        let read = |tensor| Samples::read("a set", tensor).unwrap();
        let all: Vec<usize> = (0..70).collect();
        let got = nearest(&read(&set), &all, &read(&training));
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() < 1e-12, "got {got}, want {want}");
        }
        assert_eq!(got.len(), want.len());
    }

    #[test]
    fn copies_are_at_zero_and_new_data_at_one() {
        let (training, held_out) = (normals(1000, 1), normals(500, 2));
        let copies = training.narrow(0, 300, 400).unwrap();
        let got = measure(&copies, &held_out, &training);
        assert_eq!((got.value, got.standard_error), (0.0, Some(0.0)));
        let got = measure(&normals(400, 3), &held_out, &training);
        let error = got.standard_error.unwrap();
        assert!(
            (got.value - 1.0).abs() < 4.0 * error && error < 0.05,
            "got {got:?}, want 1"
        );
    }

    #[test]
    fn nearly_copies_are_told_by_their_distance() {
        let (training, held_out) = (normals(1000, 1), normals(500, 2));
        let shift = 1e-6;
        let near = (training.narrow(0, 0, 400).unwrap() + shift).unwrap();
        let read = Samples::read("held-out data", &held_out).unwrap();
        let all: Vec<usize> = (0..500).collect();
        let scale = median(nearest(
            &read,
            &all,
            &Samples::read("y", &training).unwrap(),
        ))
        .value;
        let want = shift * (DIM as f64).sqrt() / scale;
        let got = measure(&near, &held_out, &training).value;
        assert!((got / want - 1.0).abs() < 1e-6, "got {got}, want {want}");
    }

    #[test]
    fn a_few_samples_far_out_do_not_hide_copies() {
        let (training, held_out) = (normals(1000, 1), normals(500, 2));
        let copies = training.narrow(0, 0, 300).unwrap();
        let far = (normals(50, 3) * 1e4).unwrap();
        let got = measure(
            &Tensor::cat(&[copies, far], 0).unwrap(),
            &held_out,
            &training,
        );
        assert_eq!(got.value, 0.0);
    }

    #[test]
    fn the_standard_error_is_the_scatter_between_sets() {
        let training = normals(300, 1);
        let found: Vec<Estimate> = (0..200)
            .map(|set| {
                measure(
                    &normals(200, 10 + set),
                    &normals(150, 1000 + set),
                    &training,
                )
            })
            .collect();
        let num = found.len() as f64;
        let mean = found.iter().map(|found| found.value).sum::<f64>() / num;
        let squares = found.iter().map(|found| (found.value - mean).powi(2));
        let scatter = (squares.sum::<f64>() / (num - 1.0)).sqrt();
        let errors = found.iter().filter_map(|found| found.standard_error);
        let error = errors.sum::<f64>() / num;
        // The scatter of 200 sets is known to 5 %, a median's order statistics to some 10 % more.
        assert!(
            (error / scatter - 1.0).abs() < 0.25,
            "got {error}, want {scatter}"
        );
        assert!((mean - 1.0).abs() < 0.02, "got a mean of {mean}, want 1");
    }

    #[test]
    fn held_out_data_that_are_training_data_give_no_number() {
        let training = normals(300, 1);
        let half = training.narrow(0, 0, 200).unwrap();
        let got = measure(&normals(50, 2), &half, &training);
        assert!(
            got.value.is_nan() && got.standard_error.is_none(),
            "got {got:?}"
        );
    }

    #[test]
    fn up_to_1024_are_taken_each_once() {
        let rng = || NearestTraining.rng(7, 0);
        let mut chosen = choose(5000, rng());
        assert_eq!(chosen, choose(5000, rng()), "the seed decides");
        let mean = chosen.iter().sum::<usize>() as f64 / chosen.len() as f64;
        // Uniform on 0..5000: deviation 1443, of the mean of 1,024 without replacement 40.
        assert!(
            (mean - 2499.5).abs() < 160.0,
            "got a mean of {mean}, want 2499.5"
        );
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), MOST);
        assert_eq!(choose(10, rng()).len(), 10);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let sets = [normals(300, 1), normals(200, 2), normals(700, 3)];
        let bits = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let found = pool
                .unwrap()
                .install(|| measure(&sets[0], &sets[1], &sets[2]));
            (
                found.value.to_bits(),
                found.standard_error.map(f64::to_bits),
            )
        };
        assert_eq!(bits(1), bits(3));
    }
}
