//! A diffusion denoiser at any D, against exact posteriors of real digits.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_data::DataSource;
use pfgmpp_kernel::{
    Condition, ConditionSpec, Denoiser, Dimension, ExactPosterior, Kernel, Query, SampleRng,
    Stream, standard_normal,
};
use pfgmpp_transfer::{DataMoments, DataScale, DenoisingError, EffectiveNoise, Guess};

const N: usize = 64;
const POINTS: usize = 256;
/// Draws of noise for each point: with one, a few samples decide, and a seed moves the error by half.
const DRAWS: u64 = 10;
const LEVELS: [f64; 5] = [0.1, 0.5, 1.0, 2.0, 10.0];
const TWICE: Guess = Guess::FixedPoint { evaluations: 2 };

fn digits() -> (Tensor, Tensor) {
    let parts = DataSource::Digits.load().unwrap();
    let [train, held_out] = [parts.train, parts.held_out]
        .map(|part| part.images().unwrap().to_dtype(DType::F64).unwrap());
    (train, held_out.narrow(0, 0, POINTS).unwrap())
}

fn kernel(d: f64) -> Kernel {
    Kernel::new(N, Dimension::new(d).unwrap()).unwrap()
}

fn perturb(y: &Tensor, d: f64, sigma: f64) -> Tensor {
    perturb_by(y, d, sigma, 0)
}

fn perturb_by(y: &Tensor, d: f64, sigma: f64, seed: u64) -> Tensor {
    let count = y.dim(0).unwrap();
    let mut rngs = SampleRng::batch(seed, Stream::Other(3), 0, count);
    kernel(d)
        .perturb(y, &vec![sigma; count], &mut rngs)
        .unwrap()
}

/// Root-mean-square difference of two batches.
fn rms(a: &Tensor, b: &Tensor) -> f64 {
    let square = (a - b).unwrap().sqr().unwrap().mean_all().unwrap();
    square.to_scalar::<f64>().unwrap().sqrt()
}

/// The exact posterior, with a count of how often it was asked.
struct Counted<'a>(&'a ExactPosterior, AtomicUsize);

impl Denoiser for Counted<'_> {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.denoise(query)
    }
}

#[test]
fn the_effective_level_stands_in_for_d_where_the_nominal_one_does_not() {
    let (train, held_out) = digits();
    let data = DataMoments::measure(&train).unwrap();
    let std = data.scale().second_moment.sqrt();
    let gaussian = ExactPosterior::new(&train, Dimension::Infinite).unwrap();
    let levels: Vec<f64> = (-10..=10).map(|k| f64::from(k).exp2().sqrt()).collect();
    let sample = train.narrow(0, 0, POINTS).unwrap();
    let error = DenoisingError::measure(&gaussian, &sample, Condition::unconditional(), &levels, 0)
        .unwrap();
    // Bounds over all levels, in standard deviations of the data.
    for (d, nominal_at_least, twice_at_most, with_error_at_most) in [
        (1.0, 0.5, 0.035, 0.02),
        (8.0, 0.19, 0.043, 0.02),
        (128.0, 0.035, 0.017, 0.009),
        (2048.0, 0.005, 0.0015, 0.001),
    ] {
        let exact = ExactPosterior::new(&train, Dimension::Finite(d)).unwrap();
        let lift = EffectiveNoise::new(&gaussian, &kernel(d), TWICE, data.clone()).unwrap();
        let with_error = lift.clone().with_denoising_error(error.clone()).unwrap();
        let mut worst = [0.0_f64; 3];
        for sigma in LEVELS {
            let mut squares = [0.0; 3];
            for seed in 0..DRAWS {
                let x = perturb_by(&held_out, d, sigma, seed);
                let sigma = vec![sigma; POINTS];
                let want = exact.denoise(&Query::new(&x, &sigma)).unwrap();
                let got = [&gaussian as &dyn Denoiser, &lift, &with_error];
                for (square, denoiser) in squares.iter_mut().zip(got) {
                    let got = denoiser.denoise(&Query::new(&x, &sigma)).unwrap();
                    *square += (rms(&got, &want) / std).powi(2) / DRAWS as f64;
                }
            }
            for (worst, square) in worst.iter_mut().zip(squares) {
                *worst = worst.max(square.sqrt());
            }
        }
        let [nominal, twice, with_error] = worst;
        println!("d {d}: nominal {nominal:.4}, twice {twice:.4}, with error {with_error:.4}");
        assert!(nominal > nominal_at_least, "d {d}: got {nominal}");
        assert!(
            twice < twice_at_most,
            "d {d}: got {twice}, want below {twice_at_most}"
        );
        assert!(
            with_error < with_error_at_most,
            "d {d}: got {with_error}, want below {with_error_at_most}"
        );
    }
}

