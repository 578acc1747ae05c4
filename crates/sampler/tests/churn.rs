//! Stochastic sampling keeps the marginals, at every D.

use candle_core::{DType, Device, Tensor};
use pfgmpp_kernel::{Condition, Dimension, ExactPosterior, Kernel, SampleRng, Stream};
use pfgmpp_sampler::{
    ChurnConfig, ChurnKind, Sampler, SamplerConfig, SolverConfig, posterior_scales, raise,
};
use pfgmpp_transfer::{EdmSchedule, Schedule};

const SIGMA: f64 = 0.7;
const RATIO: f64 = 1.4;

fn kernel(n: usize, d: f64) -> Kernel {
    Kernel::new(n, Dimension::new(d).unwrap()).unwrap()
}

/// Kolmogorov-Smirnov distance from the radius law of `RATIO * SIGMA` after raising sigma around a data point at 0.
fn distance_after(kind: ChurnKind, n: usize, d: f64, draws: usize) -> f64 {
    let kernel = kernel(n, d);
    let origin = Tensor::zeros((draws, n), DType::F64, &Device::Cpu).unwrap();
    let mut rngs = SampleRng::batch(11, Stream::Prior, 0, draws);
    let x = kernel
        .perturb(&origin, &vec![SIGMA; draws], &mut rngs)
        .unwrap();
    let mut rngs = SampleRng::batch(12, Stream::Churn, 0, draws);
    let scales = match kind {
        ChurnKind::Gaussian => vec![SIGMA; draws],
        ChurnKind::Posterior => posterior_scales(&kernel, &x, &origin, SIGMA, &mut rngs).unwrap(),
    };
    let x = raise(&x, &scales, RATIO, 1.0, &mut rngs).unwrap();
    let mut radii: Vec<f64> = x
        .sqr()
        .unwrap()
        .sum(1)
        .unwrap()
        .sqrt()
        .unwrap()
        .to_vec1()
        .unwrap();
    radii.sort_by(f64::total_cmp);
    let law = kernel.radius_law(RATIO * SIGMA).unwrap();
    let count = draws as f64;
    let gaps = radii.iter().enumerate().map(|(i, r)| {
        let cdf = law.cdf(*r);
        (cdf - i as f64 / count)
            .abs()
            .max((cdf - (i + 1) as f64 / count).abs())
    });
    gaps.fold(0.0, f64::max)
}

/// The bound holds for all 12 cases together at a significance of 0.01: for one, sqrt(ln(2 * 12 / 0.01) / 2) over
/// sqrt(draws) (the tail of Kolmogorov's law).
#[test]
fn posterior_churn_keeps_the_radius_law_and_gaussian_churn_breaks_it() {
    let bound = |draws: usize| ((2.0f64 * 12.0 / 0.01).ln() / 2.0).sqrt() / (draws as f64).sqrt();
    for n in [16, 64, 3072] {
        let draws = if n == 3072 { 4000 } else { 20_000 };
        for d in [1.0, 2.0, 8.0, 128.0] {
            let posterior = distance_after(ChurnKind::Posterior, n, d, draws);
            let gaussian = distance_after(ChurnKind::Gaussian, n, d, draws);
            let bound = bound(draws);
            println!(
                "N {n}, D {d}: posterior {posterior:.4}, Gaussian {gaussian:.4}, bound {bound:.4}"
            );
            assert!(
                posterior < bound,
                "N {n}, D {d}: got {posterior}, want below {bound}"
            );
            if d < 10.0 {
                let broken = gaussian > 3.0 * posterior;
                assert!(
                    broken,
                    "N {n}, D {d}: Gaussian {gaussian}, posterior {posterior}"
                );
            }
        }
    }
}

#[test]
fn at_infinite_d_the_two_kinds_are_one() {
    let kernel = kernel(5, f64::INFINITY);
    let x = Tensor::ones((3, 5), DType::F64, &Device::Cpu).unwrap();
    let mut rngs = SampleRng::batch(0, Stream::Churn, 0, 3);
    let got = posterior_scales(&kernel, &x, &x.zeros_like().unwrap(), SIGMA, &mut rngs).unwrap();
    assert_eq!(got, [SIGMA; 3]);
    // One normal is taken at every D, so that what follows is the same noise.
    let mut after = SampleRng::batch(0, Stream::Churn, 0, 3);
    posterior_scales(&self::kernel(5, 2.0), &x, &x, SIGMA, &mut after).unwrap();
    assert_eq!(rngs, after, "the generators stand at different places");
}

