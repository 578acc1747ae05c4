//! Time and memory of loading a checkpoint, beside those of reading its file: `load/megabytes`.
//!
//! Each measurement is a process of its own, as a user's is: memory that a process has used before comes without
//! page faults, which are most of the time to read a file that the system has in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::{Checkpoint, LoadOptions, Source, Tensors};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The largest is that of the published CIFAR-10 networks, in megabytes.
const SIZES: [usize; 2] = [32, 223];
/// Processes of each kind, in turns.
const ROUNDS: usize = 15;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["measure", what, path] => measure(what, Path::new(path)),
        _ => SIZES.into_iter().for_each(compare),
    }
}

/// Does the work once and prints its milliseconds and the process's peak memory in megabytes.
fn measure(what: &str, path: &Path) {
    let start = Instant::now();
    let found = match what {
        "read" => fs::read(path.join("model.safetensors"))
            .expect("a readable file")
            .len(),
        _ => {
            let loaded = Checkpoint::load(path, &Device::Cpu).expect("a readable checkpoint");
            loaded
                .weights
                .values()
                .map(Tensor::elem_count)
                .sum::<usize>()
                * 4
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    assert!(found > 30_000_000, "got {found} bytes");
    println!("{} {}", 1e3 * seconds, peak_megabytes());
}

/// The most memory that this process has had, where the system tells.
fn peak_megabytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kilobytes| kilobytes * 1024.0 / 1e6)
}

fn compare(megabytes: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoint");
    checkpoint(&path, megabytes);
    let own = std::env::current_exe().expect("this program");
    let mut results = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (what, results) in ["read", "load"].into_iter().zip(&mut results) {
            results.push(run(&own, what, &path));
        }
    }
    let [read, load] = results.map(|mut results| {
        results.sort_by(|a, b| a.0.total_cmp(&b.0));
        (results[0].0, results[ROUNDS / 2].0, results[ROUNDS / 2].1)
    });
    for (what, (fastest, median, peak)) in [("read", read), ("load", load)] {
        println!(
            "{what}/{megabytes}: fastest {fastest:6.1} ms, median {median:6.1} ms, peak {peak:5.0} MB"
        );
    }
    println!(
        "load/{megabytes}: {:.2} times the fastest and {:.2} times the median reading",
        load.0 / read.0,
        load.1 / read.1
    );
}

fn run(own: &PathBuf, what: &str, path: &Path) -> (f64, f64) {
    let output = Command::new(own).args(["measure", what]).arg(path).output();
    let output = output.expect("a process").stdout;
    let text = String::from_utf8(output).expect("two numbers");
    let mut numbers = text
        .split_whitespace()
        .map(|n| n.parse().expect("a number"));
    let mut next = || numbers.next().expect("two numbers");
    (next(), next())
}

/// A checkpoint of so many megabytes in tensors of 2.36 MB, as the networks' 256-channel convolutions are.
fn checkpoint(folder: &Path, megabytes: usize) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/edm.pkl");
    let source = Source::open(&fixture).expect("part of the crate");
    let loaded = source.load(&LoadOptions::default(), &Device::Cpu);
    let config = loaded.expect("a network").checkpoint.config;
    let len = 256 * 256 * 9;
    let weights: Tensors = (0..megabytes * 1_000_000 / (4 * len))
        .map(|i| {
            let values: Vec<f32> = (0..len).map(|j| (i * 7 + j) as f32).collect();
            let tensor = Tensor::from_vec(values, (256, 256, 3, 3), &Device::Cpu);
            (format!("model.{i}"), tensor.expect("as many values"))
        })
        .collect();
    Checkpoint { config, weights }
        .save(folder)
        .expect("a written checkpoint");
}
