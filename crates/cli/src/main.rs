//! The `pfgmpp` binary: PFGM++ for every D from 1 to infinity.

mod commands;
mod failure;
mod interrupt;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Rust's default allocator returns freed pages to the system; tensors want them back at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train, sample and compare PFGM++ models for every D from 1 (Poisson flow) to infinity (diffusion).
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every point of a sweep file and compare them in one report
    Sweep(commands::sweep::Args),
    /// Train, sample and score one configuration
    Train(commands::train::Args),
    /// Draw samples from a trained model
    Sample(commands::sample::Args),
}

fn main() -> ExitCode {
    keep_candle_from_spinning();
    let done = match Cli::parse().command {
        Command::Sweep(args) => commands::sweep::sweep(&args),
        Command::Train(args) => commands::train::train(&args),
        Command::Sample(args) => commands::sample::sample(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.code()
        }
    }
}

/// Keeps candle's element-wise operations on the thread that calls them.
///
/// candle spreads them over one pool of threads that spin while they wait. Two runs of a sweep that
/// share it are four times slower than on a thread each; our own operations use the run's pool.
fn keep_candle_from_spinning() {
    const THREADS: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(THREADS).is_none() {
        // SAFETY: the process has one thread yet, so nothing reads the environment meanwhile.
        unsafe { std::env::set_var(THREADS, "1") }
    }
}
