//! Training by several processes that mpirun starts; where this program was built without MPI, or mpirun is not installed, a
//! line says so and what is left is tested: that nobody trains into one folder several times by mistake.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::program::{output, pfgmpp, repository, stderr, stdout};

/// Of a training of 200 steps of digits.
const SETTINGS: [&str; 10] = [
    "network.ddpmpp.model_channels=8",
    "training.nimg=6400",
    "training.batch_size=32",
    "training.micro_batch=8",
    "training.log_every=640",
    "training.state_every=320",
    "training.grid_every=0",
    "scoring.num_samples=32",
    "sampler.schedule.edm.num_steps=6",
    "optimizer.lr_ramp_up=64",
];

/// The arguments of a training into `out`.
pub fn arguments(command: &mut Command, out: &Path, more: &[&str]) {
    command
        .args(["train", "configs/digits.yaml", "--out"])
        .arg(out);
    for set in SETTINGS.iter().chain(more) {
        command.args(["--set", set]);
    }
}

/// The training in one process.
pub fn alone(out: &Path, more: &[&str]) -> Command {
    let mut command = pfgmpp();
    arguments(&mut command, out, more);
    command
}

/// The training by `size` processes on this machine, on the loopback only.
fn by_ranks(size: usize, out: &Path, more: &[&str]) -> Command {
    let mut command = started_by_mpirun(size);
    arguments(&mut command, out, more);
    command
}

/// The program, `size` times.
fn started_by_mpirun(size: usize) -> Command {
    let mut command = launched_by_mpirun(size);
    command.arg(env!("CARGO_BIN_EXE_pfgmpp"));
    command
}

/// What is to be named yet, `size` times.
fn launched_by_mpirun(size: usize) -> Command {
    let mut command = Command::new("mpirun");
    command.current_dir(repository());
    command.args([
        "-n",
        &size.to_string(),
        "--allow-run-as-root",
        "--oversubscribe",
    ]);
    for (name, value) in [
        ("pml", "ob1"),
        ("btl", "self,vader"),
        ("oob_tcp_if_include", "lo"),
    ] {
        command.args(["--mca", name, value]);
    }
    command
}

/// Whether there is MPI to test; says so if not.
pub fn has_mpi() -> bool {
    if !cfg!(feature = "mpi") {
        println!("built without the feature mpi: training by several processes is not tested here");
        return false;
    }
    let found = Command::new("mpirun").arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        println!("mpirun is not installed: training by several processes is not tested here");
    }
    found
}

