//! `training.start_from`: networks that are trained on, at another D too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::program::{SMALL, output, pfgmpp, repository, stderr};

/// The digits' configuration without its network, which starts from `start`, and with further top-level lines.
fn config(folder: &Path, start: &Path, lines: &str) -> PathBuf {
    let text = fs::read_to_string(repository().join("configs/digits.yaml")).unwrap();
    let from = text.find("network:\n").expect("the network");
    let to = text
        .find("preconditioning:\n")
        .expect("the section behind it");
    let start = format!("training:\n  start_from: {}\n  ignored", start.display());
    let rest = text[to..].replacen("training:", &start, 1);
    // The comment behind the section's name goes.
    let rest = rest.replacen("\n  ignored", "\n  #", 1);
    let path = folder.join("fine.yaml");
    fs::write(&path, format!("{}{rest}\n{lines}\n", &text[..from])).unwrap();
    path
}

fn train(config: &Path, out: &Path, sets: &[&str]) -> Output {
    let mut program = pfgmpp();
    program.arg("train").arg(config).arg("--out").arg(out);
    let small = SMALL.iter().filter(|set| !set.starts_with("network."));
    for set in small.chain(sets) {
        program.args(["--set", set]);
    }
    output(program)
}

/// A small run at D = ∞ in `folder`.
fn base(folder: &Path) -> PathBuf {
    let out = folder.join("base");
    let mut program = pfgmpp();
    program
        .args(["train", "configs/digits.yaml", "--out"])
        .arg(&out);
    for set in SMALL.iter().chain(&["d=inf"]) {
        program.args(["--set", set]);
    }
    let done = output(program);
    assert!(done.status.success(), "got {}", stderr(&done));
    out
}

fn denoising_error(run: &Path) -> f64 {
    let text = fs::read_to_string(run.join("metrics.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    result["scores"]["denoising_error"].as_f64().unwrap()
}

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("checkpoint/model.safetensors")).unwrap()
}

#[test]
fn a_diffusion_network_is_trained_on_at_another_d() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(folder.path());
    let at = |name: &str| folder.path().join(name);
    let config = config(folder.path(), &base, "");
    let done = train(&config, &at("fine"), &["d=8"]);
    let said = stderr(&done);
    assert!(done.status.success(), "got {said}");
    for want in [
        "training starts from the weights of",
        "trained on 512 images at D = inf, goes on at D = 8",
    ] {
        assert!(said.contains(want), "got {said}, want {want}");
    }
    let resolved = fs::read_to_string(at("fine").join("config.yaml")).unwrap();
    assert!(
        resolved.contains("model_channels: 8"),
        "the network of the checkpoint"
    );
    // A rate at which nothing moves leaves the weights that it started from.
    let still = ["d=inf", "optimizer.lr=1e-12", "training.nimg=64"];
    let done = train(&config, &at("still"), &still);
    assert!(done.status.success(), "got {}", stderr(&done));
    let (got, want) = (denoising_error(&at("still")), denoising_error(&base));
    assert!(
        (got / want - 1.0).abs() < 1e-4,
        "got an error of {got}, want {want}"
    );

    // Made longer, it ends as one that was as long from the start.
    let done = train(&config, &at("longer"), &["d=8", "training.nimg=256"]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let done = train(&config, &at("longer"), &["d=8"]);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        weights(&at("longer")) == weights(&at("fine")),
        "other weights"
    );
}

#[test]
fn a_file_without_a_network_is_trained_once_start_from_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(folder.path());
    let with = fs::read_to_string(config(folder.path(), &base, "")).unwrap();
    let lines = with.lines().filter(|line| !line.contains("start_from:"));
    let config = folder.path().join("without.yaml");
    fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let start = format!("training.start_from={}", base.display());
    let at = |name: &str| folder.path().join(name);
    let done = train(&config, &at("set"), &[start.as_str(), "training.nimg=64"]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let done = train(&config, &at("missing"), &["training.nimg=64"]);
    let got = stderr(&done);
    assert_eq!(done.status.code(), Some(2), "got {got}");
    let want = "without.yaml: network: is missing, and model: network needs it";
    assert!(got.contains(want), "got {got}, want {want}");
    // A file that has one is told to leave it out.
    let digits = repository().join("configs/digits.yaml");
    let sets = [start.as_str(), "network=null", "training.nimg=64"];
    let done = train(&digits, &at("left_out"), &sets);
    assert!(done.status.success(), "got {}", stderr(&done));
}

#[test]
fn a_network_of_another_program_is_trained_on_with_augmentation() {
    let folder = tempfile::tempdir().unwrap();
    let pickle = repository().join("crates/checkpoint/tests/data/edm.pkl");
    let config = config(folder.path(), &pickle, "augment: {geometric: 0.3}");
    let out = folder.path().join("out");
    let done = train(&config, &out, &["training.nimg=128"]);
    let said = stderr(&done);
    assert!(done.status.success(), "got {said}");
    assert!(
        said.contains("training starts from the weights of"),
        "got {said}"
    );
    let mut program = pfgmpp();
    program.args(["sample", "--num", "4", "--steps", "3", "--checkpoint"]);
    program
        .arg(&out)
        .arg("--out")
        .arg(folder.path().join("grid.png"));
    let sampled = output(program);
    assert!(sampled.status.success(), "got {}", stderr(&sampled));
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let base = base(folder.path());
    let nowhere = folder.path().join("nowhere");
    let network = "network: {ddpmpp: {model_channels: 16, channel_mult: [1, 2], channel_mult_emb: 4, num_blocks: 1, \
                   attn_resolutions: [4], dropout: 0.0}}";
    for (start, lines, want) in [
        (&base, network, "network: must be that of"),
        (&base, "condition: classes", "do not fit this training"),
        (&nowhere, "", "nowhere"),
    ] {
        let config = config(folder.path(), start, lines);
        if lines.contains("classes") {
            let text = fs::read_to_string(&config).unwrap();
            let with = text.replacen("sampler:\n", "sampler:\n  classes: uniform\n", 1);
            fs::write(&config, with).unwrap();
        }
        let out = folder.path().join("out");
        let done = train(&config, &out, &[]);
        let got = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{lines}: got {got}");
        assert!(got.contains(want), "{lines}: got {got}, want {want}");
        assert!(!out.exists(), "{lines}: something was written");
    }
}
