//! What is not done here is refused by name.

use std::fs;

use candle_core::Device;
use pfgmpp_checkpoint::{LoadOptions, Source};
use serde_json::{Value, json};

use crate::folder::*;

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
            "scheduler DDPMScheduler with time_embedding_type fourier",
        ),
        (
            "time_embedding_type",
            json!("learned"),
            "time_embedding_type \"learned\"",
        ),
        (
            "resnet_time_scale_shift",
            json!("spatial"),
            "resnet_time_scale_shift \"spatial\"",
        ),
        (
            "class_embed_type",
            json!("identity"),
            "class_embed_type \"identity\"",
        ),
        (
            "class_embed_type",
            json!("timestep"),
            "without num_class_embeds",
        ),
        ("mid_block_type", Value::Null, "mid_block_type null"),
        (
            "in_channels",
            json!(6),
            "a network from 6 to 3 channels, whose other 3 are a condition",
        ),
        (
            "down_block_types",
            json!(["CrossAttnDownBlock2D", "DownBlock2D", "DownBlock2D"]),
            "a UNet2DModel with CrossAttnDownBlock2D",
        ),
        (
            "something_off",
            json!(false),
            "something_off false in config.json",
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
            "scheduler ScoreSdeVeScheduler with time_embedding_type positional",
        ),
        (
            "_class_name",
            json!("FlowMatchEulerDiscreteScheduler"),
            "scheduler FlowMatchEulerDiscreteScheduler is not supported",
        ),
        (
            "_class_name",
            json!("LCMScheduler"),
            "scheduler LCMScheduler",
        ),
        (
            "snr_shift_scale",
            json!(3.0),
            "snr_shift_scale 3.0 in scheduler_config.json",
        ),
        ("use_flow_sigmas", json!(true), "use_flow_sigmas true"),
        (
            "timestep_type",
            json!("continuous"),
            "timestep_type \"continuous\"",
        ),
        (
            "sigma_data",
            json!(0.5),
            "scheduler DDPMScheduler with sigma_data 0.5",
        ),
        (
            "beta_schedule",
            json!("laplace"),
            "with beta_schedule laplace",
        ),
        (
            "prediction_type",
            json!("flow"),
            "with prediction_type flow",
        ),
        (
            "trained_betas",
            json!([0.1]),
            "the length of trained_betas of scheduler_config.json is 1, it must be from 2 to 100000",
        ),
        (
            "rescale_betas_zero_snr",
            json!(true),
            "rescale_betas_zero_snr true",
        ),
        ("beta_end", json!(2.0), "beta_end is 2"),
        (
            "beta_end",
            json!("NaN"),
            "beta_end of scheduler_config.json is \"NaN\", it must be a number",
        ),
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
    // Fewer weights are asked for than there are.
    let want = "that config.json does not describe, such as down_blocks.";
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
        (&b""[..], "config.json: the file is empty"),
        (
            b"{",
            "config.json: it is cut off: its JSON does not end (line 1 column 1)",
        ),
        (b"[]", "it must be a JSON object"),
        (b"{\"a\": oops}", "it is not JSON at line 1 column 7"),
        (b"<!DOCTYPE html>", "the file is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "git lfs pull",
        ),
        (b"\xff\xfe{\0", "it is UTF-16"),
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
