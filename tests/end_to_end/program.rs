//! Starting the binary on the shipped sweep, made small enough for a test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Overrides that bring a run of the shipped sweep from a minute to a second.
pub const SMALL: [&str; 10] = [
    "network.ddpmpp.model_channels=8",
    "training.nimg=512",
    "training.batch_size=32",
    "training.log_every=64",
    "training.state_every=64",
    "training.grid_every=256",
    "scoring.num_samples=32",
    "scoring.num_projections=16",
    "sampler.schedule.edm.num_steps=6",
    "optimizer.lr_ramp_up=64",
];

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The binary, in the repository.
pub fn pfgmpp() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pfgmpp"));
    command.current_dir(repository());
    command
}

/// `pfgmpp sweep experiments/d_sweep.yaml`, small, into `out`, with further overrides.
pub fn small_sweep(out: &Path, overrides: &[&str]) -> Command {
    let mut command = pfgmpp();
    command
        .args(["sweep", "experiments/d_sweep.yaml", "--out"])
        .arg(out);
    for set in SMALL.iter().chain(overrides) {
        command.args(["--set", set]);
    }
    command
}

/// Runs a command to its end.
pub fn output(mut command: Command) -> Output {
    command.output().expect("the binary starts")
}

/// What a command wrote to its standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a command wrote to its standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The rows of `results.csv` by column name.
pub fn results(out: &Path) -> Vec<BTreeMap<String, String>> {
    let mut csv = csv::Reader::from_path(out.join("results.csv")).expect("results.csv is there");
    csv.deserialize()
        .map(|row| row.expect("a row of text"))
        .collect()
}

/// The columns that do not depend on the machine's speed.
pub fn scores(out: &Path) -> Vec<BTreeMap<String, String>> {
    let mut rows = results(out);
    for row in &mut rows {
        row.remove("seconds");
    }
    rows
}

/// The binary with an address space of so many MiB.
pub fn limited(mib: u64, args: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.current_dir(repository());
    command.args([
        "-c",
        &format!("ulimit -v {}; exec \"$0\" \"$@\"", mib << 10),
    ]);
    command.arg(env!("CARGO_BIN_EXE_pfgmpp")).args(args);
    output(command)
}