#[test]
fn at_infinite_d_the_lift_is_transparent_to_the_bit() {
    let (train, held_out) = digits();
    let data = DataMoments::measure(&train).unwrap();
    let gaussian = ExactPosterior::new(&train, Dimension::Infinite).unwrap();
    let x = perturb(&held_out, f64::INFINITY, 0.7);
    let sigma = vec![0.7; POINTS];
    let values = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let want = values(gaussian.denoise(&Query::new(&x, &sigma)).unwrap());
    for guess in [Guess::DataMean, TWICE, Guess::Previous] {
        let counted = Counted(&gaussian, AtomicUsize::new(0));
        let lift = EffectiveNoise::new(&counted, &kernel(f64::INFINITY), guess, data.clone());
        // Not even the highest level is looked at.
        let lift = lift.unwrap().with_sigma_max(0.1).unwrap();
        let got = lift
            .denoise(&Query::new(&x, &sigma).near(&held_out))
            .unwrap();
        assert!(values(got) == want, "{guess:?}");
        assert_eq!(counted.1.load(Ordering::Relaxed), 1, "{guess:?}");
    }
}

#[test]
fn a_guess_costs_the_evaluations_it_says() {
    let (train, held_out) = digits();
    let data = DataMoments::measure(&train).unwrap();
    let gaussian = ExactPosterior::new(&train, Dimension::Infinite).unwrap();
    let x = perturb(&held_out, 1.0, 0.5);
    let sigma = vec![0.5; POINTS];
    for (guess, want) in [
        (Guess::DataMean, 1),
        (Guess::Previous, 1),
        (TWICE, 2),
        (Guess::FixedPoint { evaluations: 5 }, 5),
    ] {
        let counted = Counted(&gaussian, AtomicUsize::new(0));
        let lift = EffectiveNoise::new(&counted, &kernel(1.0), guess, data.clone()).unwrap();
        lift.denoise(&Query::new(&x, &sigma).near(&held_out))
            .unwrap();
        assert_eq!(counted.1.load(Ordering::Relaxed), want, "{guess:?}");
        assert_eq!(guess.evaluations(), want, "{guess:?}");
    }
}

#[test]
fn without_a_previous_estimate_the_guess_is_the_data_mean() {
    let (train, held_out) = digits();
    let data = DataMoments::measure(&train).unwrap();
    let gaussian = ExactPosterior::new(&train, Dimension::Infinite).unwrap();
    let x = perturb(&held_out, 1.0, 0.5);
    let sigma = vec![0.5; POINTS];
    let lift = |guess| EffectiveNoise::new(&gaussian, &kernel(1.0), guess, data.clone()).unwrap();
    let once = Guess::FixedPoint { evaluations: 1 };
    let want = lift(Guess::DataMean)
        .denoise(&Query::new(&x, &sigma))
        .unwrap();
    for guess in [Guess::Previous, once] {
        let got = lift(guess).denoise(&Query::new(&x, &sigma)).unwrap();
        assert_eq!(rms(&got, &want), 0.0, "{guess:?}");
    }
    // With one, it is that.
    let previous = lift(Guess::Previous);
    let got = previous
        .denoise(&Query::new(&x, &sigma).near(&held_out))
        .unwrap();
    let levels = previous.levels_near(&x, &sigma, &held_out).unwrap();
    let want = gaussian.denoise(&Query::new(&x, &levels)).unwrap();
    assert_eq!(rms(&got, &want), 0.0);
}

/// The ideal denoiser of white Gaussian data of variance 1.
#[derive(Clone)]
struct White;

impl Denoiser for White {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, &Query { x, sigma, .. }: &Query) -> Result<Tensor> {
        let shrink: Vec<f64> = sigma.iter().map(|s| 1.0 / (1.0 + s * s)).collect();
        x.broadcast_mul(&Tensor::from_vec(shrink, (sigma.len(), 1), x.device())?)
    }
}

fn white_data(n: usize) -> DataMoments {
    let mean = Tensor::zeros(n, DType::F64, &Device::Cpu).unwrap();
    let scale = DataScale {
        second_moment: 1.0,
        n_eff: n as f64,
    };
    DataMoments::new(&mean, scale).unwrap()
}

