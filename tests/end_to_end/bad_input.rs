//! Bad input: one line that says where and what is accepted, exit code 2, nothing written.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::program::{SMALL, output, pfgmpp, repository, small_sweep, stderr};

/// Asserts one line with every part of `want`, exit code 2, and no folder `out`.
pub fn assert_refused(done: &Output, out: &Path, want: &[&str]) {
    let text = stderr(done);
    assert_eq!(done.status.code(), Some(2), "got {text}");
    assert_eq!(
        text.trim_end().lines().count(),
        1,
        "got more than a line: {text}"
    );
    for part in want {
        assert!(text.contains(part), "got `{text}`, want `{part}` in it");
    }
    assert!(!out.exists(), "a folder was left behind");
}

#[test]
fn bad_overrides_name_the_flag_and_what_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (set, want) in [
        (
            "trainin.nimg=1",
            &["--set trainin.nimg=1", "no key `trainin`", "training"][..],
        ),
        ("training.nimgs=1", &["no key `nimgs`", "batch_size"]),
        ("training.nimg=many", &["training.nimg", "a whole number"]),
        ("training.nimg=0", &["training.nimg", "from 1 to"]),
        ("training.batch_size=0", &["training.batch_size", "from 1"]),
        (
            "axes.d=[0]",
            &[
                "d_sweep.yaml",
                "axes.d[0]",
                "positive number or inf",
                "got 0",
            ],
        ),
        (
            "scoring.metrics=[fid]",
            &["scoring.metrics", "sliced_wasserstein", "got fid"],
        ),
        ("scoring.metrics=[]", &["scoring.metrics", "got none"]),
        ("axes.d=[8,-1]", &["axes.d[1]", "got -1"]),
        ("axes.d=[.nan]", &["axes.d[0]", "NaN"]),
        ("axes.d=[]", &["axes.d", "is empty"]),
        ("axes.d=8", &["axes.d", "must be a list", "got 8"]),
        ("axes.d=[8,8.0]", &["two runs", "d=8,seed=0"]),
        ("axes={}", &["no key `axes`"]),
        ("d=8", &["is an axis", "axes.d=[...]"]),
        (
            "sampler.schedule.edm.sigma_min=100",
            &["sigma_min", "below sigma_max = 80", "got 100"],
        ),
        (
            "sampler.schedule.edm.sigma_max=.nan",
            &["sampler.schedule.edm.sigma_max", "from 0.000001 to 1000000"],
        ),
        (
            "sampler.solver={rk45: {rtol: 0, atol: 1.0e-4}}",
            &["sampler.solver.rk45.rtol", "from 0.000000000001 to 1"],
        ),
        ("sampler.solver=rk4", &["sampler.solver", "heun", "rk45"]),
        (
            "preconditioning.edm.noise=loud",
            &["preconditioning.edm.noise", "nominal", "effective"],
        ),
        (
            "network.ddpmpp.channel_mult=[1,2,2,2,2]",
            &["resolution is 8", "multiple of 2^4"],
        ),
        ("network.ddpmpp.dropout=1.5", &["dropout", "less than 1"]),
        (
            "objective.unbiased.noise_law.log_normal.p_std=0",
            &["log_normal.p_std", "from"],
        ),
        ("optimizer.beta1=1", &["optimizer.beta1", "below 1"]),
        ("ema.half_life=-1", &["ema.half_life", "positive"]),
        ("data=cats", &["data", "digits"]),
        ("nonsense", &["KEY=VALUE"]),
    ] {
        let mut command = pfgmpp();
        command
            .args(["sweep", "experiments/d_sweep.yaml", "--out"])
            .arg(&out);
        command.args(["--set", set]);
        assert_refused(&output(command), &out, want);
    }
}

