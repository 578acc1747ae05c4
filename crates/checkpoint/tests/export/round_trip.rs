//! What is written for another program is read back as the same denoiser.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::{Export, Layout, LoadOptions, Model, Source, Tensors, read_tensors};
use serde_json::{Value, json};

use crate::cases::{Case, cases, relative_error};

/// The denoiser of what was written for `case`.
fn read_back(case: &Case, written: &Path, folder: &Path) -> Model {
    let mut options = LoadOptions::default();
    if case.layout == Layout::EdmStateDict {
        // Such a file says nothing of its network to this program.
        let config = folder.join(format!("{}.json", case.name));
        let text = serde_json::to_string(&case.config).expect("a configuration");
        std::fs::write(&config, text).expect("a file");
        options.config = Some(config);
    }
    let model = Model::load_with(written, &options, &Device::Cpu);
    model.unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

#[test]
fn every_network_comes_back_as_the_same_denoiser() {
    let folder = tempfile::tempdir().expect("a folder");
    for case in cases() {
        let checkpoint = case.checkpoint();
        let out = folder.path().join(case.name).with_extension("safetensors");
        let export = Export::new(&checkpoint, case.layout, Path::new("it"));
        let export = export.unwrap_or_else(|e| panic!("{}: {e}", case.name));
        export.write(&out).expect("a written network");
        let own = Model::new(checkpoint, Path::new("it"), &Device::Cpu).expect("a network");
        let want = case.denoise(&own);
        let got = case.denoise(&read_back(&case, &out, folder.path()));
        let size = relative_error(&(&want * 0.0).expect("zeros"), &want);
        assert!(size > 0.99, "{}: got {want}, want values", case.name);
        let error = relative_error(&got, &want);
        println!("{:20} {error:.1e}", case.name);
        let nominal = case.name != "unet2d-edm";
        let bound = if nominal { 0.0 } else { 1e-6 };
        assert!(
            error <= bound,
            "{}: got {error:e}, want at most {bound:e}",
            case.name
        );
    }
}

#[test]
fn a_state_dictionary_says_which_constructor_takes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let case = |name| {
        let found = cases().into_iter().find(|case| case.name == name);
        found.expect("a case of that name")
    };
    for (name, class, wanted) in [
        (
            "ddpmpp-edm-d128",
            "EDMPrecond",
            json!({"img_resolution": 8, "img_channels": 1, "label_dim": 0, "sigma_data": 0.5, "pfgmpp": true, "D": 128.0,
                "model_type": "SongUNet", "augment_dim": 0, "embedding_type": "positional", "resample_filter": [1, 1]}),
        ),
        (
            "ncsnpp-ve",
            "VEPrecond",
            json!({"augment_dim": 9, "encoder_type": "residual", "channel_mult_noise": 2, "sigma_max": 80.0}),
        ),
        (
            "adm-iddpm",
            "iDDPMPrecond",
            json!({"M": 1000, "C_1": 0.001, "model_type": "DhariwalUNet", "channel_mult": [1, 2]}),
        ),
    ] {
        let out = folder.path().join(name);
        let export = Export::new(
            &case(name).checkpoint(),
            Layout::EdmStateDict,
            Path::new("it"),
        );
        export
            .expect("a state dictionary")
            .write(&out)
            .expect("a file");
        let (tensors, metadata) = read_tensors(&out, &Device::Cpu).expect("tensors");
        assert_eq!(metadata["class_name"], class, "{name}");
        let got: Value = serde_json::from_str(&metadata["init_kwargs"]).expect("JSON");
        for (key, want) in wanted.as_object().expect("a map") {
            assert_eq!(&got[key], want, "{name}: {key}");
        }
        assert!(
            got.get("D").is_some() == (name == "ddpmpp-edm-d128"),
            "{name}: got {got}"
        );
        assert_eq!(tensors.contains_key("u"), class == "iDDPMPrecond", "{name}");
        if class == "iDDPMPrecond" {
            assert_eq!(tensors["u"].dims(), [1001]);
            assert_eq!(tensors["model.out_conv.weight"].dims(), [2, 64, 3, 3]);
        }
    }
}

/// Names, shapes and values in the order of their names.
fn sorted(tensors: &Tensors) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let values = |t: &Tensor| t.flatten_all().and_then(|t| t.to_vec1()).expect("numbers");
    let mut all: Vec<_> = tensors
        .iter()
        .map(|(name, t)| (name.clone(), t.dims().to_vec(), values(t)))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn a_published_pickle_becomes_the_state_dictionary_that_pytorch_saves_of_it() {
    let data = |name| -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data")
            .join(name)
    };
    let loaded = Source::open(&data("edm.pkl"))
        .and_then(|source| source.load(&LoadOptions::default(), &Device::Cpu))
        .expect("a network");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("state.safetensors");
    let export = Export::new(
        &loaded.checkpoint,
        Layout::EdmStateDict,
        Path::new("edm.pkl"),
    );
    export
        .expect("a state dictionary")
        .write(&out)
        .expect("a file");
    let read = |path: &Path| sorted(&read_tensors(path, &Device::Cpu).expect("tensors").0);
    let (got, want) = (read(&out), read(&data("weights.safetensors")));
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got, want, "{}", want.0);
    }
}
