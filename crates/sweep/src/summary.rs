//! From a sweep's table and run folders to its report, its judgements and its tables as text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pfgmpp_config::{
    CheckpointSource, FeaturesConfig, ModelConfig, RunConfig, ScoringConfig, yaml,
};
use pfgmpp_metrics::{Description, Need, metric};
use pfgmpp_run::{Reference, RunFolder, RunResult, read_evaluations, read_log};
use pfgmpp_sampler::SamplerConfig;
use pfgmpp_train::{ConditionConfig, Method, TrainerConfig};

use crate::plan::SETUP;
use crate::report::{self, Metric, Report};
use crate::{Plan, Point, Row, Status, SweepResult};

/// Gathers what the report shows: the table, and each run's grid and loss curve from its folder.
///
/// A grid or log that is missing is left out: the report of a half-finished sweep is a report.
pub fn report_of(plan: &Plan, result: &SweepResult, out: &Path) -> Report {
    let told = Told::of(&result.rows);
    Report {
        title: result.name.clone(),
        description: result.description.clone(),
        data: result.data.clone(),
        settings: settings(plan),
        metrics: metrics(plan, result),
        rows: plan
            .points
            .iter()
            .zip(&result.rows)
            .map(|(point, row)| with_files(point, row, &told, out))
            .collect(),
        references: result.references.iter().map(report_reference).collect(),
        configurations: plan.points.iter().map(|p| configuration(p, out)).collect(),
    }
}

/// What a run was made with, and how it is made again.
fn configuration(point: &Point, out: &Path) -> report::Configuration {
    let file = RunFolder::config_in(&out.join(&point.name));
    let mut path = file.display().to_string();
    if path.starts_with('-') {
        path.insert_str(0, "./");
    }
    let again = format!("again/{}", point.name);
    let mut command = format!(
        "pfgmpp train {} --out {}",
        shell_word(&path),
        shell_word(&again)
    );
    if let ModelConfig::Checkpoint {
        source: CheckpointSource::Run(run),
    } = &point.config.model
    {
        // Beside its own folder there is no such run then.
        let reference = out.join(run).display().to_string();
        let model = format!("model={{checkpoint: {{reference: {reference:?}}}}}");
        command += &format!(" --set {}", shell_word(&model));
    }
    report::Configuration {
        run: point.name.clone(),
        values: yaml::leaves(&point.config),
        command: file.is_file().then_some(command),
    }
}

/// `word` as a shell takes it for one.
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=,:@%~".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Which D is best by each metric, and whether chance explains it.
pub fn judgements(result: &SweepResult) -> Vec<report::Judgement> {
    let Report {
        rows,
        metrics,
        references,
        ..
    } = table_of(result);
    report::judgements(&rows, &metrics, &references)
}

/// The part of a report that its tables are made of, without anything from the run folders.
pub(crate) fn table_of(result: &SweepResult) -> Report {
    let told = Told::of(&result.rows);
    Report {
        title: result.name.clone(),
        description: result.description.clone(),
        data: result.data.clone(),
        settings: Vec::new(),
        metrics: result.metrics.iter().map(Metric::of_scores).collect(),
        rows: (result.rows.iter())
            .map(|row| report_row(row, &told))
            .collect(),
        references: result.references.iter().map(report_reference).collect(),
        configurations: Vec::new(),
    }
}

