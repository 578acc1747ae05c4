//! Ctrl-C and termination signals, those of batch systems among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pfgmpp_run::StopFlag;

use crate::failure::Failure;
use crate::terminal::note;

/// The exit code of a process that was stopped.
const STOPPED: i32 = 130;
/// Signals within this time are one that was sent to several.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

/// What hears Ctrl-C and termination signals.
pub struct Signals {
    flag: StopFlag,
    begun: Arc<AtomicBool>,
}

impl Signals {
    /// The flag that the first signal raises from now on, for work that can be gone on with; a second one ends the
    /// process at once.
    pub fn begin(&self) -> &StopFlag {
        self.begun.store(true, Ordering::SeqCst);
        &self.flag
    }
}

/// Hears signals. Until [`Signals::begin`] the first one ends the process: nothing has been begun that could be
/// lost.
pub fn stop_on_signal() -> Result<Signals, Failure> {
    let flag = StopFlag::default();
    let begun = Arc::new(AtomicBool::new(false));
    let (raised, working) = (flag.clone(), Arc::clone(&begun));
    let mut first: Option<Instant> = None;
    ctrlc::set_handler(move || {
        if !working.load(Ordering::SeqCst) {
            note("stopped: nothing is lost");
            std::process::exit(STOPPED);
        }
        if let Some(first) = first {
            // Programs such as timeout send one to the process and one to its group.
            if first.elapsed() > ONE_SIGNAL {
                std::process::exit(STOPPED);
            }
            return;
        }
        first = Some(Instant::now());
        raised.raise();
        note("stopping at the next step (once more to stop at once)");
    })
    .map_err(|e| Failure::Failed(e.into()))?;
    #[cfg(unix)]
    forward::forward().map_err(|e| Failure::Failed(e.into()))?;
    Ok(Signals { flag, begun })
}

/// Makes a file that grows beyond what is allowed an error of whoever writes it, with its name, in place of a signal.
#[cfg(unix)]
pub fn ignore_file_size() {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // A process that cannot do this is ended by the signal as before.
    // SAFETY: nothing is run by it.
    let _ = unsafe { sigaction(Signal::SIGXFSZ, &ignore) };
}

/// The signals by which batch systems say that time is up, which end a process unless it hears them.
#[cfg(unix)]
mod forward {
    use nix::libc::c_int;
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

    /// Treats them as a termination signal.
    pub fn forward() -> nix::Result<()> {
        let handler = SigHandler::Handler(terminate);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
        for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGXCPU] {
            // SAFETY: the handler only raises a signal, which is allowed in one.
            unsafe { sigaction(signal, &action) }?;
        }
        Ok(())
    }

    extern "C" fn terminate(_: c_int) {
        let _ = raise(Signal::SIGTERM);
    }
}
