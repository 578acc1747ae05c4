//! Self-timed sampling, and noise that a solver is not told of.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{
    Condition, ConditionSpec, Denoiser, Dimension, ExactPosterior, Kernel, Query, SampleRng,
    Stream, standard_normal,
};
use pfgmpp_sampler::{
    Dpmpp2m, Euler, Heun, Rk45, Sampler, SelfTimed, Solver, SolverConfig, TimedStep, Unipc,
    UnipcVariant,
};
use pfgmpp_transfer::{
    DataMoments, DenoisingError, EdmSchedule, EffectiveNoise, Guess, Levels, Schedule,
};

const N: usize = 16;
const SEEDS: [u64; 4] = [3, 1, 4, 5];

fn points() -> Tensor {
    let mut rngs = SampleRng::batch(9, Stream::Other(0), 0, 40);
    standard_normal(&[N], &mut rngs, DType::F64, &Device::Cpu).unwrap()
}

fn gaussian() -> ExactPosterior {
    ExactPosterior::new(&points(), Dimension::Infinite).unwrap()
}

fn moments() -> DataMoments {
    DataMoments::measure(&points()).unwrap()
}

fn levels(num_steps: usize) -> Levels {
    let edm = EdmSchedule {
        num_steps,
        sigma_min: 0.01,
        sigma_max: 40.0,
        rho: 7.0,
    };
    Schedule::Edm(edm).levels().unwrap()
}

fn timed(kappa: f64, step: TimedStep) -> SelfTimed {
    let kappa = if kappa.is_finite() {
        Dimension::Finite(kappa)
    } else {
        Dimension::Infinite
    };
    SelfTimed { kappa, step }
}

fn draw(sampler: &Sampler, denoiser: &dyn Denoiser, d: Dimension, seeds: &[u64]) -> Vec<Vec<f32>> {
    let kernel = Kernel::new(N, d).unwrap();
    let none = Condition::unconditional();
    let x = sampler.sample(denoiser, none, &kernel, &[N], seeds, &Device::Cpu);
    x.unwrap().to_vec2().unwrap()
}

fn with(solver: impl Into<Box<dyn Solver>>, timed: &SelfTimed) -> Sampler {
    let sampler = Sampler::new(solver, levels(9)).unwrap();
    sampler.with_self_timed(timed).unwrap()
}

#[test]
fn an_infinite_kappa_is_the_sampler_without_it_to_the_bit() {
    let d = Dimension::Infinite;
    let want = draw(
        &Sampler::new(Heun, levels(9)).unwrap(),
        &gaussian(),
        d,
        &SEEDS,
    );
    for step in [TimedStep::KeepRatio, TimedStep::ToSchedule] {
        let timed = timed(f64::INFINITY, step);
        let model = timed.denoiser(gaussian(), N, moments(), 40.0).unwrap();
        assert_eq!(
            draw(&with(Heun, &timed), &model, d, &SEEDS),
            want,
            "{step:?}"
        );
    }
}

#[test]
fn a_kappa_of_d_is_the_lift_to_d_to_the_bit() {
    let d = Dimension::Finite(8.0);
    let kernel = Kernel::new(N, d).unwrap();
    let lift = EffectiveNoise::new(gaussian(), &kernel, Guess::Previous, moments()).unwrap();
    let lift = lift.with_sigma_max(40.0).unwrap();
    let want = draw(&Sampler::new(Heun, levels(9)).unwrap(), &lift, d, &SEEDS);
    let timed = timed(8.0, TimedStep::KeepRatio);
    let model = timed.denoiser(gaussian(), N, moments(), 40.0).unwrap();
    assert_eq!(draw(&with(Heun, &timed), &model, d, &SEEDS), want);
}

/// Counts evaluations, and keeps the levels that it was asked at.
struct Counted<M>(M, AtomicUsize);

impl<M: Denoiser> Denoiser for Counted<M> {
    fn takes(&self) -> ConditionSpec {
        self.0.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.denoise(query)
    }
}

