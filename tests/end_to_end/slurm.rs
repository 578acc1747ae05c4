//! Jobs of Slurm, on a real one of two nodes that the test starts on this machine; where Slurm is not installed the scripts
//! alone are looked at, and a line says so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{output, pfgmpp, repository, scores, stderr, stdout};
use crate::real_slurm::Slurm;

/// A small sweep: six runs of the exact posterior.
fn write_sweep(folder: &Path) -> PathBuf {
    let text = fs::read_to_string(repository().join("configs/exact.yaml")).unwrap();
    let text = text
        .replace("num_samples: 1024", "num_samples: 64")
        .replace("batch_size: 256", "batch_size: 64");
    fs::write(folder.join("exact.yaml"), text).unwrap();
    let file = folder.join("six.yaml");
    let text = "name: six\ndescription: x\nbase: exact.yaml\njobs: 1\naxes:\n  d: [1, 8, inf]\n  seed: [0, 1]\n\
                slurm:\n  time: \"00:05:00\"\n  cpus: 1\n  at_a_time: 2\n";
    fs::write(&file, text).unwrap();
    file
}

fn sweep(file: &Path, out: &Path, flags: &[&str]) -> Command {
    let mut command = pfgmpp();
    command.arg("sweep").arg(file);
    command.arg("--out").arg(out).args(flags);
    command
}

#[test]
fn the_scripts_say_what_the_sweep_file_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = write_sweep(folder.path());
    let out = folder.path().join("my out");
    let done = output(sweep(&file, &out, &["--launcher", "slurm", "--dry-run"]));
    let text = stdout(&done);
    assert!(done.status.success(), "got {}", stderr(&done));
    for want in [
        "#SBATCH --array=1-6%2",
        "#SBATCH --time=00:05:00",
        "#SBATCH --cpus-per-task=1",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@60",
        "my out' --device cpu --threads 1 --only \"$run\"",
        "--collect",
    ] {
        assert!(text.contains(want), "got {text}, want {want}");
    }
    assert!(!out.exists(), "a dry run wrote something");
    // What is not Slurm's to read is refused with the key.
    let bad = fs::read_to_string(&file).unwrap();
    for (from, to, want) in [
        ("cpus: 1", "cpus: 0", "slurm.cpus: must be at least 1"),
        (
            "cpus: 1",
            "extra: [rm -rf]",
            "slurm.extra: must be options of sbatch",
        ),
        ("cpus: 1", "colour: red", "no key `colour`"),
    ] {
        fs::write(&file, bad.replace(from, to)).unwrap();
        let done = output(sweep(&file, &out, &["--launcher", "slurm", "--dry-run"]));
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "got {said}");
        assert!(said.contains(want), "got {said}, want {want}");
    }
}

#[test]
fn a_job_array_on_a_real_slurm_finds_what_one_call_finds() {
    let Some(mut slurm) = Slurm::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = write_sweep(folder.path());
    let [alone, out] = ["alone", "out"].map(|name| folder.path().join(name));
    assert!(output(sweep(&file, &alone, &[])).status.success());
    let submit = slurm.of(sweep(&file, &out, &["--launcher", "slurm"]));
    let done = output(submit);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        stdout(&done).contains("6 runs submitted as jobs"),
        "got {}",
        stdout(&done)
    );
    // The collecting job comes last.
    slurm.wait(|_| out.join("report.html").exists());
    slurm.wait(|slurm| slurm.says("squeue", &["-h", "-r"]).trim().is_empty());
    assert_eq!(scores(&out), scores(&alone));
    let again = slurm.of(sweep(&file, &out, &["--launcher", "slurm"]));
    assert!(stdout(&output(again)).contains("nothing to submit"));

    // A refused job is one line, and leaves no other behind.
    let refused = folder.path().join("refused");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("cpus: 1", "partition: nowhere")).unwrap();
    let submit = slurm.of(sweep(&file, &refused, &["--launcher", "slurm"]));
    let done = output(submit);
    let said = stderr(&done);
    assert_eq!(done.status.code(), Some(1), "got {said}");
    assert!(
        said.contains("sbatch") && said.contains("partition"),
        "got {said}"
    );
    assert!(slurm.says("squeue", &["-h", "-r"]).trim().is_empty());

    // Slurm that is down; sbatch asks for some seconds before it says so.
    let controller = &mut slurm.children[0];
    controller.kill().unwrap();
    controller.wait().unwrap();
    let down = folder.path().join("down");
    fs::write(&file, text).unwrap();
    let done = output(slurm.of(sweep(&file, &down, &["--launcher", "slurm"])));
    let said = stderr(&done);
    assert_eq!(done.status.code(), Some(1), "got {said}");
    let errors = said.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "got {said}");
    assert!(
        said.contains("Unable to contact slurm controller"),
        "got {said}"
    );
}

