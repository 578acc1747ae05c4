//! Ctrl-C and termination signals.

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
    Ok(flag)
}
