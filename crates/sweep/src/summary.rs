//! From a sweep's table and run folders to its report.

use std::path::Path;

use pfgmpp_train::{Reference, RunConfig, RunFolder, RunResult, read_log};
use serde::Serialize;

use crate::report::{self, Metric, Report};
use crate::{Plan, Row, Status, SweepResult};

/// Gathers what the report shows: the table, and each run's grid and loss curve from its folder.
///
/// A grid or log that is missing is left out: the report of a half-finished sweep is a report.
pub fn report_of(plan: &Plan, result: &SweepResult, out: &Path) -> Report {
    Report {
        title: result.name.clone(),
        description: result.description.clone(),
        settings: settings(plan),
        metrics: vec![
            Metric::energy_distance(),
            Metric::sliced_wasserstein(),
            Metric::figure("train_loss", "Training loss"),
            Metric::figure("nimg", "Images"),
            Metric::figure("seconds", "Seconds"),
        ],
        rows: result.rows.iter().map(|row| report_row(row, out)).collect(),
        references: result.references.iter().map(report_reference).collect(),
    }
}

/// What the runs were made with; a setting in which they differ says so.
fn settings(plan: &Plan) -> Vec<(String, String)> {
    let mut settings = settings_of(&plan.points[0].config);
    for point in &plan.points[1..] {
        for (shared, own) in settings.iter_mut().zip(settings_of(&point.config)) {
            if shared.1 != own.1 {
                shared.1 = "differs between runs: see each run's config.yaml".to_string();
            }
        }
    }
    settings
}

fn settings_of(config: &RunConfig) -> Vec<(String, String)> {
    let (training, scoring) = (&config.training, &config.scoring);
    let (nimg, batch_size) = (training.nimg, training.batch_size);
    [
        ("data", one_line(&config.data)),
        ("network", one_line(&config.network)),
        ("preconditioning", one_line(&config.preconditioning)),
        ("objective", one_line(&config.objective)),
        ("optimizer", one_line(&config.optimizer)),
        ("average", one_line(&config.ema)),
        (
            "training",
            format!("{nimg} images in batches of {batch_size}"),
        ),
        ("sampler", one_line(&config.sampler)),
        (
            "scores",
            format!(
                "{} samples against the held-out images, {} projections",
                scoring.num_samples, scoring.num_projections
            ),
        ),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .to_vec()
}

/// A part of a configuration as YAML writes it on one line.
fn one_line(part: &impl Serialize) -> String {
    let json = serde_json::to_string(part).unwrap_or_default();
    let spaced = json.replace('"', "").replace(':', ": ").replace(',', ", ");
    spaced
        .trim_start_matches('{')
        .strip_suffix('}')
        .unwrap_or(&spaced)
        .to_string()
}

fn report_row(row: &Row, out: &Path) -> report::Row {
    let others = row
        .values
        .iter()
        .filter(|(key, _)| key != "d" && key != "seed");
    let variant: Vec<String> = others
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let folder = out.join(&row.name);
    let curve = read_log(&RunFolder::log_in(&folder)).unwrap_or_default();
    report::Row {
        name: row.name.clone(),
        d: Some(row.d),
        variant: variant.join(" "),
        seed: row.seed,
        status: match row.status {
            Status::Finished => report::Status::Finished,
            Status::Pending | Status::Interrupted => report::Status::Unfinished,
            Status::Failed => report::Status::Failed {
                reason: row.message.clone(),
            },
        },
        scores: row.result.as_ref().map(run_scores).unwrap_or_default(),
        grid_png: std::fs::read(RunFolder::grid_in(&folder)).ok(),
        loss_curve: curve
            .iter()
            .map(|line| (line.nimg as f64, line.loss))
            .collect(),
    }
}

fn run_scores(result: &RunResult) -> Vec<(String, f64)> {
    [
        ("energy_distance", result.scores.energy_distance),
        ("sliced_wasserstein", result.scores.sliced_wasserstein),
        ("train_loss", result.train_loss),
        ("nimg", result.nimg as f64),
        ("seconds", result.seconds),
    ]
    .map(|(key, value)| (key.to_string(), value))
    .to_vec()
}

fn report_reference(reference: &Reference) -> report::Reference {
    report::Reference {
        name: reference.name.clone(),
        meaning: reference.meaning.clone(),
        scores: vec![
            (
                "energy_distance".to_string(),
                reference.scores.energy_distance,
            ),
            (
                "sliced_wasserstein".to_string(),
                reference.scores.sliced_wasserstein,
            ),
        ],
    }
}