#[test]
fn neither_step_costs_an_evaluation_with_any_solver_of_fixed_steps() {
    let unipc = SolverConfig::Unipc {
        order: 2,
        variant: UnipcVariant::Bh2,
    };
    let ipndm = SolverConfig::Ipndm { order: 3 };
    let all = [
        SolverConfig::Euler,
        SolverConfig::Heun,
        SolverConfig::Midpoint,
        SolverConfig::Dpmpp2m,
        SolverConfig::Dpmpp3m,
        SolverConfig::Deis { order: 3 },
        unipc,
        ipndm,
    ];
    for config in all {
        for step in [TimedStep::KeepRatio, TimedStep::ToSchedule] {
            let timed = timed(4.0, step);
            let counted = Counted(gaussian(), AtomicUsize::new(0));
            let model = timed.denoiser(&counted, N, moments(), 40.0).unwrap();
            let sampler = with(config.solver(), &timed);
            let want = sampler.solver().evaluations(sampler.levels());
            draw(&sampler, &model, Dimension::Infinite, &SEEDS);
            let got = counted.1.load(Ordering::SeqCst);
            assert_eq!(Some(got), want, "{} {step:?}", config.name());
        }
    }
}

#[test]
fn a_sample_is_the_same_in_any_batch() {
    for step in [TimedStep::KeepRatio, TimedStep::ToSchedule] {
        let timed = timed(4.0, step);
        let model = timed.denoiser(gaussian(), N, moments(), 40.0).unwrap();
        let sampler = with(Dpmpp2m, &timed).with_injected_noise(0.3).unwrap();
        let all = draw(&sampler, &model, Dimension::Infinite, &SEEDS);
        let alone = draw(&sampler, &model, Dimension::Infinite, &SEEDS[2..3]);
        assert_eq!(alone[0], all[2], "{step:?}");
    }
}

/// One data point at 0, with no error.
struct Origin;

impl Denoiser for Origin {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        query.x.zeros_like()
    }
}

#[test]
fn steps_to_the_schedule_end_where_it_says_and_the_others_keep_their_ratio() {
    // Around one data point every sample is at its level exactly: the prior's own radius is off by what N values scatter.
    let origin = Tensor::zeros((2, N), DType::F64, &Device::Cpu).unwrap();
    let origin = DataMoments::measure(&origin).unwrap();
    for (step, kept) in [(TimedStep::KeepRatio, true), (TimedStep::ToSchedule, false)] {
        let timed = timed(1e-3, step);
        let model = timed.denoiser(Origin, N, origin.clone(), 40.0).unwrap();
        let kernel = Kernel::new(N, Dimension::Infinite).unwrap();
        let none = Condition::unconditional();
        let sampler = with(Euler, &timed);
        let paths = sampler.trace(&model, none, &kernel, &[N], &SEEDS, &Device::Cpu);
        for path in paths.unwrap() {
            let shown = |step: usize| {
                let x = &path.x[step * N..(step + 1) * N];
                (x.iter().map(|v| v * v).sum::<f64>() / N as f64).sqrt() / path.sigma[step]
            };
            let want = if kept { shown(0) } else { 1.0 };
            // The level is read with a thousandth of trust in the schedule, and the first step has no estimate yet.
            let got = shown(4);
            assert!(
                (got / want - 1.0).abs() < 1e-3,
                "{step:?}: shown over nominal {got}, want {want}"
            );
        }
    }
}

