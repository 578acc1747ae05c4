//! A sweep whose runs several calls take: shards, names, what is shown and collected.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use pfgmpp_checkpoint::json_sha256;

use crate::program::{output, pfgmpp, repository, scores, stderr, stdout};

/// A sweep of runs of a fraction of a second: the exact posterior of points in the plane, 40 of them.
fn tiny(folder: &Path) -> std::path::PathBuf {
    let text = fs::read_to_string(repository().join("configs/exact.yaml")).unwrap();
    let text = text
        .replace("num_samples: 1024", "num_samples: 16")
        .replace("batch_size: 256", "batch_size: 16")
        .replace("num_projections: 256", "num_projections: 4")
        .replace("num_steps: 18", "num_steps: 2");
    fs::write(folder.join("exact.yaml"), text).unwrap();
    let file = folder.join("tiny.yaml");
    let axes = "axes:\n  d: [1, 8, 128, inf]\n  seed: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n";
    let text = format!("name: tiny\ndescription: x\nbase: exact.yaml\njobs: 1\n{axes}");
    fs::write(&file, text).unwrap();
    file
}

fn sweep(file: &Path, out: &Path, flags: &[&str]) -> Command {
    let mut command = pfgmpp();
    command.args(["sweep", "--threads", "1"]).arg(file);
    command.arg("--out").arg(out).args(flags);
    command
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("the binary starts")
}

/// Runs that a call says it has begun.
fn begun(said: &str) -> Vec<String> {
    let begun = said.lines().filter_map(|line| line.split_once(": started"));
    begun.map(|(name, _)| name.to_string()).collect()
}

#[test]
fn shards_do_each_run_once_and_collect_what_one_call_finds() {
    let folder = tempfile::tempdir().unwrap();
    let file = tiny(folder.path());
    let [alone, out] = ["alone", "out"].map(|name| folder.path().join(name));
    let done = output(sweep(&file, &alone, &[]));
    assert!(done.status.success(), "got {}", stderr(&done));

    let shard = |number: usize| start(sweep(&file, &out, &["--shard", &format!("{number}/3")]));
    let children: Vec<Child> = (1..=3).map(shard).collect();
    let mut names = Vec::new();
    for child in children {
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "got {}", stderr(&done));
        names.extend(begun(&stderr(&done)));
    }
    names.sort();
    let runs = names.len();
    names.dedup();
    assert_eq!(
        (runs, names.len()),
        (40, 40),
        "runs begun, and different ones"
    );
    assert!(!out.join("results.csv").exists(), "a shard wrote the table");
    let shown = stdout(&output(sweep(&file, &out, &["--status"])));
    assert!(shown.contains("40 runs: 40 finished"), "got {shown}");
    let collected = output(sweep(&file, &out, &["--collect"]));
    assert!(collected.status.success(), "got {}", stderr(&collected));
    assert_eq!(scores(&out), scores(&alone));
    assert!(out.join("report.html").exists());
}

#[test]
fn shards_that_are_killed_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = tiny(folder.path());
    let [alone, out] = ["alone", "out"].map(|name| folder.path().join(name));
    assert!(output(sweep(&file, &alone, &[])).status.success());
    // Each is killed a little later than the one before, until all of them come to their ends.
    for round in 0..40u64 {
        let shard = |number: usize| start(sweep(&file, &out, &["--shard", &format!("{number}/8")]));
        let mut children: Vec<Child> = (1..=8).map(shard).collect();
        for (number, child) in (0..).zip(&mut children) {
            sleep(Duration::from_millis(20 + 15 * round + 7 * number));
            if round < 6 {
                child.kill().unwrap();
            }
            child.wait().unwrap();
        }
        let shown = stdout(&output(sweep(&file, &out, &["--status"])));
        if shown.contains("40 runs: 40 finished") {
            assert!(round >= 6, "nothing was killed");
            let collected = output(sweep(&file, &out, &["--collect"]));
            assert!(collected.status.success(), "got {}", stderr(&collected));
            assert_eq!(scores(&out), scores(&alone));
            return;
        }
    }
    panic!("the shards never came to their ends");
}

