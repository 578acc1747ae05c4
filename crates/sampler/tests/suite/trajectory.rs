//! Paths of samples against the samples and levels they belong to.

use candle_core::Device;
use pfgmpp_kernel::{Dimension, Kernel};
use pfgmpp_sampler::{Churn, ChurnKind, Rk45, Sampler, Solver};

use crate::problems::{edm, five_points, geometric};

const SEEDS: [u64; 3] = [3, 4, 5];

/// Asserts that each path ends with its seed's sample, and gives the paths' levels.
fn levels(sampler: &Sampler) -> Vec<Vec<f64>> {
    let kernel = Kernel::new(2, Dimension::new(2.0).unwrap()).unwrap();
    let posterior = five_points(2.0);
    let (shape, device) = ([2], Device::Cpu);
    let samples = sampler.sample(&posterior, &kernel, &shape, &SEEDS, &device);
    let samples = samples.unwrap().to_vec2::<f32>().unwrap();
    let traced = sampler.trace(&posterior, &kernel, &shape, &SEEDS, &device);
    let traced = traced.unwrap();
    assert_eq!(traced.len(), SEEDS.len());
    for (path, sample) in traced.iter().zip(&samples) {
        assert_eq!(path.x.len(), 2 * path.sigma.len());
        let end: Vec<f32> = path.x[path.x.len() - 2..]
            .iter()
            .map(|&v| v as f32)
            .collect();
        assert_eq!(&end, sample, "{:?}", sampler.solver);
    }
    traced.into_iter().map(|path| path.sigma).collect()
}

fn sampler(solver: Solver) -> Sampler {
    Sampler {
        solver,
        schedule: edm(18),
        prior_radius: None,
        churn: None,
    }
}

#[test]
fn paths_of_fixed_steps_visit_the_schedule() {
    for solver in [Solver::Euler, Solver::Heun] {
        for got in levels(&sampler(solver)) {
            assert_eq!(got, edm(18).sigmas());
        }
    }
}

#[test]
fn paths_of_rk45_fall_between_the_ends_of_the_schedule() {
    let solver = Solver::Rk45(Rk45 {
        rtol: 1e-5,
        atol: 1e-5,
    });
    let to_zero = sampler(solver);
    for got in levels(&to_zero) {
        assert!(got.windows(2).all(|w| w[0] > w[1]), "got {got:?}");
        assert_eq!((got[0], got[got.len() - 2]), (80.0, 0.002));
        assert_eq!(got.last(), Some(&0.0));
    }
    let to_sigma_min = Sampler {
        schedule: geometric(10),
        ..to_zero
    };
    for got in levels(&to_sigma_min) {
        assert_eq!((got[0], got[got.len() - 1]), (10.0, 0.3));
    }
}

#[test]
fn paths_of_churned_samples_show_the_raised_levels() {
    let churn = Churn {
        s_churn: 18.0,
        s_min: 0.05,
        s_max: 50.0,
        s_noise: 1.0,
        kind: ChurnKind::Posterior,
    };
    let mut want = Vec::new();
    for sigma in edm(18).sigmas() {
        want.push(sigma);
        if (0.05..=50.0).contains(&sigma) {
            want.push(churn.sigma_hat(sigma, 18));
        }
    }
    let churned = Sampler {
        churn: Some(churn),
        ..sampler(Solver::Heun)
    };
    for got in levels(&churned) {
        assert_eq!(got, want);
    }
}

#[test]
fn no_seeds_have_no_paths() {
    let kernel = Kernel::new(2, Dimension::new(2.0).unwrap()).unwrap();
    let got = sampler(Solver::Heun).trace(&five_points(2.0), &kernel, &[2], &[], &Device::Cpu);
    assert_eq!(got.unwrap(), []);
}
