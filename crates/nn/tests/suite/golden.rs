//! Parity with an independent PyTorch implementation: outputs and every gradient of DDPM++, NCSN++ and ADM networks.
//!
//! `GOLDEN_NETS` may name a folder with files of the same names from another seed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Result, Tensor, Var};
use pfgmpp_nn::{Condition, Network, NetworkConfig, Parameters, Signature};
use serde_json::{Map, Value};

/// The golden networks were made with this standard deviation of the data.
const SIGMA_DATA: f64 = 0.5;

struct Golden {
    name: String,
    tensors: HashMap<String, Tensor>,
    config: NetworkConfig,
    signature: Signature,
}

impl Golden {
    fn read(name: &str) -> Self {
        let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let folder = std::env::var_os("GOLDEN_NETS").map_or_else(own, PathBuf::from);
        let path = folder.join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&path).expect("the golden file is part of the crate");
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a valid header");
        let metadata = header
            .metadata()
            .clone()
            .expect("the header holds metadata");
        let mut fields: Map<String, Value> =
            serde_json::from_str(&metadata["config"]).expect("the config is a map");
        let arch = fields.remove("arch").expect("the config names its kind");
        let mut take = |name: &str| {
            fields
                .remove(name)
                .map_or(0, |v| v.as_u64().expect("an integer") as usize)
        };
        let (side, channels) = (take("resolution"), take("channels"));
        let signature = Signature {
            resolution: [side, side],
            in_channels: channels,
            out_channels: channels,
            label_dim: take("label_dim"),
            augment_dim: take("augment_dim"),
        };
        fields.entry("channel_mult_emb").or_insert(4.into());
        fields.entry("dropout").or_insert(0.0.into());
        let kind = arch.as_str().expect("a kind is a word").to_owned();
        let config = Value::Object(Map::from_iter([(kind, Value::Object(fields))]));
        Self {
            name: name.to_owned(),
            tensors: candle_core::safetensors::load(path, &Device::Cpu).expect("readable tensors"),
            config: serde_json::from_value(config).expect("a network's configuration"),
            signature,
        }
    }

    fn state(&self) -> HashMap<String, Tensor> {
        let own = |name: &&String| name.starts_with("model.");
        self.tensors
            .keys()
            .filter(own)
            .map(|name| (name.clone(), self.tensors[name].clone()))
            .collect()
    }

    /// The network with the golden weights.
    fn network(&self) -> (Parameters, Box<dyn Network>) {
        let parameters = Parameters::new(0, &Device::Cpu);
        let network = self
            .config
            .build(self.signature, &parameters.builder())
            .expect("the golden configuration is valid");
        let state = self.state();
        let (mut got, mut want): (Vec<_>, Vec<_>) = (
            parameters.tensors().into_keys().collect(),
            state.keys().cloned().collect(),
        );
        got.sort();
        want.sort();
        assert_eq!(got, want, "{}: names in the state dictionary", self.name);
        parameters.load(&state).expect("the golden state fits");
        (parameters, network)
    }

    /// The denoiser: `c_skip x + c_out F(c_in x; c_noise)` of Karras et al. 2022.
    fn denoise(&self, network: &dyn Network, x: &Tensor) -> Result<Tensor> {
        let sigma = &self.tensors["in.sigma"];
        let b = sigma.dim(0)?;
        let square = (sigma.sqr()? + SIGMA_DATA * SIGMA_DATA)?;
        let image = |t: Tensor| t.reshape((b, 1, 1, 1));
        let c_skip = image((square.recip()? * (SIGMA_DATA * SIGMA_DATA))?)?;
        let c_out = image((sigma.div(&square.sqrt()?)? * SIGMA_DATA)?)?;
        let c_in = image(square.sqrt()?.recip()?)?;
        let condition = Condition {
            labels: self.tensors.get("in.labels"),
            augment: self.tensors.get("in.augment"),
            ..Condition::default()
        };
        let f = network.forward(&x.broadcast_mul(&c_in)?, &(sigma.log()? / 4.0)?, &condition)?;
        x.broadcast_mul(&c_skip)? + f.broadcast_mul(&c_out)?
    }
}

/// Largest difference relative to the largest magnitude wanted.
fn relative_error(got: &Tensor, want: &Tensor) -> f32 {
    let largest = |t: &Tensor| {
        t.abs()
            .and_then(|t| t.flatten_all()?.max(0)?.to_scalar::<f32>())
            .expect("f32 values")
    };
    assert_eq!(got.shape(), want.shape());
    largest(&(got - want).expect("equal shapes")) / largest(want).max(1e-30)
}

fn check(name: &str) {
    let golden = Golden::read(name);
    let (parameters, network) = golden.network();
    let x = Var::from_tensor(&golden.tensors["in.x"]).expect("a variable");
    let denoised = golden
        .denoise(network.as_ref(), x.as_tensor())
        .expect("an evaluation");
    let error = relative_error(&denoised, &golden.tensors["out.denoised"]);
    println!("{name} output: relative error {error:e}");
    assert!(
        error < 1e-5,
        "{name} output: got relative error {error:e}, want below 1e-5"
    );

    let loss = (&denoised * &golden.tensors["in.probe"])
        .and_then(|t| t.sum_all())
        .expect("a scalar");
    let grads = loss.backward().expect("gradients");
    let mut worst = (0.0, String::new());
    for (key, want) in &golden.tensors {
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
        let error = relative_error(got, want);
        assert!(
            error < 1e-4,
            "{name} gradient of {parameter}: got relative error {error:e}, want below 1e-4"
        );
        if error > worst.0 {
            worst = (error, parameter.to_owned());
        }
    }
    println!(
        "{name} gradients: largest relative error {:e}, of {}",
        worst.0, worst.1
    );
}

#[test]
fn unconditional_ddpmpp_agrees_with_pytorch() {
    check("ddpmpp");
}

#[test]
fn labelled_and_augmented_ddpmpp_agrees_with_pytorch() {
    check("ddpmpp_cond_aug");
}

#[test]
fn augmented_ncsnpp_agrees_with_pytorch() {
    check("ncsnpp");
}

#[test]
fn labelled_adm_agrees_with_pytorch() {
    check("adm");
}
