//! The table of a sweep: `results.csv` and `results.json`.

use std::path::Path;

use pfgmpp_kernel::Dimension;
use pfgmpp_metrics::{Description, standard_error_of};
use pfgmpp_run::{Reference, RunError, RunResult};
use pfgmpp_store::write_file;
use serde::{Serialize, Serializer};

use crate::report::{DataSet, Judgement, Report};
use crate::summary::judgements;
use crate::{Plan, Point};

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not begun.
    Pending,
    /// Held by another process.
    Running,
    /// Stopped on request with its state saved, or with its process.
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
            Self::Running => "running",
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
            data: point.data.clone(),
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
///
/// Written with its judgements behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepResult {
    /// Name of the sweep.
    pub name: String,
    /// What the sweep asks.
    pub description: String,
    /// The data sets.
    pub data: Vec<DataSet>,
    /// What the runs are scored by, in the order of the columns.
    pub metrics: Vec<Description>,
    /// One row per run, in the order of the plan.
    pub rows: Vec<Row>,
    /// Rows that give the scores a scale.
    pub references: Vec<Reference>,
}

impl SweepResult {
    /// The table before any run.
    pub fn pending(plan: &Plan, references: Vec<Reference>, data: Vec<DataSet>) -> Self {
        Self {
            name: plan.name.clone(),
            description: plan.description.clone(),
            data,
            metrics: plan.metrics(),
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

    /// One line a run: its axes other than `d` and `seed` first, then what every run has, scores among it.
    fn to_csv(&self) -> String {
        let scores = self.score_columns();
        let names = scores.iter().map(String::as_str);
        let before = ["d", "seed", "nimg", "train_loss"];
        let after = ["seconds", "status", "message"];
        let fixed: Vec<&str> = before.into_iter().chain(names).chain(after).collect();
        let axes = axes(self.rows.iter(), &fixed);
        let mut csv = csv::Writer::from_writer(Vec::new());
        let header = axes.iter().copied().chain(fixed);
        csv.write_record(header).expect("memory takes any record");
        for row in &self.rows {
            let value = |axis: &&str| value_on(&row.values, axis);
            let fixed = row.fixed_columns(&scores);
            let record: Vec<String> = axes.iter().map(value).chain(fixed).collect();
            csv.write_record(record)
                .expect("every record has as many fields");
        }
        let bytes = csv.into_inner().expect("memory takes any record");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A column a metric, followed by that of its standard error where any run has one.
    fn score_columns(&self) -> Vec<String> {
        let results = || self.rows.iter().filter_map(|row| row.result.as_ref());
        let of_metric = |metric: &Description| {
            let found = |result: &RunResult| result.scores.get(metric.name)?.standard_error;
            let error = results().find_map(found);
            let error = error.map(|_| standard_error_of(metric.name));
            std::iter::once(metric.name.to_string()).chain(error)
        };
        self.metrics.iter().flat_map(of_metric).collect()
    }
}

impl Serialize for SweepResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// What is written, in its order.
        #[derive(Serialize)]
        struct Written<'a> {
            name: &'a str,
            description: &'a str,
            data: &'a [DataSet],
            metrics: &'a [Description],
            rows: &'a [Row],
            references: &'a [Reference],
            judgements: Vec<Judgement>,
        }
        let written = Written {
            name: &self.name,
            description: &self.description,
            data: &self.data,
            metrics: &self.metrics,
            rows: &self.rows,
            references: &self.references,
            judgements: judgements(self),
        };
        written.serialize(serializer)
    }
}