/// The columns of the report; those of training only where something was trained.
fn metrics(plan: &Plan, result: &SweepResult) -> Vec<Metric> {
    let mut features: Vec<&FeaturesConfig> = Vec::new();
    for own in plan
        .points
        .iter()
        .filter_map(|p| p.config.scoring.features.as_ref())
    {
        if !features.contains(&own) {
            features.push(own);
        }
    }
    let names: Vec<&str> = features.iter().map(|features| features.label()).collect();
    let of_scores = |score: &Description| {
        let mut shown = Metric::of_scores(score);
        let compares = metric(score.name).is_some_and(|m| m.needs().contains(&Need::Features));
        if compares && !names.is_empty() {
            shown.label += " of features";
            shown.meaning += &format!(", of features of {}", names.join(" and of "));
        }
        shown
    };
    let mut metrics: Vec<Metric> = result.metrics.iter().map(of_scores).collect();
    if plan
        .points
        .iter()
        .any(|point| point.config.trained().is_some())
    {
        metrics.push(Metric::figure("train_loss", "Training loss"));
        metrics.push(Metric::figure("nimg", "Images"));
    }
    let mut results = result.rows.iter().filter_map(|row| row.result.as_ref());
    if results.any(|result| result.sigma_rel.is_some()) {
        metrics.push(Metric::figure(SIGMA_REL, "Average (sigma_rel)"));
    }
    metrics.push(Metric::figure("seconds", "Seconds"));
    metrics
}

/// Names and values of settings.
type Settings = Vec<(String, String)>;

/// What the runs were made with, setup by setup where those differ.
fn settings(plan: &Plan) -> Settings {
    let of_setups: Vec<(String, Settings)> = by_setup(plan)
        .into_iter()
        .map(|(setup, points)| (setup, shared(&points)))
        .collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in of_setups.iter().flat_map(|(_, own)| own) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let lines = names.into_iter().flat_map(|name| {
        let value = |own: &Settings| own.iter().find(|(other, _)| other == name).cloned();
        let all = of_setups.iter().map(|(setup, own)| (setup, value(own)));
        let all: Vec<_> = all.collect();
        match all.as_slice() {
            [(_, first), rest @ ..] if rest.iter().all(|(_, own)| own == first) => {
                first.clone().into_iter().collect()
            }
            all => {
                let own = all.iter().filter_map(|(setup, own)| {
                    let (name, value) = own.clone()?;
                    Some((format!("{name}, {setup}"), value))
                });
                own.collect::<Settings>()
            }
        }
    });
    lines.collect()
}

/// The runs of each setup, one without a name where there are no setups.
fn by_setup(plan: &Plan) -> Vec<(String, Vec<&Point>)> {
    let mut setups: Vec<(String, Vec<&Point>)> = Vec::new();
    for point in &plan.points {
        let setup = point.value(SETUP).cloned().unwrap_or_default();
        match setups.iter_mut().find(|(other, _)| *other == setup) {
            Some((_, points)) => points.push(point),
            None => setups.push((setup, vec![point])),
        }
    }
    setups
}

/// What the runs of one setup were made with; a setting in which they differ says so.
fn shared(points: &[&Point]) -> Settings {
    let differs = "differs between runs: see each run's config.yaml";
    let mut shared: Settings = Vec::new();
    for (run, point) in points.iter().enumerate() {
        let own = settings_of(&point.config);
        for (name, value) in &mut shared {
            if own
                .iter()
                .all(|setting| setting != &(name.clone(), value.clone()))
            {
                *value = differs.to_string();
            }
        }
        for (name, value) in own {
            if shared.iter().all(|(other, _)| *other != name) {
                let value = if run == 0 { value } else { differs.to_string() };
                shared.push((name, value));
            }
        }
    }
    shared
}

/// The network, by the checkpoint that training starts from before that was read.
fn network_line(model: &TrainerConfig) -> String {
    let start = model.training.start_from.as_ref();
    let start = start.map(|reference| format!(", from {reference}"));
    let network = model.network.as_ref().map(yaml::to_line);
    network.unwrap_or_default() + &start.unwrap_or_default()
}

