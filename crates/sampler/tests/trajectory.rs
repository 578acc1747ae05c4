//! Heun trajectories of an exact denoiser against golden ones.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use pfgmpp_kernel::{Condition, Dimension, ExactPosterior};
use pfgmpp_sampler::{Heun, Integration};
use pfgmpp_transfer::{EdmSchedule, Schedule};

fn golden() -> HashMap<String, Tensor> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../kernel/tests/data/field.safetensors"
    );
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn trajectories_end_at_the_golden_points() {
    let golden = golden();
    for tag in ["0.5", "1", "4.5", "128", "1e+06", "inf"] {
        let d = Dimension::new(tag.parse().unwrap()).unwrap();
        let posterior = ExactPosterior::new(&golden["data"], d).unwrap();
        for num_steps in [18, 40] {
            let edm = Schedule::Edm(EdmSchedule {
                num_steps,
                sigma_min: 0.002,
                sigma_max: 80.0,
                rho: 7.0,
            });
            let way = Integration {
                solver: &Heun,
                denoiser: &posterior,
                condition: Condition::unconditional(),
                levels: &edm.levels().unwrap(),
                before: Vec::new(),
            };
            let x0 = golden[&format!("{tag}.x0")].clone();
            let got = values(&way.run(x0, &mut |_, _, _| Ok(())).unwrap());
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
