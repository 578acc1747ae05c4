//! Training by several processes that srun starts, on a real Slurm; what is not installed is said.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{output, repository, stderr};
use crate::ranks::{alone, arguments, has_mpi, losses, wait_for, weights};
use crate::real_slurm::Slurm;

/// A Slurm whose srun tells MPI of the other processes; says so if there is none.
fn start() -> Option<Slurm> {
    let slurm = has_mpi().then(Slurm::start).flatten()?;
    let mut list = Command::new("srun");
    list.arg("--mpi=list");
    let listed = output(slurm.of(list));
    // It lists them on one of its outputs, depending on its version.
    let listed = format!("{listed:?}");
    if !listed.contains("pmix") {
        println!("this Slurm has no PMIx: training by srun is not tested here: {listed}");
        return None;
    }
    Some(slurm)
}

/// The training by two processes of a step of `slurm`, which are told of each other if `flags` say so.
fn by_srun(slurm: &Slurm, flags: &[&str], out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new("srun");
    command.current_dir(repository());
    command
        .args(["--kill-on-bad-exit=1", "-n", "2"])
        .args(flags);
    // Both nodes are this machine.
    command.env("OMPI_MCA_pml", "ob1");
    command.env("OMPI_MCA_btl", "self,vader,tcp");
    command.env("OMPI_MCA_btl_tcp_if_include", "lo");
    command.arg(env!("CARGO_BIN_EXE_pfgmpp"));
    arguments(&mut command, out, more);
    slurm.of(command)
}

#[test]
fn two_processes_of_srun_train_the_same_bits_as_one() {
    let Some(slurm) = start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    assert!(output(alone(&one, &[])).status.success());
    for nodes in ["1", "2"] {
        let out = folder.path().join(nodes);
        let done = output(by_srun(&slurm, &["--mpi=pmix", "-N", nodes], &out, &[]));
        let said = stderr(&done);
        assert!(done.status.success(), "{nodes} nodes: got {said}");
        let want = "2 processes share each batch";
        assert_eq!(
            said.matches(want).count(),
            1,
            "got {said}, want {want} once"
        );
        assert!(
            weights(&out) == weights(&one),
            "{nodes} nodes: other weights"
        );
        assert_eq!(losses(&out), losses(&one), "{nodes} nodes");
    }
}

#[test]
fn srun_that_tells_mpi_of_no_processes_is_one_line() {
    let Some(slurm) = start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // The default of this Slurm, as of many.
    for flags in [&[][..], &["--mpi=none"]] {
        let done = output(by_srun(&slurm, flags, &out, &[]));
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "got {said}");
        let want = "srun has started 2 processes and has told MPI of none of them: start them with srun --mpi=pmix";
        assert_eq!(said.matches("error: srun has").count(), 1, "got {said}");
        assert!(said.contains(want), "got {said}, want {want}");
        assert!(!out.exists(), "something was written");
    }
}

#[test]
fn a_process_of_srun_that_is_killed_ends_the_step_which_goes_on_to_the_same_bits() {
    let Some(slurm) = start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let [one, out] = ["one", "out"].map(|name| folder.path().join(name));
    let longer = ["training.nimg=19200"];
    assert!(output(alone(&one, &longer)).status.success());
    let mut command = by_srun(&slurm, &["--mpi=pmix"], &out, &longer);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let job = command.spawn().unwrap();
    wait_for(&out.join("state/state.safetensors"));
    let began = Instant::now();
    // Of the two processes, which have the same command line, one; srun's own begins with its name.
    let mut pgrep = Command::new("pgrep");
    let program = format!(
        "^{} train .*{}",
        env!("CARGO_BIN_EXE_pfgmpp"),
        out.display()
    );
    pgrep.args(["-n", "-f", &program]);
    let found = output(pgrep);
    let victim = String::from_utf8(found.stdout).unwrap();
    let victim = victim.trim();
    assert!(!victim.is_empty(), "no process is found");
    let killed = Command::new("kill").args(["-KILL", victim]).status();
    assert!(killed.unwrap().success());
    let done = job.wait_with_output().unwrap();
    let (said, took) = (stderr(&done), began.elapsed());
    assert!(
        !done.status.success() && said.contains("Killed"),
        "got {said}"
    );
    assert!(
        took < Duration::from_secs(10),
        "got {took:?}, want less than 10 s"
    );
    assert!(
        !out.join("metrics.json").exists(),
        "the step had ended before"
    );
    let done = output(by_srun(&slurm, &["--mpi=pmix"], &out, &longer));
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(weights(&out) == weights(&one), "other weights");
    assert_eq!(losses(&out), losses(&one));
}
