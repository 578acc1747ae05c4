//! The field of original PFGM against golden values and closed forms, its noise and its scales.

use std::f64::consts::FRAC_2_PI;

use candle_core::{DType, Device, Result, Tensor};
use pfgmpp_kernel::{SampleRng, Stream};
use pfgmpp_objective::{
    PfgmField, PfgmObjective, PfgmPerturbation, PfgmScales, TrainingModel, Weighted,
};

fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn cifar() -> PfgmPerturbation {
    PfgmPerturbation {
        tau: 0.03,
        max_m: 291.0,
        sigma_end: 0.01,
        restricted_z: 0.005,
        restricted_m: 0.7,
    }
}

#[test]
fn targets_equal_the_golden_ones() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../kernel/tests/data/field.safetensors"
    );
    let golden = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let field = PfgmField::new(&golden["data"], 5.0).unwrap();
    let z = values(&golden["pfgm.z"]);
    let got = field.target(&golden["pfgm.x"], &z).unwrap();
    let want = &golden["pfgm.target_gamma5"];
    assert_eq!(got.dims(), want.dims());
    for (got, want) in values(&got).into_iter().zip(values(want)) {
        assert!((got - want).abs() < 1e-6, "got {got}, want {want}");
    }
}

#[test]
fn one_charge_attracts_along_the_straight_line() {
    let y = Tensor::new(&[[1.0, 2.0]], &Device::Cpu).unwrap();
    let x = Tensor::new(&[[4.0, 2.0]], &Device::Cpu).unwrap();
    let got = PfgmField::new(&y, 1.0).unwrap().target(&x, &[4.0]);
    let got = values(&got.unwrap());
    // Ê = (3, 0, 4) of norm 5: v = -sqrt(2) Ê / 6.
    let want = [3.0, 0.0, 4.0].map(|e: f64| -2.0f64.sqrt() * e / 6.0);
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() < 1e-6, "got {got}, want {want}");
    }
}

#[test]
fn far_away_the_field_is_that_of_one_charge_at_the_mean() {
    let y = Tensor::new(&[[-1.0, 0.0], [1.0, 0.5], [0.0, -0.5]], &Device::Cpu).unwrap();
    let x = Tensor::new(&[[3e6, 4e6]], &Device::Cpu).unwrap();
    let got = PfgmField::new(&y, 5.0).unwrap().target(&x, &[0.0]);
    let got = values(&got.unwrap());
    let want = [-0.6, -0.8, 0.0].map(|e: f64| 2.0f64.sqrt() * e);
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() < 1e-5, "got {got}, want {want}");
    }
}

/// On a charge with z = 0 and gamma = 0 the formula reads 0/0; any gamma above 0 gives 0.
#[test]
fn on_a_charge_the_softened_field_vanishes() {
    let y = Tensor::new(&[[-1.0, 0.0], [1.0, 0.5]], &Device::Cpu).unwrap();
    let got = PfgmField::new(&y, 5.0).unwrap().target(&y, &[0.0, 0.0]);
    let got = values(&got.unwrap());
    assert!(got.iter().all(|v| v.abs() < 1e-6), "got {got:?}, want 0");
}

/// z and |x| / sqrt(N) share the factor (1+tau)^m, and m is uniform: so is ln of the factor.
#[test]
fn perturbation_follows_its_law() {
    let (batch, n) = (20_000, 256);
    let y = Tensor::zeros((batch, n), DType::F64, &Device::Cpu).unwrap();
    let mut rngs = SampleRng::batch(1, Stream::Training, 0, batch);
    let law = cifar();
    let (x, z) = law.perturb(&y, &mut rngs).unwrap();
    let square = x.sqr().unwrap().sum(1).unwrap();
    let (full, restricted) = (291.0 * 1.03f64.ln(), 0.7 * 291.0 * 1.03f64.ln());
    let mut parts = [(0.0, 0.0), (0.0, 0.0)];
    for (square, z) in values(&square).iter().zip(&z) {
        // |x| / sqrt(N) = sigma_end (1+tau)^m within 1/sqrt(2N) = 4 %.
        let growth = (square / n as f64).sqrt() / law.sigma_end;
        let eps_z = z / growth;
        // Left out: samples so near 0.005 that those 4 % might put them on the other side.
        if (eps_z / 0.005).ln().abs() > 0.2 {
            let part = &mut parts[usize::from(eps_z > 0.005)];
            *part = (part.0 + growth.ln(), part.1 + 1.0);
        }
    }
    for ((sum, count), width) in parts.into_iter().zip([restricted, full]) {
        // Five standard errors of a uniform mean.
        let (got, want, error): (f64, f64, f64) = (
            sum / count,
            width / 2.0,
            5.0 * width / (12.0 * count).sqrt(),
        );
        assert!(
            (got - want).abs() < error + 0.002,
            "mean of m ln(1+tau): got {got}, want {want} ± {error}"
        );
    }
    // P(|eps_z| < 0.005) at sigma_end 0.01 is P(|normal| < 0.5) = 0.3829.
    let got = parts[0].1 / (parts[0].1 + parts[1].1);
    assert!((got - 0.36).abs() < 0.05, "restricted part: got {got}");
}

