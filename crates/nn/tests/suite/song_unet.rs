//! Parity with an independent PyTorch implementation: outputs and every gradient of DDPM++, NCSN++ and ADM networks.

use candle_core::{Device, Result, Tensor};
use pfgmpp_nn::{NetworkConfig, Parameters, Signature};
use serde_json::{Map, Value};

use crate::golden::Golden;

/// The golden networks were made with this standard deviation of the data.
const SIGMA_DATA: f64 = 0.5;

/// Compares a denoiser: `c_skip x + c_out F(c_in x; c_noise)` of Karras et al. 2022.
fn check(name: &str) -> Result<()> {
    let mut golden = Golden::read(name);
    let (side, channels) = (golden.take("resolution"), golden.take("channels"));
    let signature = Signature {
        label_dim: golden.take("label_dim"),
        augment_dim: golden.take("augment_dim"),
        ..Signature::unconditional([channels, side, side])
    };
    let arch = golden.config.remove("arch").expect("a kind of network");
    let mut sizes = golden.config.clone();
    sizes.entry("channel_mult_emb").or_insert(4.into());
    sizes.entry("dropout").or_insert(0.0.into());
    let kind = arch.as_str().expect("a kind is a word").to_owned();
    let config = Value::Object(Map::from_iter([(kind, Value::Object(sizes))]));
    let config: NetworkConfig = serde_json::from_value(config).expect("a configuration");
    let parameters = Parameters::new(0, &Device::Cpu);
    let network = config.build(signature, &parameters.builder())?;
    golden.load(&parameters);

    let sigma = golden.get("in.sigma");
    let image = |t: Tensor| t.reshape(((), 1, 1, 1));
    let square = (sigma.sqr()? + SIGMA_DATA * SIGMA_DATA)?;
    let c_skip = image((square.recip()? * (SIGMA_DATA * SIGMA_DATA))?)?;
    let c_out = image((sigma.div(&square.sqrt()?)? * SIGMA_DATA)?)?;
    let c_in = image(square.sqrt()?.recip()?)?;
    let c_noise = (sigma.log()? / 4.0)?;
    golden.check("out.denoised", &parameters, |x| {
        let f = golden.forward(network.as_ref(), &x.broadcast_mul(&c_in)?, &c_noise)?;
        x.broadcast_mul(&c_skip)? + f.broadcast_mul(&c_out)?
    })
}

#[test]
fn unconditional_ddpmpp_agrees_with_pytorch() -> Result<()> {
    check("ddpmpp")
}

#[test]
fn labelled_and_augmented_ddpmpp_agrees_with_pytorch() -> Result<()> {
    check("ddpmpp_cond_aug")
}

#[test]
fn augmented_ncsnpp_agrees_with_pytorch() -> Result<()> {
    check("ncsnpp")
}

#[test]
fn labelled_adm_agrees_with_pytorch() -> Result<()> {
    check("adm")
}

/// `tests/data/make_song_skip.py`
#[test]
fn skip_encoder_and_decoder_agree_with_pytorch() -> Result<()> {
    let golden = Golden::read("song_skip");
    let config = Value::Object(golden.config.clone());
    let config: NetworkConfig = serde_json::from_value(config).expect("a configuration");
    let parameters = Parameters::new(0, &Device::Cpu);
    let signature = Signature::unconditional([2, 8, 8]);
    let network = config.build(signature, &parameters.builder())?;
    golden.load(&parameters);
    golden.check("out", &parameters, |x| {
        golden.forward(network.as_ref(), x, golden.get("in.c_noise"))
    })
}
