//! One network in every format that PyTorch programs use, read to the same denoiser.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::{Checkpoint, LoadOptions, Loaded, Model, Source, Tensors};
use pfgmpp_kernel::{Denoiser, Dimension, Query};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn load(name: &str, options: &LoadOptions) -> Loaded {
    let source = Source::open(&data(name)).expect("a known kind of file");
    source
        .load(options, &Device::Cpu)
        .unwrap_or_else(|e| panic!("got {e}, want {name} read"))
}

fn error(path: &Path, options: &LoadOptions) -> String {
    let loaded = Source::open(path).and_then(|source| source.load(options, &Device::Cpu));
    let message = loaded.err().expect("an error").to_string();
    assert!(!message.contains('\n'), "got {message:?}, want one line");
    message
}

/// The weights of the safetensors file under the configuration of the pickle.
fn reference() -> Checkpoint {
    let mut checkpoint = load("edm.pkl", &LoadOptions::default()).checkpoint;
    let source = Source::open(&data("weights.safetensors")).expect("a safetensors file");
    checkpoint.weights = source.tensors(&Device::Cpu).expect("readable tensors");
    checkpoint
}

fn denoise(denoiser: &dyn Denoiser) -> Vec<f32> {
    let values: Vec<f32> = (0..3 * 64).map(|i| (i as f32 * 0.37).sin()).collect();
    let x = Tensor::from_vec(values, (3, 1, 8, 8), &Device::Cpu).expect("as many values");
    denoiser
        .denoise(&Query::new(&x, &[0.05, 0.7, 20.0]))
        .and_then(|y| y.flatten_all()?.to_vec1())
        .expect("an evaluation")
}

/// Whether two sets of tensors agree in names and in every bit.
fn assert_same(got: &Tensors, want: &Tensors, what: &str) {
    let names = |tensors: &Tensors| {
        let mut names: Vec<String> = tensors.keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(got), names(want), "{what}: names");
    for (name, want) in want {
        let got = &got[name];
        assert_eq!(got.shape(), want.shape(), "{what}: shape of {name}");
        assert_eq!(got.dtype(), want.dtype(), "{what}: type of {name}");
        let values = |t: &Tensor| {
            t.flatten_all()
                .and_then(|t| t.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>())
                .expect("numbers")
        };
        assert_eq!(values(got), values(want), "{what}: values of {name}");
    }
}

#[test]
fn every_format_gives_the_denoiser_of_the_same_weights() {
    let model = Model::new(reference(), Path::new("weights"), &Device::Cpu).expect("a network");
    let want = denoise(model.denoiser.as_ref());
    assert!(want.iter().any(|v| v.abs() > 0.1), "got {want:?}");
    for name in ["edm.pkl", "training-state.pt", "training-state-legacy.pt"] {
        let model = Model::load(&data(name), &Device::Cpu).expect("a readable network");
        let got = denoise(model.denoiser.as_ref());
        assert_eq!(got, want, "{name}");
        assert_eq!(model.config.data.shape, [1, 8, 8], "{name}");
    }
}

#[test]
fn every_format_gives_the_same_weights_to_the_bit() {
    let want = reference().weights;
    for name in ["edm.pkl", "training-state.pt", "training-state-legacy.pt"] {
        let got = load(name, &LoadOptions::default()).checkpoint.weights;
        assert_same(&got, &want, name);
    }
    let source = Source::open(&data("state-dict.pth")).expect("a known kind of file");
    let got = source.tensors(&Device::Cpu).expect("readable tensors");
    assert_same(&got, &want, "state-dict.pth");
}

#[test]
fn d_is_as_recorded_or_as_told_or_infinite_with_a_note() {
    let told = |d| LoadOptions {
        d: Some(d),
        config: None,
        key: None,
        weight_bits: None,
    };
    let about_d = |notes: &[String]| notes.iter().any(|note| note.starts_with("D is not"));
    let got = load("edm.pkl", &LoadOptions::default());
    assert_eq!(got.checkpoint.config.d, Dimension::Infinite);
    assert!(about_d(&got.notes), "got {:?}", got.notes);
    let got = load("edm.pkl", &told(Dimension::Finite(2048.0)));
    assert_eq!(got.checkpoint.config.d, Dimension::Finite(2048.0));
    assert!(!about_d(&got.notes), "got {:?}", got.notes);
    let got = load("training-state.pt", &LoadOptions::default());
    assert_eq!(got.checkpoint.config.d, Dimension::Finite(128.0));
    assert_eq!(got.checkpoint.config.training.nimg, 7168);
    assert!(!about_d(&got.notes), "got {:?}", got.notes);
    let got = error(&data("training-state.pt"), &told(Dimension::Infinite));
    assert!(
        got.ends_with("d is inf, it must be left out: the file records D = 128"),
        "got {got}"
    );
}

