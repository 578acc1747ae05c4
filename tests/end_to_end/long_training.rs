//! A training with every option on, killed at any moment, ends as one that was left alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::program::{SMALL, output, pfgmpp, repository, stderr};

/// The digits' training with augmentation, pieces of batches, several averages, decay, clipping and measurements.
fn config(folder: &Path) -> PathBuf {
    let text = fs::read_to_string(repository().join("configs/digits.yaml")).unwrap();
    let training = "training:\n  micro_batch: 12\n  non_finite: skip\n  score_every: 128\n  #";
    let optimizer = "optimizer:\n  clip_norm: 1.0\n  weight_decay: 0.01\n  schedule: {cosine: {over: 900, final_lr: 0.0}}\n  #";
    let text = text.replacen("training:", training, 1);
    let text = text.replacen("optimizer:", optimizer, 1);
    let more = "augment: {x_flip: true, geometric: 0.3}\n\
                post_hoc_ema: {sigma_rel: [0.05, 0.1], snapshot_every: 96, keep: 4}\n";
    let path = folder.join("long.yaml");
    fs::write(&path, text + "\n" + more).unwrap();
    path
}

fn train(config: &Path, out: &Path) -> Command {
    let mut program = pfgmpp();
    program.arg("train").arg(config).arg("--out").arg(out);
    for set in SMALL.iter().chain(&["training.nimg=1024"]) {
        program.args(["--set", set]);
    }
    program
}

/// Everything of a run that follows from its seed.
fn results(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["checkpoint", "best", "averages"] {
        for entry in fs::read_dir(run.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(run).unwrap().display().to_string();
            files.insert(name, fs::read(path).unwrap());
        }
    }
    files
}

#[test]
fn killed_at_any_moment_it_ends_as_one_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let alone = folder.path().join("alone");
    let done = output(train(&config, &alone));
    assert!(done.status.success(), "got {}", stderr(&done));

    let killed = folder.path().join("killed");
    // Some before the first state, some while something is written.
    for delay in [150, 700, 400, 1100, 250, 900] {
        let mut command = train(&config, &killed);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary starts");
        sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let done = output(train(&config, &killed));
    assert!(done.status.success(), "got {}", stderr(&done));
    let (got, want) = (results(&killed), results(&alone));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&got), names(&want));
    assert_eq!(want.len(), 2 + 2 + 2 * 4, "got {:?}", names(&want));
    for (name, bytes) in &want {
        assert!(got[name] == *bytes, "{name}: other bytes");
    }
}

/// Grey images of 8 by 8 pixels as NumPy writes them.
fn array(path: &Path, values: &[u8]) {
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    let text = format!(
        "{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, 8, 8, 1), }}",
        values.len() / 64
    );
    let text = format!("{text:<117}\n");
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header.extend(values);
    fs::write(path, header).unwrap();
}

#[test]
fn data_that_changed_since_are_noticed_before_anything_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("images.npy");
    let mut values: Vec<u8> = (0..60 * 64).map(|i| (i * 7 % 251) as u8).collect();
    array(&data, &values);
    let out = folder.path().join("run");
    let train = |out: &Path, nimg: &str| {
        let mut program = pfgmpp();
        program
            .arg("train")
            .arg("configs/digits.yaml")
            .arg("--out")
            .arg(out);
        for set in SMALL.iter().chain(&[nimg]) {
            program.args(["--set", set]);
        }
        let source = format!("data={{npy: {{path: {}}}}}", data.display());
        program.args(["--set", &source]);
        output(program)
    };
    let done = train(&out, "training.nimg=64");
    assert!(done.status.success(), "got {}", stderr(&done));
    let again = train(&out, "training.nimg=64");
    assert!(again.status.success(), "got {}", stderr(&again));
    values[100] ^= 1;
    array(&data, &values);
    let want = "holds a finished run on other data";
    for nimg in ["training.nimg=64", "training.nimg=128"] {
        let got = train(&out, nimg);
        assert_eq!(got.status.code(), Some(2), "{nimg}: {}", stderr(&got));
        let line = stderr(&got);
        let line = line.lines().last().unwrap_or_default();
        assert!(line.contains(want), "{nimg}: got {line}, want {want}");
        assert!(line.ends_with("--out"), "{nimg}: got {line}");
    }
    values[100] ^= 1;
    array(&data, &values);
    let back = train(&out, "training.nimg=128");
    assert!(back.status.success(), "got {}", stderr(&back));
}

#[test]
fn a_measured_sigma_data_is_written_as_the_number_that_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let train = |more: &[&str]| {
        let mut program = pfgmpp();
        program
            .args(["train", "configs/digits.yaml", "--out"])
            .arg(&out);
        let measured = [
            "preconditioning.edm.sigma_data=measured",
            "training.nimg=64",
        ];
        for set in SMALL.iter().chain(&measured).chain(more) {
            program.args(["--set", set]);
        }
        output(program)
    };
    let done = train(&[]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let want = "preconditioning.edm.sigma_data: measured on the images to learn from, 0.7";
    assert!(stderr(&done).contains(want), "got {}", stderr(&done));
    let written = fs::read_to_string(out.join("config.yaml")).unwrap();
    assert!(written.contains("sigma_data: 0.7"), "got {written}");
    // It is measured again, to the same.
    let again = train(&["training.nimg=128"]);
    assert!(again.status.success(), "got {}", stderr(&again));
    let wrong = train(&["preconditioning.edm.sigma_data=guessed"]);
    let got = stderr(&wrong);
    assert_eq!(wrong.status.code(), Some(2), "got {got}");
    assert!(
        got.contains("must be a number, or measured, got \"guessed\""),
        "got {got}"
    );
}