#[test]
fn perturbation_adds_to_the_data_whatever_the_batch() {
    let law = cifar();
    let draw = |y: &Tensor, first, count| {
        let mut rngs = SampleRng::batch(1, Stream::Training, first, count);
        let (x, z) = law.perturb(y, &mut rngs).unwrap();
        (x.to_vec2::<f64>().unwrap(), z)
    };
    let zeros = Tensor::zeros((3, 4), DType::F64, &Device::Cpu).unwrap();
    let (noise, z) = draw(&zeros, 0, 3);
    let (x, _) = draw(&(&zeros + 2.0).unwrap(), 0, 3);
    assert!((x[0][1] - noise[0][1] - 2.0).abs() < 1e-9);
    let (alone, z_alone) = draw(&zeros.narrow(0, 0, 1).unwrap(), 2, 1);
    assert_eq!((&alone[0], z_alone[0]), (&noise[2], z[2]));
}

#[test]
fn scales_follow_the_published_formula() {
    let (n, norm, tau, sigma_end) = (3072, 25.0f64, 0.03f64, 0.01f64);
    let got = PfgmScales::recommended(n, norm, tau, sigma_end).unwrap();
    let ratio = norm * norm / (2.0 * (n as f64).sqrt() * sigma_end * sigma_end);
    let max_m = (0.75 * ratio.ln() / 1.03f64.ln()).floor() + 1.0;
    assert_eq!(got.max_m, max_m);
    let reach = sigma_end * 1.03f64.powf(max_m);
    for (name, got, want) in [
        ("z_max", got.z_max, FRAC_2_PI.sqrt() * reach),
        ("upper_norm", got.upper_norm, (n as f64).sqrt() * reach),
    ] {
        let error = (got / want - 1.0).abs();
        assert!(error < 1e-12, "{name}: got {got}, want {want}");
    }
}

/// The published CIFAR-10 setup: M = 291 and z_max about 40, at images of mean norm 31 to 33.
#[test]
fn scales_of_cifar_sized_data_are_near_the_published_ones() {
    let got = PfgmScales::recommended(3072, 32.0, 0.03, 0.01).unwrap();
    assert!((got.max_m - 291.0).abs() <= 2.0, "got {got:?}, want M 291");
    assert!((got.z_max - 43.0).abs() < 4.0, "got {got:?}, want z_max 43");
}

#[test]
fn what_does_not_fit_is_refused() {
    let message = |result: std::result::Result<PfgmScales, _>| match result {
        Err(error) => format!("{error}"),
        Ok(scales) => format!("{scales:?}"),
    };
    assert_eq!(
        message(PfgmScales::recommended(3072, 0.0, 0.03, 0.01)),
        "norm must be a positive number, got 0"
    );
    let got = message(PfgmScales::recommended(3072, 0.1, 0.03, 0.01));
    assert!(
        got.starts_with("norm must be at least sigma_end sqrt(2 sqrt(n)) = 0.105"),
        "got {got}"
    );
    let law = PfgmPerturbation {
        restricted_m: 1.5,
        ..cifar()
    };
    assert_eq!(
        law.check().unwrap_err().to_string(),
        "restricted_m must be a number in [0, 1], got 1.5"
    );
    let y = Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
    let mut rngs = SampleRng::batch(0, Stream::Training, 0, 2);
    assert_eq!(
        cifar().perturb(&y, &mut rngs).unwrap_err().to_string(),
        "rngs must have one entry for each of the 3 samples, got 2"
    );
    assert_eq!(
        PfgmField::new(&y, -1.0).unwrap_err().to_string(),
        "gamma must be from 0 to 10000, got -1"
    );
}

/// Knows the field of the data that it was made from, times a factor.
struct KnownField {
    field: PfgmField,
    factor: f64,
}

impl TrainingModel for KnownField {
    fn predict(&self, x: &Tensor, z: &[f64]) -> Result<Weighted> {
        Ok(Weighted {
            prediction: (self.field.target(x, z)? * self.factor)?,
            weight: vec![1.0; z.len()],
        })
    }
}

#[test]
fn the_field_of_the_large_batch_has_no_loss() {
    let y: Vec<f64> = (0..60)
        .map(|i| f64::from(i * 37 % 11) / 5.0 - 1.0)
        .collect();
    let y = Tensor::from_vec(y, (20, 3), &Device::Cpu).unwrap();
    let objective = PfgmObjective {
        perturbation: cifar(),
        gamma: 5.0,
    };
    let loss = |factor| {
        let field = PfgmField::new(&y, 5.0).unwrap();
        let mut rngs = SampleRng::batch(0, Stream::Training, 0, 8);
        let batch = y.narrow(0, 0, 8).unwrap();
        let loss = objective.loss(&KnownField { field, factor }, &batch, &y, &mut rngs);
        loss.unwrap()
    };
    let exact = loss(1.0);
    assert_eq!((exact.per_sample.dims(), exact.sigma.len()), (&[8][..], 8));
    assert_eq!(exact.mean.to_scalar::<f64>().unwrap(), 0.0);
    let off = loss(0.5).mean.to_scalar::<f64>().unwrap();
    let zero = loss(0.0).mean.to_scalar::<f64>().unwrap();
    assert!((off / zero - 0.25).abs() < 1e-9, "got {off}, want {zero}/4");
}
