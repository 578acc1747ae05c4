//! The `pfgmpp` binary: PFGM++ for every D from 1 to infinity.

// Doc comments on arguments are help texts: plain text, shown in a terminal.
#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]

mod commands;
mod data_args;
mod device;
#[cfg(test)]
mod documented;
mod download;
mod drawn_args;
mod failure;
mod guidance_args;
mod images;
mod interrupt;
mod labels;
mod latents;
mod launch;
mod model_args;
mod named;
mod network_args;
mod opening;
mod out_file;
mod output;
mod ranks;
mod seeds;
mod table;
mod terminal;
mod threads;
mod timing;
mod version;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Rust's default allocator returns freed pages to the system; tensors want them back at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train, sample and compare PFGM++ models for every D from 1 (Poisson flow) to infinity (diffusion).
#[derive(Parser)]
#[command(name = "pfgmpp", version, long_version = version::long(), max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Number of threads, shared by the runs of a sweep [default: RAYON_NUM_THREADS, else one per core]
    #[arg(long, global = true, value_name = "N", value_parser = threads::parse)]
    threads: Option<usize>,
    /// Show results and errors only, without progress and notes
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run every point of a sweep file and compare them in one report
    Sweep(commands::sweep::Args),
    /// Train, sample and score one configuration
    Train(commands::train::Args),
    /// Draw samples from a trained model
    Sample(commands::sample::Args),
    /// Turn data into latent states of a model
    Encode(commands::encode::Args),
    /// Turn latent states back into data
    Decode(commands::decode::Args),
    /// Interpolate between samples, or between data, through latent states
    Interpolate(commands::interpolate::Args),
    /// Fill in, enlarge or denoise images with a model that was not trained for it
    Restore(commands::restore::Args),
    /// Find the best noise levels for a model, a solver and a number of steps
    Schedule(commands::schedule::Args),
    /// Score samples against other samples or data, from folders and files
    Score(commands::score::Args),
    /// Compute the features of images by a pretrained network, Inception-v3 or DINOv2
    Features(commands::features::Args),
    /// Measure how far samples stray from the noise levels of the schedule, and which kappa and D follow
    Advise(commands::advise::Args),
    /// Compute the log-likelihood of data under a model
    Likelihood(commands::likelihood::Args),
    /// Average the weights of a run over any length, after its training
    Ema(commands::ema::Args),
    /// Time training and evaluation of a configuration on this machine
    Bench(commands::bench::Args),
    /// Describe data, and make a data set from images of any size
    Data(commands::data::Args),
    /// Convert a checkpoint of EDM, PFGM++, diffusers or PyTorch to one of this program
    Convert(commands::convert::Args),
    /// Show what a checkpoint is
    Inspect(commands::inspect::Args),
    /// Show what a diffusion setup becomes at given N and D
    Transfer(commands::transfer::Args),
    /// Show what this program finds on this machine: cores, memory, devices, cache
    Doctor(commands::doctor::Args),
    /// Write a shell's completions
    Completions(commands::completions::CompletionsArgs),
    /// Write manual pages
    Man(commands::completions::ManArgs),
}

fn main() -> ExitCode {
    set_up_environment();
    #[cfg(unix)]
    interrupt::ignore_file_size();
    keep_freed_memory();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    // The first of several processes that train together speaks for all of them.
    let rank = launch::Launch::of_environment().map_or(0, |launch| launch.rank);
    if cli.quiet || (rank > 0 && matches!(cli.command, Command::Train(_))) {
        output::be_quiet();
    }
    let done = check_environment()
        .and_then(|()| threads::settle(cli.threads))
        // From outside the pool each operation would put this thread to sleep and wake another:
        // 23,000 times in place of 10 in 60 steps of a small network.
        .and_then(|()| rayon::scope(|_| execute(&cli.command)))
        .and_then(|()| output::finish());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(rank);
            ExitCode::from(failure.code())
        }
    }
}

