//! Killed, or told that the disk is full, at each operation on a file in turn: nothing is lost, nothing stays behind.
//!
//! What is loaded before the C library counts the operations (`file_faults.c`). A rename that replaces a file is a
//! system call of its own and is not counted; what is on the disk before and after it is, by the sync behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

use crate::program::{output, pfgmpp, repository, stderr, stdout};

/// A run of a moment that leaves everything that a run may leave.
const SMALL: [&str; 16] = [
    "network.mlp.hidden_dim=4",
    "network.mlp.num_layers=1",
    "optimizer.lr_ramp_up=64",
    "training.nimg=64",
    "training.batch_size=32",
    "training.log_every=32",
    "training.state_every=32",
    "training.grid_every=0",
    "training.score_every=64",
    "post_hoc_ema={sigma_rel: [0.1], snapshot_every: 64}",
    "sampler.schedule.edm.num_steps=2",
    "scoring.num_samples=8",
    "scoring.batch_size=8",
    "scoring.num_projections=2",
    "scoring.metrics=[energy_distance]",
    "evaluations={weights.bits: [3]}",
];

/// More operations than such a run has.
const MANY: u64 = 1000;

/// `pfgmpp train` of a table in `folder` into its folder `name`.
fn train(folder: &Path, name: &str) -> Command {
    let mut command = pfgmpp();
    command.args(["train", "configs/returns.yaml", "--json", "--threads", "1"]);
    command.arg("--out").arg(folder.join(name));
    let table = format!("data.csv.path={}", folder.join("t.csv").display());
    for set in SMALL.into_iter().chain([table.as_str()]) {
        command.args(["--set", set]);
    }
    command
}

/// What counts operations, compiled into `folder`; `None` where there is no compiler.
fn counter(folder: &Path) -> Option<PathBuf> {
    let made = folder.join("faults.so");
    let source = repository().join("tests/end_to_end/file_faults.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&made);
    let done = compiler.arg(source).arg("-ldl").output().ok()?;
    assert!(done.status.success(), "got {}", stderr(&done));
    Some(made)
}

/// Files by their place in a folder; those of TensorBoard by their beginning, the rest of which is a time.
fn files(folder: &Path, below: &str, all: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder.join(below)).unwrap() {
        let name = format!("{below}{}", entry.unwrap().file_name().display());
        let path = folder.join(&name);
        if path.is_dir() {
            files(folder, &format!("{name}/"), all);
        } else {
            let name = match name.starts_with("events.out.tfevents.") {
                true => "events".to_string(),
                false => name,
            };
            all.insert(name, fs::read(path).unwrap());
        }
    }
}

/// JSON without what a clock or the machine has a say in.
fn without_times(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            let of_time = ["seconds", "sha256", "images_per_second", "memory_mib"];
            map.retain(|key, _| !of_time.contains(&key.as_str()));
            for inner in map.values_mut() {
                *inner = without_times(inner.take());
            }
        }
        Value::Array(all) => all
            .iter_mut()
            .for_each(|inner| *inner = without_times(inner.take())),
        _ => {}
    }
    value
}

/// All files of a finished run, with what has to be the same each time.
fn left(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    files(folder, "", &mut all);
    let content = |(name, bytes): (String, Vec<u8>)| {
        let text = String::from_utf8_lossy(&bytes);
        let kept = match name.as_str() {
            // Its tensors hold how long training took, and what was written again after a fault stands there twice.
            "events" | "state/state.safetensors" => String::new(),
            name if name.ends_with(".json") => {
                without_times(serde_json::from_str(&text).unwrap()).to_string()
            }
            name if name.ends_with(".jsonl") => {
                let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
                lines
                    .map(|line| without_times(line).to_string() + "\n")
                    .collect()
            }
            _ => format!("{bytes:?}"),
        };
        (name, kept)
    };
    all.into_iter().map(content).collect()
}

/// Whether a file is one that a run leaves, or on its way to be.
fn is_ours(name: &str, whole: &BTreeSet<&str>) -> bool {
    whole.contains(name) || name.split('/').any(|part| part.starts_with(".partial-"))
}

