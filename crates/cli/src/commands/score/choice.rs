//! Which scores are taken.

use pfgmpp_metrics::{
    METRICS, Metric, NEAREST, Need, Selection, WIDEST, fewest_rows, is_of_tables,
};

use super::Args;
use super::sets::{Reference, Sets, shapes_differ};
use crate::failure::Failure;
use crate::terminal::note;

/// The scores that are asked for, or all that there are.
pub enum Choice {
    Named(Vec<&'static dyn Metric>),
    All,
}

impl Choice {
    /// What `--metrics` names.
    pub fn of(args: &Args) -> Result<Self, Failure> {
        if args.metrics.is_empty() {
            return Ok(Self::All);
        }
        let names: Vec<String> = args
            .metrics
            .iter()
            .map(|name| name.trim().to_string())
            .collect();
        let selection = Selection::try_from(names);
        let selection = selection.map_err(|e| Failure::bad_input(format!("--metrics: {e}")))?;
        for metric in selection.metrics() {
            if !needs_no_model(*metric) {
                return Err(Failure::bad_input(format!(
                    "--metrics: {} needs a model: name it in scoring.metrics of a configuration",
                    metric.description().name
                )));
            }
        }
        Ok(Self::Named(selection.metrics().to_vec()))
    }

    /// Those that `sets` allow; says what is left out.
    ///
    /// # Errors
    ///
    /// One that was named and cannot be taken.
    pub fn possible(&self, sets: &Sets) -> Result<Vec<&'static dyn Metric>, Failure> {
        let all: Vec<&'static dyn Metric> = match self {
            Self::Named(named) => named.clone(),
            Self::All => METRICS
                .iter()
                .copied()
                .filter(|metric| needs_no_model(*metric))
                // Of images and features they say nothing; of an array that is a table they are taken by name.
                .filter(|metric| !is_of_tables(metric.description().name) || sets.names().is_some())
                .collect(),
        };
        if matches!(sets.reference, Reference::None) {
            return Ok(Vec::new());
        }
        let mut possible = Vec::new();
        for metric in all {
            let name = metric.description().name;
            match (obstacle(metric, sets), self) {
                (None, _) => possible.push(metric),
                (Some(why), Self::Named(_)) => {
                    return Err(Failure::bad_input(format!("--metrics: {name} {why}")));
                }
                (Some(why), Self::All) => note(format_args!("{name} is left out: it {why}")),
            }
        }
        Ok(possible)
    }
}

fn needs_no_model(metric: &dyn Metric) -> bool {
    let from_files = [Need::Samples, Need::HeldOut, Need::Features];
    metric.needs().iter().all(|need| from_files.contains(need))
}

/// Why a metric cannot be taken of `sets`.
fn obstacle(metric: &dyn Metric, sets: &Sets) -> Option<String> {
    let name = metric.description().name;
    let looked_at = sets.looked_at();
    let (num, n) = (
        looked_at.dims()[0],
        looked_at.elem_count() / looked_at.dims()[0],
    );
    let Reference::Sets { values, features } = &sets.reference else {
        return (name != "frechet_distance")
            .then(|| "needs the samples of the reference, not their statistics".to_string());
    };
    if name == "frechet_distance" && n > WIDEST {
        return Some(format!(
            "takes samples of at most {WIDEST} values, got {n}: give features"
        ));
    }
    if metric.needs() == [Need::Features] {
        let featured = sets.features.is_some() && features.is_some();
        let plain = sets.samples.is_some() && values.is_some();
        if !featured && !plain {
            return Some(
                "needs --features with --reference-features, or --samples with --reference"
                    .to_string(),
            );
        }
        let other = if featured { features } else { values };
        let fewest = num.min(other.as_ref().map_or(num, |set| set.values.dims()[0]));
        let of_neighbours = !["frechet_distance", "kernel_distance"].contains(&name);
        return (of_neighbours && fewest <= NEAREST)
            .then(|| format!("needs more than {NEAREST} samples on either side, got {fewest}"));
    }
    let (Some(samples), Some(values)) = (&sets.samples, values) else {
        return Some("needs --samples and --reference".to_string());
    };
    if shapes_differ(samples, values) {
        return Some(format!(
            "compares the images themselves, which must be of one shape, got {:?} and {:?}",
            &samples.values.dims()[1..],
            &values.values.dims()[1..]
        ));
    }
    let fewest = samples.values.dims()[0].min(values.values.dims()[0]);
    let needed = fewest_rows(name);
    (is_of_tables(name) && fewest < needed)
        .then(|| format!("needs at least {needed} rows on either side, got {fewest}"))
}