#[test]
fn the_denoising_error_takes_the_bias_out_of_the_level() {
    // What is left of white data after denoising is as large as what was taken away.
    let (n, d, sigma, count) = (1000, 4.0, 0.8, 200);
    let mut rngs = SampleRng::batch(5, Stream::Other(0), 0, count);
    let y = standard_normal(&[n], &mut rngs, DType::F64, &Device::Cpu).unwrap();
    let kernel = Kernel::new(n, Dimension::Finite(d)).unwrap();
    let sigmas = vec![sigma; count];
    // Noise of the very scale sigma: any other level found is an error.
    let noise = standard_normal(&[n], &mut rngs, DType::F64, &Device::Cpu).unwrap();
    let x = (&y + (noise * sigma).unwrap()).unwrap();
    let many = Guess::FixedPoint { evaluations: 30 };
    let lift = EffectiveNoise::new(White, &kernel, many, white_data(n)).unwrap();
    let levels: Vec<f64> = (-30..=30).map(|k| (0.1 * f64::from(k)).exp()).collect();
    let spread = |s: &f64| n as f64 * s * s / (1.0 + s * s);
    let error = DenoisingError {
        error: levels.iter().map(spread).collect(),
        sigma: levels,
    };
    let share = |lift: &EffectiveNoise<White>| {
        // The level behind the estimate: x / (1 + s²).
        let got = lift.denoise(&Query::new(&x, &sigmas)).unwrap();
        let ratio = (x.sqr().unwrap().sum_all().unwrap() / (&x * &got).unwrap().sum_all().unwrap())
            .unwrap()
            .to_scalar::<f64>()
            .unwrap();
        (ratio - 1.0).sqrt() / sigma
    };
    let corrected = lift.clone().with_denoising_error(error).unwrap();
    let (plain, corrected) = (share(&lift), share(&corrected));
    assert!(plain < 0.5, "got {plain}, want a level far too low");
    assert!((corrected - 1.0).abs() < 0.03, "got {corrected}, want 1");
}

#[test]
fn above_its_highest_level_the_denoiser_is_extended_as_it_falls_off() {
    let (n, d, sigma) = (16, 1.0, 300.0);
    let kernel = Kernel::new(n, Dimension::Finite(d)).unwrap();
    let mut rngs = SampleRng::batch(5, Stream::Other(0), 0, 8);
    let zero = Tensor::zeros((8, n), DType::F64, &Device::Cpu).unwrap();
    let sigmas = [sigma, sigma, sigma, sigma, 0.1, 0.1, 0.1, 0.1];
    let x = kernel.perturb(&zero, &sigmas, &mut rngs).unwrap();
    let free = EffectiveNoise::new(White, &kernel, Guess::DataMean, white_data(n)).unwrap();
    let bounded = free.clone().with_sigma_max(50.0).unwrap();
    let rows = |lift: &EffectiveNoise<White>| {
        let got = lift.denoise(&Query::new(&x, &sigmas)).unwrap();
        got.to_vec2::<f64>().unwrap()
    };
    for (row, (got, want)) in rows(&bounded).iter().zip(rows(&free)).enumerate() {
        for (got, want) in got.iter().zip(&want) {
            // x / (1 + s²) against (50/s)² x / (1 + 50²): a relative difference of 1/50² at most.
            let close = (got - want).abs() <= 4.1e-4 * want.abs();
            assert!(close, "sample {row}: got {got}, want {want}");
            assert!(
                row < 4 || got == want,
                "sample {row} is below the highest level"
            );
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let lift = |n, guess| {
        let kernel = Kernel::new(n, Dimension::Finite(1.0)).unwrap();
        EffectiveNoise::new(White, &kernel, guess, white_data(16)).map(|_| ())
    };
    for (got, want) in [
        (
            lift(17, Guess::DataMean),
            "mean must be of n = 17 values, got 16",
        ),
        (
            lift(16, Guess::FixedPoint { evaluations: 0 }),
            "evaluations must be from 1 to 1000, got 0",
        ),
    ] {
        assert_eq!(got.unwrap_err().to_string(), want);
    }
}

#[test]
fn a_guess_is_spelled_as_configurations_spell_it() {
    use serde_yaml::with::singleton_map;
    for (text, want) in [
        ("data_mean", Guess::DataMean),
        ("fixed_point:\n  evaluations: 2", TWICE),
        ("previous", Guess::Previous),
    ] {
        let got: Guess =
            singleton_map::deserialize(serde_yaml::Deserializer::from_str(text)).unwrap();
        assert_eq!(got, want, "{text}");
    }
}
