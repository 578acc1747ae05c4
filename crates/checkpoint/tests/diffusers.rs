//! Folders of diffusers, against outputs of its own network (`crates/nn/tests/data/make_unet2d.py`).

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use pfgmpp_checkpoint::{
    CheckpointError, LoadOptions, Model, Source, Tensors, read_tensors, write_tensors,
};
use pfgmpp_kernel::{Dimension, Query};
use pfgmpp_transfer::{BetaSchedule, DdpmLevels};
use serde_json::{Value, json};

/// The published schedule.
const LEVELS: DdpmLevels = DdpmLevels {
    beta: BetaSchedule::Linear {
        beta_start: 1e-4,
        beta_end: 0.02,
    },
    m: 1000,
};

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The golden tensors of a network, and its configuration as diffusers writes it.
fn golden(name: &str) -> (Tensors, Value) {
    let path = here("../nn/tests/data").join(name);
    let (tensors, metadata) = read_tensors(&path, &Device::Cpu).expect("a golden file");
    let mut config: Value = serde_json::from_str(&metadata["config"]).expect("a configuration");
    config["_class_name"] = json!("UNet2DModel");
    config["_diffusers_version"] = json!("0.1.1");
    config["act_fn"] = json!("silu");
    config["mid_block_scale_factor"] = json!(1);
    config["center_input_sample"] = json!(false);
    (tensors, config)
}

fn scheduler() -> Value {
    json!({"_class_name": "DDPMScheduler", "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear",
        "num_train_timesteps": 1000, "clip_sample": true, "variance_type": "fixed_large"})
}

fn write(path: &Path, value: &Value) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, value.to_string()).expect("a file");
}

fn weights(tensors: &Tensors) -> Tensors {
    let extra = ["grad.", "in.", "out"];
    let own = tensors
        .iter()
        .filter(|(name, _)| !extra.iter().any(|e| name.starts_with(e)));
    own.map(|(name, tensor)| (name.clone(), tensor.clone()))
        .collect()
}

/// A flat folder with the weights as safetensors.
fn flat(folder: &Path, config: &Value, scheduler: &Value, tensors: &Tensors) {
    write(&folder.join("config.json"), config);
    write(&folder.join("scheduler_config.json"), scheduler);
    let file = folder.join("diffusion_pytorch_model.safetensors");
    write_tensors(&file, &weights(tensors), None).expect("weights");
}

/// A pipeline with the weights as early versions saved them.
fn pipeline(folder: &Path, config: &Value) {
    write(&folder.join("unet/config.json"), config);
    write(
        &folder.join("scheduler/scheduler_config.json"),
        &scheduler(),
    );
    write(
        &folder.join("model_index.json"),
        &json!({"_class_name": "DDPMPipeline"}),
    );
    let file = folder.join("unet/diffusion_pytorch_model.bin");
    fs::copy(here("tests/data/diffusers.bin"), file).expect("a copy");
}

/// The noise levels of the golden time steps 0, 37.5 and 999.
fn sigmas() -> [f64; 3] {
    let levels: Vec<f64> = LEVELS.levels().collect();
    [levels[0], (levels[37] * levels[38]).sqrt(), levels[999]]
}

/// The clean value by x, sigma and the network's output.
type Wanted = fn(f64, f64, f64) -> f64;

/// Asserts that the network's golden output at its golden input is what the denoiser makes of it.
fn assert_denoises(folder: &Path, tensors: &Tensors, wanted: Wanted) {
    let model = Model::load(folder, &Device::Cpu).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(model.config.d, Dimension::Infinite);
    let values = |t: &Tensor| -> Vec<f64> {
        let t = t.to_dtype(DType::F64).and_then(|t| t.flatten_all());
        t.and_then(|t| t.to_vec1()).expect("numbers")
    };
    let (input, out) = (values(&tensors["in.x"]), values(&tensors["out"]));
    let n = input.len() / 3;
    let sigma = sigmas();
    // The golden input is x_t = x / sqrt(1 + sigma²).
    let x: Vec<f64> = (0..3 * n)
        .map(|i| input[i] * sigma[i / n].hypot(1.0))
        .collect();
    let x = Tensor::from_vec(x, tensors["in.x"].shape(), &Device::Cpu).expect("as many");
    let denoised = model
        .denoiser
        .denoise(&Query::new(&x, &sigma))
        .expect("an evaluation");
    let (got, x) = (values(&denoised), values(&x));
    for i in 0..3 * n {
        let want = wanted(x[i], sigma[i / n], out[i]);
        let scale = x[i].abs() + sigma[i / n] * out[i].abs() + 1.0;
        assert!(
            (got[i] - want).abs() < 1e-5 * scale,
            "value {i} at {}: got {}, want {want}",
            sigma[i / n],
            got[i]
        );
    }
}

