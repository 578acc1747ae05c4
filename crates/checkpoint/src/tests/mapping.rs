//! What the published classes and arguments become here.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use pfgmpp_nn::Prediction;
use pfgmpp_store::Window;
use serde_json::{Value, json};

use super::hostile::{global, text};
use crate::foreign::{self, Module};
use crate::torch::TorchFile;
use crate::{CheckpointConfig, Tensors};

/// A value of Python.
pub(super) fn python(value: &Value) -> Vec<u8> {
    match value {
        Value::Bool(true) => vec![0x88],
        Value::Bool(false) => vec![0x89],
        Value::String(word) => text(word),
        Value::Array(items) => [
            &b"("[..],
            &items.iter().flat_map(python).collect::<Vec<_>>(),
            b"l",
        ]
        .concat(),
        Value::Object(map) => {
            let entries = map
                .iter()
                .flat_map(|(key, value)| [text(key), python(value)].concat());
            [&b"}("[..], &entries.collect::<Vec<_>>(), b"u"].concat()
        }
        Value::Number(number) if number.is_u64() => {
            let number = number.as_u64().unwrap_or(0) as i32;
            [&b"J"[..], &number.to_le_bytes()].concat()
        }
        Value::Number(number) => {
            [&b"G"[..], &number.as_f64().unwrap_or(0.0).to_be_bytes()].concat()
        }
        Value::Null => b"N".to_vec(),
    }
}

/// A module of a class that carries its source text, made with `arguments`, with one child or none.
pub(super) fn module(class: &str, arguments: &Value, child: Option<Vec<u8>>) -> Vec<u8> {
    let modules = child.map_or(b"}".to_vec(), |child| {
        [&b"}"[..], &text("model"), &child, b"s"].concat()
    });
    let state = [
        &b"}("[..],
        &text("_init_kwargs"),
        &python(arguments),
        &text("_parameters"),
        b"}",
        &text("_buffers"),
        b"}",
        &text("_modules"),
        &modules,
        b"u",
    ]
    .concat();
    [
        &global("torch_utils.persistence", "_reconstruct_persistent_obj")[..],
        b"}(",
        &text("class_name"),
        &text(class),
        &text("state"),
        &state,
        b"u\x85R",
    ]
    .concat()
}

/// What a preconditioning of `class` around a network of class `inner` is here.
#[expect(
    clippy::needless_pass_by_value,
    reason = "literals read better than references to them"
)]
fn describe(
    class: &str,
    outer: Value,
    inner: &str,
    arguments: Value,
) -> Result<CheckpointConfig, String> {
    let mut all = json!({"img_resolution": 32, "img_channels": 3});
    for (key, value) in outer.as_object().expect("a map") {
        all[key] = value.clone();
    }
    let network = module(inner, &arguments, None);
    let bytes = [&[0x80, 4][..], &module(class, &all, Some(network)), b"."].concat();
    let file = TorchFile::read(&Window::from_bytes(bytes)).map_err(|e| e.to_string())?;
    let module = Module::new(&file, file.pickle.root()).ok_or("no module")?;
    foreign::describe(&module, None, &mut Vec::new()).map_err(|e| e.to_string())
}

fn network(inner: &str, arguments: Value) -> Value {
    let config = describe("EDMPrecond", json!({}), inner, arguments).expect("a known network");
    serde_json::to_value(config.network).expect("a configuration")
}

#[test]
fn the_networks_with_names_get_their_names() {
    let sizes = json!({
        "model_channels": 128, "channel_mult": [2, 2, 2], "channel_mult_emb": 4, "num_blocks": 4,
        "attn_resolutions": [16], "dropout": 0.1, "label_dropout": 0.0,
    });
    let ddpmpp = json!({"channel_mult": [2, 2, 2]});
    assert_eq!(network("SongUNet", ddpmpp), json!({"ddpmpp": sizes}));
    let ncsnpp = json!({
        "channel_mult": [2, 2, 2], "embedding_type": "fourier", "encoder_type": "residual",
        "decoder_type": "standard", "channel_mult_noise": 2, "resample_filter": [1, 3, 3, 1],
    });
    assert_eq!(network("SongUNet", ncsnpp), json!({"ncsnpp": sizes}));
    let between = network("SongUNet", json!({"encoder_type": "skip"}));
    assert_eq!(between["song_unet"]["encoder_type"], "skip");
    let adm = network(
        "DhariwalUNet",
        json!({"channel_mult": [1, 2], "dropout": 0.25}),
    );
    let want = json!({"adm": {
        "model_channels": 192, "channel_mult": [1, 2], "channel_mult_emb": 4, "num_blocks": 3,
        "attn_resolutions": [32, 16, 8], "dropout": 0.25, "label_dropout": 0.0,
    }});
    assert_eq!(adm, want);
}