/// Bytes of the averaged weights.
pub fn weights(out: &Path) -> Vec<u8> {
    let path = out.join("checkpoint/model.safetensors");
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Images and loss of each line of the log, as they stand there.
pub fn losses(out: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(out.join("log.jsonl")).unwrap();
    let until_rate = log
        .lines()
        .map(|line| line.split(",\"lr\"").next().unwrap());
    until_rate.map(str::to_string).collect()
}

#[test]
fn one_two_and_four_processes_train_the_same_bits() {
    if !has_mpi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    assert!(output(alone(&one, &[])).status.success());
    for size in [2, 4] {
        let out = folder.path().join(size.to_string());
        let done = output(by_ranks(size, &out, &[]));
        let said = stderr(&done);
        assert!(done.status.success(), "{size} processes: got {said}");
        for want in [
            format!("{size} processes share each batch"),
            format!("{size} ranks: each sends"),
        ] {
            assert_eq!(
                said.matches(&want).count(),
                1,
                "got {said}, want {want} once"
            );
        }
        assert!(
            weights(&out) == weights(&one),
            "{size} processes: other weights"
        );
        assert_eq!(losses(&out), losses(&one), "{size} processes");
    }
}

#[test]
fn a_process_that_is_killed_ends_the_job_which_goes_on_with_other_processes() {
    if !has_mpi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [one, out] = ["one", "out"].map(|name| folder.path().join(name));
    let longer = ["training.nimg=19200"];
    assert!(output(alone(&one, &longer)).status.success());
    let mut command = by_ranks(4, &out, &longer);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let job = command.spawn().unwrap();
    wait_for(&out.join("state/state.safetensors"));
    let began = Instant::now();
    // The last of mpirun's children, which writes nothing.
    let children = Command::new("pgrep")
        .args(["-P", &job.id().to_string()])
        .output();
    let children = String::from_utf8(children.unwrap().stdout).unwrap();
    let victim = children
        .lines()
        .last()
        .expect("mpirun has processes")
        .to_string();
    assert!(
        Command::new("kill")
            .args(["-KILL", &victim])
            .status()
            .unwrap()
            .success()
    );
    let done = job.wait_with_output().unwrap();
    let (said, seconds) = (stderr(&done), began.elapsed().as_secs_f64());
    assert!(
        !done.status.success() && said.contains("signal 9"),
        "got {said}"
    );
    assert!(seconds < 10.0, "got {seconds} s, want less than 10");
    assert!(
        !out.join("metrics.json").exists(),
        "the job had ended before"
    );

    let done = output(by_ranks(2, &out, &longer));
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(weights(&out) == weights(&one), "other weights");
    assert_eq!(losses(&out), losses(&one));
}

/// A machine of its own is made up for the second process, with less memory.
#[test]
#[cfg(target_os = "linux")]
fn memory_is_looked_at_on_every_machine() {
    if !has_mpi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let elsewhere = "if [ \"$OMPI_COMM_WORLD_RANK\" = 1 ]; then \
        export OMPI_COMM_WORLD_LOCAL_RANK=0 OMPI_COMM_WORLD_LOCAL_SIZE=1; ulimit -v 1500000; fi; exec \"$0\" \"$@\"";
    let mut command = launched_by_mpirun(2);
    command.args(["sh", "-c", elsewhere, env!("CARGO_BIN_EXE_pfgmpp")]);
    let large = [
        "training.batch_size=16384",
        "training.micro_batch=8192",
        "training.nimg=16384",
    ];
    arguments(&mut command, &out, &large);
    let done = output(command);
    let said = stderr(&done);
    assert!(!done.status.success(), "got {said}");
    let errors: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert!(
        matches!(&errors[..], [error] if error.starts_with("error: rank 1: training.micro_batch: 8192: needs about")),
        "got {said}"
    );
}

#[test]
fn a_signal_stops_all_processes_at_the_same_step_and_one_alone_goes_on() {
    if !has_mpi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [one, out] = ["one", "out"].map(|name| folder.path().join(name));
    let longer = ["training.nimg=19200"];
    assert!(output(alone(&one, &longer)).status.success());
    let mut command = by_ranks(2, &out, &longer);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let job = command.spawn().unwrap();
    wait_for(&out.join("state/state.safetensors"));
    let pid = job.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-USR1", &pid])
            .status()
            .unwrap()
            .success()
    );
    let done = job.wait_with_output().unwrap();
    let said = stderr(&done);
    assert!(
        said.contains("the same command goes on from there"),
        "got {said}"
    );
    assert_eq!(
        said.matches("stopping at the next step").count(),
        1,
        "got {said}"
    );
    let done = output(alone(&out, &longer));
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(weights(&out) == weights(&one), "other weights");
}

/// Seconds of a core that a process has taken so far.
#[cfg(target_os = "linux")]
fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may hold anything: the 14th and 15th fields, in hundredths.
    let fields = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields[at - 3].parse::<f64>().unwrap();
    (ticks(14) + ticks(15)) / 100.0
}

#[test]
#[cfg(target_os = "linux")]
fn processes_that_have_trained_leave_the_cores_to_the_first_which_samples() {
    if !has_mpi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // Short to train and long to sample.
    let more = [
        "training.nimg=320",
        "scoring.num_samples=4096",
        "sampler.schedule.edm.num_steps=40",
    ];
    let mut command = by_ranks(2, &out, &more);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut job = command.spawn().unwrap();
    wait_for(&out.join("checkpoint/model.safetensors"));
    let children = Command::new("pgrep")
        .args(["-P", &job.id().to_string()])
        .output();
    let children = String::from_utf8(children.unwrap().stdout).unwrap();
    let children: Vec<&str> = children.lines().collect();
    // Those that trained it have no more to do once the first has written that.
    sleep(Duration::from_secs(1));
    let taken = || children.iter().map(|pid| cpu_seconds(pid));
    let (began, before) = (Instant::now(), taken().collect::<Vec<f64>>());
    sleep(Duration::from_secs(3));
    let (seconds, after) = (began.elapsed().as_secs_f64(), taken());
    let shares: Vec<f64> = after
        .zip(before)
        .map(|(after, before)| (after - before) / seconds)
        .collect();
    assert!(
        job.try_wait().unwrap().is_none(),
        "the job had ended before"
    );
    job.kill().unwrap();
    job.wait().unwrap();
    println!("shares of a core: {shares:?}");
    assert_eq!(shares.len(), 2, "processes");
    // The one samples, and gets as much of a core as others on this machine leave it; the other waits.
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least < 0.1, "got shares {shares:?}, want one below 0.1");
}

