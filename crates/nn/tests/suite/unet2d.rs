//! Parity with diffusers: outputs and every gradient of two small `UNet2DModel`s (`tests/data/make_unet2d.py`).

use candle_core::{DType, Device, Result};
use candle_nn::VarBuilder;
use pfgmpp_nn::{
    DownBlockType, NetworkConfig, Parameters, Signature, UNet2D, UNet2DConfig, UpBlockType,
};
use serde_json::Value;

use crate::check::relative_error;
use crate::golden::Golden;

struct Case {
    golden: Golden,
    config: UNet2DConfig,
    signature: Signature,
}

fn read(name: &str) -> Case {
    let mut golden = Golden::read(name);
    let side = golden.take("sample_size");
    let signature = Signature {
        resolution: [side, side],
        in_channels: golden.take("in_channels"),
        out_channels: golden.take("out_channels"),
        label_dim: golden.take("num_class_embeds"),
        augment_dim: 0,
    };
    let mut options = golden.config.clone();
    options.insert("dropout".into(), 0.0.into());
    let config = serde_json::from_value(Value::Object(options)).expect("the options of diffusers");
    Case {
        golden,
        config,
        signature,
    }
}

fn check(name: &str) -> Result<()> {
    let Case {
        golden,
        config,
        signature,
    } = read(name);
    let parameters = Parameters::new(0, &Device::Cpu);
    let network = UNet2D::new(&config, signature, &parameters.builder())?;
    golden.load(&parameters);
    golden.check("out", &parameters, |x| {
        golden.forward(&network, x, golden.get("in.c_noise"))
    })
}

#[test]
fn a_network_like_that_of_ddpm_agrees_with_diffusers() -> Result<()> {
    check("unet2d")
}

#[test]
fn a_network_with_classes_and_heads_agrees_with_diffusers() -> Result<()> {
    check("unet2d_classes")
}

#[test]
fn a_network_like_that_of_consistency_models_agrees_with_diffusers() -> Result<()> {
    check("unet2d_resnet")
}

#[test]
fn scaling_and_shifting_without_attention_groups_agrees_with_diffusers() -> Result<()> {
    check("unet2d_shift")
}

#[test]
fn a_network_like_that_of_ncsnpp_agrees_with_diffusers() -> Result<()> {
    check("unet2d_skip")
}

#[test]
fn names_of_early_versions_are_read() -> Result<()> {
    let Case {
        golden,
        config,
        signature,
    } = read("unet2d");
    let renamed = |name: &str| {
        let pairs = [("to_q.", "query."), ("to_k.", "key."), ("to_v.", "value.")];
        let name = name.replace("to_out.0.", "proj_attn.");
        pairs
            .iter()
            .fold(name, |name, (new, old)| name.replace(new, old))
    };
    let state = golden.state().into_iter();
    let old = state
        .map(|(name, tensor)| (renamed(&name), tensor))
        .collect();
    let vb = VarBuilder::from_tensors(old, DType::F32, &Device::Cpu);
    let network = UNet2D::new(&config, signature, &vb)?;
    let out = golden.forward(&network, golden.get("in.x"), golden.get("in.c_noise"))?;
    let error = relative_error(&out, &golden.get("out").to_dtype(DType::F64)?);
    assert!(
        error < 1e-5,
        "got relative error {error:e}, want below 1e-5"
    );
    Ok(())
}

/// google/ddpm-cifar10-32, whose size is known.
#[test]
fn the_cifar_network_of_ddpm_has_its_published_size() -> Result<()> {
    let text = r#"{"unet2d": {"block_out_channels": [128, 256, 256, 256], "layers_per_block": 2,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"], "attention_head_dim": null,
        "add_attention": true, "norm_num_groups": 32, "norm_eps": 1e-6, "freq_shift": 1, "flip_sin_to_cos": false,
        "downsample_padding": 0, "dropout": 0.1}}"#;
    let config: NetworkConfig = serde_json::from_str(text).expect("the published options");
    let parameters = Parameters::new(0, &Device::Cpu);
    config.build(Signature::unconditional([3, 32, 32]), &parameters.builder())?;
    assert_eq!(parameters.count(), 35_746_307);
    Ok(())
}

#[test]
fn options_outside_their_range_are_refused_by_name() {
    let case = read("unet2d_classes");
    let change = |f: fn(&mut UNet2DConfig)| {
        let mut config = case.config.clone();
        f(&mut config);
        config
    };
    let refused = [
        (
            "block_out_channels",
            change(|c| c.block_out_channels.clear()),
        ),
        (
            "block_out_channels",
            change(|c| c.block_out_channels[0] = 5),
        ),
        (
            "down_block_types",
            change(|c| c.down_block_types.push(DownBlockType::DownBlock2D)),
        ),
        (
            "up_block_types",
            change(|c| c.up_block_types = vec![UpBlockType::UpBlock2D]),
        ),
        ("layers_per_block", change(|c| c.layers_per_block = 0)),
        (
            "attention_head_dim",
            change(|c| c.attention_head_dim = Some(9)),
        ),
        (
            "attention_head_dim",
            change(|c| c.attention_head_dim = Some(0)),
        ),
        (
            "attn_norm_num_groups",
            change(|c| c.attn_norm_num_groups = Some(3)),
        ),
        (
            "mid_block_scale_factor",
            change(|c| c.mid_block_scale_factor = 0.0),
        ),
        (
            "levels with a skip of the image",
            change(|c| c.down_block_types[0] = DownBlockType::SkipDownBlock2D),
        ),
        ("norm_num_groups", change(|c| c.norm_num_groups = 0)),
        ("norm_eps", change(|c| c.norm_eps = -1.0)),
        ("freq_shift", change(|c| c.freq_shift = 2)),
        ("downsample_padding", change(|c| c.downsample_padding = 2)),
        ("dropout", change(|c| c.dropout = 1.0)),
    ];
    for (name, config) in refused {
        let error = config.check(&case.signature).expect_err(name).to_string();
        assert!(
            error.contains(name),
            "got {error:?}, want one that names {name}"
        );
    }
    let odd = Signature {
        resolution: [8, 7],
        ..case.signature
    };
    let error = case.config.check(&odd).expect_err("odd").to_string();
    assert!(error.contains("resolution is 7"), "got {error:?}");
}

#[test]
fn images_that_no_memory_is_large_enough_for_are_refused() {
    let case = read("unet2d");
    for (side, want) in [
        (
            4096,
            "pixels that attend to each other is 4194304, it must be at most 32768",
        ),
        (16384, "values of one level of the network is 1073741824"),
    ] {
        let signature = Signature {
            resolution: [side, side],
            ..case.signature
        };
        let error = case
            .config
            .check(&signature)
            .expect_err("large")
            .to_string();
        assert!(error.contains(want), "got {error:?}, want {want:?}");
    }
    // The largest published network of this kind: 256x256, attention at 16x16.
    let usual = Signature {
        resolution: [256, 256],
        ..case.signature
    };
    case.config.check(&usual).expect("a usual size");
}
