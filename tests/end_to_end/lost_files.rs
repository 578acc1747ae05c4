//! A finished run whose files are gone: what can be written anew is, and what is lost is said.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::program::{SMALL, output, pfgmpp, scores, small_sweep, stderr, stdout};

/// `pfgmpp train configs/digits.yaml`, small.
fn train(out: &Path, nimg: u64) -> Output {
    let mut command: Command = pfgmpp();
    command
        .args(["train", "configs/digits.yaml", "--out"])
        .arg(out);
    let nimg = format!("training.nimg={nimg}");
    for set in SMALL.iter().copied().chain([nimg.as_str()]) {
        command.args(["--set", set]);
    }
    output(command)
}

fn said(done: &Output, code: i32, wanted: &[&str]) {
    let said = stderr(done);
    assert_eq!(done.status.code(), Some(code), "got {said}");
    for want in wanted {
        assert!(said.contains(want), "got {said}, want {want}");
    }
}

#[test]
fn weights_and_pictures_that_are_gone_are_written_anew_from_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    said(&train(&out, 128), 0, &[]);
    let names = [
        "checkpoint/model.safetensors",
        "samples/grid.png",
        "metrics.json",
    ];
    let read = || names.map(|name| fs::read(out.join(name)).unwrap());
    let whole = read();
    fs::remove_dir_all(out.join("checkpoint")).unwrap();
    fs::remove_dir_all(out.join("samples")).unwrap();
    said(&train(&out, 128), 0, &["written anew from the state"]);
    assert!(read() == whole, "another file than before");
    // Emptied, and cut off in the middle.
    for keep in [0, whole[0].len() / 2] {
        fs::write(out.join(names[0]), &whole[0][..keep]).unwrap();
        said(&train(&out, 128), 0, &["written anew from the state"]);
        assert!(read() == whole, "{keep} bytes: another file than before");
    }
    fs::remove_file(out.join(names[1])).unwrap();
    said(&train(&out, 128), 0, &["grid.png: is missing: drawn anew"]);
    assert!(read() == whole, "another picture than before");
}

#[test]
fn a_finished_run_without_weights_and_state_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    said(&train(&out, 128), 0, &[]);
    fs::remove_dir_all(out.join("state")).unwrap();
    // Nothing that was left is needed for the result.
    said(&train(&out, 128), 0, &["finished before"]);
    fs::remove_dir_all(out.join("checkpoint")).unwrap();
    let wanted = ["its weights are gone", "state/", "remove metrics.json"];
    said(&train(&out, 128), 2, &wanted);
    let longer = train(&out, 192);
    said(&longer, 0, &["the 128 images before are lost"]);
    assert!(stdout(&longer).contains("Checkpoint:"));
}

#[test]
fn a_sweep_makes_runs_whole_again_whose_weights_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let sweep = || output(small_sweep(&out, &["axes.d=[8,64]"]));
    said(&sweep(), 0, &[]);
    let whole = scores(&out);
    let run = |name: &str| out.join(name).join("checkpoint/model.safetensors");
    let names = ["d=8,seed=0", "d=64,seed=0"];
    let weights = names.map(|name| fs::read(run(name)).unwrap());
    fs::write(run(names[0]), "").unwrap();
    fs::remove_dir_all(out.join(names[1]).join("checkpoint")).unwrap();
    fs::remove_dir_all(out.join(names[1]).join("state")).unwrap();
    let wanted = [
        "written anew from the state",
        "the weights of 512 images are lost",
    ];
    said(&sweep(), 0, &wanted);
    assert_eq!(names.map(|name| fs::read(run(name)).unwrap()), weights);
    assert_eq!(scores(&out), whole);
    said(&sweep(), 0, &["d=64,seed=0: already finished"]);
}

#[test]
fn a_run_without_its_configuration_goes_on_once_that_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    said(&train(&out, 64), 0, &[]);
    let (config, away) = (out.join("config.yaml"), folder.path().join("away.yaml"));
    fs::rename(&config, &away).unwrap();
    fs::remove_file(out.join("metrics.json")).unwrap();
    let wanted = ["holds state of a run", "put the config.yaml back"];
    said(&train(&out, 128), 2, &wanted);
    fs::rename(&away, &config).unwrap();
    said(&train(&out, 128), 0, &[]);
}
