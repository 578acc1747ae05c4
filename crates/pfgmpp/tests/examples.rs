//! The examples run, and do what they say.

#[path = "../examples/exact_posterior.rs"]
mod exact_posterior;
#[path = "../examples/sample_checkpoint.rs"]
mod sample_checkpoint;
#[path = "../examples/train_own_network.rs"]
mod train_own_network;
#[path = "../examples/write_a_solver.rs"]
mod write_a_solver;

use candle_core::{Device, Tensor};
use pfgmpp::{Dimension, Heun, energy_distance};

fn rows(samples: &Tensor) -> Vec<Vec<f32>> {
    samples.to_vec2().unwrap()
}

#[test]
fn the_exact_posterior_ends_at_its_points() {
    for d in [0.5, 2.0, f64::INFINITY] {
        let samples = exact_posterior::sample(Dimension::new(d).unwrap()).unwrap();
        for row in rows(&samples) {
            let radius = row[0].hypot(row[1]);
            assert!((0.9..1.05).contains(&radius), "d {d}: got {row:?}");
        }
    }
}

#[test]
fn a_solver_of_ones_own_ends_where_heun_does() {
    let (ours, heun) = (
        write_a_solver::sample(write_a_solver::Ralston).unwrap(),
        write_a_solver::sample(Heun).unwrap(),
    );
    for (got, want) in rows(&ours)
        .iter()
        .flatten()
        .zip(rows(&heun).iter().flatten())
    {
        assert!((got - want).abs() < 1e-2, "got {got}, want {want}");
    }
}

#[test]
fn a_network_of_ones_own_trains_at_one_and_at_infinity() {
    let angles = (0..512).map(|i| i as f32 * 0.61803);
    let ring: Vec<f32> = angles.flat_map(|a| [a.cos(), a.sin()]).collect();
    let points = Tensor::from_vec(ring, (512, 1, 1, 2), &Device::Cpu).unwrap();
    for d in [Dimension::Finite(1.0), Dimension::Infinite] {
        let distance = |steps| {
            let samples = train_own_network::train(&points, d, steps).unwrap();
            energy_distance(&samples, &points).unwrap()
        };
        let (before, after) = (distance(0), distance(300));
        println!("D = {d}: energy distance {before:.4} before, {after:.4} after");
        assert!(
            after < 0.02 && after < 0.2 * before,
            "D = {d}: got {after} from {before}"
        );
    }
}

#[test]
fn a_checkpoint_samples_at_its_own_d_and_another() {
    let checkpoint = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../checkpoint/tests/data/edm-classes.pkl"
    );
    let own = sample_checkpoint::sample(checkpoint.as_ref(), None).unwrap();
    let other = sample_checkpoint::sample(checkpoint.as_ref(), Some(Dimension::Finite(8.0)));
    let other = other.unwrap();
    assert_eq!(own.dims()[0], 16);
    assert_eq!(own.dims(), other.dims());
    let difference = (own - other).unwrap().abs().unwrap().mean_all().unwrap();
    let difference = difference.to_scalar::<f32>().unwrap();
    assert!(
        difference.is_finite() && difference > 0.0,
        "got {difference}"
    );
}

/// Sixteen images of one diffusion checkpoint at each D, and how far they are from those of the D before.
#[test]
fn images_of_one_seed_change_continuously_with_d() {
    let checkpoint = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../checkpoint/tests/data/edm-classes.pkl"
    );
    let at = |d: f64| {
        let d = Some(Dimension::new(d).unwrap());
        sample_checkpoint::sample(checkpoint.as_ref(), d).unwrap()
    };
    let apart = |a: &Tensor, b: &Tensor| {
        let square = (a - b).unwrap().sqr().unwrap().mean_all().unwrap();
        square.to_scalar::<f32>().unwrap().sqrt()
    };
    let gaussian = at(f64::INFINITY);
    let size = apart(&gaussian, &gaussian.zeros_like().unwrap());
    for d in [0.5, 1.0, 1.9, 2.0, 3.0, 128.0, 1e6] {
        let (here, near) = (at(d), at(d * 1.001));
        let (step, whole) = (apart(&here, &near), apart(&here, &gaussian));
        println!("D = {d}: {step:.1e} to 1.001 D, {whole:.1e} to D = inf, images are {size:.2}");
        assert!(step < 0.02 * size, "D = {d}: images jump by {step}");
    }
    let limit = apart(&at(1e15), &gaussian);
    println!("D = 1e15: {limit:.1e} to D = inf");
    assert!(limit < 1e-5 * size, "D = 1e15: got {limit} from D = inf");
}