#[test]
fn each_preconditioning_arrives_with_its_constants_and_levels() {
    let config =
        |class, outer| describe(class, outer, "SongUNet", json!({})).expect("a known class");
    let prediction =
        |config: &CheckpointConfig| serde_json::to_value(&config.prediction).expect("a value");
    let vp = config("VPPrecond", json!({"beta_min": 0.2}));
    let want = json!({"beta_d": 19.9, "beta_min": 0.2, "m": 1000, "noise": "nominal"});
    assert_eq!(prediction(&vp)["denoised"]["vp"], want);
    let ve = config("VEPrecond", json!({}));
    assert_eq!(
        prediction(&ve)["denoised"]["ve"],
        json!({"noise": "nominal"})
    );
    assert_eq!(ve.sampler.schedule.sigma_min(), 0.02);
    let iddpm = config("iDDPMPrecond", json!({"label_dim": 1000}));
    let want = json!({"c_1": 0.001, "c_2": 0.008, "m": 1000, "noise": "nominal"});
    assert_eq!(prediction(&iddpm)["denoised"]["iddpm"], want);
    assert_eq!(iddpm.data.label_dim, 1000);
    // Karras et al. 2022, table 1: levels from 0.0064 to above 20,000; the sampler begins at the one nearest to 80.
    let (low, high) = (
        iddpm.sampler.schedule.sigma_min(),
        iddpm.sampler.schedule.sigma_max(),
    );
    assert!(
        (low - 0.0064).abs() < 5e-4 && (high - 80.2037).abs() < 1e-3,
        "got {low} to {high}"
    );
    let small = config("EDMPrecond", json!({"small": true}));
    assert!(matches!(small.prediction, Prediction::Denoised(_)));
    assert_eq!(
        prediction(&small)["denoised"]["ve"],
        json!({"noise": "nominal"})
    );
}

#[test]
fn d_of_pfgmpp_counts_only_where_pfgmpp_was_trained() {
    let d = |outer| {
        describe("EDMPrecond", outer, "SongUNet", json!({}))
            .expect("a network")
            .d
    };
    assert_eq!(d(json!({"pfgmpp": true, "D": 64})).to_string(), "64");
    assert_eq!(d(json!({"pfgmpp": false, "D": 128})).to_string(), "inf");
    assert_eq!(d(json!({"D": 2048})).to_string(), "2048");
}

#[test]
fn what_is_not_known_is_named() {
    let refusal = |class, outer, inner, arguments| {
        describe(class, outer, inner, arguments).expect_err("a refusal")
    };
    for (got, want) in [
        (
            refusal("EDMPrecond", json!({"pfgm": true}), "SongUNet", json!({})),
            "original PFGM's field (pfgm = True) is not supported yet",
        ),
        (
            refusal("OtherPrecond", json!({}), "SongUNet", json!({})),
            "an object of class OtherPrecond in place of EDMPrecond is not supported yet",
        ),
        (
            refusal("EDMPrecond", json!({}), "OtherNet", json!({})),
            "network OtherNet is not supported yet",
        ),
        (
            refusal("EDMPrecond", json!({"D": -3.0}), "SongUNet", json!({})),
            "D is -3, it must be a positive number or inf",
        ),
        (
            refusal(
                "EDMPrecond",
                json!({}),
                "SongUNet",
                json!({"num_blocks": "many"}),
            ),
            "num_blocks of SongUNet is the text \"many\", it must be a size",
        ),
        (
            refusal(
                "EDMPrecond",
                json!({"extra_flag": true}),
                "SongUNet",
                json!({}),
            ),
            "EDMPrecond with extra_flag = True is not supported yet",
        ),
        (
            refusal(
                "EDMPrecond",
                json!({}),
                "SongUNet",
                json!({"use_scale_shift": true}),
            ),
            "SongUNet with use_scale_shift = True is not supported yet",
        ),
        (
            refusal(
                "EDMPrecond",
                json!({}),
                "SongUNet",
                json!({"img_resolution": 16}),
            ),
            "img_resolution of SongUNet is 16, it must be 32, as the preconditioning around it says",
        ),
    ] {
        assert!(got.ends_with(want), "got {got}, want {want}");
    }
}

#[test]
fn what_the_preconditioning_hands_on_to_its_network_is_known_there() {
    let both = json!({"dropout": 0.2, "augment_dim": 9, "model_type": "SongUNet"});
    let inside = json!({"dropout": 0.2, "augment_dim": 9, "in_channels": 3, "out_channels": 3});
    describe("EDMPrecond", both, "SongUNet", inside).expect("a network");
}

#[test]
fn every_image_of_a_decoder_of_type_skip_loses_its_variances() {
    let config = describe(
        "iDDPMPrecond",
        json!({}),
        "SongUNet",
        json!({"decoder_type": "skip"}),
    );
    let config = config.expect("a network");
    for (name, first, want) in [
        ("model.dec.32x32_aux_conv.weight", 6, true),
        ("model.dec.16x16_aux_conv.bias", 6, true),
        ("model.dec.16x16_aux_conv.bias", 3, false),
        ("model.dec.16x16_aux_norm.bias", 6, false),
        ("model.enc.16x16_aux_conv.bias", 6, false),
    ] {
        assert_eq!(foreign::has_variances(&config, name, first), want, "{name}");
    }
}

#[test]
fn the_variances_of_iddpm_are_left_out() {
    let config = describe("iDDPMPrecond", json!({}), "DhariwalUNet", json!({})).expect("a network");
    let rows = Tensor::arange(0f32, 6.0, &Device::Cpu).expect("six numbers");
    let other = Tensor::zeros(6, DType::F32, &Device::Cpu).expect("six numbers");
    let weights: Tensors = HashMap::from([
        ("model.out_conv.bias".to_string(), rows),
        ("model.out_norm.bias".to_string(), other),
    ]);
    let got = foreign::without_variances(&config, weights).expect("shorter tensors");
    let bias = got["model.out_conv.bias"]
        .to_vec1::<f32>()
        .expect("numbers");
    assert_eq!(bias, [0.0, 1.0, 2.0]);
    assert_eq!(got["model.out_norm.bias"].dims(), [6]);
}
