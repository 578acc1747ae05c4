//! Progress: bars on a terminal, now and then a plain line elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pfgmpp_data::Found;
use pfgmpp_metrics::Scores;
use pfgmpp_run::{Observer, Phase, Progress};
use pfgmpp_sweep::{Plan, Point, Row, Status, SweepObserver};

use crate::output::is_watched;
pub use crate::output::{note, print, print_json, shell_word};

/// Time between two plain lines of one run.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// The progress of one run: a bar, or plain lines.
enum Display {
    Bar(ProgressBar),
    Lines { name: String, last: Instant },
}

/// The name of the display of reference rows.
const REFERENCES: &str = "reference rows";

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Display {
    fn new(name: &str, bars: Option<&MultiProgress>) -> Self {
        let Some(bars) = bars else {
            return Self::Lines {
                name: name.to_string(),
                last: Instant::now(),
            };
        };
        let style = ProgressStyle::with_template("{prefix:16!} {bar:20} {percent:>3}%  {msg}");
        let bar = bars.add(ProgressBar::new(1));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name.to_string());
        Self::Bar(bar)
    }

    fn show(&mut self, progress: &Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(progress.total);
                bar.set_position(progress.done);
                bar.set_message(describe(progress));
            }
            Self::Lines { name, last } => {
                if last.elapsed() >= BETWEEN_LINES {
                    *last = Instant::now();
                    let percent = 100 * progress.done / progress.total.max(1);
                    note(format_args!("{name}: {percent}%  {}", describe(progress)));
                }
            }
        }
    }

    fn close(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// `training  loss 0.512  1m 20s left`
fn describe(progress: &Progress) -> String {
    let phase = match progress.phase {
        Phase::Training => "training",
        Phase::Sampling => "sampling",
        Phase::Features => "features",
        Phase::Scoring => "scoring",
    };
    let loss = progress.loss.map(|loss| format!("  loss {loss:.3}"));
    let left = progress
        .seconds_left
        .map(|seconds| format!("  {} left", duration(seconds)));
    format!(
        "{phase}{}{}",
        loss.unwrap_or_default(),
        left.unwrap_or_default()
    )
}

/// The scores by which runs compare: `  energy distance 0.0123  sliced Wasserstein 0.0456`.
fn compared(scores: &Scores) -> String {
    let shown = scores.iter().filter_map(|score| {
        let metric = score.description().filter(|metric| metric.across_d)?;
        Some(format!("  {} {:.4}", metric.label, score.estimate.value))
    });
    shown.collect()
}

/// `1h 05m`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

fn bars() -> Option<MultiProgress> {
    is_watched().then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5)))
}

/// Shows a sweep: one display for each run that is going on.
pub struct Terminal {
    bars: Option<MultiProgress>,
    displays: Mutex<Vec<Option<Display>>>,
    /// That of the reference rows, while they are measured.
    references: Mutex<Option<Display>>,
    total: usize,
}

impl Terminal {
    /// A display of every run of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let total = plan.points.len();
        Self {
            bars: bars(),
            displays: Mutex::new((0..total).map(|_| None).collect()),
            references: Mutex::default(),
            total,
        }
    }

    /// Removes the bars.
    pub fn close(&self) {
        if let Some(display) = locked(&self.references).take() {
            display.close();
        }
        if let Some(bars) = &self.bars {
            // A terminal that is gone needs no clearing.
            let _ = bars.clear();
        }
    }

    fn say(&self, line: &str) {
        match &self.bars {
            // A line above the bars; a terminal that is gone needs none.
            Some(bars) => drop(bars.println(line)),
            None => note(line),
        }
    }

    fn displays(&self) -> MutexGuard<'_, Vec<Option<Display>>> {
        locked(&self.displays)
    }
}

/// Says what was found where data were looked for, and what was assumed.
pub fn say_checked(found: &[Found], notes: &[String]) {
    for found in found {
        note(format_args!("data: {found}"));
    }
    notes.iter().for_each(note);
}

impl SweepObserver for Terminal {
    fn checked(&self, found: &[Found], notes: &[String]) {
        say_checked(found, notes);
    }

    fn references(&self, progress: &Progress) {
        let mut display = locked(&self.references);
        let display = display.get_or_insert_with(|| {
            if self.bars.is_none() {
                note(format_args!("{REFERENCES}: measured once, for all runs"));
            }
            Display::new(REFERENCES, self.bars.as_ref())
        });
        display.show(progress);
    }

    fn started(&self, index: usize, point: &Point) {
        if self.bars.is_none() {
            self.say(&format!(
                "{}: started ({} of {})",
                point.name,
                index + 1,
                self.total
            ));
        }
        self.displays()[index] = Some(Display::new(&point.name, self.bars.as_ref()));
    }

    fn progress(&self, index: usize, progress: &Progress) {
        if let Some(display) = &mut self.displays()[index] {
            display.show(progress);
        }
    }

    fn note(&self, _: usize, note: &str) {
        self.say(note);
    }

    fn ended(&self, index: usize, row: &Row) {
        if let Some(display) = self.displays()[index].take() {
            display.close();
        }
        self.say(&match (&row.result, &row.status) {
            (Some(result), _) => format!(
                "{}: {}{}  {}",
                row.name,
                if row.skipped {
                    "already finished"
                } else {
                    "finished"
                },
                compared(&result.scores),
                duration(result.seconds),
            ),
            (None, Status::Failed) => format!("{}: failed: {}", row.name, row.message),
            (None, _) => format!("{}: {}", row.name, row.message),
        });
    }
}

/// Shows one run.
pub struct RunTerminal {
    display: Display,
}

impl RunTerminal {
    /// A display named `name`.
    pub fn new(name: &str) -> Self {
        Self {
            display: Display::new(name, bars().as_ref()),
        }
    }

    /// Removes the bar.
    pub fn close(&self) {
        self.display.close();
    }
}

impl Observer for RunTerminal {
    fn progress(&mut self, progress: &Progress) {
        self.display.show(progress);
    }

    fn note(&mut self, text: &str) {
        note(text);
    }
}

/// Counts up to a total.
pub struct Counter(ProgressBar);

impl Counter {
    /// A bar that counts to `total` of `what`; hidden when the output is not a terminal.
    pub fn new(total: u64, what: &str) -> Self {
        let target = match is_watched() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}  {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.to_string());
        Self(bar)
    }

    /// Counts `done` more.
    pub fn add(&self, done: u64) {
        self.0.inc(done);
    }

    /// Removes the bar.
    pub fn close(&self) {
        self.0.finish_and_clear();
    }
}
