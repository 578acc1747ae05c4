//! Sweeps over several setups with axes of their own, one of which samples what another trains.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bad_input::assert_refused;
use crate::bad_setups::setups;
use crate::program::{SMALL, output, pfgmpp, results, scores, stderr, stdout};

/// Few points of each setup.
const FEW: [&str; 2] = [
    "base.trained.axes.d=[8,inf]",
    "base.zero_shot.axes.sampler.d=[1,inf]",
];

const DIFFUSION: &str = "setup=trained,d=inf,seed=0";

/// `pfgmpp sweep FILE`, small, into `out`.
fn small(file: &Path, out: &Path, overrides: &[&str]) -> Command {
    let mut command = pfgmpp();
    command.arg("sweep").arg(file).arg("--out").arg(out);
    for set in SMALL.iter().chain(overrides) {
        command.args(["--set", set]);
    }
    command
}

fn shipped() -> PathBuf {
    "experiments/zero_shot_vs_trained.yaml".into()
}

pub fn run(out: &Path, overrides: &[&str]) -> Output {
    output(small(&shipped(), out, overrides))
}

#[test]
fn models_of_each_d_stand_beside_one_that_is_sampled_at_every_d() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let done = run(&out, &[&FEW[..], &["axes.seed=[0,1]"]].concat());
    assert!(done.status.success(), "got {}", stderr(&done));

    let rows = results(&out);
    let places: Vec<[&str; 4]> = rows
        .iter()
        .map(|row| ["setup", "sampler.d", "d", "seed"].map(|column| row[column].as_str()))
        .collect();
    let want = [
        ["trained", "", "8", "0"],
        ["trained", "", "8", "1"],
        ["trained", "", "inf", "0"],
        ["trained", "", "inf", "1"],
        ["zero_shot", "1", "1", "0"],
        ["zero_shot", "1", "1", "1"],
        ["zero_shot", "inf", "inf", "0"],
        ["zero_shot", "inf", "inf", "1"],
    ];
    assert_eq!(places, want);
    // At D = ∞ a lifted model is itself, and each seed has sampled the model of its own.
    for seed in [0, 1] {
        let energy = |row: usize| rows[row + seed]["energy_distance"].clone();
        assert_eq!(energy(6), energy(2), "seed {seed}");
    }
    assert_ne!(rows[6]["energy_distance"], rows[7]["energy_distance"]);
    let config = out.join("setup=zero_shot,sampler.d=1,seed=1/config.yaml");
    let config = fs::read_to_string(config).unwrap();
    assert!(
        config.contains("run: setup=trained,d=inf,seed=1"),
        "got {config}"
    );
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    // One line and one entry of the legend for each setup, along one axis of D.
    for want in [
        "D (logarithmic)",
        ">trained</li>",
        ">zero_shot</li>",
        "model, zero_shot",
    ] {
        assert!(report.contains(want), "got no {want}");
    }
    assert!(stdout(&done).contains("zero_shot"), "got {}", stdout(&done));
}

#[test]
fn an_axis_is_set_wherever_the_file_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let sets = [
        "axes.d=[inf]",
        "axes.sampler.d=[2]",
        "axes.optimizer.lr=[1e-3]",
    ];
    let mut command = small(&shipped(), &out, &sets[..2]);
    command.arg("--dry-run");
    let done = output(command);
    assert!(done.status.success(), "got {}", stderr(&done));
    let text = stdout(&done);
    for want in ["2 runs", "model of", "sampler.d=2", DIFFUSION] {
        assert!(text.contains(want), "got {text}, want {want}");
    }
    assert!(!out.exists());
    // One that the file does not have is one of every setup.
    let mut command = small(&shipped(), &out, &sets);
    command.arg("--dry-run");
    let done = output(command);
    assert_refused(&done, &out, &["axes.optimizer.lr[0]", "no key `optimizer`"]);
}

#[test]
fn a_sweep_killed_between_a_model_and_its_samples_ends_as_one_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("alone");
    assert!(run(&alone, &FEW).status.success());

    let killed = folder.path().join("killed");
    let mut command = small(&shipped(), &killed, &FEW);
    command.args(["--jobs", "1"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (began, trained) = (Instant::now(), killed.join(DIFFUSION).join("metrics.json"));
    while !trained.is_file() {
        assert!(began.elapsed() < Duration::from_secs(120), "not trained");
        sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let done = run(&killed, &FEW);
    assert!(done.status.success(), "got {}", stderr(&done));
    let skipped = format!("{DIFFUSION}: already finished");
    assert!(stderr(&done).contains(&skipped), "got {}", stderr(&done));
    assert_eq!(scores(&killed), scores(&alone));

    // The folder may be moved: runs find each other by name.
    let moved = folder.path().join("moved");
    fs::rename(&killed, &moved).unwrap();
    fs::remove_dir_all(moved.join("setup=zero_shot,sampler.d=1,seed=0")).unwrap();
    let done = run(&moved, &FEW);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert_eq!(scores(&moved), scores(&alone));
}

#[test]
fn samples_of_a_model_that_failed_are_not_tried() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let diverging = ["optimizer.lr=1e4", "optimizer.lr_ramp_up=0"];
    let done = run(&out, &[&FEW[..], &diverging].concat());
    assert_eq!(done.status.code(), Some(1), "got {}", stderr(&done));
    let rows = results(&out);
    let want = format!("{DIFFUSION}, whose model it samples, failed");
    for row in &rows[2..] {
        assert_eq!((&*row["status"], &*row["message"]), ("failed", &*want));
    }
    assert!(!out.join("setup=zero_shot,sampler.d=1,seed=0").exists());
}

#[test]
fn setups_need_no_common_axis() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("s.yaml"), folder.path().join("out"));
    fs::write(&file, setups("one: DIGITS", "{setup: one}", "")).unwrap();
    let sets = ["axes.sampler.d=[8]", "d=inf"];
    let mut command = small(&file, &out, &sets);
    command.arg("--dry-run");
    let done = output(command);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        stdout(&done).contains("setup=one "),
        "got {}",
        stdout(&done)
    );
}

