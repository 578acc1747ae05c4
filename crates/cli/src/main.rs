//! The `pfgmpp` binary: PFGM++ for every D from 1 to infinity.

// Doc comments on arguments are help texts: plain text, shown in a terminal.
#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]

mod commands;
mod download;
mod failure;
mod interrupt;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

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
    /// Convert a checkpoint of EDM, PFGM++, diffusers or PyTorch to one of this program
    Convert(commands::convert::Args),
    /// Show what a checkpoint is
    Inspect(commands::inspect::Args),
    /// Show what a diffusion setup becomes at given N and D
    Transfer(commands::transfer::Args),
}

fn main() -> ExitCode {
    set_up_environment();
    let done = match Cli::parse().command {
        Command::Sweep(args) => commands::sweep::sweep(&args),
        Command::Train(args) => commands::train::train(&args),
        Command::Sample(args) => commands::sample::sample(&args),
        Command::Convert(args) => commands::convert::convert(&args),
        Command::Inspect(args) => commands::inspect::inspect(&args),
        Command::Transfer(args) => commands::transfer::transfer(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match failure {
                Failure::Interrupted(_) => terminal::note(&failure),
                _ => terminal::note(format_args!("error: {failure}")),
            }
            failure.code()
        }
    }
}

/// Sets what candle reads from the environment, unless the user has.
///
/// - candle spreads element-wise operations over one pool of threads that spin while they wait. Two
///   runs of a sweep that share it are several times slower than on a thread each; our own
///   operations use the run's pool.
/// - hf-hub takes an empty variable for a value: it is unset, so that it counts as none.
/// - candle puts a backtrace into the text of its errors, and an error here is one line.
fn set_up_environment() {
    for (name, value) in [("CANDLE_NUM_THREADS", "1"), ("RUST_LIB_BACKTRACE", "0")] {
        if std::env::var_os(name).is_none() {
            // SAFETY: the process has one thread yet, so nothing reads the environment meanwhile.
            unsafe { std::env::set_var(name, value) }
        }
    }
    for name in ["HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE"] {
        if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
            // SAFETY: as above.
            unsafe { std::env::remove_var(name) }
        }
    }
}
