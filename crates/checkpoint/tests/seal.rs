//! A checkpoint's checksum covers its configuration and, through it, its weights.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_checkpoint::{Checkpoint, LoadOptions, Model, Source, read_sealed_tensors};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A small checkpoint of this program.
fn saved(folder: &Path) -> PathBuf {
    let source = Source::open(&data("edm.pkl")).expect("a pickle");
    let loaded = source.load(&LoadOptions::default(), &Device::Cpu);
    let out = folder.join("out");
    let checkpoint = loaded.expect("a network").checkpoint;
    checkpoint.save(&out).expect("a checkpoint");
    out
}

fn error(path: &Path) -> String {
    let error = Model::load(path, &Device::Cpu).err().expect("a refusal");
    let text = error.to_string();
    assert!(!text.contains('\n'), "got {text:?}, want one line");
    text
}

#[test]
fn flips_of_one_bit_anywhere_are_noticed_or_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = saved(folder.path());
    let want = Checkpoint::load(&out, &Device::Cpu).expect("a checkpoint");
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut accepted = 0;
    for file in ["config.json", "model.safetensors"] {
        let path = out.join(file);
        let sound = fs::read(&path).expect("a file");
        for _ in 0..500 {
            let mut bytes = sound.clone();
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << (rng.next_u32() % 8);
            fs::write(&path, &bytes).expect("a file");
            // White space, and the digits of a number beyond its precision, mean nothing.
            if let Ok(got) = Checkpoint::load(&out, &Device::Cpu) {
                accepted += 1;
                assert_eq!(got.config, want.config, "{file}: byte {at}");
                assert_eq!(file, "config.json", "byte {at} of the weights");
            }
        }
        fs::write(&path, &sound).expect("a file");
    }
    println!("{accepted} of 1000 flips change nothing");
    Checkpoint::load(&out, &Device::Cpu).expect("as it was");
}

#[test]
fn what_was_changed_on_purpose_says_how_to_use_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = saved(folder.path());
    let path = out.join("config.json");
    let text = fs::read_to_string(&path).expect("a file");
    let changed = text.replace("\"sigma_data\": 0.5", "\"sigma_data\": 0.3");
    assert_ne!(changed, text);
    fs::write(&path, &changed).expect("a file");
    let got = error(&out);
    assert!(
        got.contains("the configuration has checksum")
            && got.contains("take its line config_sha256 out"),
        "got {got}"
    );
    let without: Vec<&str> = changed
        .lines()
        .filter(|line| !line.contains("config_sha256"))
        .collect();
    fs::write(&path, without.join("\n")).expect("a file");
    let model = Model::load(&out, &Device::Cpu).expect("an old checkpoint");
    assert!(
        model.notes[0].starts_with("config.json has no checksum"),
        "got {:?}",
        model.notes
    );
}

#[test]
fn reformatting_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = saved(folder.path());
    let path = out.join("config.json");
    let text = fs::read_to_string(&path).expect("a file");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    fs::write(&path, value.to_string()).expect("a file");
    let model = Model::load(&out, &Device::Cpu).expect("the same");
    assert!(model.notes.is_empty(), "got {:?}", model.notes);
}

#[test]
fn every_number_of_a_configuration_has_a_range() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = saved(folder.path());
    let path = out.join("config.json");
    let text = fs::read_to_string(&path).expect("a file");
    let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    value
        .as_object_mut()
        .expect("a map")
        .remove("config_sha256");
    let scale = serde_json::json!({"second_moment": -1.0, "n_eff": 64.0});
    for (pointer, bad, want) in [
        (
            "/data/range",
            serde_json::json!([1e308, -5.0]),
            "data.range[0] must be from -1000000 to 1000000",
        ),
        (
            "/data/range",
            serde_json::json!([1.0, -1.0]),
            "data.range[0] must be below data.range[1] = -1, got 1",
        ),
        (
            "/data/scale",
            scale.clone(),
            "data.scale.second_moment must be a positive number",
        ),
        (
            "/d",
            serde_json::json!(1.8e19),
            "d must be from 0.001 to 1000000000000000",
        ),
    ] {
        let mut value = value.clone();
        *value.pointer_mut(pointer).expect("a key") = bad;
        fs::write(&path, value.to_string()).expect("a file");
        let got = error(&out);
        assert!(got.contains(want), "got {got}, want {want}");
    }
    value["data"]["scale_about_mean"] = scale;
    fs::write(&path, value.to_string()).expect("a file");
    let got = error(&out);
    assert!(
        got.contains("data.scale_about_mean.second_moment"),
        "got {got}"
    );
}

#[test]
fn a_configuration_without_end_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = saved(folder.path());
    let file = fs::OpenOptions::new()
        .write(true)
        .open(out.join("config.json"));
    file.expect("a file")
        .set_len(2 << 30)
        .expect("a sparse file");
    let got = error(&out);
    assert!(
        got.ends_with("config.json: it has 2147483648 bytes, at most 1048576 are read"),
        "got {got}"
    );
}

#[test]
fn a_pointer_in_place_of_the_weights_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = saved(folder.path());
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 225\n";
    fs::write(out.join("model.safetensors"), pointer).expect("a file");
    let got = error(&out);
    assert!(
        got.contains("model.safetensors: the file is a Git LFS pointer")
            && got.contains("git lfs pull"),
        "got {got}"
    );
}

#[test]
fn a_file_of_tensors_that_is_something_else_is_called_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.safetensors");
    for (bytes, want) in [
        (&b""[..], "the file is empty"),
        (b"123", "the file is cut off"),
        (&[0; 100], "begins with zeros only"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0", "compressed with gzip"),
    ] {
        fs::write(&path, bytes).expect("a file");
        let got = read_sealed_tensors(&path, &Device::Cpu).err();
        let got = got.expect("a refusal").to_string();
        assert!(got.contains(want), "got {got}, want {want}");
        assert!(got.contains("state.safetensors"), "got {got}");
    }
}