#[test]
fn the_denoising_error_raises_the_levels_that_samples_show() {
    // White Gaussian data of variance 1 and their ideal denoiser: |x - m|² alone is too short by e(s).
    struct White(std::sync::Mutex<Vec<f64>>);
    impl Denoiser for White {
        fn takes(&self) -> ConditionSpec {
            ConditionSpec::NONE
        }
        fn denoise(&self, query: &Query) -> Result<Tensor> {
            self.0.lock().unwrap().extend_from_slice(query.sigma);
            let shrink = query.sigma.iter().map(|s| 1.0 / (1.0 + s * s)).collect();
            let shrink = Tensor::from_vec(shrink, (query.sigma.len(), 1), &Device::Cpu)?;
            query.x.broadcast_mul(&shrink)
        }
    }
    let n = 4096;
    let mut rngs = SampleRng::batch(2, Stream::Other(0), 0, 400);
    let data = standard_normal(&[n], &mut rngs, DType::F64, &Device::Cpu).unwrap();
    let curve = |s: f64| n as f64 * s * s / (1.0 + s * s);
    let sigma: Vec<f64> = (-40..=40).map(|k| (0.1 * f64::from(k)).exp()).collect();
    let error = sigma.iter().map(|s| curve(*s)).collect();
    let plain = DataMoments::measure(&data).unwrap();
    let known = plain.clone();
    let known = known
        .with_denoising_error(DenoisingError { sigma, error })
        .unwrap();
    let lowest = |moments: DataMoments| {
        let model = White(std::sync::Mutex::default());
        let timed = timed(1.0, TimedStep::KeepRatio);
        let asked = timed.denoiser(&model, n, moments, 10.0).unwrap();
        let kernel = Kernel::new(n, Dimension::Infinite).unwrap();
        let levels = (0..=200).map(|k| 10.0 * (-0.02 * f64::from(k)).exp());
        let sampler = Sampler::new(Euler, Levels::new(levels.collect()).unwrap()).unwrap();
        let none = Condition::unconditional();
        let x = sampler.sample(&asked, none, &kernel, &[n], &SEEDS[..1], &Device::Cpu);
        x.unwrap();
        let asked = model.0.lock().unwrap();
        // At the nominal level 1 + 0.02: the step before the 116th.
        asked[115] / (10.0 * (-0.02_f64 * 115.0).exp())
    };
    let (plain, known) = (lowest(plain), lowest(known));
    // A Gaussian's flow leaves x with the deviation sqrt(1 + sigma²) times that of its start; small steps keep it.
    assert!(plain < 0.8, "got {plain}, want a level far too low");
    assert!((known - 1.0).abs() < 0.05, "got {known}, want 1");
}

#[test]
fn injected_noise_is_added_before_each_step_and_not_told() {
    let kernel = Kernel::new(N, Dimension::Infinite).unwrap();
    let none = Condition::unconditional();
    let seeds: Vec<u64> = (0..2000).collect();
    let levels = Levels::new(vec![10.0, 1.0]).unwrap();
    let sampler = Sampler::new(Euler, levels).unwrap();
    let sampler = sampler.with_injected_noise(0.5).unwrap();
    let x = sampler.sample(&Origin, none, &kernel, &[N], &seeds, &Device::Cpu);
    let variance = x.unwrap().sqr().unwrap().mean_all().unwrap();
    let got = f64::from(variance.to_scalar::<f32>().unwrap());
    // 10² (1 + 0.5²), brought to a tenth: 1.25, over 32,000 values.
    assert!((got - 1.25).abs() < 0.05, "got {got}, want 1.25");
}

#[test]
fn what_a_solver_with_steps_of_its_own_cannot_do_is_refused() {
    let rk45 = || {
        let rk45 = Rk45 {
            rtol: 1e-3,
            atol: 1e-3,
        };
        Sampler::new(rk45, levels(9)).unwrap()
    };
    let got = rk45().with_injected_noise(0.1).unwrap_err().to_string();
    assert_eq!(
        got,
        "injected_noise must be 0 with a solver that chooses its steps, got 0.1"
    );
    let to_schedule = timed(4.0, TimedStep::ToSchedule);
    let got = rk45()
        .with_self_timed(&to_schedule)
        .unwrap_err()
        .to_string();
    assert_eq!(
        got,
        "step must be keep_ratio with a solver that chooses its steps, got to_schedule"
    );
    let got = timed(0.0, TimedStep::KeepRatio).check().unwrap_err();
    assert_eq!(
        got.to_string(),
        "kappa must be from 0.001 to 1e15, or inf, got 0"
    );
    let unipc = Unipc {
        order: 2,
        variant: UnipcVariant::Bh1,
    };
    assert!(
        Sampler::new(unipc, levels(9))
            .unwrap()
            .with_self_timed(&to_schedule)
            .is_ok()
    );
}
