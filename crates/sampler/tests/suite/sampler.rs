//! The sampler from seeds to samples.

use candle_core::{DType, Device, Tensor};
use pfgmpp_kernel::{Dimension, Kernel};
use pfgmpp_sampler::{DenoiserSlope, Rk45, Sampler, Slope, Solver};
use pfgmpp_transfer::{GeometricSchedule, Schedule};

use crate::problems::{OnePoint, StandardNormal, edm, values};

const RK45: Solver = Solver::Rk45(Rk45 {
    rtol: 1e-6,
    atol: 1e-6,
});

fn sampler(solver: Solver) -> Sampler {
    Sampler {
        solver,
        schedule: edm(18),
        prior_radius: None,
        churn: None,
    }
}

#[test]
fn the_slope_is_the_noise_over_each_samples_sigma() {
    let slope = DenoiserSlope::new(&OnePoint, None);
    let x = Tensor::new(&[[7.0f64, 1.0], [7.0, 1.0]], &Device::Cpu).unwrap();
    let got = slope.slope(&x, &[2.0, 4.0], None).unwrap();
    assert_eq!(values(&got.slope), [2.0, -1.0, 1.0, -0.5]);
    assert_eq!(values(&got.denoised), [3.0; 4]);
}

#[test]
fn every_solver_reaches_the_data_exactly_at_every_d() {
    for solver in [Solver::Euler, Solver::Heun, RK45] {
        for d in [0.5, 1.0, 8.0, 2048.0, f64::INFINITY] {
            let kernel = Kernel::new(4, Dimension::new(d).unwrap()).unwrap();
            let x =
                sampler(solver).sample(&OnePoint, &kernel, &[1, 2, 2], &[0, 1, 2], &Device::Cpu);
            let x = x.unwrap();
            assert_eq!((x.dims(), x.dtype()), (&[3, 1, 2, 2][..], DType::F32));
            for got in values(&x) {
                // The state starts at up to 1e5 or so in f64: 1e5 * 2^-52 * 18 steps is far below 1e-6.
                assert!(
                    (got - 3.0).abs() < 1e-6,
                    "{solver:?}, d {d}: got {got}, want 3"
                );
            }
        }
    }
}

#[test]
fn a_seed_gives_the_same_sample_in_any_batch() {
    let kernel = Kernel::new(4, Dimension::new(1.0).unwrap()).unwrap();
    for solver in [Solver::Euler, Solver::Heun, RK45] {
        let sample = |seeds: &[u64]| {
            let sampler = sampler(solver);
            let x = sampler.sample(&StandardNormal, &kernel, &[4], seeds, &Device::Cpu);
            x.unwrap().to_vec2::<f32>().unwrap()
        };
        let together = sample(&[7, 8, 9]);
        assert_eq!(together[1], sample(&[8])[0]);
        assert_eq!(together[0], sample(&[9, 7])[1]);
        assert_ne!(together[0], together[1]);
    }
}

#[test]
fn a_clipped_prior_keeps_its_directions_within_the_radii() {
    // Levels that hardly move the state: what comes out is the prior.
    let schedule = Schedule::Geometric(GeometricSchedule {
        num_steps: 1,
        sigma_min: 40.0,
        sigma_max: 40.0 * (1.0 + 1e-12),
    });
    let kernel = Kernel::new(3, Dimension::new(1.0).unwrap()).unwrap();
    let seeds: Vec<u64> = (0..200).collect();
    let of = |prior_radius| {
        let sampler = Sampler {
            solver: Solver::Euler,
            schedule: schedule.clone(),
            prior_radius,
            churn: None,
        };
        let x = sampler.sample(&OnePoint, &kernel, &[3], &seeds, &Device::Cpu);
        x.unwrap().to_vec2::<f32>().unwrap()
    };
    let norm = |x: &[f32]| x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let (low, high) = (50.0, 90.0);
    let (mut raised, mut lowered) = (0, 0);
    for (free, clipped) in of(None).iter().zip(of(Some([low, high]))) {
        let (r, got) = (norm(free), norm(&clipped));
        let want = r.clamp(low, high);
        assert!((got / want - 1.0).abs() < 1e-6, "got {got}, want {want}");
        for (free, clipped) in free.iter().zip(&clipped) {
            let (got, want) = (f64::from(*clipped) / got, f64::from(*free) / r);
            assert!(
                (got - want).abs() < 1e-6,
                "direction: got {got}, want {want}"
            );
        }
        raised += usize::from(r < low);
        lowered += usize::from(r > high);
    }
    assert!(
        raised > 10 && lowered > 10,
        "{raised} raised, {lowered} lowered"
    );
}

#[test]
fn every_parameter_is_checked_by_its_path() {
    let good = sampler(Solver::Heun);
    assert_eq!(good.check(), Ok(()));
    let rk45 = |rtol, atol| Sampler {
        solver: Solver::Rk45(Rk45 { rtol, atol }),
        ..good.clone()
    };
    let prior = |radius| Sampler {
        prior_radius: Some(radius),
        ..good.clone()
    };
    let steps = Sampler {
        schedule: edm(1),
        ..good.clone()
    };
    for (bad, want) in [
        (rk45(0.0, 1e-4), "solver.rk45.rtol must be from"),
        (rk45(1e-4, f64::NAN), "solver.rk45.atol must be from"),
        (prior([3.0, 1.0]), "prior_radius must be two numbers"),
        (prior([-1.0, 1.0]), "prior_radius must be two numbers"),
        (
            prior([1.0, f64::INFINITY]),
            "prior_radius must be two numbers",
        ),
        (prior([f64::NAN, 1.0]), "prior_radius must be two numbers"),
        (steps, "schedule.edm.num_steps must be from 2"),
    ] {
        let got = bad.check().unwrap_err().to_string();
        assert!(got.starts_with(want), "got {got}, want {want}");
    }
}