fn settings_of(config: &RunConfig) -> Settings {
    let scoring = &config.scoring;
    let mut settings = vec![
        ("data", yaml::to_line(&config.data)),
        ("model", model_line(&config.model)),
    ];
    if let Some(model) = config.trained() {
        let (nimg, batch_size) = (model.training.nimg, model.training.batch_size);
        settings.extend([
            ("network", network_line(model)),
            ("method", method_line(&model.method)),
            ("optimizer", yaml::to_line(&model.optimizer)),
            ("average", yaml::to_line(&model.ema)),
            (
                "training",
                format!("{nimg} images in batches of {batch_size}"),
            ),
        ]);
    }
    match config.trained().and_then(|model| model.condition) {
        None => {}
        Some(ConditionConfig::Classes) => {
            settings.push(("condition", "the class of each image".to_string()));
        }
        Some(ConditionConfig::Paired) => {
            settings.push(("condition", "the image beside each".to_string()));
        }
        Some(ConditionConfig::Corrupted(corruption)) => {
            settings.push((
                "condition",
                format!("images, {}", yaml::to_line(&corruption)),
            ));
        }
    }
    if let Some(augment) = config.trained().and_then(|model| model.augment) {
        settings.push(("augmentation", yaml::to_line(&augment)));
    }
    settings.extend([
        ("sampler", sampler_line(&config.sampler)),
        (
            "scores",
            format!(
                "{} samples against the held-out data, {} projections{}",
                scoring.num_samples,
                scoring.num_projections,
                features_line(scoring)
            ),
        ),
    ]);
    let named = settings.into_iter();
    named
        .map(|(name, value)| (name.to_string(), value))
        .collect()
}

/// Which network features are of, where scores compare any.
fn features_line(scoring: &ScoringConfig) -> String {
    let features = scoring.features.as_ref();
    let features = features.map(|features| format!("; features of {}", features.label()));
    features.unwrap_or_default()
}

/// The sampler but for its D, which each run shows.
fn sampler_line(sampler: &SamplerConfig) -> String {
    yaml::to_line(&SamplerConfig {
        d: None,
        ..sampler.clone()
    })
}

fn model_line(model: &ModelConfig) -> String {
    match model {
        ModelConfig::Exact { .. } => "the exact posterior of the training data".to_string(),
        ModelConfig::Network(_) => "a network, trained in each run".to_string(),
        ModelConfig::Checkpoint { source } => match source {
            CheckpointSource::Reference(place) => format!("checkpoint {place}"),
            CheckpointSource::Run(name) => format!("checkpoint of the run {name}"),
        },
    }
}

fn method_line(method: &Method) -> String {
    match method {
        Method::Denoiser {
            preconditioning,
            noise_law,
            reference_batch,
        } => {
            let target = match reference_batch {
                None => "unbiased objective".to_string(),
                Some(size) => format!("stable target over {size}"),
            };
            format!(
                "{target}, {}, {}",
                yaml::to_line(noise_law),
                yaml::to_line(preconditioning)
            )
        }
        Method::Field {
            perturbation,
            prediction,
            large_batch,
        } => format!(
            "original PFGM, field of {large_batch}, {}, {}",
            yaml::to_line(perturbation),
            yaml::to_line(prediction)
        ),
    }
}

/// The row with what the run's folder holds.
fn with_files(point: &Point, row: &Row, told: &Told, out: &Path) -> report::Row {
    let folder = out.join(&row.name);
    let evaluations = row
        .result
        .as_ref()
        .and_then(|result| read_evaluations(&point.config, &folder, result.nimg).ok());
    let curve = read_log(&RunFolder::log_in(&folder)).unwrap_or_default();
    report::Row {
        grid_png: std::fs::read(RunFolder::grid_in(&folder)).ok(),
        paths: paths_of(&folder),
        loss_curve: curve
            .iter()
            .map(|line| (line.nimg as f64, line.loss))
            .collect(),
        evaluations: evaluations.unwrap_or_default(),
        ..report_row(row, told)
    }
}

/// The settings that tell runs of one setup apart, each with its setup: those that are the same in all of them say
/// nothing.
struct Told<'r>(BTreeSet<(&'r str, &'r str)>);

impl<'r> Told<'r> {
    fn of(rows: &'r [Row]) -> Self {
        let (mut first, mut told) = (BTreeMap::new(), BTreeSet::new());
        for row in rows {
            let setup = setup_of(row);
            for (key, value) in &row.values {
                if first.entry((setup, key.as_str())).or_insert(value) != &value {
                    told.insert((setup, key.as_str()));
                }
            }
        }
        Self(told)
    }

