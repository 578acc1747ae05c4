//! Ctrl-C and termination signals, those of batch systems among them.

use pfgmpp_run::StopFlag;

use crate::failure::Failure;
use crate::terminal::note;

/// A flag that the first Ctrl-C or termination signal raises; a second one ends the process at once.
pub fn stop_on_signal() -> Result<StopFlag, Failure> {
    let flag = StopFlag::default();
    let raised = flag.clone();
    ctrlc::set_handler(move || {
        if raised.is_raised() {
            std::process::exit(130);
        }
        raised.raise();
        note("stopping at the next step (once more to stop at once)");
    })
    .map_err(|e| Failure::Failed(e.into()))?;
    #[cfg(unix)]
    forward::forward().map_err(|e| Failure::Failed(e.into()))?;
    Ok(flag)
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
