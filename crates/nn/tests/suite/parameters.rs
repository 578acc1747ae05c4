//! Initialisation and loading of parameters.

use std::collections::HashMap;

use candle_core::{Device, Result, Tensor};
use candle_nn::Init;
use pfgmpp_nn::{
    DhariwalUNet, NetworkConfig, Parameters, ParametersError, Signature, SongUNet, SongUNetConfig,
    UNetConfig, is_constant,
};

const SIGNATURE: Signature = Signature {
    resolution: [8, 8],
    in_channels: 1,
    out_channels: 1,
    label_dim: 0,
    augment_dim: 0,
};

fn config() -> UNetConfig {
    UNetConfig {
        model_channels: 32,
        channel_mult: vec![1, 2],
        channel_mult_emb: 4,
        num_blocks: 1,
        attn_resolutions: vec![4],
        dropout: 0.0,
        label_dropout: 0.0,
    }
}

fn network(seed: u64) -> Result<Parameters> {
    let parameters = Parameters::new(seed, &Device::Cpu);
    SongUNet::new(
        &SongUNetConfig::ddpmpp(config()),
        SIGNATURE,
        &parameters.builder(),
    )?;
    Ok(parameters)
}

fn values(parameters: &Parameters, name: &str) -> Vec<f32> {
    let var = parameters
        .get(name)
        .unwrap_or_else(|| panic!("{name} does not exist"));
    var.flatten_all()
        .and_then(|t| t.to_vec1())
        .expect("f32 values")
}

#[test]
fn initial_values_depend_on_seed_and_name_alone() -> Result<()> {
    let init = Init::Uniform { lo: -1.0, up: 1.0 };
    let draw = |seed: u64, names: &[&str]| -> Result<Parameters> {
        let parameters = Parameters::new(seed, &Device::Cpu);
        for name in names {
            parameters.builder().get_with_hints(5, name, init)?;
        }
        Ok(parameters)
    };
    let (one, other, reseeded) = (
        draw(1, &["a", "b"])?,
        draw(1, &["b", "c", "a"])?,
        draw(2, &["a"])?,
    );
    assert_eq!(
        values(&one, "a"),
        values(&other, "a"),
        "the order of construction matters"
    );
    assert_ne!(
        values(&one, "a"),
        values(&one, "b"),
        "two names share their values"
    );
    assert_ne!(
        values(&one, "a"),
        values(&reseeded, "a"),
        "two seeds share their values"
    );
    Ok(())
}

#[test]
fn weights_are_xavier_uniform_with_the_published_gains() -> Result<()> {
    let parameters = network(0)?;
    let cases = [
        ("enc.8x8_block0.conv0.weight", 32 + 32, 9, 1.0),
        ("enc.8x8_block0.conv1.weight", 32 + 32, 9, 1e-5),
        ("enc.8x8_block0.affine.weight", 128 + 32, 1, 1.0),
        ("dec.4x4_in0.qkv.weight", 64 + 192, 1, 0.2f64.sqrt()),
        ("dec.4x4_in0.proj.weight", 64 + 64, 1, 1e-5),
        ("dec.8x8_aux_conv.weight", 32 + 1, 9, 1e-5),
        ("map_layer0.weight", 32 + 128, 1, 1.0),
    ];
    for (name, fans, taps, gain) in cases {
        let bound = gain * (6.0 / f64::from(fans * taps)).sqrt();
        let values = values(&parameters, name);
        let largest = values
            .iter()
            .fold(0.0f64, |m, &v| m.max(f64::from(v.abs())));
        assert!(
            largest <= bound * (1.0 + 1e-6) && largest > 0.97 * bound,
            "{name}: got {largest}, want just below {bound}"
        );
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let deviation = bound / (3.0 * values.len() as f64).sqrt();
        assert!(
            mean.abs() < 5.0 * deviation,
            "{name}: got mean {mean}, want 0 within {deviation}"
        );
    }
    for (name, want) in [
        ("enc.8x8_block0.conv0.bias", 0.0),
        ("enc.8x8_block0.norm0.weight", 1.0),
        ("enc.8x8_block0.norm0.bias", 0.0),
    ] {
        assert!(
            values(&parameters, name).iter().all(|&v| v == want),
            "{name}: want all {want}"
        );
    }
    Ok(())
}

#[test]
fn adm_weights_and_biases_are_uniform_by_their_inputs_and_branches_start_silent() -> Result<()> {
    let parameters = Parameters::new(0, &Device::Cpu);
    let config = UNetConfig {
        model_channels: 64,
        ..config()
    };
    let signature = Signature {
        label_dim: 10,
        augment_dim: 9,
        ..SIGNATURE
    };
    DhariwalUNet::new(&config, signature, &parameters.builder())?;
    let largest = |name: &str| {
        let values = values(&parameters, name).into_iter();
        values.fold(0.0f64, |m, v| m.max(f64::from(v.abs())))
    };
    let cases = [
        ("enc.8x8_block0.conv0.weight", 64 * 9),
        ("enc.4x4_block0.qkv.weight", 128),
        ("enc.4x4_block0.affine.weight", 256),
        ("enc.4x4_block0.affine.bias", 256),
        ("map_layer0.weight", 64),
    ];
    for (name, fan_in) in cases {
        let (got, bound) = (largest(name), f64::from(fan_in).powf(-0.5));
        assert!(
            got <= bound * (1.0 + 1e-6) && got > 0.97 * bound,
            "{name}: got {got}, want just below {bound}"
        );
    }
    for name in [
        "enc.8x8_block0.conv1.weight",
        "enc.4x4_block0.proj.weight",
        "out_conv.weight",
        "out_conv.bias",
        "map_augment.weight",
    ] {
        assert_eq!(largest(name), 0.0, "{name}");
    }
    let labels = values(&parameters, "map_label.weight");
    let square = labels.iter().map(|v| f64::from(v * v)).sum::<f64>() / labels.len() as f64;
    assert!(
        (square - 1.0).abs() < 0.2,
        "map_label: got variance {square}, want 1"
    );
    Ok(())
}