#[test]
fn every_layout_denoises_as_diffusers_network_says() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    flat(&a, &config, &scheduler(), &tensors);
    pipeline(&b, &config);
    for place in [&a, &b, &b.join("unet")] {
        assert_denoises(place, &tensors, |x, sigma, out| x - sigma * out);
    }
}

#[test]
fn the_scheduler_says_what_the_output_is() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let kinds: [(&str, Wanted); 2] = [
        ("sample", |_, _, out| out),
        ("v_prediction", |x, sigma, out| {
            (x / sigma.hypot(1.0) - sigma * out) / sigma.hypot(1.0)
        }),
    ];
    for (kind, wanted) in kinds {
        let mut scheduler = scheduler();
        scheduler["prediction_type"] = json!(kind);
        flat(folder.path(), &config, &scheduler, &tensors);
        assert_denoises(folder.path(), &tensors, wanted);
    }
}

#[test]
fn a_half_that_estimates_variances_is_left_out() {
    let (mut tensors, mut config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    config["out_channels"] = json!(6);
    for name in ["conv_out.weight", "conv_out.bias"] {
        let twice = Tensor::cat(
            &[&tensors[name], &tensors[name].neg().expect("a tensor")],
            0,
        );
        tensors.insert(name.into(), twice.expect("a tensor"));
    }
    flat(folder.path(), &config, &scheduler(), &tensors);
    assert_denoises(folder.path(), &tensors, |x, sigma, out| x - sigma * out);
}

#[test]
fn the_folder_becomes_a_checkpoint_of_this_program() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    flat(folder.path(), &config, &scheduler(), &tensors);
    let source = Source::open(folder.path()).expect("a folder");
    let loaded = source.load(&LoadOptions::default(), &Device::Cpu);
    let loaded = loaded.expect("a network");
    let schedule = &loaded.checkpoint.config.sampler.schedule;
    let [low, high] = [schedule.sigma_min(), schedule.sigma_max()];
    assert!(
        (low - sigmas()[0]).abs() < 1e-12 && high == 80.0,
        "got {low} to {high}"
    );
    assert!(loaded.notes[0].contains("the spread of the data"));
    let out = folder.path().join("out");
    loaded.checkpoint.save(&out).expect("a checkpoint");
    assert_denoises(&out, &tensors, |x, sigma, out| x - sigma * out);
}

fn error(folder: &Path) -> CheckpointError {
    let error = Model::load(folder, &Device::Cpu).err().expect("an error");
    assert!(!error.to_string().contains('\n'), "got {error}");
    error
}

