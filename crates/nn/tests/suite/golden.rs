//! Golden files: weights, inputs, outputs and every gradient of networks evaluated by PyTorch.
//!
//! `GOLDEN_NETS` may name a folder with files of the same names from another seed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Result, Tensor, Var};
use pfgmpp_nn::{Context, Network, Parameters};
use serde_json::{Map, Value};

use crate::check::{labelled, relative_error};

/// One golden file.
pub struct Golden {
    name: String,
    tensors: HashMap<String, Tensor>,
    /// What the file says of its network.
    pub config: Map<String, Value>,
}

impl Golden {
    /// Reads `name.safetensors`.
    pub fn read(name: &str) -> Self {
        let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let folder = std::env::var_os("GOLDEN_NETS").map_or_else(own, PathBuf::from);
        let path = folder.join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&path).expect("the golden file is part of the crate");
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a valid header");
        let metadata = header.metadata().clone().expect("metadata");
        Self {
            name: name.to_owned(),
            tensors: candle_core::safetensors::load(path, &Device::Cpu).expect("readable tensors"),
            config: serde_json::from_str(&metadata["config"]).expect("the config is a map"),
        }
    }

    /// Takes an integer out of the configuration, 0 where there is none.
    pub fn take(&mut self, name: &str) -> usize {
        let value = self.config.remove(name);
        value.map_or(0, |v| v.as_u64().expect("an integer") as usize)
    }

    /// A tensor that is no weight.
    pub fn get(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }

    /// The weights, and the constants that stand beside them.
    pub fn state(&self) -> HashMap<String, Tensor> {
        let other = ["grad.", "in.", "out"];
        let tensors = self.tensors.iter();
        tensors
            .filter(|(name, _)| !other.iter().any(|start| name.starts_with(start)))
            .map(|(name, tensor)| (name.clone(), tensor.clone()))
            .collect()
    }

    /// Loads the weights, whose names must be those of the network.
    pub fn load(&self, parameters: &Parameters) {
        let state = self.state();
        let (mut got, mut want): (Vec<_>, Vec<_>) = (
            parameters.tensors().into_keys().collect(),
            state.keys().cloned().collect(),
        );
        got.sort();
        want.sort();
        assert_eq!(got, want, "{}: names in the state dictionary", self.name);
        parameters.load(&state).expect("the golden state fits");
    }

    /// The network's output for `x`.
    pub fn forward(&self, network: &dyn Network, x: &Tensor, c_noise: &Tensor) -> Result<Tensor> {
        let condition = labelled(self.tensors.get("in.labels"))?;
        let context = Context {
            condition: &condition,
            augment: self.tensors.get("in.augment"),
            ..Context::default()
        };
        network.forward(x, c_noise, &context)
    }

    /// Compares `f` of the input with the output `out`, within 1e-5, and every gradient, within 1e-4.
    pub fn check(
        &self,
        out: &str,
        parameters: &Parameters,
        f: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<()> {
        let (name, x) = (&self.name, Var::from_tensor(self.get("in.x"))?);
        let value = f(x.as_tensor())?;
        let error = relative_error(&value, &self.get(out).to_dtype(DType::F64)?);
        println!("{name} output: relative error {error:e}");
        assert!(
            error < 1e-5,
            "{name} output: got relative error {error:e}, want below 1e-5"
        );
        let grads = (&value * self.get("in.probe"))?.sum_all()?.backward()?;
        let mut worst = (0.0, "none");
        for (key, want) in &self.tensors {
            let Some(parameter) = key.strip_prefix("grad.") else {
                continue;
            };
            let var = match parameter {
                "x" => x.clone(),
                _ => parameters.get(parameter).expect("names were compared"),
            };
            let got = grads
                .get(&var)
                .unwrap_or_else(|| panic!("{name}: {parameter} has no gradient"));
            if parameter.ends_with("to_k.bias") {
                // It shifts all logits of a query alike: the true gradient is zero.
                let largest = got.abs()?.max_all()?.to_scalar::<f32>()?;
                assert!(
                    largest < 1e-4,
                    "{name} gradient of {parameter}: got {largest:e}, want 0"
                );
                continue;
            }
            let error = relative_error(got, &want.to_dtype(DType::F64)?);
            assert!(
                error < 1e-4,
                "{name} gradient of {parameter}: got relative error {error:e}, want below 1e-4"
            );
            if error > worst.0 {
                worst = (error, parameter);
            }
        }
        let (error, parameter) = worst;
        println!("{name} gradients: largest relative error {error:e}, of {parameter}");
        Ok(())
    }
}
