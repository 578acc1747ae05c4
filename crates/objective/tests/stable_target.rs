//! The stable target: its limits, its mean and its variance.

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{Dimension, ExactPosterior, Kernel, SampleRng, Stream, standard_normal};
use pfgmpp_objective::{StableTargetObjective, TrainingModel, UnbiasedObjective, Weighted};
use pfgmpp_transfer::NoiseLaw;

/// A denoiser with some dependence on x and sigma, and weights to match.
struct Shrink;

impl TrainingModel for Shrink {
    fn predict(&self, x: &Tensor, sigma: &[f64]) -> Result<Weighted> {
        let weight = sigma.iter().map(|s| 1.0 + 1.0 / (s * s)).collect();
        Ok(Weighted {
            prediction: (x * 0.3)?,
            weight,
        })
    }
}

const LAW: NoiseLaw = NoiseLaw::LogNormal {
    p_mean: 0.0,
    p_std: 0.7,
};

fn kernel(n: usize, d: f64) -> Kernel {
    Kernel::new(n, Dimension::new(d).unwrap()).unwrap()
}

fn data(seed: u64, points: usize, n: usize) -> Tensor {
    let mut rngs = SampleRng::batch(seed, Stream::Other(0), 0, points);
    standard_normal(&[n], &mut rngs, DType::F64, &Device::Cpu).unwrap()
}

fn rngs(count: usize) -> Vec<SampleRng> {
    SampleRng::batch(5, Stream::Training, 0, count)
}

#[test]
fn a_reference_batch_of_one_is_the_unbiased_objective() {
    for d in [0.5, 1.0, 128.0, f64::INFINITY] {
        let y = data(0, 1, 6);
        let stable = StableTargetObjective::new(kernel(6, d), LAW).unwrap();
        let unbiased = UnbiasedObjective::new(kernel(6, d), LAW).unwrap();
        let got = stable.loss(&Shrink, &y, &y, &mut rngs(1)).unwrap();
        let want = unbiased.loss(&Shrink, &y, &mut rngs(1)).unwrap();
        assert_eq!(got.sigma, want.sigma, "d {d}");
        let [got, want] = [got, want].map(|loss| loss.mean.to_scalar::<f64>().unwrap());
        assert!(
            (got / want - 1.0).abs() < 1e-6,
            "d {d}: got {got}, want {want}"
        );
    }
}

/// Over the whole data set the target is E[y|x] itself: the exact posterior has no loss.
#[test]
fn the_target_over_all_data_is_the_posterior_mean() {
    struct Exact(ExactPosterior);
    impl TrainingModel for Exact {
        fn predict(&self, x: &Tensor, sigma: &[f64]) -> Result<Weighted> {
            Ok(Weighted {
                prediction: self.0.mean(x, sigma)?,
                weight: vec![1.0; sigma.len()],
            })
        }
    }
    for d in [1.0, 128.0, f64::INFINITY] {
        let y = data(0, 50, 6);
        let exact = Exact(ExactPosterior::new(&y, Dimension::new(d).unwrap()).unwrap());
        let stable = StableTargetObjective::new(kernel(6, d), LAW).unwrap();
        let batch = y.narrow(0, 0, 20).unwrap();
        let got = stable.loss(&exact, &batch, &y, &mut rngs(20)).unwrap();
        let got = got.mean.to_scalar::<f64>().unwrap();
        assert!(got < 1e-20, "d {d}: got loss {got}, want 0");
        let unbiased = UnbiasedObjective::new(kernel(6, d), LAW).unwrap();
        let with_noise = unbiased.loss(&exact, &batch, &mut rngs(20)).unwrap();
        let with_noise = with_noise.mean.to_scalar::<f64>().unwrap();
        assert!(with_noise > 1e-3, "d {d}: unbiased loss {with_noise}");
    }
}

/// For data N(0, I) at D = ∞ the mean is E[y|x] = x / (1 + sigma²): the spread of targets about it falls
/// as the reference batch grows.
#[test]
fn a_larger_reference_batch_gives_steadier_targets() {
    let n = 2;
    let stable = StableTargetObjective::new(kernel(n, f64::INFINITY), LAW).unwrap();
    let spread = |size: usize| {
        let (batch, mut total) = (4, 0.0);
        for seed in 0..200 {
            let reference = data(seed, size, n);
            let mut rngs = SampleRng::batch(seed, Stream::Training, 0, batch);
            let sigma: Vec<f64> = rngs.iter_mut().map(|rng| LAW.draw(rng)).collect();
            let y = reference.narrow(0, 0, batch).unwrap();
            let x = kernel(n, f64::INFINITY)
                .perturb(&y, &sigma, &mut rngs)
                .unwrap();
            let target = stable.target(&reference, &x, &sigma).unwrap();
            let rows = x.to_vec2::<f64>().unwrap();
            let targets = target.to_vec2::<f64>().unwrap();
            for ((x, target), sigma) in rows.iter().zip(targets).zip(&sigma) {
                for (x, target) in x.iter().zip(target) {
                    total += (target - x / (1.0 + sigma * sigma)).powi(2);
                }
            }
        }
        total / (200 * batch * n) as f64
    };
    let got = [4, 32, 256].map(spread);
    assert!(
        got[1] < 0.5 * got[0] && got[2] < 0.5 * got[1],
        "got {got:?}, want each below half of the one before"
    );
}