#[test]
fn one_run_is_taken_by_its_name_and_another_plan_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = tiny(folder.path());
    let out = folder.path().join("out");
    let planned = output(sweep(&file, &out, &["--plan"]));
    assert!(
        stdout(&planned).contains("40 runs: "),
        "got {}",
        stderr(&planned)
    );
    let one = output(sweep(
        &file,
        &out,
        &["--only", "d=8,seed=3", "--only", "d=1,seed=0"],
    ));
    assert!(one.status.success(), "got {}", stderr(&one));
    assert_eq!(begun(&stderr(&one)), ["d=1,seed=0", "d=8,seed=3"]);
    let shown = stdout(&output(sweep(&file, &out, &["--status"])));
    assert!(shown.contains("2 finished, 38 pending"), "got {shown}");
    for (flags, want) in [
        (&["--only", "d=9,seed=0"][..], "no run d=9,seed=0"),
        (&["--shard", "0/3"], "such as 1/8 to 8/8"),
        (&["--shard", "1/3", "--status"], "cannot be used with"),
        (
            &[
                "--shard",
                "1/3",
                "--set",
                "sampler.schedule.edm.num_steps=3",
            ],
            "another configuration",
        ),
        (
            &["--shard", "1/3", "--set", "axes.seed=[7,8]"],
            "plan.json: is another plan",
        ),
    ] {
        let done = output(sweep(&file, &out, flags));
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{flags:?}: got {said}");
        assert!(said.contains(want), "{flags:?}: got {said}, want {want}");
    }
    let gone = output(sweep(&file, &folder.path().join("gone"), &["--collect"]));
    assert_eq!(gone.status.code(), Some(2), "got {}", stderr(&gone));
    assert!(!folder.path().join("gone").exists());
}

#[test]
fn of_two_shards_of_different_plans_that_start_at_once_the_first_wins() {
    let folder = tempfile::tempdir().unwrap();
    let file = tiny(folder.path());
    for round in 0..8 {
        let out = folder.path().join(format!("out{round}"));
        let shard = |seed: &str| {
            let seeds = format!("axes.seed=[{seed}]");
            start(sweep(
                &file,
                &out,
                &["--shard", "1/1", "--set", &seeds, "--set", "axes.d=[1]"],
            ))
        };
        let children = ["1", "2"].map(shard);
        let done = children.map(|child| child.wait_with_output().unwrap());
        let codes = done.each_ref().map(|output| output.status.code());
        let said = done.each_ref().map(stderr);
        let loser = match codes {
            [Some(0), Some(2)] => &said[1],
            [Some(2), Some(0)] => &said[0],
            other => panic!("round {round}: codes {other:?}: {said:?}"),
        };
        assert!(loser.contains("plan.json: is another plan"), "got {loser}");
        let runs = fs::read_dir(&out).unwrap().filter_map(Result::ok);
        let runs = runs.filter(|entry| entry.path().is_dir()).count();
        assert_eq!(runs, 1, "round {round}: runs");
    }
}

/// `metrics.json` of the first run, for another run.
fn metrics_of(first: &str, d: &str, seed: usize) -> String {
    let d = match d {
        "inf" => "\"inf\"",
        number => number,
    };
    // Scores stay in the order of the configuration.
    let text = first
        .replace("\"d\": 1,", &format!("\"d\": {d},"))
        .replace("\"seed\": 0,", &format!("\"seed\": {seed},"));
    let mut content: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields = content.as_object_mut().unwrap();
    let old = fields.remove("sha256").expect("a checksum");
    text.replace(old.as_str().unwrap(), &json_sha256(&content))
}

