//! Killed, interrupted, started again: nothing is lost and nothing changes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{output, scores, small_sweep, stderr};

/// Long enough to be cut off in the middle.
const LONGER: [&str; 2] = ["axes.d=[1,inf]", "training.nimg=2048"];

fn start(out: &Path) -> Child {
    let mut command = small_sweep(out, &LONGER);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("the binary starts")
}

/// Waits until some run has saved a state.
fn wait_for_state(out: &Path, d: &str) {
    let state = out.join(format!("d={d},seed=0/state/state.safetensors"));
    let began = Instant::now();
    while !state.is_file() {
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "no state was saved"
        );
        sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_killed_sweep_ends_with_the_scores_of_one_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("alone");
    assert!(output(small_sweep(&alone, &LONGER)).status.success());

    let killed = folder.path().join("killed");
    // Three kills, each a little later after the first state than the one before.
    for delay in [0, 40, 150] {
        let mut child = start(&killed);
        wait_for_state(&killed, "1");
        sleep(Duration::from_millis(delay));
        signal(&child, "-KILL");
        child.wait().unwrap();
    }
    let done = output(small_sweep(&killed, &LONGER));
    assert!(done.status.success(), "got {}", stderr(&done));
    assert_eq!(scores(&killed), scores(&alone));
}

#[test]
fn ctrl_c_saves_and_the_same_command_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let child = start(&out);
    wait_for_state(&out, "1");
    signal(&child, "-INT");
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(130), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("the same command goes on"),
        "got {}",
        stderr(&done)
    );
    let statuses: Vec<String> = scores(&out)
        .iter()
        .map(|row| row["status"].clone())
        .collect();
    assert!(
        statuses.contains(&"interrupted".to_string()),
        "got {statuses:?}"
    );

    let done = output(small_sweep(&out, &LONGER));
    assert!(done.status.success(), "got {}", stderr(&done));
    let alone = folder.path().join("alone");
    assert!(output(small_sweep(&alone, &LONGER)).status.success());
    assert_eq!(scores(&out), scores(&alone));
}

#[test]
fn two_who_start_the_same_sweep_share_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    let [out, alone] = ["out", "alone"].map(|name| folder.path().join(name));
    let mut first = start(&out);
    wait_for_state(&out, "1");
    // The second leaves the run that the first is at alone, and says whose it is.
    let second = output(small_sweep(&out, &LONGER));
    assert!(second.status.success(), "got {}", stderr(&second));
    assert!(first.wait().unwrap().success());
    assert!(output(small_sweep(&alone, &LONGER)).status.success());
    assert_eq!(scores(&out), scores(&alone));
}

/// The one run of a small sweep of D = 1.
fn only_run(out: &Path) -> std::path::PathBuf {
    out.join("d=1,seed=0")
}

#[test]
fn a_finished_run_that_is_made_longer_ends_as_one_trained_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let [longer, alone] = ["longer", "alone"].map(|name| folder.path().join(name));
    let short = ["axes.d=[1]", "training.nimg=256"];
    assert!(output(small_sweep(&longer, &short)).status.success());
    let before = scores(&longer);
    let long = ["axes.d=[1]", "training.nimg=512", "training.log_every=128"];
    assert!(output(small_sweep(&alone, &long)).status.success());

    let done = output(small_sweep(&longer, &long));
    assert!(done.status.success(), "got {}", stderr(&done));
    assert_eq!(scores(&longer), scores(&alone));
    assert_ne!(scores(&longer), before);
    let log = std::fs::read_to_string(only_run(&longer).join("log.jsonl")).unwrap();
    let first = log.lines().next().unwrap_or_default();
    assert!(
        first.contains(r#""nimg":64,"#),
        "got {first}, want what was logged before"
    );

    // Nothing leads back.
    let refused = output(small_sweep(&longer, &short));
    assert_eq!(refused.status.code(), Some(2), "got {}", stderr(&refused));
    for want in ["training.nimg: 512 there, 256 asked for", "another folder"] {
        let got = stderr(&refused);
        assert!(got.contains(want), "got {got}, want {want}");
    }
}

