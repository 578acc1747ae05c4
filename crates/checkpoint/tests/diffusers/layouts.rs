//! Where folders keep weights: averaged or not, in 16 bits, in parts, under names of wrappers.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use pfgmpp_checkpoint::{Tensors, write_tensors};
use serde_json::{Value, json};

use crate::folder::*;

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

fn scaled(tensors: &Tensors, factor: f64) -> Tensors {
    let scaled = |tensor: &Tensor| (tensor * factor).expect("a tensor");
    let weights = weights(tensors).into_iter();
    weights.map(|(name, t)| (name, scaled(&t))).collect()
}

fn network(folder: &Path, config: &Value, weights: &Tensors) {
    write(&folder.join("config.json"), config);
    write_tensors(&folder.join(WEIGHTS), weights, None).expect("weights");
}

fn same(got: &Tensors, want: &Tensors) {
    assert_eq!(got.len(), want.len());
    for (name, want) in want {
        let got = &got[&format!("model.{name}")];
        let (got, want) = (got.to_dtype(DType::F32), want.to_dtype(DType::F32));
        let difference = got.and_then(|got| (got - want?)?.abs()?.sum_all()?.to_scalar::<f32>());
        assert_eq!(difference.expect("numbers"), 0.0, "{name}");
    }
}

#[test]
fn averaged_weights_are_taken_before_those_that_training_left() {
    let (tensors, mut config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    write(
        &folder.path().join("scheduler/scheduler_config.json"),
        &scheduler(),
    );
    network(&folder.path().join("unet"), &config, &scaled(&tensors, 0.5));
    for (key, value) in [
        ("decay", json!(0.9999)),
        ("optimization_step", json!(7)),
        ("use_ema_warmup", json!(true)),
    ] {
        config[key] = value;
    }
    network(&folder.path().join("unet_ema"), &config, &weights(&tensors));
    let all = loaded(folder.path());
    same(&all.checkpoint.weights, &weights(&tensors));
    // Named on its own, the other is taken, with a word.
    let unet = loaded(&folder.path().join("unet"));
    same(&unet.checkpoint.weights, &scaled(&tensors, 0.5));
    let notes = &unet.notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("averaged ones lie beside them in unet_ema")),
        "got {notes:?}"
    );
    // Averages that are broken are not passed over.
    fs::remove_file(folder.path().join("unet_ema").join(WEIGHTS)).expect("a file");
    let text = error(folder.path()).to_string();
    assert!(
        text.contains("unet_ema: diffusion_pytorch_model.safetensors is missing"),
        "got {text}"
    );
}

#[test]
fn averaged_weights_beside_the_others_in_one_folder_are_taken() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    flat(folder.path(), &config, &scheduler(), &tensors);
    let file = |variant: &str| {
        let name = format!("diffusion_pytorch_model.{variant}.safetensors");
        folder.path().join(name)
    };
    // `save_pretrained(..., variant="ema")` writes them there.
    write_tensors(&file("ema"), &scaled(&tensors, 0.5), None).expect("weights");
    write_tensors(&file("non_ema"), &scaled(&tensors, 2.0), None).expect("weights");
    same(
        &loaded(folder.path()).checkpoint.weights,
        &scaled(&tensors, 0.5),
    );
    fs::remove_file(file("ema")).expect("a file");
    same(
        &loaded(folder.path()).checkpoint.weights,
        &weights(&tensors),
    );
    fs::remove_file(folder.path().join(WEIGHTS)).expect("a file");
    let got = loaded(folder.path());
    same(&got.checkpoint.weights, &scaled(&tensors, 2.0));
    assert!(
        got.notes[0].contains("as training left them"),
        "got {:?}",
        got.notes
    );
}

#[test]
fn weights_of_16_bits_alone_are_read_with_a_note() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let half: Tensors = weights(&tensors)
        .into_iter()
        .map(|(name, t)| (name, t.to_dtype(DType::F16).expect("a tensor")))
        .collect();
    flat(folder.path(), &config, &scheduler(), &tensors);
    fs::remove_file(folder.path().join(WEIGHTS)).expect("a file");
    let file = folder
        .path()
        .join("diffusion_pytorch_model.fp16.safetensors");
    write_tensors(&file, &half, None).expect("weights");
    let got = loaded(folder.path());
    same(&got.checkpoint.weights, &half);
    assert!(got.notes[0].contains("in 16 bits"), "got {:?}", got.notes);
}

/// The weights in two files and an index.
fn parts(folder: &Path, tensors: &Tensors) -> Value {
    let mut map = serde_json::Map::new();
    let mut files = [Tensors::new(), Tensors::new()];
    for (i, (name, tensor)) in weights(tensors).into_iter().enumerate() {
        map.insert(name.clone(), json!(format!("part-{}.safetensors", i % 2)));
        files[i % 2].insert(name, tensor);
    }
    for (i, file) in files.iter().enumerate() {
        write_tensors(&folder.join(format!("part-{i}.safetensors")), file, None).expect("weights");
    }
    json!({"metadata": {"total_size": 1}, "weight_map": map})
}