#[test]
fn what_the_network_does_not_do_is_refused_by_name() {
    let (tensors, golden_config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    for (key, value, want) in [
        (
            "_class_name",
            json!("UNet3DConditionModel"),
            "network UNet3DConditionModel of diffusers",
        ),
        ("act_fn", json!("gelu"), "act_fn \"gelu\" in config.json"),
        (
            "time_embedding_type",
            json!("fourier"),
            "time_embedding_type \"fourier\"",
        ),
        (
            "resnet_time_scale_shift",
            json!("scale_shift"),
            "resnet_time_scale_shift \"scale_shift\"",
        ),
        (
            "down_block_types",
            json!(["ResnetDownsampleBlock2D", "DownBlock2D", "DownBlock2D"]),
            "a UNet2DModel with ResnetDownsampleBlock2D",
        ),
        ("out_channels", json!(5), "a network from 3 to 5 channels"),
        ("something_new", json!(3), "something_new 3 in config.json"),
    ] {
        let mut config = golden_config.clone();
        config[key] = value;
        flat(folder.path(), &config, &scheduler(), &tensors);
        let error = error(folder.path());
        assert!(error.is_unsupported(), "got {error}");
        let text = error.to_string();
        assert!(text.contains(want), "got {text}, want {want}");
    }
    for (key, value, want) in [
        (
            "sample_size",
            json!("large"),
            "sample_size of config.json is \"large\"",
        ),
        (
            "sample_size",
            Value::Null,
            "sample_size of config.json is null",
        ),
        (
            "sample_size",
            json!(0),
            "sample_size of config.json is 0, it must be from 1 to 4096",
        ),
        (
            "sample_size",
            json!(65536),
            "sample_size of config.json is 65536, it must be from 1 to 4096",
        ),
        (
            "num_class_embeds",
            json!(100_000),
            "num_class_embeds of config.json is 100000",
        ),
        (
            "out_channels",
            json!(6),
            "out_channels of config.json is 6, it must be 3, as conv_out",
        ),
    ] {
        let mut config = golden_config.clone();
        config[key] = value;
        flat(folder.path(), &config, &scheduler(), &tensors);
        let text = error(folder.path()).to_string();
        assert!(text.contains(want), "got {text}, want {want}");
    }
}

#[test]
fn schedules_that_are_not_known_are_refused_by_name() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    for (key, value, want) in [
        (
            "_class_name",
            json!("ScoreSdeVeScheduler"),
            "scheduler ScoreSdeVeScheduler",
        ),
        (
            "sigma_data",
            json!(0.5),
            "scheduler DDPMScheduler with sigma_data 0.5",
        ),
        (
            "beta_schedule",
            json!("sigmoid"),
            "with beta_schedule sigmoid",
        ),
        (
            "prediction_type",
            json!("flow"),
            "with prediction_type flow",
        ),
        (
            "trained_betas",
            json!([0.1]),
            "trained_betas [0.1] in scheduler_config.json",
        ),
        (
            "rescale_betas_zero_snr",
            json!(true),
            "rescale_betas_zero_snr true",
        ),
        ("beta_end", json!(2.0), "beta_end is 2"),
        (
            "num_train_timesteps",
            json!(0),
            "num_train_timesteps of scheduler_config.json is 0, it must be from 2 to 100000",
        ),
        (
            "num_train_timesteps",
            json!("many"),
            "num_train_timesteps of scheduler_config.json",
        ),
    ] {
        let mut scheduler = scheduler();
        scheduler[key] = value;
        flat(folder.path(), &config, &scheduler, &tensors);
        let text = error(folder.path()).to_string();
        assert!(text.contains(want), "got {text}, want {want}");
    }
    fs::remove_file(folder.path().join("scheduler_config.json")).expect("a file");
    let text = error(folder.path()).to_string();
    assert!(text.contains("the noise schedule is missing"), "got {text}");
}

#[test]
fn weights_that_the_description_does_not_have_are_refused() {
    let (tensors, mut config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let levels = config["down_block_types"].as_array().expect("a list").len();
    config["down_block_types"] = json!(vec!["DownBlock2D"; levels]);
    config["up_block_types"] = json!(vec!["UpBlock2D"; levels]);
    flat(folder.path(), &config, &scheduler(), &tensors);
    let text = error(folder.path()).to_string();
    let want = "tensors that config.json does not describe, such as down_blocks.";
    assert!(text.contains(want), "got {text}, want {want}");
}

#[test]
fn a_checkpoint_of_this_program_with_more_weights_than_its_network_is_refused() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    flat(folder.path(), &config, &scheduler(), &tensors);
    let source = Source::open(folder.path()).expect("a folder");
    let loaded = source.load(&LoadOptions::default(), &Device::Cpu);
    let mut checkpoint = loaded.expect("a network").checkpoint;
    let one = checkpoint.weights["model.conv_in.bias"].clone();
    checkpoint.weights.insert("model.more.bias".into(), one);
    let out = folder.path().join("out");
    checkpoint.save(&out).expect("a checkpoint");
    let text = error(&out).to_string();
    let want = "hold 1 tensor that config.json does not describe, such as more.bias";
    assert!(text.contains(want), "got {text}, want {want}");
}

#[test]
fn a_folder_that_is_broken_says_where() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let long = [b"{}".to_vec(), vec![b' '; 1 << 20]].concat();
    for (bytes, want) in [
        (&b""[..], "config.json: it is empty"),
        (b"{", "config.json: it is no JSON object: EOF"),
        (b"[]", "line 1 column 0"),
        (b"{\"a\": \"\xff\"}", "it is not UTF-8 from byte 7 on"),
        (&long, "it has 1048578 bytes, at most 1048576"),
        (b"{}", "config.json: _class_name is missing"),
        (b"{\"format\": 1}", "_class_name is missing"),
    ] {
        flat(folder.path(), &config, &scheduler(), &tensors);
        fs::write(folder.path().join("config.json"), bytes).expect("a file");
        let text = error(folder.path()).to_string();
        assert!(text.contains(want), "got {text}, want {want}");
    }
    flat(folder.path(), &config, &scheduler(), &tensors);
    for (file, want) in [
        (
            "diffusion_pytorch_model.safetensors",
            "diffusion_pytorch_model.safetensors is missing",
        ),
        ("config.json", "no checkpoint here"),
    ] {
        fs::remove_file(folder.path().join(file)).expect("a file");
        let text = error(folder.path()).to_string();
        assert!(text.contains(want), "got {text}, want {want}");
    }
}
