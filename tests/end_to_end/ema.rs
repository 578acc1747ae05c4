//! `pfgmpp ema`: averages of any length after training.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{SMALL, output, pfgmpp, repository, stderr, stdout};

/// The digits' configuration in `folder` with further sections.
pub fn digits_with(folder: &Path, sections: &str) -> PathBuf {
    let text = fs::read_to_string(repository().join("configs/digits.yaml")).unwrap();
    let path = folder.join("digits.yaml");
    fs::write(&path, format!("{text}\n{sections}\n")).unwrap();
    path
}

/// `pfgmpp train`, small.
pub fn train(config: &Path, out: &Path) -> std::process::Output {
    let mut program = pfgmpp();
    program.arg("train").arg(config).arg("--out").arg(out);
    for set in SMALL {
        program.args(["--set", set]);
    }
    output(program)
}

fn ema(run: &Path, flags: &[&str]) -> std::process::Output {
    let mut program = pfgmpp();
    program.arg("ema").arg(run).args(flags);
    output(program)
}

#[test]
fn averages_of_any_length_are_made_of_a_run_and_sampled() {
    let folder = tempfile::tempdir().unwrap();
    let section = "post_hoc_ema: {sigma_rel: [0.05, 0.1], snapshot_every: 64}";
    let run = folder.path().join("run");
    let done = train(&digits_with(folder.path(), section), &run);
    assert!(done.status.success(), "got {}", stderr(&done));
    let files = fs::read_dir(run.join("averages")).unwrap().count();
    assert_eq!(files, 2 * 8, "every 64 of 512 images");

    let done = ema(&run, &["--sigma-rel", "0.05,0.08", "--json"]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let made: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    let error = |i: usize| made[i]["denoising_error"].as_f64().unwrap();
    assert!(
        error(0) > 0.0 && error(1) > 0.0 && error(0) != error(1),
        "got {made}"
    );
    assert!(
        made[0]["profile_error"].as_f64().unwrap() < 1e-4,
        "got {made}"
    );

    let checkpoint = folder.path().join("average");
    let out = checkpoint.display().to_string();
    let done = ema(&run, &["--sigma-rel", "0.08", "--out", &out]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let mut program = pfgmpp();
    program.args(["sample", "--num", "4", "--steps", "3", "--checkpoint"]);
    program
        .arg(&checkpoint)
        .arg("--out")
        .arg(folder.path().join("grid.png"));
    let sampled = output(program);
    assert!(sampled.status.success(), "got {}", stderr(&sampled));

    for (flags, want) in [
        (
            &["--sigma-rel", "0.08", "--out", &out][..],
            "is there already",
        ),
        (
            &["--sigma-rel", "0.08,0.1", "--out", "elsewhere"],
            "single length",
        ),
        (&["--sigma-rel", "0.5"], "from 0.005 to 0.28"),
        (&["--sigma-rel", "0.1", "--nimg", "4096"], "from 1 to 512"),
        (
            &["--sigma-rel", "0.005", "--nimg", "100"],
            "snapshots of sigma_rel 0.05, 0.1, the nearest after 64 and 128 images",
        ),
    ] {
        let done = ema(&run, flags);
        let got = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{flags:?}: got {got}");
        assert!(got.contains(want), "{flags:?}: got {got}, want {want}");
    }
}

#[test]
fn a_checkpoint_in_place_of_its_run_is_refused_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (run, checkpoint) = (
        folder.path().join("run"),
        folder.path().join("run/checkpoint"),
    );
    fs::create_dir_all(&checkpoint).unwrap();
    fs::write(run.join("config.yaml"), "").unwrap();
    for (place, want) in [
        (
            &checkpoint,
            format!("give {}, in which it lies", run.display()),
        ),
        (
            &folder.path().to_path_buf(),
            "that pfgmpp train wrote".to_string(),
        ),
    ] {
        let done = ema(place, &["--sigma-rel", "0.1"]);
        let got = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "got {got}");
        assert!(got.contains(&want), "got {got}, want {want}");
    }
}

#[test]
fn a_run_without_snapshots_is_refused_with_the_key_that_makes_them() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let done = train(&digits_with(folder.path(), ""), &run);
    assert!(done.status.success(), "got {}", stderr(&done));
    let done = ema(&run, &["--sigma-rel", "0.1"]);
    assert_eq!(done.status.code(), Some(2));
    let got = stderr(&done);
    assert!(got.contains("post_hoc_ema"), "got {got}");
    assert!(!run.join("averages").exists(), "nothing was asked for");
}

#[test]
fn a_run_keeps_the_average_of_the_lowest_error_among_those_that_it_may_choose() {
    let folder = tempfile::tempdir().unwrap();
    let section = "post_hoc_ema: {sigma_rel: [0.05, 0.1], snapshot_every: 32, choose: [0.05, 0.08, 0.1, 0.28]}";
    let run = folder.path().join("run");
    let done = train(&digits_with(folder.path(), section), &run);
    let said = stderr(&done);
    assert!(done.status.success(), "got {said}");
    assert!(
        said.contains("will miss the average of 0.28 by"),
        "got {said}"
    );
    let read = |path: PathBuf| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    };
    let chosen = read(run.join("metrics.json"))["sigma_rel"]
        .as_f64()
        .unwrap();
    let done = ema(&run, &["--sigma-rel", "0.05,0.08,0.1", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    let errors = made.as_array().unwrap().iter();
    let errors =
        errors.map(|one| ["denoising_error", "sigma_rel"].map(|key| one[key].as_f64().unwrap()));
    let best = errors.min_by(|a, b| a[0].total_cmp(&b[0])).unwrap();
    assert_eq!(chosen, best[1], "got {made}");
    // What was scored and kept is that average.
    let scored = read(run.join("metrics.json"))["scores"]["denoising_error"]
        .as_f64()
        .unwrap();
    assert!(
        (scored - best[0]).abs() < 1e-9,
        "got {scored}, want {}",
        best[0]
    );
    let out = folder.path().join("average");
    let flags = [
        "--sigma-rel",
        &chosen.to_string(),
        "--out",
        out.to_str().unwrap(),
    ];
    assert!(ema(&run, &flags).status.success());
    let weights = |checkpoint: &Path| fs::read(checkpoint.join("model.safetensors")).unwrap();
    let kept = weights(&run.join("checkpoint"));
    assert_eq!(kept, weights(&out), "the weights of that length");
    // Weights that are gone are written anew as they were.
    fs::remove_dir_all(run.join("checkpoint")).unwrap();
    let again = train(&digits_with(folder.path(), section), &run);
    assert!(again.status.success(), "got {}", stderr(&again));
    assert_eq!(
        weights(&run.join("checkpoint")),
        kept,
        "the same bits again"
    );
    for (choose, want) in [
        ("[0.05]", "a list of 2 to 32 lengths"),
        ("[0.05, 0.9]", "from 0.005 to 0.28"),
        ("[0.05, 0.05]", "a list of different lengths"),
    ] {
        let section = format!(
            "post_hoc_ema: {{sigma_rel: [0.05, 0.1], snapshot_every: 32, choose: {choose}}}"
        );
        let refused = train(
            &digits_with(folder.path(), &section),
            &folder.path().join("other"),
        );
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(2), "{choose}: got {said}");
        assert!(
            said.contains("post_hoc_ema.choose must be") && said.contains(want),
            "{choose}: got {said}"
        );
    }
}
