//! Stochastic sampling: the window, the law of the samples, their dependence on seeds alone.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Device, Result, Tensor};
use pfgmpp_kernel::{Denoiser, Dimension, Kernel};
use pfgmpp_sampler::{Churn, ChurnKind, Rk45, Sampler, Solver};

use crate::problems::{OnePoint, SIGMA_MAX, StandardNormal, edm, five_points, geometric, values};

fn churn(kind: ChurnKind) -> Churn {
    Churn {
        s_churn: 40.0,
        s_min: 0.05,
        s_max: 50.0,
        s_noise: 1.0,
        kind,
    }
}

fn sampler(solver: Solver, kind: ChurnKind) -> Sampler {
    Sampler {
        solver,
        schedule: edm(18),
        prior_radius: None,
        churn: Some(churn(kind)),
    }
}

const BOTH: [ChurnKind; 2] = [ChurnKind::Posterior, ChurnKind::Gaussian];

#[test]
fn noise_is_added_within_the_window_and_by_at_most_a_doubling_of_the_variance() {
    let churn = Churn {
        s_churn: 10.0,
        ..churn(ChurnKind::Gaussian)
    };
    for (sigma, num_steps, want) in [
        (0.049, 100, 0.049),
        (0.05, 100, 0.055),
        (1.0, 100, 1.1),
        (50.0, 100, 55.0),
        (50.1, 100, 50.1),
        (1.0, 10, 2f64.sqrt()),
        (0.0, 100, 0.0),
    ] {
        let got = churn.sigma_hat(sigma, num_steps);
        assert!(
            (got - want).abs() < 1e-12,
            "sigma {sigma}: got {got}, want {want}"
        );
    }
}

#[test]
fn churned_samples_reach_the_data_and_depend_on_their_seed_alone() {
    let kernel = Kernel::new(2, Dimension::new(1.0).unwrap()).unwrap();
    let posterior = five_points(1.0);
    for solver in [Solver::Euler, Solver::Heun] {
        for kind in BOTH {
            let sampler = sampler(solver, kind);
            let sample = |denoiser: &dyn Denoiser, seeds: &[u64]| {
                let x = sampler.sample(denoiser, &kernel, &[2], seeds, &Device::Cpu);
                x.unwrap().to_vec2::<f32>().unwrap()
            };
            let together = sample(&posterior, &[7, 8, 9]);
            assert_eq!(together[1], sample(&posterior, &[8])[0]);
            assert_eq!(together[0], sample(&posterior, &[9, 7])[1]);
            for got in sample(&OnePoint, &[0, 1]).concat() {
                assert!(
                    (got - 3.0).abs() < 1e-5,
                    "{solver:?} {kind:?}: got {got}, want 3"
                );
            }
        }
    }
}

#[test]
fn no_churn_and_churn_of_zero_are_the_same_sampler() {
    let kernel = Kernel::new(2, Dimension::new(8.0).unwrap()).unwrap();
    let with = |s_churn: Option<f64>| {
        let mut sampler = sampler(Solver::Heun, ChurnKind::Posterior);
        sampler.churn = s_churn.map(|s_churn| Churn {
            s_churn,
            ..churn(ChurnKind::Posterior)
        });
        let x = sampler.sample(&five_points(8.0), &kernel, &[2], &[1, 2], &Device::Cpu);
        values(&x.unwrap())
    };
    assert_eq!(with(None), with(Some(0.0)));
    assert_ne!(with(None), with(Some(5.0)));
}

#[test]
fn gaussian_churn_under_euler_has_the_variance_of_its_recursion() {
    // Gaussian data at D = ∞: each step multiplies x, each churn adds a known variance.
    let churn = Churn {
        s_churn: 4.0,
        s_noise: 1.05,
        ..churn(ChurnKind::Gaussian)
    };
    let schedule = geometric(20);
    let mut want = SIGMA_MAX.powi(2);
    for levels in schedule.sigmas().windows(2) {
        let (sigma, next) = (levels[0], levels[1]);
        let hat = churn.sigma_hat(sigma, 20);
        want += churn.s_noise.powi(2) * (hat.powi(2) - sigma.powi(2));
        want *= (1.0 + (next - hat) * hat / (1.0 + hat * hat)).powi(2);
    }
    for kind in BOTH {
        let sampler = Sampler {
            solver: Solver::Euler,
            schedule: schedule.clone(),
            prior_radius: None,
            churn: Some(Churn {
                kind,
                ..churn.clone()
            }),
        };
        let kernel = Kernel::new(1, Dimension::Infinite).unwrap();
        let seeds: Vec<u64> = (0..20_000).collect();
        let x = sampler.sample(&StandardNormal, &kernel, &[1], &seeds, &Device::Cpu);
        let got = values(&x.unwrap()).iter().map(|v| v * v).sum::<f64>() / 2e4;
        // Five standard errors: 5 sqrt(2 / 20,000) = 0.05.
        assert!(
            (got / want - 1.0).abs() < 0.05,
            "{kind:?}: got {got}, want {want}"
        );
    }
}

#[test]
fn posterior_churn_costs_one_evaluation_more() {
    struct Counted(AtomicUsize);
    impl Denoiser for Counted {
        fn denoise(&self, x: &Tensor, _: &[f64], _: Option<&Tensor>) -> Result<Tensor> {
            self.0.fetch_add(1, Ordering::Relaxed);
            x.zeros_like()
        }
    }
    let kernel = Kernel::new(2, Dimension::new(1.0).unwrap()).unwrap();
    for (kind, s_max, want) in [
        (ChurnKind::Gaussian, 100.0, 35),
        (ChurnKind::Posterior, 100.0, 36),
        // Noise is first put back below sigma_max, where an estimate is at hand.
        (ChurnKind::Posterior, 50.0, 35),
    ] {
        let mut sampler = sampler(Solver::Heun, kind);
        sampler.churn = Some(Churn {
            s_max,
            ..churn(kind)
        });
        let counted = Counted(AtomicUsize::new(0));
        let x = sampler.sample(&counted, &kernel, &[2], &[1, 2], &Device::Cpu);
        assert!(x.is_ok());
        let got = counted.0.load(Ordering::Relaxed);
        assert_eq!(got, want, "{kind:?}, s_max {s_max}");
    }
}

#[test]
fn churn_is_checked_by_its_path() {
    let with = |change: fn(&mut Sampler, &mut Churn)| {
        let mut sampler = sampler(Solver::Heun, ChurnKind::Posterior);
        let mut churn = churn(ChurnKind::Posterior);
        change(&mut sampler, &mut churn);
        sampler.churn = Some(churn);
        sampler.check()
    };
    assert_eq!(with(|_, _| ()), Ok(()));
    let rk45 = |sampler: &mut Sampler, _: &mut Churn| {
        let tolerance = Rk45 {
            rtol: 1e-3,
            atol: 1e-3,
        };
        sampler.solver = Solver::Rk45(tolerance);
    };
    for (refused, want) in [
        (
            with(|_, c| c.s_churn = -1.0),
            "churn.s_churn must be from 0",
        ),
        (
            with(|_, c| c.s_max = f64::INFINITY),
            "churn.s_max must be from 0",
        ),
        (
            with(|_, c| c.s_min = 60.0),
            "churn.s_min must be below s_max = 50",
        ),
        (
            with(|_, c| c.s_noise = f64::NAN),
            "churn.s_noise must be from 0",
        ),
        (with(rk45), "solver must be euler or heun with churn"),
    ] {
        let got = refused.unwrap_err().to_string();
        assert!(got.starts_with(want), "got {got}, want {want}");
    }
}