#[test]
fn two_thousand_finished_runs_are_planned_checked_and_collected_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let file = tiny(folder.path());
    let out = folder.path().join("out");
    let seeds: Vec<String> = (0..200).map(|seed| seed.to_string()).collect();
    let seeds = format!("axes.seed=[{}]", seeds.join(","));
    let values = ["1", "2", "4", "8", "16", "32", "64", "128", "256", "inf"];
    let axis = format!("axes.d=[{}]", values.join(","));
    let call = |flags: &[&str]| {
        let flags: Vec<&str> = ["--set", &seeds, "--set", &axis]
            .iter()
            .chain(flags)
            .copied()
            .collect();
        let done = output(sweep(&file, &out, &flags));
        assert!(done.status.success(), "{flags:?}: got {}", stderr(&done));
        stdout(&done)
    };
    call(&["--only", "d=1,seed=0"]);
    let run = out.join("d=1,seed=0");
    let config = fs::read_to_string(run.join("config.yaml")).unwrap();
    let metrics = fs::read_to_string(run.join("metrics.json")).unwrap();
    for d in values {
        for seed in 0..200 {
            let to = out.join(format!("d={d},seed={seed}"));
            fs::create_dir_all(to.join("samples")).unwrap();
            let config = config.replace("d: 1\nseed: 0", &format!("d: {d}\nseed: {seed}"));
            fs::write(to.join("config.yaml"), config).unwrap();
            fs::write(to.join("metrics.json"), metrics_of(&metrics, d, seed)).unwrap();
            if to != run {
                for file in [
                    ".lock",
                    "log.jsonl",
                    "samples/grid.png",
                    "samples/paths.json",
                ] {
                    fs::copy(run.join(file), to.join(file)).unwrap();
                }
            }
        }
    }
    let began = Instant::now();
    assert!(call(&["--plan"]).contains("2000 runs"));
    let shown = call(&["--status"]);
    assert!(shown.contains("2000 runs: 2000 finished"), "got {shown}");
    call(&["--collect"]);
    let took = began.elapsed();
    println!(
        "2,000 runs planned, checked and collected in {:.1} s",
        took.as_secs_f64()
    );
    assert_eq!(scores(&out).len(), 2000);
    assert!(
        took < Duration::from_secs(10),
        "took {took:?}, want less than 10 s"
    );
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = tiny(folder.path());
    let [alone, out] = ["alone", "out"].map(|name| folder.path().join(name));
    let few = ["--set", "axes.seed=[0,1]"];
    assert!(output(sweep(&file, &alone, &few)).status.success());
    let half = [&few[..], &["--shard", "1/2"]].concat();
    assert!(output(sweep(&file, &out, &half)).status.success());
    // All that is there is of years before, or of years to come.
    for (time, of) in [
        ("1999-01-01", "d=1,seed=0"),
        ("2099-01-01", "d=8,seed=0"),
        ("2099-01-01", ""),
    ] {
        let dated = Command::new("find")
            .arg(out.join(of))
            .args(["-exec", "touch", "-d", time, "{}", "+"])
            .status();
        assert!(dated.unwrap().success());
    }
    let done = output(sweep(&file, &out, &few));
    assert!(done.status.success(), "got {}", stderr(&done));
    assert_eq!(begun(&stderr(&done)).len(), 4, "of 8 runs, 4 were finished");
    assert_eq!(scores(&out), scores(&alone));
}

#[test]
#[cfg(target_os = "linux")]
fn a_sweep_folder_that_is_read_only_is_one_line_and_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let file = tiny(folder.path());
    let out = folder.path().join("out");
    let few = ["--set", "axes.seed=[0]", "--set", "axes.d=[1, 8]"];
    let only = [&few[..], &["--only", "d=1,seed=0"]].concat();
    assert!(output(sweep(&file, &out, &only)).status.success());
    // Also for root: the same folder once more, in a mount namespace of its own.
    let read_only = |flags: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        let mounts =
            "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" || exit 77; exec \"$@\"";
        command
            .arg(mounts)
            .arg(&out)
            .arg(env!("CARGO_BIN_EXE_pfgmpp"));
        command.args(["sweep", "--threads", "1"]).arg(&file);
        command.arg("--out").arg(&out).args(few).args(flags);
        command
            .output()
            .ok()
            .filter(|done| done.status.code() != Some(77))
    };
    let Some(done) = read_only(&["--status"]) else {
        println!("no mount namespaces here: the read-only folder was not tried");
        return;
    };
    assert!(
        stdout(&done).contains("1 finished, 1 pending"),
        "got {} {}",
        stdout(&done),
        stderr(&done)
    );
    for flags in [&[][..], &["--shard", "1/1"], &["--collect"]] {
        let done = read_only(flags).unwrap();
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{flags:?}: got {said}");
        let errors = said.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{flags:?}: got {said}");
        assert!(
            said.contains("Read-only file system") && said.contains(&out.display().to_string()),
            "{flags:?}: got {said}"
        );
    }
}

#[test]
fn a_sweep_folder_that_vanishes_ends_the_call_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = tiny(folder.path());
    for (name, flags) in [("all", &[][..]), ("shard", &["--shard", "1/1"])] {
        let [out, gone] = ["out", "gone"].map(|kind| folder.path().join(format!("{name} {kind}")));
        let child = start(sweep(&file, &out, flags));
        let first = out.join("d=1,seed=0/metrics.json");
        let began = Instant::now();
        while !first.exists() {
            let waited = began.elapsed();
            assert!(waited < Duration::from_secs(60), "no run is finished");
            sleep(Duration::from_millis(2));
        }
        fs::rename(&out, &gone).unwrap();
        fs::remove_dir_all(&gone).unwrap();
        let done = child.wait_with_output().unwrap();
        let said = stderr(&done);
        assert!(matches!(done.status.code(), Some(1 | 2)), "got {said}");
        let errors = said.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{name}: got {said}");
        assert!(!out.exists(), "{name}: the folder is there again: {said}");
    }
}