#[test]
fn a_larger_network_is_trained_to_the_same_bits_by_two_and_four_processes() {
    if !has_mpi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let train = |mut command: Command, out: &Path| {
        command.args(["train", "configs/bench_b.yaml", "--out"]);
        command.arg(out);
        for set in [
            "training.micro_batch=8",
            "training.nimg=192",
            "training.log_every=32",
            "training.state_every=192",
            "scoring.num_samples=8",
            "sampler.schedule.edm.num_steps=2",
        ] {
            command.args(["--set", set]);
        }
        let done = output(command);
        assert!(done.status.success(), "got {}", stderr(&done));
    };
    let one = folder.path().join("one");
    train(pfgmpp(), &one);
    for size in [2, 4] {
        let out = folder.path().join(size.to_string());
        train(started_by_mpirun(size), &out);
        assert!(
            weights(&out) == weights(&one),
            "{size} processes: other weights"
        );
        assert_eq!(losses(&out), losses(&one), "{size} processes");
    }
}

#[test]
fn a_dry_run_tells_the_memory_of_each_process_and_writes_nothing() {
    if !has_mpi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut command = by_ranks(2, &out, &[]);
    command.arg("--dry-run");
    let done = output(command);
    let text = stdout(&done);
    assert!(done.status.success(), "got {}", stderr(&done));
    for want in ["MiB in each of 2 processes of ", "32 samples", "network"] {
        assert_eq!(
            text.matches(want).count(),
            1,
            "got {text}, want {want} once"
        );
    }
    assert!(!out.exists(), "something was written");
}

#[test]
fn what_several_processes_cannot_do_is_refused_once() {
    if !has_mpi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (size, more, want) in [
        (
            3,
            "seed=0",
            "3 ranks cannot share the 4 pieces of a batch (training.batch_size 32, training.micro_batch 8): 1, 2 or 4 ranks can",
        ),
        (2, "data={images: {path: nowhere}}", "nowhere"),
        (2, "optimizer.lr=1.0e4", "the loss became"),
    ] {
        let done = output(by_ranks(size, &out, &[more, "optimizer.lr_ramp_up=0"]));
        let said = stderr(&done);
        assert!(!done.status.success(), "got {said}");
        assert_eq!(said.matches("error: ").count(), 1, "got {said}");
        assert!(said.contains(want), "got {said}, want {want}");
    }
}

#[test]
fn processes_that_cannot_talk_to_each_other_do_not_train_into_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let torchrun = [
        ("RANK", "0"),
        ("WORLD_SIZE", "2"),
        ("TORCHELASTIC_RUN_ID", "x"),
    ];
    let srun = [
        ("SLURM_PROCID", "0"),
        ("SLURM_STEP_NUM_TASKS", "2"),
        ("SLURM_STEP_ID", "0"),
    ];
    for (starter, variables) in [("torchrun", torchrun), ("srun", srun)] {
        let mut train = alone(&out, &[]);
        train.envs(variables);
        let mut sweep = pfgmpp();
        sweep
            .args(["sweep", "experiments/d_sweep.yaml", "--out"])
            .arg(&out);
        sweep.envs(variables);
        let on_sweep = "give each process its part by --shard or --only";
        let on_train = match (cfg!(feature = "mpi"), starter) {
            (false, _) => "built without MPI",
            (true, "srun") => "start them with srun --mpi=pmix",
            (true, _) => "start them with mpirun",
        };
        let mut on_gpus = alone(&out, &[]);
        on_gpus.envs(variables).args(["--device", "cuda"]);
        let on_gpus_said = match cfg!(feature = "mpi") {
            true => on_train,
            false => "built without NCCL",
        };
        let mut refused = vec![(train, on_train), (sweep, on_sweep)];
        if !cfg!(feature = "nccl") {
            refused.push((on_gpus, on_gpus_said));
        }
        for (command, want) in refused {
            let done = output(command);
            let said = stderr(&done);
            assert_eq!(done.status.code(), Some(2), "got {said}");
            let has_started = format!("{starter} has started 2 processes");
            for want in [want, &has_started] {
                assert!(said.contains(want), "got {said}, want {want}");
            }
        }
        assert!(!out.exists(), "{starter}: something was written");
    }
}

/// Waits until there is a file.
pub fn wait_for(path: &Path) {
    let began = Instant::now();
    while !path.is_file() {
        let waited = began.elapsed();
        assert!(
            waited < Duration::from_secs(120),
            "{} is not there",
            path.display()
        );
        sleep(Duration::from_millis(5));
    }
}