#[test]
fn bad_files_are_named_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let base = repository().join("configs/digits.yaml");
    let base = base.canonicalize().unwrap();
    let head = format!(
        "name: t\ndescription: x\nbase: {}\njobs: 1\n",
        base.display()
    );
    let file = folder.path().join("s.yaml");
    for (text, want) in [
        (
            format!("{head}axes: {{d: [1]}}\nsteps: 3\n"),
            &["s.yaml", "steps", "line 6"][..],
        ),
        (format!("{head}axes: {{d: [1\n"), &["s.yaml", "line"]),
        (format!("{head}axes: {{}}\n"), &["s.yaml", "no axis"]),
        (
            format!("{head}axes: {{colour: [1]}}\n"),
            &["axes.colour[0]", "no key `colour`"],
        ),
        (
            head.replace("digits", "nothing") + "axes: {d: [1]}\n",
            &["nothing.yaml", "no such file"],
        ),
        (
            head.replace("jobs: 1", "jobs: 0") + "axes: {d: [1]}\n",
            &["jobs", "from 1 to 1024"],
        ),
        (
            head.replace("name: t", "name: a/b") + "axes: {d: [1]}\n",
            &["name", "letters"],
        ),
        (String::new(), &["s.yaml"]),
    ] {
        fs::write(&file, &text).unwrap();
        let mut command = pfgmpp();
        command.arg("sweep").arg(&file).arg("--out").arg(&out);
        assert_refused(&output(command), &out, want);
    }
    let mut command = pfgmpp();
    command.args(["sweep", "no/such.yaml", "--out"]).arg(&out);
    assert_refused(&output(command), &out, &["no/such.yaml", "no such file"]);
}

#[test]
fn a_finished_folder_of_another_configuration_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    assert!(output(small_sweep(&out, &["axes.d=[8]"])).status.success());
    let before = fs::read(out.join("results.csv")).unwrap();
    let done = output(small_sweep(&out, &["axes.d=[8]", "optimizer.lr=0.001"]));
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
    for part in ["optimizer.lr", "0.002", "0.001", "--out"] {
        assert!(stderr(&done).contains(part), "got {}", stderr(&done));
    }
    assert_eq!(fs::read(out.join("results.csv")).unwrap(), before);
}

/// A disk of 1 MiB, in a mount namespace of its own; `None` where the system allows none.
fn on_a_small_disk(script: &str) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c"]);
    command.arg(format!(
        "mount -t tmpfs -o size=1m none \"$1\" || exit 77; cd \"$1\" && {script}"
    ));
    command
        .arg("sh")
        .arg(folder.path())
        .arg(env!("CARGO_BIN_EXE_pfgmpp"));
    let done = command.output().ok()?;
    match done.status.code() {
        Some(77) => None,
        _ => Some(done),
    }
}

#[test]
fn a_full_disk_is_refused_and_nothing_is_left_on_it() {
    let repository = repository().canonicalize().unwrap();
    let file = repository.join("experiments/d_sweep.yaml");
    let sets: Vec<String> = SMALL.iter().map(|set| format!("--set {set}")).collect();
    let sweep = format!(
        "\"$2\" sweep {} --out out {}",
        file.display(),
        sets.join(" ")
    );
    let Some(done) = on_a_small_disk(&format!("{sweep}; code=$?; ls -A; exit $code")) else {
        eprintln!("no mount namespaces here: the full disk was not tried");
        return;
    };
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
    for part in ["MiB are free", "out", "need"] {
        assert!(stderr(&done).contains(part), "got {}", stderr(&done));
    }
    assert_eq!(stderr(&done).trim_end().lines().count(), 1);
    let left = String::from_utf8_lossy(&done.stdout);
    assert_eq!(left.trim(), "", "something was left behind");
}

#[test]
fn numbers_of_the_command_line_are_refused_in_plain_words() {
    let sample = ["sample", "--checkpoint", "x", "--out", "y"];
    for (args, want) in [
        (
            ["--seed", "0-63"],
            "'0-63' for '--seed <S>': must be a whole number",
        ),
        (
            ["--num", "50k"],
            "'50k' for '--num <N>': must be a whole number",
        ),
        (
            ["--num", "0"],
            "'0' for '--num <N>': must be from 1 to 10000000",
        ),
    ] {
        let mut command = pfgmpp();
        command.args(sample).args(args);
        let folder = tempfile::tempdir().unwrap();
        assert_refused(&output(command), &folder.path().join("y"), &[want]);
    }
}
