//! The Python wheel that holds the binary, built and installed into a clean virtual environment.

use std::fs;
use std::process::Command;

use crate::program::{SMALL, output, repository, stderr, stdout};
use crate::python::python;

/// Runs a command to its end, which must be a good one.
fn succeed(command: Command, what: &str) -> String {
    let done = output(command);
    assert!(done.status.success(), "{what}: got {}", stderr(&done));
    stdout(&done)
}

#[test]
#[ignore = "builds the binary anew: cargo test --test end_to_end wheel -- --ignored"]
fn the_wheel_runs_a_sweep_in_a_clean_environment() {
    let mut has_maturin = python();
    has_maturin.args(["-m", "maturin", "--version"]);
    if !has_maturin.output().is_ok_and(|done| done.status.success()) {
        println!("left out: maturin is not installed (PFGMPP_PYTHON names an interpreter)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (wheels, environment) = (folder.path().join("wheels"), folder.path().join("env"));
    let mut build = python();
    build.current_dir(repository());
    // A build of its own: maturin's environment would have the next build of the tests start over.
    build.env("CARGO_TARGET_DIR", repository().join("target/wheel"));
    build.args([
        "-m",
        "maturin",
        "build",
        "--release",
        "--locked",
        "--features",
        "datasets",
    ]);
    build
        .args(["--compatibility", "linux", "--out"])
        .arg(&wheels);
    succeed(build, "maturin");
    let wheel = fs::read_dir(&wheels)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let name = wheel.file_name().unwrap().to_string_lossy().into_owned();
    let size = fs::metadata(&wheel).unwrap().len();
    println!("{name}: {:.1} MB", size as f64 / 1e6);
    assert!(
        name.starts_with(&format!("pfgmpp-{}-py3-none-", env!("CARGO_PKG_VERSION"))),
        "got {name}"
    );

    let mut make = python();
    make.args(["-m", "venv"]).arg(&environment);
    succeed(make, "venv");
    let bin = environment.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let mut install = Command::new(bin.join("python"));
    install
        .args(["-m", "pip", "install", "--no-index"])
        .arg(&wheel);
    succeed(install, "pip");

    let installed = || {
        let mut command = Command::new(bin.join("pfgmpp"));
        command.current_dir(repository());
        command
    };
    let mut version = installed();
    version.arg("-V");
    let version = succeed(version, "pfgmpp -V");
    assert_eq!(version, format!("pfgmpp {}\n", env!("CARGO_PKG_VERSION")));
    let mut sweep = installed();
    sweep.args([
        "sweep",
        "experiments/d_sweep.yaml",
        "--set",
        "axes.d=[128,inf]",
        "--out",
    ]);
    sweep.arg(folder.path().join("sweep"));
    for set in SMALL {
        sweep.args(["--set", set]);
    }
    let told = succeed(sweep, "pfgmpp sweep");
    println!("{told}");
    assert!(
        folder.path().join("sweep/report.html").is_file(),
        "got {told}"
    );
}
