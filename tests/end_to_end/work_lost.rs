//! What would cost work is found out before the work, and what is done is not lost.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{SMALL, limited, output, pfgmpp, repository, small_sweep, stderr, stdout};

/// `pfgmpp train configs/digits.yaml`, small.
fn train(out: &Path, overrides: &[&str]) -> Command {
    let mut command = pfgmpp();
    command
        .args(["train", "configs/digits.yaml", "--out"])
        .arg(out);
    for set in SMALL.iter().chain(overrides) {
        command.args(["--set", set]);
    }
    command
}

fn refused(done: &Output, wanted: &[&str]) {
    let said = stderr(done);
    assert_eq!(done.status.code(), Some(2), "got {said}");
    for want in wanted {
        assert!(said.contains(want), "got {said}, want {want}");
    }
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill")
        .args([name, &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
#[cfg(target_os = "linux")]
fn what_does_not_fit_the_memory_is_refused_with_the_figure() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let place = out.to_str().unwrap();
    for (args, wanted) in [
        (
            &["bench", "configs/bench_a.yaml", "--batch", "65536"][..],
            ["--batch: 65536", "fit"],
        ),
        (
            &[
                "train",
                "configs/digits.yaml",
                "--out",
                place,
                "--set",
                "training.batch_size=1000000",
            ],
            ["training.batch_size: 1000000", "fit"],
        ),
        (
            &[
                "train",
                "configs/digits.yaml",
                "--out",
                place,
                "--set",
                "network.ddpmpp.model_channels=2048",
            ],
            ["training.batch_size: ", "narrower network"],
        ),
        (
            &[
                "sweep",
                "experiments/d_sweep.yaml",
                "--dry-run",
                "--out",
                place,
                "--set",
                "scoring.num_samples=100000",
                "--set",
                "scoring.batch_size=100000",
            ],
            ["scoring.batch_size: 100000", "fit"],
        ),
        (
            &[
                "bench",
                "configs/bench_a.yaml",
                "--set",
                "data={noise: {shape: [1, 64, 64], num: 131072}}",
            ],
            ["data.noise.num: 131072", "fit"],
        ),
        (
            &[
                "transfer",
                "--n",
                "64",
                "--d",
                "1,2,4,8,16,32,64,128,256,512,1024",
                "--num-steps",
                "1000000",
                "--json",
            ],
            ["--num-steps", "more figures"],
        ),
    ] {
        let done = limited(3000, args);
        refused(&done, &wanted);
        if !args.contains(&"transfer") {
            refused(&done, &["GiB of memory", "are free"]);
        }
        assert!(!out.exists(), "{args:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn estimates_of_memory_are_within_a_quarter_of_what_was_held() {
    for (config, batch) in [("bench_a", "1000"), ("bench_b", "64"), ("digits", "1024")] {
        let mut command = pfgmpp();
        let config = format!("configs/{config}.yaml");
        command.args(["bench", &config, "--batch", batch, "--runs", "1"]);
        let done = output(command);
        assert!(done.status.success(), "got {}", stderr(&done));
        let line: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
        for phase in ["train", "eval"] {
            let figure = |name: &str| line[format!("{phase}_{name}_mib")].as_f64().unwrap();
            let (estimate, held) = (figure("estimate"), figure("peak_rss"));
            let ratio = estimate / held;
            assert!(
                (0.75..=1.25).contains(&ratio),
                "{config}, {phase}: {estimate} MiB estimated, {held} MiB held"
            );
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_sweep_of_runs_that_do_not_fit_together_takes_them_one_by_one_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut args = vec![
        "sweep",
        "experiments/d_sweep.yaml",
        "--jobs",
        "2",
        "--out",
        out.to_str().unwrap(),
    ];
    let sizes = [
        "axes.d=[1,inf]",
        "training.batch_size=1500",
        "training.nimg=1500",
    ];
    for set in SMALL.iter().chain(&sizes) {
        args.extend(["--set", set]);
    }
    let done = limited(2000, &args);
    assert!(done.status.success(), "got {}", stderr(&done));
    let said = stderr(&done);
    assert!(said.contains("jobs: 1 in place of 2"), "got {said}");
}

/// A NumPy array of `num` images of `channels` channels and 8 by 8 pixels.
fn write_npy(path: &Path, num: usize, channels: usize) {
    let header =
        format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({num}, {channels}, 8, 8), }}");
    let header = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((0..num * channels * 64).map(|i| (i * 37 % 251) as u8));
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn images_that_no_picture_shows_are_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    for channels in [2, 4] {
        let data = folder.path().join("data.npy");
        write_npy(&data, 40, channels);
        let out = folder.path().join("out");
        let data = format!("data={{npy: {{path: {}}}}}", data.display());
        let done = output(train(&out, &[&data]));
        assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
        assert!(!out.exists(), "got {}", stderr(&done));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_place_that_cannot_be_written_is_found_out_before_sampling() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    assert!(output(train(&run, &["training.nimg=64"])).status.success());
    let began = Instant::now();
    for out in ["/proc/samples.png", "/proc/samples/"] {
        let mut command = pfgmpp();
        command.args(["sample", "--num", "4096", "--steps", "5000", "--out", out]);
        command.arg("--checkpoint").arg(&run);
        refused(&output(command), &["/proc"]);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "took {took:?}");
}

#[test]
fn a_file_in_place_of_the_figures_is_found_out_before_any_run() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    assert!(
        output(small_sweep(&out, &["axes.d=[inf]"]))
            .status
            .success()
    );
    std::fs::remove_dir_all(out.join("figures")).unwrap();
    std::fs::remove_dir_all(out.join("d=inf,seed=0")).unwrap();
    std::fs::write(out.join("figures"), "mine").unwrap();
    let done = output(small_sweep(&out, &["axes.d=[inf]"]));
    refused(
        &done,
        &["figures: is a file, a folder is needed: choose another folder with --out"],
    );
    assert!(!out.join("d=inf,seed=0").exists());
    assert_eq!(std::fs::read(out.join("figures")).unwrap(), b"mine");
}

#[test]
fn a_run_folder_that_is_removed_ends_the_run_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut command = train(&out, &["training.nimg=1000000"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_for(&out.join("state/state.safetensors"));
    let gone = folder.path().join("gone");
    // Renamed first: a folder that is written into cannot be removed in one go.
    std::fs::rename(&out, &gone).unwrap();
    std::fs::remove_dir_all(&gone).unwrap();
    let done = child.wait_with_output().unwrap();
    refused(&done, &["was removed or moved"]);
    assert!(!out.exists() && !gone.exists());
}

/// Copies the files of a folder as `cp from/* to` does: none that are hidden.
fn copy_shown(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_shown(&entry.path(), &to);
        } else if !entry.file_name().to_string_lossy().starts_with('.') {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_run_or_sweep_that_was_copied_without_its_hidden_files_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let (out, copy) = (folder.path().join("out"), folder.path().join("copy"));
    assert!(output(train(&out, &["training.nimg=64"])).status.success());
    copy_shown(&out, &copy);
    std::fs::remove_file(copy.join("metrics.json")).unwrap();
    let done = output(train(&copy, &["training.nimg=128"]));
    assert!(done.status.success(), "got {}", stderr(&done));

    let (out, copy) = (folder.path().join("sweep"), folder.path().join("other"));
    let first = output(small_sweep(&out, &[]));
    assert!(first.status.success(), "got {}", stderr(&first));
    copy_shown(&out, &copy);
    let again = output(small_sweep(&copy, &[]));
    assert!(again.status.success(), "got {}", stderr(&again));
    let results = |out: &Path| std::fs::read_to_string(out.join("results.csv")).unwrap();
    assert_eq!(results(&copy), results(&out));

    // A run and a sweep do not lie in one folder.
    let (run, sweep) = (folder.path().join("out"), folder.path().join("sweep"));
    refused(&output(train(&sweep, &[])), &["holds a sweep", "--out"]);
    refused(&output(small_sweep(&run, &[])), &["holds a run"]);

    // A folder with a configuration of the user's is not a run.
    let notes = folder.path().join("notes");
    std::fs::create_dir(&notes).unwrap();
    let config = repository().join("configs/digits.yaml");
    std::fs::copy(config, notes.join("config.yaml")).unwrap();
    refused(&output(train(&notes, &[])), &["choose another folder"]);
    assert_eq!(names(&notes), ["config.yaml"]);
}

fn wait_for(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{}",
            path.display()
        );
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_an_interruption_left_is_removed_wherever_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let few = ["training.nimg=64"];
    assert!(output(train(&out, &few)).status.success());
    let left: [PathBuf; 3] = [
        ".partial-config.yaml-abcdef",
        "state/.partial-state.safetensors-abcdef",
        "samples/.partial-grid.png-abcdef",
    ]
    .map(|name| out.join(name));
    for path in &left {
        std::fs::write(path, "half").unwrap();
    }
    assert!(output(train(&out, &few)).status.success());
    for path in &left {
        assert!(!path.exists(), "{}", path.display());
    }

    // In a folder of the user's only what belongs to what is written anew.
    let samples = folder.path().join("samples");
    std::fs::create_dir(&samples).unwrap();
    for name in [
        ".partial-000001.png-abcdef",
        ".partial-000009.png-abcdef",
        ".partial-notes",
    ] {
        std::fs::write(samples.join(name), "half").unwrap();
    }
    let mut command = pfgmpp();
    command
        .args(["sample", "--num", "3", "--checkpoint"])
        .arg(&out);
    command.arg("--out").arg(&samples);
    let done = output(command);
    assert!(done.status.success(), "got {}", stderr(&done));
    let copy = folder.path().join("copy");
    std::fs::create_dir(folder.path().join(".partial-copy-abcdef")).unwrap();
    std::fs::create_dir(folder.path().join(".partial-other-abcdef")).unwrap();
    let mut command = pfgmpp();
    command.arg("convert").arg(&out).arg(&copy);
    let done = output(command);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert_eq!(
        names(&samples),
        [
            ".partial-000009.png-abcdef",
            ".partial-notes",
            "000000.png",
            "000001.png",
            "000002.png"
        ]
    );
    assert_eq!(
        names(folder.path()),
        [".partial-other-abcdef", "copy", "out", "samples"]
    );
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn ctrl_c_is_heard_before_the_first_run_and_within_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // Ten scorings of many samples, before anything is trained.
    let scorings = small_sweep(
        &out,
        &["scoring.num_samples=60000", "scoring.num_projections=4000"],
    );
    let mut batch = pfgmpp();
    batch.args([
        "sample",
        "--config",
        "configs/exact.yaml",
        "--num",
        "4096",
        "--batch",
        "4096",
    ]);
    batch
        .args(["--steps", "5000", "--out"])
        .arg(folder.path().join("samples.png"));
    for mut command in [scorings, batch] {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        sleep(Duration::from_secs(2));
        let began = Instant::now();
        signal(child.id(), "-INT");
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(130), "got {}", stderr(&done));
        let took = began.elapsed();
        assert!(
            took < Duration::from_secs(15),
            "took {took:?}: {}",
            stderr(&done)
        );
    }
    // The place is there, and no run is.
    assert!(!out.join("d=1,seed=0").exists());
}

#[test]
fn values_of_which_nothing_can_come_are_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (set, wanted) in [
        ("optimizer.lr=1e30", "optimizer.lr must be from"),
        ("optimizer.eps=1e30", "optimizer.eps must be from"),
    ] {
        refused(&output(train(&out, &[set])), &[wanted]);
    }
    for (set, wanted) in [
        (
            "objective.pfgm.perturbation.tau=1e30",
            "objective.pfgm.perturbation.tau must be from",
        ),
        (
            "objective.pfgm.perturbation.max_m=1e5",
            "objective.pfgm.perturbation.max_m must be so that",
        ),
        (
            "objective.pfgm.perturbation.sigma_end=1e30",
            "objective.pfgm.perturbation.sigma_end must be from",
        ),
        (
            "objective.pfgm.field.gamma=1e30",
            "objective.pfgm.field.gamma must be from",
        ),
    ] {
        let mut command = pfgmpp();
        command
            .args(["train", "configs/toy_pfgm.yaml", "--set", set, "--out"])
            .arg(&out);
        refused(&output(command), &[wanted]);
    }
    assert!(!out.exists());
}

/// The output of a command none of whose files may take more than `blocks` of 512 bytes.
#[cfg(target_os = "linux")]
fn with_small_files(blocks: u64, command: &Command) -> Output {
    let mut shell = Command::new("sh");
    shell.current_dir(repository());
    let limit = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    shell.args(["-c", &limit, env!("CARGO_BIN_EXE_pfgmpp")]);
    shell.args(command.get_args());
    output(shell)
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_may_not_grow_so_large_is_an_error_with_its_name_and_the_run_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // The state takes more than 50 KiB.
    let few = train(&out, &["training.nimg=64"]);
    let done = with_small_files(100, &few);
    refused(&done, &["state.safetensors: File too large"]);
    assert!(!stderr(&done).contains(".partial"), "got {}", stderr(&done));
    let done = output(few);
    assert!(done.status.success(), "got {}", stderr(&done));
    // The others that write large files.
    let place = |name: &str| folder.path().join(name);
    let mut convert = pfgmpp();
    convert.arg("convert").arg(&out).arg(place("copy"));
    let mut samples = pfgmpp();
    samples.arg("sample").arg("--checkpoint").arg(&out);
    samples.args(["--num", "2000", "--steps", "2", "--out"]);
    samples.arg(place("samples.npz"));
    for (command, wanted) in [
        (convert, "copy/model.safetensors: File too large"),
        (samples, "samples.npz: File too large"),
    ] {
        let done = with_small_files(40, &command);
        refused(&done, &[wanted]);
        for unwanted in [".partial", "ZipWriter"] {
            assert!(!stderr(&done).contains(unwanted), "got {}", stderr(&done));
        }
    }
    assert_eq!(names(folder.path()), ["out"], "nothing is left behind");
}
