//! Networks in folders of diffusers denoise as diffusers' own say.

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::{LoadOptions, Source};
use serde_json::json;

use crate::folder::*;

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

#[test]
fn a_variance_exploding_network_denoises_as_its_score_says() {
    let (tensors, config) = golden("unet2d_skip.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let scheduler = json!({"_class_name": "ScoreSdeVeScheduler", "num_train_timesteps": 2000, "snr": 0.17,
        "sigma_min": 0.01, "sigma_max": 1348, "sampling_eps": 1e-5, "correct_steps": 1});
    flat(folder.path(), &config, &scheduler, &tensors);
    // The golden output is the score times sigma: E[y | x] = x + sigma² score.
    let sigma = [0.05, 1.7, 300.0];
    assert_denoises_at(
        folder.path(),
        &tensors,
        sigma,
        |_| 1.0,
        |x, sigma, out| x + sigma * out,
    );
    let loaded = loaded(folder.path());
    assert_eq!(loaded.checkpoint.config.data.range, [0.0, 1.0]);
    let schedule = &loaded.checkpoint.config.sampler.schedule;
    assert_eq!([schedule.sigma_min(), schedule.sigma_max()], [0.01, 1348.0]);
    assert!(
        loaded
            .notes
            .iter()
            .any(|note| note.contains("from 0 (black) to 1"))
    );
}

#[test]
fn a_consistency_model_gives_where_its_path_ends() {
    let (tensors, config) = golden("unet2d_resnet.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let scheduler = json!({"_class_name": "CMStochasticIterativeScheduler", "num_train_timesteps": 40,
        "sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5, "rho": 7.0, "s_noise": 1.0, "clip_denoised": true});
    flat(folder.path(), &config, &scheduler, &tensors);
    // The steps 0, 37.5 and 999 of the golden file are 250 ln(sigma).
    let sigma = [0.0, 37.5, 999.0_f64].map(|step: f64| (step / 250.0).exp());
    let ends = |x: f64, sigma: f64, out: f64| {
        let above = sigma - 0.002;
        let c_skip = 0.25 / (above * above + 0.25);
        c_skip * x + above * 0.5 / sigma.hypot(0.5) * out
    };
    assert_denoises_at(
        folder.path(),
        &tensors,
        sigma,
        |sigma| sigma.hypot(0.5),
        ends,
    );
    let loaded = loaded(folder.path());
    assert_eq!(loaded.checkpoint.config.data.label_dim, 5);
    assert!(
        loaded
            .notes
            .iter()
            .any(|note| note.starts_with("a consistency model"))
    );
    let levels = loaded.checkpoint.config.sampler.schedule.levels();
    assert_eq!(levels.unwrap().as_slice(), [80.0, 0.002, 0.0]);
}