#[test]
fn a_model_that_is_trained_longer_is_sampled_again() {
    let folder = tempfile::tempdir().unwrap();
    let [longer, alone] = ["longer", "alone"].map(|name| folder.path().join(name));
    let few = |nimg| [&FEW[..], &[nimg, "evaluations={weights.bits: [4]}"]].concat();
    assert!(run(&longer, &few("training.nimg=128")).status.success());
    let before = scores(&longer);
    for out in [&longer, &alone] {
        let done = run(out, &few("training.nimg=256"));
        assert!(done.status.success(), "got {}", stderr(&done));
    }
    assert_eq!(scores(&longer), scores(&alone));
    let same: Vec<_> = scores(&longer)
        .into_iter()
        .filter(|row| before.contains(row))
        .collect();
    assert!(same.is_empty(), "got {same:?} of the shorter training");
    // So is what it was sampled otherwise.
    let evaluated = |out: &Path| {
        let mut all = Vec::new();
        for entry in fs::read_dir(out).unwrap() {
            let path = entry.unwrap().path();
            if let Ok(text) = fs::read_to_string(path.join("evaluations.json")) {
                let read: serde_json::Value = serde_json::from_str(&text).unwrap();
                let name = path.file_name().unwrap().to_owned();
                all.push((name, read["evaluations"][0]["scores"].clone()));
            }
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    };
    assert!(evaluated(&alone).len() > 1);
    assert_eq!(evaluated(&longer), evaluated(&alone));
}

#[test]
fn samples_of_a_checkpoint_that_was_replaced_are_not_taken_for_those_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, out] = ["first", "second", "out"].map(|name| folder.path().join(name));
    for (place, nimg) in [(&first, "training.nimg=64"), (&second, "training.nimg=96")] {
        let mut command = pfgmpp();
        command
            .args(["train", "configs/digits.yaml", "--out"])
            .arg(place);
        for set in SMALL.iter().chain(&["d=inf", nimg]) {
            command.args(["--set", set]);
        }
        let done = output(command);
        assert!(done.status.success(), "got {}", stderr(&done));
    }
    let sample = || {
        let reference = format!("model.checkpoint.reference={}", first.display());
        let mut command = pfgmpp();
        command
            .args(["train", "configs/zero_shot.yaml", "--out"])
            .arg(&out);
        let few = ["scoring.num_samples=16", "sampler.schedule.edm.num_steps=4"];
        for set in [&*reference].iter().chain(&few) {
            command.args(["--set", set]);
        }
        output(command)
    };
    let done = sample();
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(sample().status.success(), "the same is shown again");
    fs::remove_dir_all(first.join("checkpoint")).unwrap();
    fs::rename(second.join("checkpoint"), first.join("checkpoint")).unwrap();
    let done = sample();
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("was sampled of other weights than"),
        "got {}",
        stderr(&done)
    );
}

#[test]
fn a_model_that_is_gone_is_missed_before_a_run_begins() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let done = run(&out, &FEW);
    assert!(done.status.success(), "got {}", stderr(&done));
    fs::remove_dir_all(out.join(DIFFUSION).join("checkpoint")).unwrap();
    // As long as nothing samples it, it is written anew.
    let weights = out.join(DIFFUSION).join("checkpoint");
    assert!(run(&out, &FEW).status.success() && weights.is_dir());
    fs::remove_dir_all(&weights).unwrap();
    let samples = out.join("setup=zero_shot,sampler.d=1,seed=0");
    fs::remove_dir_all(&samples).unwrap();
    // No run has begun.
    let want = [DIFFUSION, "checkpoint", "remove this file"];
    assert_refused(&run(&out, &FEW), &samples, &want);
}

#[test]
fn names_of_setups_that_no_folder_should_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("s.yaml"), folder.path().join("out"));
    for name in ["'a/b'", "'../x'", "'a=b,c'", "''"] {
        let first = format!("{name}: {{config: DIGITS, axes: {{d: [8]}}}}");
        fs::write(&file, setups(&first, "{setup: a}", "")).unwrap();
        let refused = output(small(&file, &out, &[]));
        let want = ["s.yaml", "base: a setup's name must be letters"];
        assert_refused(&refused, &out, &want);
    }
}
