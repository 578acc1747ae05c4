//! Downloads as a user sees them: a bar on a terminal, a line for each file elsewhere.

use std::sync::{Arc, Mutex};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use pfgmpp_hub::{Hub, HubEvent, HubObserver};

use crate::output::{is_watched, note};

/// The Hub of this process's environment, with its downloads shown.
pub fn hub() -> Hub {
    Hub::from_env().watched_by(Arc::new(Downloads::default()))
}

/// Shows one file at a time.
#[derive(Default)]
struct Downloads {
    /// The file that is shown, and its bar.
    shown: Mutex<Option<(String, ProgressBar)>>,
}

impl HubObserver for Downloads {
    fn observe(&self, event: HubEvent) {
        let mut shown = self
            .shown
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            HubEvent::Progress { file, done, total } => {
                if shown.as_ref().is_none_or(|(name, _)| name != file) {
                    *shown = Some((file.to_string(), begin(file, total)));
                }
                if let Some((_, bar)) = &*shown {
                    bar.set_position(done);
                }
            }
            HubEvent::Fetched { file, total } => {
                let was = shown.take();
                if let Some((_, bar)) = &was {
                    bar.finish_and_clear();
                }
                // Nothing to say of a file that was here under another name.
                if was.is_some() {
                    note(format_args!("fetched {file} ({})", HumanBytes(total)));
                }
            }
            HubEvent::Note(text) => note(text),
        }
    }
}

/// A bar, hidden where there is no terminal; there a line says what is waited for.
fn begin(file: &str, total: u64) -> ProgressBar {
    if !is_watched() {
        note(format_args!("fetching {file} ({})", HumanBytes(total)));
        return ProgressBar::hidden();
    }
    let style = "{msg} {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
    let style = ProgressStyle::with_template(style);
    let bar = ProgressBar::new(total);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(file.to_string());
    bar
}