/// The process that `pid` was started by.
fn parent(pid: &str) -> String {
    let mut ps = Command::new("ps");
    ps.args(["-o", "ppid=", "-p", pid]);
    stdout(&output(ps)).trim().to_string()
}

/// Ends a process as a node that loses its power does.
fn lose(pid: &str) {
    let _ = Command::new("kill").args(["-KILL", pid]).output();
}

#[test]
fn a_task_that_is_killed_with_its_node_is_queued_again_and_goes_on_to_the_same_bits() {
    let Some(mut slurm) = Slurm::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(repository().join("configs/digits.yaml")).unwrap();
    let text = text
        .replace("model_channels: 32", "model_channels: 8")
        .replace("state_every: 16_000", "state_every: 640")
        .replace("grid_every: 32_000", "grid_every: 0")
        .replace("num_samples: 1024", "num_samples: 32")
        .replace("num_steps: 16", "num_steps: 6");
    fs::write(folder.path().join("digits.yaml"), text).unwrap();
    let file = folder.path().join("two.yaml");
    let text = "name: two\ndescription: x\nbase: digits.yaml\njobs: 1\naxes:\n  d: [1, inf]\n  seed: [0]\nslurm:\n  cpus: 1\n";
    fs::write(&file, text).unwrap();
    let [alone, out] = ["alone", "out"].map(|name| folder.path().join(name));
    assert!(output(sweep(&file, &alone, &[])).status.success());

    let submit = slurm.of(sweep(&file, &out, &["--launcher", "slurm"]));
    let done = output(submit);
    assert!(done.status.success(), "got {}", stderr(&done));
    let runs = ["d=1,seed=0", "d=inf,seed=0"].map(|run| out.join(run));
    slurm.wait(|_| {
        runs.iter()
            .any(|run| run.join("state/state.safetensors").exists())
    });
    // Both nodes, with all that runs on them: the daemon, the step's own, its script, and the program.
    let mut pgrep = Command::new("pgrep");
    pgrep.args(["-f", &format!("sweep .*{} --device", out.display())]);
    let programs = stdout(&output(pgrep));
    let programs: Vec<&str> = programs.lines().collect();
    assert!(!programs.is_empty(), "no task is running");
    for node in &mut slurm.children[1..] {
        node.kill().unwrap();
        node.wait().unwrap();
    }
    for program in programs {
        let script = parent(program);
        for pid in [&parent(&script), &script, program] {
            lose(pid);
        }
    }
    let cut_off = runs.iter().filter(|run| !run.join("metrics.json").exists());
    assert!(cut_off.count() > 0, "the runs had ended before");
    slurm.restart_nodes();
    slurm.wait(|_| out.join("report.html").exists());
    assert_eq!(scores(&out), scores(&alone));
    for run in ["d=1,seed=0", "d=inf,seed=0"] {
        let weights =
            |out: &Path| fs::read(out.join(run).join("checkpoint/model.safetensors")).unwrap();
        assert!(weights(&out) == weights(&alone), "{run}: other weights");
    }
}

#[test]
fn a_slurm_that_is_down_or_not_there_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = write_sweep(folder.path());
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    let said_by = |number: usize, path: &Path, code: i32| {
        let out = folder.path().join(format!("out{number}"));
        let mut submit = sweep(&file, &out, &["--launcher", "slurm"]);
        submit.env("PATH", path);
        let done = output(submit);
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(code), "got {said}");
        let errors = said.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "got {said}");
        said
    };
    let got = said_by(0, &programs, 2);
    assert!(
        got.contains("sbatch: ") && got.contains("is this a machine with Slurm?"),
        "got {got}"
    );
    // What sbatch says when nobody answers.
    let down = "Batch job submission failed: Unable to contact slurm controller (connect failure)";
    let sbatch = programs.join("sbatch");
    fs::write(
        &sbatch,
        format!("#!/bin/sh\necho 'sbatch: error: {down}' >&2\nexit 1\n"),
    )
    .unwrap();
    fs::set_permissions(&sbatch, fs::Permissions::from_mode(0o755)).unwrap();
    let got = said_by(1, &programs, 1);
    assert!(got.contains(down), "got {got}, want {down}");
}