#[test]
fn the_digits_network_has_as_many_parameters_as_its_pytorch_peer() -> Result<()> {
    assert_eq!(network(0)?.count(), 748_737);
    Ok(())
}

#[test]
fn loading_restores_every_value() -> Result<()> {
    let (from, to) = (network(1)?, network(2)?);
    let state: HashMap<String, Tensor> = from.tensors().into_iter().collect();
    to.load(&state).expect("the same network");
    for (name, _) in from.vars() {
        assert_eq!(values(&from, &name), values(&to, &name), "{name}");
    }
    Ok(())
}

#[test]
fn loading_names_what_does_not_fit() -> Result<()> {
    let parameters = network(0)?;
    let state: HashMap<String, Tensor> = parameters.tensors().into_iter().collect();
    let name = "map_layer0.bias".to_owned();
    let mut lacking = state.clone();
    lacking.remove(&name);
    assert!(
        matches!(parameters.load(&lacking), Err(ParametersError::Missing { name: got }) if got == name)
    );
    let mut misshapen = state.clone();
    misshapen.insert(name.clone(), state["map_layer0.weight"].clone());
    assert!(
        matches!(parameters.load(&misshapen), Err(ParametersError::Shape { name: got, .. }) if got == name)
    );
    let mut extended = state.clone();
    extended.insert("stray".into(), state[&name].clone());
    assert!(
        matches!(parameters.load(&extended), Err(ParametersError::Unexpected { name: got }) if got == "stray")
    );
    Ok(())
}

#[test]
fn configurations_outside_their_range_are_refused() {
    let refused: [(&str, UNetConfig, usize); 7] = [
        (
            "channel_mult",
            UNetConfig {
                channel_mult: vec![],
                ..config()
            },
            8,
        ),
        (
            "channel_mult",
            UNetConfig {
                channel_mult: vec![1, 0],
                ..config()
            },
            8,
        ),
        (
            "model_channels",
            UNetConfig {
                model_channels: 30,
                ..config()
            },
            8,
        ),
        (
            "channel_mult_emb",
            UNetConfig {
                channel_mult_emb: 0,
                ..config()
            },
            8,
        ),
        (
            "dropout",
            UNetConfig {
                dropout: 1.0,
                ..config()
            },
            8,
        ),
        ("resolution", config(), 7),
        // 16 is halved once.
        (
            "attn_resolutions is 4, it must be one of the network's resolutions, 16, 8",
            config(),
            16,
        ),
    ];
    for (name, config, resolution) in refused {
        let error = config
            .check(&Signature {
                resolution: [resolution, resolution],
                ..SIGNATURE
            })
            .expect_err(name)
            .to_string();
        assert!(
            error.contains(name),
            "got {error:?}, want an error that names {name}"
        );
    }
}

#[test]
fn constants_beside_the_weights_are_not_counted() -> Result<()> {
    let parameters = Parameters::new(0, &Device::Cpu);
    let network = NetworkConfig::Ncsnpp(config());
    network.build(SIGNATURE, &parameters.builder())?;
    let tensors = parameters.tensors();
    let (constants, trained): (Vec<_>, Vec<_>) =
        tensors.iter().partition(|(name, _)| is_constant(name));
    // NCSN++ has both kinds: Fourier frequencies and the taps of its filter.
    for kind in ["map_noise.freqs", "conv0.resample_filter"] {
        let found = constants.iter().any(|(name, _)| name.ends_with(kind));
        assert!(found, "no constant {kind}");
    }
    let want: usize = trained.iter().map(|(_, tensor)| tensor.elem_count()).sum();
    let all: usize = tensors.values().map(Tensor::elem_count).sum();
    assert_eq!(parameters.count(), want);
    assert!(want < all, "{want} of {all} values are trained");
    Ok(())
}

#[test]
fn attention_at_absent_resolutions_can_be_forgotten() -> Result<()> {
    let mut network = NetworkConfig::Ddpmpp(UNetConfig {
        attn_resolutions: vec![16, 4, 2],
        ..config()
    });
    let built = |network: &NetworkConfig| {
        let parameters = Parameters::new(0, &Device::Cpu);
        network.build(SIGNATURE, &parameters.builder()).map(|_| ())
    };
    assert!(built(&network).is_err());
    network.forget_absent_resolutions(8);
    assert_eq!(network, NetworkConfig::Ddpmpp(config()));
    built(&network)
}