#[test]
fn weights_in_parts_are_read_together_and_a_missing_part_is_named() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    flat(folder.path(), &config, &scheduler(), &tensors);
    fs::remove_file(folder.path().join(WEIGHTS)).expect("a file");
    let index = parts(folder.path(), &tensors);
    let file = folder
        .path()
        .join("diffusion_pytorch_model.safetensors.index.json");
    write(&file, &index);
    same(
        &loaded(folder.path()).checkpoint.weights,
        &weights(&tensors),
    );
    for (name, value, want) in [
        (
            "conv_in.bias",
            "../secret.safetensors",
            "weight_map names ../secret.safetensors, it must name a file beside the index",
        ),
        (
            "conv_in.bias",
            "part-2.safetensors",
            "part-2.safetensors is missing, one of 3 parts",
        ),
        (
            "other",
            "part-0.safetensors",
            "other is not in part-0.safetensors, where weight_map says it is",
        ),
    ] {
        let mut index = index.clone();
        index["weight_map"][name] = json!(value);
        write(&file, &index);
        let text = error(folder.path()).to_string();
        assert!(text.contains(want), "got {text}, want {want}");
    }
    write(&file, &json!({"weights": {}}));
    let text = error(folder.path()).to_string();
    assert!(
        text.contains("whose weight_map names the file of each weight"),
        "got {text}"
    );
}

#[test]
fn names_of_wrappers_are_taken_off() {
    let (tensors, config) = golden("unet2d.safetensors");
    for wrapper in [
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "_fsdp_wrapped_module.",
        "unet.",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        flat(folder.path(), &config, &scheduler(), &tensors);
        let wrapped: Tensors = weights(&tensors)
            .into_iter()
            .map(|(name, tensor)| (format!("{wrapper}{name}"), tensor))
            .collect();
        write_tensors(&folder.path().join(WEIGHTS), &wrapped, None).expect("weights");
        same(
            &loaded(folder.path()).checkpoint.weights,
            &weights(&tensors),
        );
    }
}

#[test]
fn a_pipeline_with_a_decoder_of_latents_is_refused_by_name() {
    let (_, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    pipeline(folder.path(), &config);
    let index = json!({"_class_name": "LDMPipeline", "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", "DDPMScheduler"], "vqvae": ["diffusers", "VQModel"]});
    write(&folder.path().join("model_index.json"), &index);
    for place in [folder.path().to_path_buf(), folder.path().join("unet")] {
        let error = error(&place);
        assert!(error.is_unsupported());
        let text = error.to_string();
        assert!(
            text.contains("pipeline LDMPipeline with vqvae (VQModel)"),
            "got {text}"
        );
    }
}

#[test]
fn a_byte_order_mark_and_numbers_of_python_are_read() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    flat(folder.path(), &config, &scheduler(), &tensors);
    let bytes = [b"\xef\xbb\xbf", config.to_string().as_bytes()].concat();
    fs::write(folder.path().join("config.json"), bytes).expect("a file");
    let text = scheduler()
        .to_string()
        .replace("\"clip_sample\":true", "\"lambda_min_clipped\":-Infinity");
    assert!(text.contains("-Infinity"));
    fs::write(folder.path().join("scheduler_config.json"), text).expect("a file");
    assert_denoises(folder.path(), &tensors, |x, sigma, out| x - sigma * out);
}

#[test]
fn weights_that_are_not_finite_or_not_fractions_are_refused_by_name() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    for (bad, want) in [
        (
            Tensor::full(f32::NAN, 3, &Device::Cpu),
            "weight conv_out.bias holds 3 of 3 values that are not finite",
        ),
        (Tensor::full(f32::INFINITY, 3, &Device::Cpu), "not finite"),
        (
            Tensor::full(1i64, 3, &Device::Cpu),
            "weight conv_out.bias holds whole numbers (I64)",
        ),
    ] {
        let mut tensors = tensors.clone();
        tensors.insert("conv_out.bias".into(), bad.expect("a tensor"));
        flat(folder.path(), &config, &scheduler(), &tensors);
        let text = error(folder.path()).to_string();
        assert!(text.contains(want), "got {text}, want {want}");
    }
}

#[test]
fn weights_of_another_network_are_refused_with_some_that_are_there() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    let renamed: Tensors = weights(&tensors)
        .into_iter()
        .map(|(name, tensor)| (format!("layer.{name}"), tensor))
        .collect();
    flat(folder.path(), &config, &scheduler(), &tensors);
    write_tensors(&folder.path().join(WEIGHTS), &renamed, None).expect("weights");
    let text = error(folder.path()).to_string();
    assert!(
        text.contains("is missing; there are layer.") && text.contains("in all)"),
        "got {text}"
    );
}

#[cfg(unix)]
#[test]
fn a_sparse_file_of_a_terabyte_takes_no_memory() {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    flat(folder.path(), &config, &scheduler(), &tensors);
    let header = json!({"conv_in.weight": {"dtype": "F32", "shape": [1u64 << 38], "data_offsets": [0, 1u64 << 40]}});
    let header = header.to_string().into_bytes();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    let path = folder.path().join(WEIGHTS);
    fs::write(&path, &bytes).expect("a file");
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("a file");
    file.set_len(bytes.len() as u64 + (1 << 40))
        .expect("a sparse file");
    let text = error(folder.path()).to_string();
    assert!(
        text.contains("the weights are not those of the network"),
        "got {text}"
    );
}
