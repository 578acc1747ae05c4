//! Lines of a command: results on standard output, the rest on standard error.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use pfgmpp_run::RunError;

use crate::failure::Failure;

/// Whether only results and errors are shown.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Why a result could not be written.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// From now on shows results and errors only.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether there is somebody to show bars to.
pub fn is_watched() -> bool {
    io::stderr().is_terminal() && !QUIET.load(Ordering::Relaxed)
}

/// Prints a result; [`finish`] tells whether it could be written. A reader that has gone away, such as `head`, is no
/// failure.
pub fn print(text: impl std::fmt::Display) {
    if let Err(error) = writeln!(io::stdout(), "{text}")
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let mut lost = LOST
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        lost.get_or_insert(error);
    }
}

/// Prints a result as JSON.
///
/// # Errors
///
/// A value that JSON cannot hold, which no result is.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Failed(e.into()))?;
    print(text);
    Ok(())
}

/// Whether all that was printed has been written.
///
/// # Errors
///
/// The first failure of the standard output, such as a full disk.
pub fn finish() -> Result<(), Failure> {
    if let Err(error) = io::stdout().flush()
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(unwritten(error));
    }
    let lost = LOST
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take();
    lost.map_or(Ok(()), |error| Err(unwritten(error)))
}

fn unwritten(error: io::Error) -> Failure {
    RunError::io(Path::new("standard output"))(error).into()
}

/// Writes a line for the reader of the progress, if there is to be one; one that has gone away stops no work.
pub fn note(text: impl std::fmt::Display) {
    if !QUIET.load(Ordering::Relaxed) {
        complain(text);
    }
}

/// Writes a line of which a script, too, has to know.
pub fn complain(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A path as a shell takes it for one word.
pub fn shell_word(path: &Path) -> String {
    pfgmpp_sweep::shell_word(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_is_one_word_of_a_shell() {
        for (path, want) in [
            ("runs/d=1,seed=0", "runs/d=1,seed=0"),
            ("my runs/a", "'my runs/a'"),
            ("it's", r"'it'\''s'"),
            ("größe", "größe"),
            ("a;b", "'a;b'"),
        ] {
            assert_eq!(shell_word(Path::new(path)), want);
        }
    }
}
