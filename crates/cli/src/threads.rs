//! How many threads the program works on.

use crate::failure::Failure;

/// What rayon and candle read at their first use.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// More threads than any machine has cores for.
const MOST: usize = 1024;

/// Settles the number of threads: `flag`, else the environment variable, else one for each core.
///
/// It has to come before any thread is started.
///
/// # Errors
///
/// A variable that is no number of threads.
pub fn settle(flag: Option<usize>) -> Result<(), Failure> {
    if let Some(threads) = flag {
        // SAFETY: the process has one thread yet, so nothing reads the environment meanwhile.
        unsafe { std::env::set_var(VARIABLE, threads.to_string()) }
        return Ok(());
    }
    let Some(value) = std::env::var_os(VARIABLE) else {
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

/// Starts the threads that a command runs on: within them, an operation needs no other thread to begin.
///
/// # Errors
///
/// A system that gives no threads.
pub fn start() -> Result<rayon::ThreadPool, Failure> {
    /// As much as the main thread of a program usually has.
    const STACK: usize = 8 << 20;
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).build();
    pool.map_err(|e| Failure::Failed(e.into()))
}

/// Reads the flag.
pub fn parse(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads) if (1..=MOST).contains(&threads) => Ok(threads),
        _ => Err(format!("must be from 1 to {MOST}")),
    }
}