/// The table of models sampled otherwise, `evaluations.csv`: a line for each run and combination, the run's axes first, then
/// the settings, then scores; `None` where there is none.
pub(crate) fn evaluations_csv(result: &SweepResult, report: &Report) -> Option<String> {
    let mut settings: Vec<&String> = Vec::new();
    for evaluated in report.rows.iter().flat_map(|row| &row.evaluations) {
        let keys = evaluated.values.iter().map(|(key, _)| key);
        settings.extend(
            keys.filter(|key| !settings.contains(key))
                .collect::<Vec<_>>(),
        );
    }
    if settings.is_empty() {
        return None;
    }
    let scores: Vec<&str> = result.metrics.iter().map(|metric| metric.name).collect();
    let told = ["d", "seed"];
    let axes = axes(result.rows.iter(), &told);
    let mut csv = csv::Writer::from_writer(Vec::new());
    let header = axes.iter().copied().chain(told);
    let header = header.chain(settings.iter().map(|key| key.as_str()));
    let header = header.chain(scores.iter().copied()).chain(["seconds"]);
    csv.write_record(header).expect("memory takes any record");
    for (row, shown) in result.rows.iter().zip(&report.rows) {
        let own = axes.iter().map(|axis| value_on(&row.values, axis));
        let own: Vec<String> = own
            .chain([row.d.to_string(), row.seed.to_string()])
            .collect();
        for evaluated in &shown.evaluations {
            let settings = settings.iter().map(|key| value_on(&evaluated.values, key));
            let scores = scores.iter().map(|name| {
                let found = evaluated
                    .scores
                    .get(name)
                    .map(|estimate| estimate.value.to_string());
                found.unwrap_or_default()
            });
            let record = own.iter().cloned().chain(settings).chain(scores);
            csv.write_record(record.chain([evaluated.seconds.to_string()]))
                .expect("every record has as many fields");
        }
    }
    let bytes = csv.into_inner().expect("memory takes any record");
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The value under `key`, nothing where there is none.
fn value_on(values: &[(String, String)], key: &str) -> String {
    let found = values.iter().find(|(other, _)| other == key);
    found.map_or(String::new(), |(_, value)| value.clone())
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
    fn fixed_columns(&self, scores: &[String]) -> Vec<String> {
        let result = self.result.as_ref();
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let nimg = result.map(|result| result.nimg.to_string());
        let mut fields = vec![
            self.d.to_string(),
            self.seed.to_string(),
            nimg.unwrap_or_default(),
            number(result.and_then(|r| r.train_loss)),
        ];
        fields.extend(scores.iter().map(|column| {
            let found = |r: &RunResult| r.scores.columns().find(|(name, _)| name == column);
            number(result.and_then(found).map(|(_, value)| value))
        }));
        fields.extend([
            number(result.map(|r| r.seconds)),
            self.status.as_str().to_string(),
            self.message.clone(),
        ]);
        fields
    }
}

#[cfg(test)]
mod tests {
    use pfgmpp_metrics::{Estimate, Scores, Selection};

    use super::*;

    fn row(scores: Option<Scores>) -> Row {
        let (d, seed) = (Dimension::Infinite, 3);
        let result = scores.map(|scores| RunResult {
            d,
            seed,
            nimg: 0,
            train_loss: None,
            scores,
            num_samples: 2,
            params: 0,
            seconds: 1.5,
            sigma_rel: None,
            data_fingerprint: None,
            features_fingerprint: None,
            weights_fingerprint: None,
        });
        Row {
            name: "d=inf,seed=3".to_string(),
            values: vec![("d".to_string(), "inf".to_string())],
            data: "toy".to_string(),
            d,
            seed,
            status: match result {
                Some(_) => Status::Finished,
                None => Status::Pending,
            },
            message: String::new(),
            result,
            skipped: false,
            bad_input: false,
        }
    }

    fn csv(metrics: &Selection, rows: Vec<Row>) -> Vec<String> {
        let result = SweepResult {
            name: "a sweep".to_string(),
            description: String::new(),
            data: Vec::new(),
            metrics: metrics.descriptions().collect(),
            rows,
            references: Vec::new(),
        };
        result.to_csv().lines().map(str::to_string).collect()
    }

    #[test]
    fn columns_are_those_that_every_version_had() {
        let mut scores = Scores::default();
        for (name, value) in [
            ("energy_distance", -0.125),
            ("sliced_wasserstein", 0.1),
            ("denoising_error", 2.0),
        ] {
            scores.push(name, value);
        }
        let got = csv(&Selection::default(), vec![row(Some(scores)), row(None)]);
        let want = [
            "d,seed,nimg,train_loss,energy_distance,sliced_wasserstein,denoising_error,seconds,status,message",
            "inf,3,0,,-0.125,0.1,2,1.5,finished,",
            "inf,3,,,,,,,pending,",
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn columns_follow_the_list_and_have_errors_where_a_run_has_one() {
        let names = ["sliced_wasserstein", "energy_distance"].map(str::to_string);
        let selection = Selection::try_from(names.to_vec()).unwrap();
        let scores = |standard_error| {
            let mut scores = Scores::default();
            scores.push(
                "sliced_wasserstein",
                Estimate {
                    value: 1.0,
                    standard_error,
                },
            );
            scores.push("energy_distance", 2.0);
            scores
        };
        let rows = vec![row(Some(scores(None))), row(Some(scores(Some(0.5))))];
        let got = csv(&selection, rows);
        let want = [
            "d,seed,nimg,train_loss,sliced_wasserstein,sliced_wasserstein_standard_error,energy_distance,seconds,\
             status,message",
            "inf,3,0,,1,,2,1.5,finished,",
            "inf,3,0,,1,0.5,2,1.5,finished,",
        ];
        assert_eq!(got, want);
    }
}
