//! Heun trajectories of an exact denoiser against golden ones.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use pfgmpp_kernel::{Dimension, ExactPosterior};
use pfgmpp_sampler::{DenoiserSlope, heun};

use crate::problems::{edm, values};

fn golden() -> HashMap<String, Tensor> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../kernel/tests/data/field.safetensors"
    );
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

#[test]
fn trajectories_end_at_the_golden_points() {
    let golden = golden();
    for tag in ["0.5", "1", "4.5", "128", "1e+06", "inf"] {
        let d = Dimension::new(tag.parse().unwrap()).unwrap();
        let posterior = ExactPosterior::new(&golden["data"], d).unwrap();
        let slope = DenoiserSlope::new(&posterior, None);
        for num_steps in [18, 40] {
            let sigmas = edm(num_steps).sigmas();
            let x0 = golden[&format!("{tag}.x0")].clone();
            let got = values(&heun(&slope, x0, &sigmas).unwrap());
            let want = values(&golden[&format!("{tag}.heun{num_steps}")]);
            for (index, (got, want)) in got.iter().zip(&want).enumerate() {
                assert!(
                    (got - want).abs() < 1e-6,
                    "d {tag}, {num_steps} steps, value {index}: got {got}, want {want}"
                );
            }
        }
    }
}