fn stochastic(solver: SolverConfig, kind: ChurnKind) -> SamplerConfig {
    let schedule = Schedule::Edm(EdmSchedule {
        num_steps: 40,
        sigma_min: 0.002,
        sigma_max: 80.0,
        rho: 7.0,
    });
    let mut sampler = SamplerConfig::new(solver, schedule);
    sampler.churn = Some(ChurnConfig {
        s_churn: 20.0,
        s_min: 0.05,
        s_max: 50.0,
        s_noise: 1.0,
        kind,
    });
    sampler
}

/// The data are two points of weights 1 and 3: stochastic samples must reach them in that proportion.
#[test]
fn stochastic_samples_keep_the_weights_of_the_data() {
    let points = Tensor::new(
        &[[-1.0f64, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]],
        &Device::Cpu,
    );
    for d in [1.0, 8.0, f64::INFINITY] {
        let kernel = kernel(2, d);
        let posterior = ExactPosterior::new(points.as_ref().unwrap(), kernel.d()).unwrap();
        let seeds: Vec<u64> = (0..4000).collect();
        for solver in [SolverConfig::Euler, SolverConfig::Heun] {
            let sampler = stochastic(solver, ChurnKind::Posterior).build().unwrap();
            let x = sampler
                .sample(
                    &posterior,
                    Condition::unconditional(),
                    &kernel,
                    &[2],
                    &seeds,
                    &Device::Cpu,
                )
                .unwrap();
            let x = x.to_vec2::<f32>().unwrap();
            let right = x.iter().filter(|p| p[0] > 0.0).count() as f64 / 4000.0;
            let at_data = |p: &&Vec<f32>| (p[0].abs() - 1.0).abs() < 0.05 && p[1].abs() < 0.05;
            let ends = x.iter().filter(at_data).count() as f64 / 4000.0;
            // Five standard errors of a share of 0.75 over 4,000 draws, and as much for 40 steps.
            assert!(
                (right - 0.75).abs() < 0.07,
                "d {d}, {solver:?}: got {right}, want 0.75"
            );
            println!("d {d}, {solver:?}: share {right:.3}, at the data {ends:.4}");
            // At small D a step error leaves the two points in balance for long.
            assert!(
                ends > 0.98,
                "d {d}, {solver:?}: got {ends} at the data, want nearly all"
            );
        }
    }
}

#[test]
fn churn_is_a_function_of_the_seed() {
    let points = Tensor::new(&[[-1.0f64, 0.0], [1.0, 0.5]], &Device::Cpu).unwrap();
    let kernel = kernel(2, 2.0);
    let posterior = ExactPosterior::new(&points, kernel.d()).unwrap();
    for kind in [ChurnKind::Posterior, ChurnKind::Gaussian] {
        let sampler = stochastic(SolverConfig::Heun, kind);
        let trace = |sampler: &SamplerConfig, seeds: &[u64]| {
            let sampler: Sampler = sampler.build().unwrap();
            let none = Condition::unconditional();
            sampler.trace(&posterior, none, &kernel, &[2], seeds, &Device::Cpu)
        };
        let path = |seeds: &[u64]| trace(&sampler, seeds);
        let (together, alone) = (path(&[4, 5]).unwrap(), path(&[5]).unwrap());
        assert_eq!(together[1], alone[0], "{kind:?}");
        let mut still = sampler.clone();
        still.churn = None;
        let without = trace(&still, &[5]).unwrap();
        assert_ne!(alone[0].x, without[0].x, "{kind:?}");
    }
}

#[test]
fn churn_without_a_meaning_is_refused() {
    let mut sampler = stochastic(
        SolverConfig::Rk45 {
            rtol: 1e-4,
            atol: 1e-4,
        },
        ChurnKind::Posterior,
    );
    let got = sampler.check().unwrap_err().to_string();
    assert!(
        got.starts_with("churn must be absent with a solver that chooses its steps"),
        "got {got}"
    );
    sampler = stochastic(SolverConfig::Heun, ChurnKind::Posterior);
    sampler.churn.as_mut().unwrap().s_min = 60.0;
    let got = sampler.check().unwrap_err().to_string();
    assert_eq!(got, "churn.s_min must be below s_max = 50, got 60");
}
