//! The table of a sweep: `results.csv` and `results.json`.

use std::path::Path;

use pfgmpp_kernel::Dimension;
use pfgmpp_run::{Reference, RunError, RunResult};
use pfgmpp_store::write_file;
use serde::Serialize;

use crate::{Plan, Point};

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not begun.
    Pending,
    /// Stopped on request with its state saved.
    Interrupted,
    /// Could not go on.
    Failed,
    /// Trained, sampled and scored.
    Finished,
}

impl Status {
    /// The word that tables show.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Finished => "finished",
        }
    }
}

/// One run's row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Name of the run and of its folder.
    pub name: String,
    /// Its value on each axis.
    pub values: Vec<(String, String)>,
    /// The data set.
    pub data: String,
    /// The dimension D of the samples.
    pub d: Dimension,
    /// The run's seed.
    pub seed: u64,
    /// How far it has come.
    pub status: Status,
    /// Why it failed, or where it stopped.
    pub message: String,
    /// What it found, once finished.
    pub result: Option<RunResult>,
    /// Whether it had been finished before this call.
    #[serde(skip)]
    pub skipped: bool,
    /// Whether it failed for what was asked of it, such as a full disk, rather than in itself.
    #[serde(skip)]
    pub bad_input: bool,
}

impl Row {
    /// The row of a run that has not begun.
    pub fn pending(point: &Point) -> Self {
        Self {
            name: point.name.clone(),
            values: point.values.clone(),
            data: point.config.data.name(),
            d: point.config.d(),
            seed: point.config.seed,
            status: Status::Pending,
            message: String::new(),
            result: None,
            skipped: false,
            bad_input: false,
        }
    }

    /// Makes it the row of a finished run.
    pub fn finish(&mut self, result: RunResult) {
        self.status = Status::Finished;
        self.result = Some(result);
    }
}

/// What a sweep found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepResult {
    /// Name of the sweep.
    pub name: String,
    /// What the sweep asks.
    pub description: String,
    /// One row a run, in the order of the plan.
    pub rows: Vec<Row>,
    /// Rows that give the scores a scale.
    pub references: Vec<Reference>,
}

impl SweepResult {
    /// The table before any run.
    pub fn pending(plan: &Plan, references: Vec<Reference>) -> Self {
        Self {
            name: plan.name.clone(),
            description: plan.description.clone(),
            rows: plan.points.iter().map(Row::pending).collect(),
            references,
        }
    }

    /// Whether every run is finished.
    pub fn is_finished(&self) -> bool {
        self.rows.iter().all(|row| row.status == Status::Finished)
    }

    /// Writes `results.csv` and `results.json` into `out`, each whole.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn write(&self, out: &Path) -> Result<(), RunError> {
        let put = |name: &str, bytes: &[u8]| {
            let path = out.join(name);
            write_file(&path, bytes).map_err(RunError::io(&path))
        };
        put("results.csv", self.to_csv().as_bytes())?;
        let json = serde_json::to_string_pretty(self).expect("a table has string keys");
        put("results.json", (json + "\n").as_bytes())
    }

    /// One line a run: its axes other than `d` and `seed` first, then the fixed columns.
    fn to_csv(&self) -> String {
        let fixed = [
            "d",
            "seed",
            "nimg",
            "train_loss",
            "energy_distance",
            "sliced_wasserstein",
            "denoising_error",
            "seconds",
            "status",
            "message",
        ];
        let axes = axes(self.rows.iter(), &fixed);
        let mut csv = csv::Writer::from_writer(Vec::new());
        let header = axes.iter().copied().chain(fixed);
        csv.write_record(header).expect("memory takes any record");
        for row in &self.rows {
            let value = |axis: &&str| {
                let found = row.values.iter().find(|(key, _)| key == axis);
                found.map_or(String::new(), |(_, value)| value.clone())
            };
            let record: Vec<String> = axes.iter().map(value).chain(row.fixed_columns()).collect();
            csv.write_record(record)
                .expect("every record has as many fields");
        }
        let bytes = csv.into_inner().expect("memory takes any record");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The axes that any of `rows` lies on, in the order of their appearance, but those `told` elsewhere.
pub fn axes<'r>(rows: impl Iterator<Item = &'r Row>, told: &[&str]) -> Vec<&'r str> {
    let mut axes = Vec::new();
    for (key, _) in rows.flat_map(|row| &row.values) {
        if !told.contains(&key.as_str()) && !axes.contains(&key.as_str()) {
            axes.push(key.as_str());
        }
    }
    axes
}

impl Row {
    fn fixed_columns(&self) -> [String; 10] {
        let number = |value: fn(&RunResult) -> Option<f64>| {
            let shown = self.result.as_ref().and_then(value);
            shown.map_or(String::new(), |value| value.to_string())
        };
        let nimg = self.result.as_ref().map(|result| result.nimg.to_string());
        [
            self.d.to_string(),
            self.seed.to_string(),
            nimg.unwrap_or_default(),
            number(|r| r.train_loss),
            number(|r| Some(r.scores.energy_distance)),
            number(|r| Some(r.scores.sliced_wasserstein)),
            number(|r| Some(r.denoising_error)),
            number(|r| Some(r.seconds)),
            self.status.as_str().to_string(),
            self.message.clone(),
        ]
    }
}