/// Runs into the fault at operation `at`, then again without; `None` when the run ended before it came to that.
fn fault(folder: &Path, counter: &Path, by: &str, at: u64) -> Option<(Output, PathBuf)> {
    let name = format!("{by}{at}");
    let (place, mark) = (folder.join(&name), folder.join(format!("{name}.mark")));
    let mut command = train(folder, &name);
    command
        .env("LD_PRELOAD", counter)
        .env("FAULTS_BELOW", &place);
    command
        .env("FAULTS_AT", at.to_string())
        .env("FAULTS_BY", by)
        .env("FAULTS_MARK", &mark);
    let done = output(command);
    mark.exists().then_some((done, place))
}

/// What is wrong with a run that met a fault and was started again, if anything.
fn check(
    by: &str,
    done: &Output,
    place: &Path,
    want: &BTreeMap<String, String>,
) -> Result<(), String> {
    let mut found = BTreeMap::new();
    if place.exists() {
        files(place, "", &mut found);
    }
    let whole: BTreeSet<&str> = want.keys().map(String::as_str).collect();
    if let Some(other) = found.keys().find(|name| !is_ours(name, &whole)) {
        return Err(format!("{other} was left"));
    }
    let said = stderr(done);
    let last = said.lines().last().unwrap_or_default();
    let folder = place.display().to_string();
    match (by, done.status.code()) {
        ("kill", None) | ("full", Some(0)) => {}
        ("full", Some(1 | 2)) if last.starts_with("error: ") && last.contains(&folder) => {}
        (_, code) => return Err(format!("exit code {code:?}: {said}")),
    }
    let parent = place.parent().unwrap();
    let name = place.file_name().unwrap().to_string_lossy();
    let again = output(train(parent, &name));
    if !again.status.success() {
        return Err(format!("started again: {}", stderr(&again)));
    }
    let got = left(place);
    if got.keys().ne(want.keys()) {
        return Err(format!("got {:?}, want {:?}", got.keys(), want.keys()));
    }
    let other = got.iter().zip(want).find(|(got, want)| got != want);
    let _: Value = serde_json::from_str(&stdout(&again)).map_err(|e| e.to_string())?;
    other.map_or(Ok(()), |(got, want)| {
        Err(format!("got {got:.300?}, want {want:.300?}"))
    })
}

/// Walks over every operation; gives how many there are, and what went wrong.
fn walk(
    folder: &Path,
    counter: &Path,
    by: &str,
    want: &BTreeMap<String, String>,
) -> (u64, Vec<String>) {
    let mut faults = Vec::new();
    for at in 1..MANY {
        let Some((done, place)) = fault(folder, counter, by, at) else {
            return (at - 1, faults);
        };
        if let Err(why) = check(by, &done, &place, want) {
            faults.push(format!("{by} at operation {at}: {why}"));
        }
        fs::remove_dir_all(place).unwrap_or_default();
    }
    panic!("a run has more than {MANY} operations");
}

#[test]
fn a_run_that_meets_a_fault_at_any_operation_ends_as_one_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(counter) = counter(folder) else {
        println!("left out: there is no C compiler (cc)");
        return;
    };
    let rows = (0..60).map(|i| format!("{},{}\n", f64::from(i).sin(), (f64::from(i) * 0.7).cos()));
    fs::write(
        folder.join("t.csv"),
        "a,b\n".to_string() + &rows.collect::<String>(),
    )
    .unwrap();
    let done = output(train(folder, "alone"));
    assert!(done.status.success(), "got {}", stderr(&done));
    let want = left(&folder.join("alone"));
    let walked = thread::scope(|scope| {
        let (want, counter) = (&want, counter.as_path());
        let all = ["kill", "full"].map(|by| scope.spawn(move || walk(folder, counter, by, want)));
        all.map(|one| one.join().unwrap())
    });
    let counts = walked.each_ref().map(|(count, _)| *count);
    println!(
        "{} operations killed at, {} without room",
        counts[0], counts[1]
    );
    assert!(
        counts.iter().all(|&count| count > 50),
        "got {counts:?} operations"
    );
    let faults: Vec<String> = walked.into_iter().flat_map(|(_, faults)| faults).collect();
    assert!(
        faults.is_empty(),
        "{}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