#[test]
fn what_the_pickle_says_of_the_network_arrives() {
    let config = load("edm.pkl", &LoadOptions::default()).checkpoint.config;
    let got = serde_json::to_value(&config.network).expect("a configuration");
    let want = serde_json::json!({"ddpmpp": {
        "model_channels": 4, "channel_mult": [1, 2], "channel_mult_emb": 4, "num_blocks": 1,
        "attn_resolutions": [4], "dropout": 0.13, "label_dropout": 0.0,
    }});
    assert_eq!(got, want);
    assert_eq!(config.data.name, "digits-8x8");
}

#[test]
fn weights_alone_need_a_configuration_beside_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("network.json");
    let mut value = serde_json::to_value(reference().config).expect("a configuration");
    value
        .as_object_mut()
        .expect("a map")
        .remove("weights_sha256");
    std::fs::write(&config, value.to_string()).expect("a written file");
    let options = LoadOptions {
        d: None,
        config: Some(config),
        key: None,
        weight_bits: None,
    };
    let other = LoadOptions {
        d: Some(Dimension::Finite(7.5)),
        ..options.clone()
    };
    for name in ["state-dict.pth", "weights.safetensors"] {
        let got = error(&data(name), &other);
        let want = format!("records D = {}", reference().config.d);
        assert!(got.contains(&want), "got {got}, want {want}");
    }
    let model = Model::new(reference(), Path::new("weights"), &Device::Cpu).expect("a network");
    let want = denoise(model.denoiser.as_ref());
    for name in ["state-dict.pth", "weights.safetensors", "edm.pkl"] {
        let model = Model::load_with(&data(name), &options, &Device::Cpu).expect("a network");
        assert_eq!(denoise(model.denoiser.as_ref()), want, "{name}");
    }
    for name in ["state-dict.pth", "weights.safetensors"] {
        let got = error(&data(name), &LoadOptions::default());
        assert!(
            got.contains("a config.json that describes their network is needed"),
            "got {got}"
        );
    }
}

#[test]
fn tensors_of_every_kind_and_layout_are_read() {
    let tensors = |name| {
        let source = Source::open(&data(name)).expect("a known kind of file");
        source.tensors(&Device::Cpu).expect("readable tensors")
    };
    let want = tensors("kinds.safetensors");
    assert_same(&tensors("kinds.pt"), &want, "kinds.pt");
    assert_same(&tensors("kinds-legacy.pt"), &want, "kinds-legacy.pt");
}

#[test]
fn a_converted_checkpoint_gives_the_same_denoiser() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let loaded = load("edm.pkl", &LoadOptions::default());
    loaded.checkpoint.save(&out).expect("a written checkpoint");
    let denoised = |path: &Path| {
        let model = Model::load(path, &Device::Cpu).expect("a network");
        denoise(model.denoiser.as_ref())
    };
    assert_eq!(denoised(&out), denoised(&data("edm.pkl")));
}

#[test]
fn other_files_are_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    for (bytes, want) in [
        (&b""[..], "the file is empty"),
        (b"\x1f\x8b\x08", "gunzip"),
        (b"<html><body>Sign in", "the file is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "git lfs pull",
        ),
        (b"hello", "not a checkpoint"),
        (
            b"\x80\x04N.",
            "the file holds None: a network, or tensors by name is needed",
        ),
        (b"\x80\x04N", "ends too early"),
        (
            b"PK\x03\x04 and no more",
            "the file is cut off: it is a zip archive",
        ),
        (b"\xff\0\0\0\0\0\0\0{", "a config.json that describes"),
    ] {
        std::fs::write(&path, bytes).expect("a written file");
        let got = error(&path, &LoadOptions::default());
        assert!(got.contains(want), "got {got}, want {want}");
    }
    let got = error(folder.path(), &LoadOptions::default());
    assert!(got.contains("no checkpoint here"), "got {got}");
}
