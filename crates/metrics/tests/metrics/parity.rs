//! Scores against those of NumPy, SciPy and prdc (`tests/data/scores.py`).

use candle_core::{DType, Device, Tensor};
use pfgmpp_metrics::{
    Moments, coverage, density, energy_distance, energy_distance_error, frechet_distance,
    kernel_distance, precision, recall, sliced_wasserstein, sliced_wasserstein_error,
};
use serde_json::Value;

fn expected(part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../data/scores.json")).unwrap();
    all[part].as_array().unwrap().clone()
}

fn count(row: &Value, key: &str) -> usize {
    row[key].as_u64().unwrap() as usize
}

/// Values in [-0.5, 0.5) by splitmix64 of their place.
fn uniform(seed: u64, num: usize, dim: usize) -> Vec<f64> {
    let value = |place: u64| {
        let mut z = (place + (seed << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / 2f64.powi(53) - 0.5
    };
    (1..=(num * dim) as u64).map(value).collect()
}

fn tensor(values: Vec<f64>, dim: usize) -> Tensor {
    let num = values.len() / dim;
    Tensor::from_vec(values, (num, dim), &Device::Cpu).unwrap()
}

/// Columns of falling size, `(1 + j)^-power`, shifted.
fn features(seed: u64, num: usize, dim: usize, shift: f64, power: f64) -> Tensor {
    let mut values = uniform(seed, num, dim);
    for (place, value) in values.iter_mut().enumerate() {
        *value = *value * (1.0 + (place % dim) as f64).powf(-power) + shift;
    }
    tensor(values, dim)
}

#[test]
fn precision_recall_density_and_coverage_are_those_of_prdc() {
    for row in expected("neighbours") {
        let (dim, k) = (count(&row, "dim"), count(&row, "k"));
        let mut data = uniform(1, count(&row, "data"), dim);
        let mut samples = uniform(2, count(&row, "samples"), dim);
        samples
            .iter_mut()
            .for_each(|value| *value = 0.9 * *value + 0.05);
        samples[..9 * dim].copy_from_slice(&data[3 * dim..12 * dim]);
        for copy in 30..35 {
            data.copy_within(29 * dim..30 * dim, copy * dim);
        }
        let (samples, data) = (tensor(samples, dim), tensor(data, dim));
        for (name, got) in [
            ("precision", precision(&samples, &data, k)),
            ("recall", recall(&samples, &data, k)),
            ("density", density(&samples, &data, k)),
            ("coverage", coverage(&samples, &data, k)),
        ] {
            let (got, want) = (got.unwrap().value, row[name].as_f64().unwrap());
            assert!(
                (got - want).abs() < 1e-9,
                "{name} of {row}: got {got}, want {want}"
            );
        }
    }
}

#[test]
fn the_frechet_distance_is_that_of_scipy_at_any_rank() {
    for row in expected("frechet") {
        let dim = count(&row, "dim");
        let x = features(3, count(&row, "x"), dim, 0.0, 0.5);
        let y = features(4, count(&row, "y"), dim, 0.02, 0.4);
        let (x, y) = (Moments::of(&x).unwrap(), Moments::of(&y).unwrap());
        let got = frechet_distance(&x, &y).unwrap();
        for want in ["by_svd", "by_sqrtm"]
            .iter()
            .filter_map(|key| row[key].as_f64())
        {
            let error = (got / want - 1.0).abs();
            assert!(error < 1e-6, "{row}: got {got}, want {want}");
        }
    }
}

#[test]
fn the_frechet_distance_of_a_set_to_itself_is_zero_and_of_a_shift_its_square() {
    let x = features(3, 60, 100, 0.0, 0.5);
    let moments = |x: &Tensor| Moments::of(x).unwrap();
    let got = frechet_distance(&moments(&x), &moments(&x)).unwrap();
    assert!(got.abs() < 1e-9, "got {got}, want 0");
    let shifted = (&x + 0.25).unwrap();
    let got = frechet_distance(&moments(&x), &moments(&shifted)).unwrap();
    assert!((got - 100.0 * 0.0625).abs() < 1e-9, "got {got}, want 6.25");
    let constant = Tensor::zeros((60, 100), DType::F64, &Device::Cpu).unwrap();
    let got = frechet_distance(&moments(&x), &moments(&constant)).unwrap();
    let (mean, covariance) = (
        moments(&x).mean().to_vec(),
        moments(&x).covariance().to_vec(),
    );
    let want =
        mean.iter().map(|m| m * m).sum::<f64>() + covariance.iter().step_by(101).sum::<f64>();
    assert!((got - want).abs() < 1e-12, "got {got}, want {want}");
}

#[test]
fn the_kernel_distance_is_that_of_numpy() {
    for row in expected("kernel") {
        let dim = count(&row, "dim");
        let x = features(3, count(&row, "x"), dim, 0.0, 0.1);
        let y = features(4, count(&row, "y"), dim, 0.3, 0.0);
        let got = kernel_distance(&x, &y).unwrap().value;
        let want = row["value"].as_f64().unwrap();
        assert!(
            (got / want - 1.0).abs() < 1e-11,
            "{row}: got {got}, want {want}"
        );
    }
}

/// Sets of the two sizes by repetition, each of another seed.
fn sets(repetition: u64, shift: f64) -> (Tensor, Tensor) {
    let seed = 10 + 2 * repetition;
    (
        features(seed, 120, 4, 0.0, 0.3),
        features(seed + 1, 90, 4, shift, 0.3),
    )
}

/// The mean of the standard errors over the scatter of the values, of `num` repetitions.
fn ratio(num: u64, measure: impl Fn(&Tensor, &Tensor) -> (f64, f64)) -> f64 {
    let found: Vec<(f64, f64)> = (0..num)
        .map(|repetition| {
            let (x, y) = sets(repetition, 0.2);
            measure(&x, &y)
        })
        .collect();
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| found.iter().map(of).sum::<f64>() / num as f64;
    let centre = mean(&|found| found.0);
    let scatter = mean(&|found| (found.0 - centre).powi(2)).sqrt();
    mean(&|found| found.1) / scatter
}

#[test]
fn standard_errors_are_the_scatter_between_sets() {
    let energy = |x: &Tensor, y: &Tensor| {
        let error = energy_distance_error(x, y).unwrap().unwrap();
        (energy_distance(x, y).unwrap(), error)
    };
    let kernel = |x: &Tensor, y: &Tensor| {
        let found = kernel_distance(x, y).unwrap();
        (found.value, found.standard_error.unwrap())
    };
    let sliced = |x: &Tensor, y: &Tensor| {
        let error = sliced_wasserstein_error(x, y, 32, 5).unwrap().unwrap();
        (sliced_wasserstein(x, y, 32, 5).unwrap(), error)
    };
    // A deviation of 200 values is known to 5 %, of 100 to 7 %: three of them.
    for (name, got, bound) in [
        ("energy distance", ratio(200, energy), 0.15),
        ("kernel distance", ratio(200, kernel), 0.15),
        ("sliced Wasserstein", ratio(100, sliced), 0.21),
    ] {
        assert!((got - 1.0).abs() < bound, "{name}: got {got}, want 1");
    }
}

#[test]
fn too_few_neighbours_and_too_wide_samples_are_refused() {
    let (x, y) = (features(1, 5, 3, 0.0, 0.0), features(2, 30, 3, 0.0, 0.0));
    let got = recall(&x, &y, 5).unwrap_err().to_string();
    assert_eq!(
        got,
        "samples must hold more than 5 samples for their 5 nearest neighbours, got 5"
    );
    let wide = Tensor::zeros((2, 5000), DType::F32, &Device::Cpu).unwrap();
    let got = Moments::of(&wide).unwrap_err().to_string();
    assert!(got.contains("at most 4096 values, got 5000"), "got {got}");
}