#[test]
fn damaged_files_of_a_run_are_noticed_and_their_removal_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let few = ["axes.d=[1]", "training.nimg=128"];
    assert!(output(small_sweep(&out, &few)).status.success());
    let want = scores(&out);
    let metrics = only_run(&out).join("metrics.json");
    let state = only_run(&out).join("state/state.safetensors");

    let text = std::fs::read_to_string(&metrics).unwrap();
    let changed = text.replacen("\"train_loss\": 0.", "\"train_loss\": 1.", 1);
    let changed = changed.replacen("\"seconds\": ", "\"seconds\": 1", 1);
    assert_ne!(changed, text);
    std::fs::write(&metrics, changed).unwrap();
    let done = output(small_sweep(&out, &few));
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("metrics.json: is damaged")
            && stderr(&done).contains("scored again"),
        "got {}",
        stderr(&done)
    );
    assert_eq!(scores(&out), want);

    // One bit in the last of the tensors.
    let mut bytes = std::fs::read(&state).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    std::fs::write(&state, bytes).unwrap();
    std::fs::remove_file(&metrics).unwrap();
    let refused = output(small_sweep(&out, &few));
    assert!(!refused.status.success());
    for want in [
        "state.safetensors: cannot be used",
        "damaged",
        "remove this file to train",
    ] {
        let got = stderr(&refused);
        assert!(got.contains(want), "got {got}, want {want}");
    }
    std::fs::remove_file(&state).unwrap();
    assert!(output(small_sweep(&out, &few)).status.success());
    assert_eq!(scores(&out), want);
}

#[test]
fn the_state_of_another_run_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let two = ["axes.d=[1]", "axes.seed=[0,1]", "training.nimg=64"];
    assert!(output(small_sweep(&out, &two)).status.success());
    let state = |seed| out.join(format!("d=1,seed={seed}/state/state.safetensors"));
    std::fs::copy(state(1), state(0)).unwrap();
    std::fs::remove_file(only_run(&out).join("metrics.json")).unwrap();
    let refused = output(small_sweep(&out, &two));
    assert_eq!(refused.status.code(), Some(2), "got {}", stderr(&refused));
    for want in [
        "of another run: seed is 1 there and 0 here",
        "remove this file to train",
    ] {
        let got = stderr(&refused);
        assert!(got.contains(want), "got {got}, want {want}");
    }
}

/// Batch systems say so when a job's time is up, each by a signal of its own.
#[test]
fn signals_of_batch_systems_save_as_a_termination_does() {
    for name in ["-TERM", "-USR1", "-USR2", "-XCPU"] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let child = start(&out);
        wait_for_state(&out, "1");
        signal(&child, name);
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(130), "{name}: {}", stderr(&done));
        let said = stderr(&done);
        assert!(said.contains("the same command goes on"), "{name}: {said}");
    }
}

/// As coreutils' `timeout` sends them, one to the process and one to its group.
#[test]
fn two_signals_at_once_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let child = start(&out);
    wait_for_state(&out, "1");
    signal(&child, "-TERM");
    sleep(Duration::from_millis(20));
    signal(&child, "-TERM");
    let done = child.wait_with_output().unwrap();
    let said = stderr(&done);
    assert_eq!(done.status.code(), Some(130), "got {said}");
    assert!(said.contains("the same command goes on"), "got {said}");
}

#[test]
fn a_folder_of_someone_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    std::fs::create_dir(out.join("checkpoint")).unwrap();
    for name in [
        "report.html",
        "log.jsonl",
        ".partial-notes",
        "checkpoint/weights",
    ] {
        std::fs::write(out.join(name), "precious").unwrap();
    }
    let mut train = crate::program::pfgmpp();
    train.args(["train", "configs/toy.yaml", "--out"]).arg(out);
    for done in [output(small_sweep(out, &LONGER)), output(train)] {
        assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
        let said = stderr(&done);
        assert!(
            said.contains("nothing of this program") && said.contains("--out"),
            "got {said}"
        );
    }
    let left: Vec<_> = std::fs::read_dir(out).unwrap().collect();
    assert_eq!(left.len(), 4, "got {left:?}");
    for name in [
        "report.html",
        "log.jsonl",
        ".partial-notes",
        "checkpoint/weights",
    ] {
        assert_eq!(
            std::fs::read(out.join(name)).unwrap(),
            b"precious",
            "{name}"
        );
    }
}
