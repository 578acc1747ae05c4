//! `pfgmpp data`: what data are, and sets packed of photographs.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{output, pfgmpp, repository, stderr, stdout};

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = pfgmpp();
    command.arg("data").args(args);
    let output = output(command);
    (output.status.code(), stdout(&output), stderr(&output))
}

fn json(args: &[&str]) -> Value {
    let (code, out, err) = run(args);
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap()
}

fn photographs(folder: &Path) {
    let photo = repository().join("crates/data/tests/formats/files/photo.png");
    for i in 0..10 {
        fs::copy(&photo, folder.join(format!("{i}.PNG"))).unwrap();
    }
    fs::write(folder.join("notes.txt"), "").unwrap();
}

#[test]
fn data_are_described_as_they_are() {
    let got = json(&["info", "digits", "--json"]);
    let counts = (got["train"].as_u64(), got["held_out"].as_u64());
    assert_eq!(counts, (Some(1438), Some(359)));
    assert_eq!(got["shape"], serde_json::json!([1, 8, 8]));
    assert_eq!(got["range"], serde_json::json!([-1.0, 1.0]));
    assert_eq!(got["source"], "digits");
    let sigma_data = got["sigma_data"].as_f64().unwrap();
    assert!((sigma_data - 0.753).abs() < 1e-3, "got {sigma_data}");
    let (code, out, _) = run(&["info", "{mnist_5k: {side: 7}}", "--quiet"]);
    assert_eq!(code, Some(0));
    for want in [
        "data: {mnist_5k: {side: 7}}",
        "1x7x7, N = 49",
        "sigma_data  0.460",
        "10, 400 items to learn from each",
    ] {
        assert!(out.contains(want), "got {out}, want {want}");
    }
}

#[test]
fn photographs_become_a_set_that_can_be_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    photographs(&photos);
    let (photos, out) = (photos.to_str().unwrap(), folder.path().join("set.zip"));
    let out = out.to_str().unwrap();
    let (code, said, notes) = run(&["pack", photos, out, "--size", "8x6"]);
    assert_eq!(code, Some(0), "{notes}");
    assert!(
        said.contains("10 images of 3x6x8, no classes"),
        "got {said}"
    );
    assert!(
        notes.contains("left out: 1 .txt file (notes.txt)"),
        "got {notes}"
    );
    let got = json(&["info", out, "--json"]);
    assert_eq!(got["shape"], serde_json::json!([3, 6, 8]));
    let before = fs::read(out).unwrap();
    let (code, _, err) = run(&["pack", photos, out, "--size", "4"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("is there already"), "got {err}");
    assert_eq!(fs::read(out).unwrap(), before);
    let got = json(&["pack", photos, out, "--size", "4", "--overwrite", "--json"]);
    assert_eq!(got["shape"], serde_json::json!([3, 4, 4]));
}

#[test]
fn what_is_asked_for_and_cannot_be_had_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.zip");
    let out = out.to_str().unwrap();
    for (args, want) in [
        (&["info", "nowhere"][..], "SRC: must be digits, "),
        (
            &["info", "Cargo.toml"],
            "Cargo.toml: data are a folder or ZIP archive",
        ),
        (&["pack", "nowhere", out], "nowhere: there is no such file"),
        (&["pack", "configs", out], "holds 0 images"),
        (
            &["pack", "configs", "a.tar"],
            "give a name that ends in .zip",
        ),
        (
            &["pack", "configs", out, "--size", "8x0"],
            "must be a side such as 64",
        ),
    ] {
        let (code, _, err) = run(args);
        assert_eq!(code, Some(2), "{args:?}: {err}");
        assert!(err.contains(want), "{args:?}: got {err}, want {want}");
        assert_eq!(err.lines().count(), 1, "{args:?}: got {err}");
    }
}
