//! Parity with an independent PyTorch implementation: outputs and every gradient of two DDPM++ networks.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Result, Tensor, Var};
use pfgmpp_nn::{Condition, Network, Parameters, Signature, SongUNet, SongUNetConfig};

/// The golden networks were made with this standard deviation of the data.
const SIGMA_DATA: f64 = 0.5;

struct Golden {
    tensors: HashMap<String, Tensor>,
    config: SongUNetConfig,
    signature: Signature,
}

impl Golden {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data")
            .join(name);
        let bytes = std::fs::read(&path).expect("the golden file is part of the crate");
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a valid header");
        let metadata = header
            .metadata()
            .clone()
            .expect("the header holds metadata");
        let mut config: serde_json::Value =
            serde_json::from_str(&metadata["config"]).expect("the config is JSON");
        let fields = config.as_object_mut().expect("the config is a map");
        fields.remove("arch");
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
        fields.insert("channel_mult_emb".into(), 4.into());
        fields.insert("dropout".into(), 0.0.into());
        Self {
            tensors: candle_core::safetensors::load(path, &Device::Cpu).expect("readable tensors"),
            config: serde_json::from_value(config)
                .expect("the rest is the network's configuration"),
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

    /// The denoiser: `c_skip x + c_out F(c_in x; c_noise)` of Karras et al. 2022.
    fn denoise(&self, network: &SongUNet, x: &Tensor) -> Result<Tensor> {
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
    let parameters = Parameters::new(0, &Device::Cpu);
    let network = SongUNet::new(
        &golden.config,
        golden.signature,
        &parameters.builder().pp("model"),
    )
    .expect("the golden configuration is valid");
    let state = golden.state();
    let (mut got, mut want): (Vec<_>, Vec<_>) = (
        parameters.tensors().into_keys().collect(),
        state.keys().cloned().collect(),
    );
    got.sort();
    want.sort();
    assert_eq!(got, want, "names in the state dictionary");
    parameters.load(&state).expect("the golden state fits");

    let x = Var::from_tensor(&golden.tensors["in.x"]).expect("a variable");
    let denoised = golden
        .denoise(&network, x.as_tensor())
        .expect("an evaluation");
    let error = relative_error(&denoised, &golden.tensors["out.denoised"]);
    assert!(
        error < 1e-5,
        "{name} output: got relative error {error:e}, want below 1e-5"
    );

    let loss = (&denoised * &golden.tensors["in.probe"])
        .and_then(|t| t.sum_all())
        .expect("a scalar");
    let grads = loss.backward().expect("gradients");
    let mut vars = parameters.vars();
    vars.push(("x".into(), x));
    for (parameter, var) in vars {
        let got = grads
            .get(&var)
            .unwrap_or_else(|| panic!("{name}: {parameter} has no gradient"));
        let error = relative_error(got, &golden.tensors[&format!("grad.{parameter}")]);
        assert!(
            error < 1e-4,
            "{name} gradient of {parameter}: got relative error {error:e}, want below 1e-4"
        );
    }
}

#[test]
fn unconditional_network_agrees_with_pytorch() {
    check("ddpmpp.safetensors");
}

#[test]
fn labelled_and_augmented_network_agrees_with_pytorch() {
    check("ddpmpp_cond_aug.safetensors");
}
