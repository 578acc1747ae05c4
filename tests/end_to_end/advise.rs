//! `pfgmpp advise`: figures, the picture, and what is refused.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::program::{output, pfgmpp, repository, stderr, stdout};

fn advise(flags: &[&str]) -> Output {
    let mut command = pfgmpp();
    command.arg("advise").args(flags);
    output(command)
}

/// The exact posterior of the digits at D = 8.
fn config(folder: &Path) -> String {
    let text = fs::read_to_string(repository().join("configs/exact.yaml")).unwrap();
    let text = text.replace("data: eight_gaussians", "data: digits");
    let path = folder.join("exact.yaml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn the_exact_posterior_of_a_small_d_is_told_about_that_d() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let picture = folder.path().join("levels.svg");
    let flags = [
        "--config", &config, "--d", "8", "--data", "digits", "--split", "train",
    ];
    let drawn = ["--num", "200", "--out", picture.to_str().unwrap(), "--json"];
    let done = advise(&[&flags[..], &drawn].concat());
    assert!(done.status.success(), "got {}", stderr(&done));
    let found: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    let end = |which: usize| found["kappa_interval"][which].as_f64().unwrap();
    // 1 / (2 V) with V = psi'(4)/4, the variance of the levels that a prior of D = 8 has.
    assert!(end(0) < 8.0 && end(1) > 6.0 && end(1) < 20.0, "got {found}");
    assert_eq!(found["n"], 64);
    let svg = fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg xmlns") && svg.trim_end().ends_with("</svg>"));
    assert!(!svg.contains("NaN"), "got {svg}");
    let pixels = folder.path().join("levels.png");
    let as_png = ["--num", "64", "--out", pixels.to_str().unwrap()];
    let done = advise(&[&flags[..], &as_png].concat());
    assert!(done.status.success(), "got {}", stderr(&done));
    let size = image::image_dimensions(&pixels).unwrap();
    assert_eq!(size, (1920, 1080), "three pixels a unit of the drawing");
    let again = advise(&[&flags[..], &drawn].concat());
    assert_eq!(again.status.code(), Some(2), "got {}", stderr(&again));
    let done = advise(&[&flags[..], &["--num", "64"]].concat());
    let table = stdout(&done);
    assert!(
        table.contains("kappa* = ") && table.contains("--self-timed"),
        "got {table}"
    );
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "got {table}"
    );
}

#[test]
fn what_has_no_schedule_to_judge_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let flags = ["--config", &config, "--data", "digits"];
    for (more, want) in [
        (
            vec!["--solver", "rk45: {rtol: 1.0e-3, atol: 1.0e-3}"],
            "not rk45",
        ),
        (vec!["--split", "all"], "--split: must be held_out or train"),
        (vec!["--num", "3"], "32"),
        (vec!["--out", "levels.jpg"], "ends in .svg or .png"),
    ] {
        let done = advise(&[&flags[..], &more].concat());
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{more:?}: got {said}");
        assert!(said.contains(want), "{more:?}: got {said}");
    }
}