/// Says in one line what is wrong with the command line; shows a help text that was asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    if launch::Launch::of_environment().is_some_and(|launch| launch.rank > 0) {
        return ExitCode::from(2);
    }
    let text = error.render().to_string();
    // Behind the fault and any hint stand the usage and where to find help, which one word replaces.
    let parts = text.split("\n\n").map(|part| {
        let words: Vec<&str> = part.split_whitespace().collect();
        words.join(" ")
    });
    let told = |part: &String| !part.starts_with("Usage:") && !part.starts_with("For more");
    let told: Vec<String> = parts.filter(told).collect();
    let told = in_words(&told.join("; "));
    output::complain(format_args!("{told} (see --help)"));
    ExitCode::from(2)
}

/// What is wrong with a number of the command line, as a configuration would be told.
fn in_words(told: &str) -> String {
    let told = told
        .replace("invalid digit found in string", "must be a whole number")
        .replace("invalid float literal", "must be a number");
    // `0 is not in 1..=9`, behind the value that was given.
    let range = told.rsplit_once(": ").and_then(|(value, what)| {
        let (_, range) = what.split_once(" is not in ")?;
        let (least, most) = range.split_once("..=")?;
        Some(format!("{value}: must be from {least} to {most}"))
    });
    range.unwrap_or(told)
}

fn execute(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Sweep(args) => commands::sweep::sweep(args),
        Command::Train(args) => commands::train::train(args),
        Command::Sample(args) => commands::sample::sample(args),
        Command::Encode(args) => commands::encode::encode(args),
        Command::Decode(args) => commands::decode::decode(args),
        Command::Interpolate(args) => commands::interpolate::interpolate(args),
        Command::Restore(args) => commands::restore::restore(args),
        Command::Schedule(args) => commands::schedule::schedule(args),
        Command::Score(args) => commands::score::score(args),
        Command::Features(args) => commands::features::features(args),
        Command::Advise(args) => commands::advise::advise(args),
        Command::Likelihood(args) => commands::likelihood::likelihood(args),
        Command::Ema(args) => commands::ema::ema(args),
        Command::Bench(args) => commands::bench::bench(args),
        Command::Data(args) => commands::data::data(args),
        Command::Convert(args) => commands::convert::convert(args),
        Command::Inspect(args) => commands::inspect::inspect(args),
        Command::Transfer(args) => commands::transfer::transfer(args),
        Command::Doctor(args) => commands::doctor::doctor(args),
        Command::Completions(args) => commands::completions::completions(args),
        Command::Man(args) => commands::completions::man(args),
    }
}

/// Refuses what the environment asks for and nobody knows, before work starts.
fn check_environment() -> Result<(), Failure> {
    match pfgmpp_nn::ConvAlgorithm::from_env() {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::bad_input(error)),
    }
}

/// Keeps pages that were freed for the tensors of the next step, which are as large: the system would clear
/// them anew, at a tenth of the time of a training step.
fn keep_freed_memory() {
    /// mimalloc's `mi_option_purge_delay`, in milliseconds, which the bindings have no name for.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    const NEVER: i64 = -1;
    // SAFETY: an option that may be set at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, NEVER as _) }
}

/// Sets what candle reads from the environment, unless the user has.
///
/// - candle spreads element-wise operations over one pool of threads that spin while they wait. Two
///   runs of a sweep that share it are several times slower than on a thread each; our own
///   operations use the run's pool.
/// - candle puts a backtrace into the text of its errors, and an error here is one line.
fn set_up_environment() {
    for (name, value) in [("CANDLE_NUM_THREADS", "1"), ("RUST_LIB_BACKTRACE", "0")] {
        if std::env::var_os(name).is_none() {
            // SAFETY: the process has one thread yet, so nothing reads the environment meanwhile.
            unsafe { std::env::set_var(name, value) }
        }
    }
}