    fn tells(&self, row: &Row, key: &str) -> bool {
        key == SETUP || self.0.contains(&(setup_of(row), key))
    }
}

fn setup_of(row: &Row) -> &str {
    let found = row.values.iter().find(|(key, _)| key == SETUP);
    found.map_or("", |(_, value)| value)
}

fn report_row(row: &Row, told: &Told) -> report::Row {
    let others = row.values.iter().filter(|(key, _)| {
        !["d", "sampler.d", "seed", "data"].contains(&key.as_str()) && told.tells(row, key)
    });
    let variant: Vec<String> = others
        .map(|(key, value)| match key.as_str() {
            // The name of a setup speaks for itself.
            SETUP => value.clone(),
            _ => format!("{key}={value}"),
        })
        .collect();
    report::Row {
        name: row.name.clone(),
        data: row.data.clone(),
        d: Some(row.d),
        variant: variant.join(" "),
        seed: row.seed,
        status: match row.status {
            Status::Finished => report::Status::Finished,
            Status::Pending | Status::Running | Status::Interrupted => report::Status::Unfinished,
            Status::Failed => report::Status::Failed {
                reason: row.message.clone(),
            },
        },
        scores: row.result.as_ref().map(run_scores).unwrap_or_default(),
        grid_png: None,
        paths: None,
        loss_curve: Vec::new(),
        evaluations: Vec::new(),
    }
}

/// The paths that the run in `folder` left, if any.
fn paths_of(folder: &Path) -> Option<report::Paths> {
    if let Ok(json) = std::fs::read(RunFolder::paths_in(folder)) {
        return serde_json::from_slice(&json).ok().map(report::Paths::Plane);
    }
    let strip = std::fs::read(RunFolder::strip_in(folder)).ok()?;
    Some(report::Paths::Strip(strip))
}

/// The key of the length of the average that a run has chosen.
const SIGMA_REL: &str = "sigma_rel";

fn run_scores(result: &RunResult) -> Vec<(String, f64)> {
    let trained = result
        .train_loss
        .map(|loss| [("train_loss", loss), ("nimg", result.nimg as f64)]);
    let figures = trained
        .into_iter()
        .flatten()
        .chain(result.sigma_rel.map(|length| (SIGMA_REL, length)))
        .chain([("seconds", result.seconds)]);
    let figures = figures.map(|(key, value)| (key.to_string(), value));
    result.scores.columns().chain(figures).collect()
}

fn report_reference(reference: &Reference) -> report::Reference {
    report::Reference {
        name: reference.name.clone(),
        data: reference.data.clone(),
        meaning: reference.meaning.clone(),
        scores: reference.scores.columns().collect(),
    }
}

#[cfg(test)]
mod tests {
    use pfgmpp_kernel::Dimension;

    use super::*;

    fn row(values: &[(&str, &str)]) -> Row {
        let values = values.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        Row {
            name: "a run".to_string(),
            values: values.collect(),
            data: "digits".to_string(),
            d: Dimension::Infinite,
            seed: 0,
            status: Status::Pending,
            message: String::new(),
            result: None,
            skipped: false,
            bad_input: false,
        }
    }

    #[test]
    fn a_setting_that_is_the_same_in_all_runs_of_a_setup_does_not_name_them() {
        let rows = [
            row(&[("setup", "exact"), ("sampler.solver", "ipndm"), ("d", "1")]),
            row(&[("setup", "exact"), ("sampler.solver", "ipndm"), ("d", "8")]),
            row(&[("setup", "lifted"), ("steps", "4")]),
            row(&[("setup", "lifted"), ("steps", "8")]),
        ];
        let told = Told::of(&rows);
        let got = rows.each_ref().map(|row| report_row(row, &told).variant);
        assert_eq!(got, ["exact", "exact", "lifted steps=4", "lifted steps=8"]);
    }
}
