//! `pfgmpp convert` and `pfgmpp inspect`: networks of other programs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{output, pfgmpp, stderr, stdout};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../checkpoint/tests/data")
        .join(name)
}

fn run(command: &str, arguments: &[&Path], flags: &[&str]) -> std::process::Output {
    let mut program = pfgmpp();
    program.arg(command).args(arguments).args(flags);
    output(program)
}

fn samples(checkpoint: &Path, out: &Path) -> Vec<u8> {
    let mut program = pfgmpp();
    program
        .args(["sample", "--num", "4", "--steps", "3", "--checkpoint"])
        .arg(checkpoint)
        .arg("--out")
        .arg(out);
    let done = output(program);
    assert!(done.status.success(), "got {}", stderr(&done));
    fs::read(out).expect("a picture")
}

#[test]
fn a_converted_pickle_samples_as_the_pickle_does() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("converted");
    let done = run("convert", &[&data("edm.pkl"), &out], &["--d", "128"]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("# digits-8x8, D = 128"), "got {card}");
    let state = folder.path().join("state");
    let done = run("convert", &[&data("training-state.pt"), &state], &[]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let picture = |checkpoint: &Path, name| samples(checkpoint, &folder.path().join(name));
    // The training state records D = 128.
    let want = picture(&data("training-state.pt"), "a.png");
    assert_eq!(picture(&out, "b.png"), want);
    assert_eq!(picture(&state, "c.png"), want);
    let again = run("convert", &[&data("edm.pkl"), &out], &[]);
    assert_eq!(again.status.code(), Some(2));
    assert!(
        stderr(&again).contains("is there already"),
        "got {}",
        stderr(&again)
    );
}

#[test]
fn a_checkpoint_is_described_in_lines() {
    let done = run("inspect", &[&data("training-state.pt")], &[]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let got = stdout(&done);
    for want in [
        "source        PyTorch file\n",
        "architecture  ddpmpp\n",
        "prediction    denoised, edm\n",
        "D             128\n",
        "sigma         0.002 to 80\n",
        "data          unknown, 1x8x8\n",
        "labels        none\n",
        "images seen   7168\n",
    ] {
        assert!(got.contains(want), "got {got}, want {want}");
    }
    let assumed = run("inspect", &[&data("edm.pkl")], &[]);
    let got = stderr(&assumed);
    assert!(
        got.contains("D is not in the file: taken as inf"),
        "got {got}"
    );
}

#[test]
fn files_of_no_known_kind_give_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = folder.path().join("hostile.pkl");
    fs::write(&hostile, b"\x80\x02cos\nsystem\nX\x05\0\0\0touch\x85R.").unwrap();
    for (path, want) in [
        (
            hostile,
            "the pickle asks for os.system, which is not needed here; nothing was run",
        ),
        (
            data("weights.safetensors"),
            "`pfgmpp convert FILE FOLDER --config config.json`",
        ),
        (
            PathBuf::from("ftp://owner/name"),
            "ftp:// is not a place that checkpoints are fetched from",
        ),
        (PathBuf::from("absent.pkl"), "no checkpoint here"),
    ] {
        let done = run("inspect", &[&path], &[]);
        let got = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "got {got}");
        assert_eq!(got.lines().count(), 1, "got {got}");
        assert!(got.contains(want), "got {got}, want {want}");
    }
}

#[test]
fn a_network_goes_to_another_program_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let state = at("state.safetensors");
    let done = run(
        "convert",
        &[&data("edm.pkl"), &state],
        &["--to", "edm-state-dict"],
    );
    assert!(done.status.success(), "got {}", stderr(&done));
    // The description of a converted copy serves the state dictionary too.
    let copy = at("copy");
    let done = run("convert", &[&data("edm.pkl"), &copy], &[]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let (back, config) = (at("back"), copy.join("config.json"));
    let done = run(
        "convert",
        &[&state, &back],
        &["--config", config.to_str().unwrap()],
    );
    assert!(done.status.success(), "got {}", stderr(&done));
    assert_eq!(samples(&back, &at("a.png")), samples(&copy, &at("b.png")));
}

#[test]
fn what_cannot_be_written_for_another_program_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("there.safetensors"), "mine").unwrap();
    for (out, to, want) in [
        (
            "new",
            "diffusers",
            "network ddpmpp has no counterpart in diffusers",
        ),
        (
            "new",
            "edm-state-dict",
            "give a name that ends in .safetensors",
        ),
        (
            "there.safetensors",
            "edm-state-dict",
            "is there already: give another name",
        ),
        (
            "new",
            "onnx",
            "[possible values: diffusers, edm-state-dict]",
        ),
    ] {
        let done = run("convert", &[&data("edm.pkl"), &at(out)], &["--to", to]);
        let got = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "got {got}");
        assert!(got.contains(want), "got {got}, want {want}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{out}");
    }
    assert_eq!(fs::read_to_string(at("there.safetensors")).unwrap(), "mine");
}
