//! How many threads the program works on.

use crate::failure::Failure;
use crate::launch::Launch;
use crate::output::note;

/// What rayon and candle read at their first use.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// More threads than any machine has cores for.
const MOST: usize = 1024;
/// Bytes of a thread's stack, as the main thread has: candle's backward pass calls itself as deep as a
/// network is.
const STACK: usize = 8 << 20;

/// Starts the program's pool: of as many threads as `flag` says, else the environment variable, else
/// one for each core, divided among the processes that were started together on this machine.
///
/// It has to come before any other thread is started.
///
/// # Errors
///
/// A variable that is no number of threads, and threads that cannot be started.
pub fn settle(flag: Option<usize>) -> Result<(), Failure> {
    match flag {
        // SAFETY: the process has one thread yet, so nothing reads the environment meanwhile.
        Some(threads) => unsafe { std::env::set_var(VARIABLE, threads.to_string()) },
        None => check_variable()?,
    }
    let mut pool = rayon::ThreadPoolBuilder::new().stack_size(STACK);
    // An empty variable is none, as everywhere.
    let asked = std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty());
    let launch = Launch::of_environment().filter(|_| !asked);
    if let Some(threads) = launch.and_then(|launch| launch.threads()) {
        pool = pool.num_threads(threads);
        let many = match threads {
            1 => "1 thread".to_string(),
            several => format!("{several} threads"),
        };
        note(format_args!(
            "each process takes {many}, its share of this machine's cores: {VARIABLE} or --threads for another number"
        ));
    }
    pool.build_global().map_err(|e| Failure::Failed(e.into()))
}

fn check_variable() -> Result<(), Failure> {
    let value = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let Some(value) = value else {
        return Ok(());
    };
    let text = value.to_string_lossy();
    match text.parse::<usize>() {
        // 0 is rayon's word for one for each core.
        Ok(threads) if threads <= MOST => Ok(()),
        _ => {
            let accepted = format!("from 1 to {MOST}, or 0 for one for each core");
            let message = format!("{VARIABLE}: must be {accepted}, got {text:?}");
            Err(Failure::bad_input(message))
        }
    }
}

/// Reads the flag.
pub fn parse(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads) if (1..=MOST).contains(&threads) => Ok(threads),
        _ => Err(format!("must be from 1 to {MOST}")),
    }
}
