//! A diffusion denoiser lifted to D samples what the denoiser of D samples.

use candle_core::{Device, Tensor};
use pfgmpp_data::DataSource;
use pfgmpp_kernel::{Dimension, ExactPosterior};
use pfgmpp_metrics::energy_distance;
use pfgmpp_run::SamplingModel;
use pfgmpp_sampler::{SamplerConfig, SolverConfig};
use pfgmpp_transfer::{DataMoments, EdmSchedule, Guess, Schedule};

const SAMPLES: u64 = 512;

/// The exact posterior of the digits at `model_d`, sampled at `d` for the seeds from `first` on.
fn samples(images: &Tensor, model_d: Dimension, d: Dimension, guess: Guess, first: u64) -> Tensor {
    let schedule = EdmSchedule {
        num_steps: 18,
        sigma_min: 0.002,
        sigma_max: 80.0,
        rho: 7.0,
    };
    let mut sampler = SamplerConfig::new(SolverConfig::Heun, Schedule::Edm(schedule));
    sampler.d = Some(d);
    sampler.guess = Some(guess);
    let exact = Box::new(ExactPosterior::new(images, model_d).unwrap());
    let moments = || DataMoments::measure(images);
    let model = SamplingModel::new(exact, model_d, [1, 8, 8], moments, &sampler).unwrap();
    let seeds: Vec<u64> = (first..first + SAMPLES).collect();
    model.sample(&seeds, &Device::Cpu).unwrap()
}

/// The unbiased energy distance between sets of one law scatters about 0: its scatter is measured on three sets
/// of the exact denoiser of D, and the lifted one's set must not stand out by more than three times the largest.
#[test]
fn lifted_and_exact_samples_agree_to_within_sampling_error() {
    let splits = DataSource::Digits.load().unwrap();
    let images = &splits.train.images().unwrap();
    for d in [1.0, 8.0, 128.0] {
        let d = Dimension::new(d).unwrap();
        let sets = [0, 1, 2].map(|set| samples(images, d, d, Guess::Previous, set * SAMPLES));
        let between = |a: &Tensor, b: &Tensor| energy_distance(a, b).unwrap();
        let pairs = [(0, 1), (0, 2), (1, 2)];
        let scatter = pairs.map(|(a, b)| between(&sets[a], &sets[b]).abs());
        let scatter = scatter.into_iter().fold(0.0, f64::max);
        for guess in [Guess::Previous, Guess::FixedPoint { evaluations: 2 }] {
            let lifted = samples(images, Dimension::Infinite, d, guess, 3 * SAMPLES);
            let got = sets.iter().map(|set| between(&lifted, set)).sum::<f64>() / 3.0;
            println!("D {d}, {guess:?}: {got:.5}, sampling error {scatter:.5}");
            // Half a thousandth: three sets may lie nearer to each other by chance than their law allows.
            let bound = 3.0 * scatter.max(5e-4);
            assert!(
                got < bound,
                "D {d}, {guess:?}: got {got}, want below {bound}"
            );
        }
    }
}
