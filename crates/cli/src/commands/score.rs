//! `pfgmpp score`: samples against other samples, data or features, from files.

mod choice;
mod report;
mod sets;

use std::path::PathBuf;

use pfgmpp_metrics::{Inputs, Moments, Need, Score, Scores, frechet_distance};
use pfgmpp_run::{NO_NETWORK, RunError, save_moments};

use self::choice::Choice;
use self::sets::{Reference, Sets};
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::network_args::NetworkArgs;
use crate::out_file;
use crate::terminal::{Counter, note};

#[derive(clap::Args)]
pub struct Args {
    /// The samples: a folder or .zip of images, a .npy, .npz, .safetensors or .csv file, or a data source such as digits, of
    /// which the held-out part is taken
    #[arg(long, value_name = "SAMPLES", required_unless_present = "features")]
    samples: Option<String>,
    /// What they are scored against, named the same way; for the Fréchet distance alone, a file that --save-reference
    /// wrote
    #[arg(long, value_name = "REFERENCE", required_unless_present_any = ["reference_features", "save_reference"])]
    reference: Option<String>,
    /// Features of the samples: a .npy, .npz or .safetensors file, one row per sample
    #[arg(long, value_name = "FILE")]
    features: Option<PathBuf>,
    /// Features of the reference, or their statistics as --save-reference wrote them
    #[arg(long, value_name = "FILE", requires = "features")]
    reference_features: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Scores, separated by commas [default: all that can be computed]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    metrics: Vec<String>,
    /// Write mean and covariance of the reference (of its features, if given), for use as a reference later
    #[arg(long, value_name = "FILE.safetensors")]
    save_reference: Option<PathBuf>,
    /// Replace that file if it is there
    #[arg(long, requires = "save_reference")]
    overwrite: bool,
    /// Directions of the sliced Wasserstein distance
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    projections: u32,
    /// Seed of what scores draw
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Write what was found as JSON
    #[arg(long)]
    json: bool,
}

pub fn score(args: &Args) -> Result<(), Failure> {
    let choice = Choice::of(args)?;
    if let Some(path) = &args.save_reference {
        out_file::check(path, &["safetensors"], args.overwrite)?;
    }
    let signals = stop_on_signal()?;
    args.check()?;
    let mut sets = Sets::load(args)?;
    if args.save_reference.is_some() && matches!(sets.reference, Reference::Moments(_)) {
        return Err(Failure::bad_input(
            "--save-reference: statistics are kept already: name samples",
        ));
    }
    if let Some(network) = args.network.named() {
        sets.check_images(network)?;
    }
    let viewer = args.network.load()?;
    if let Some(viewer) = &viewer {
        sets.expect_features(viewer)?;
    }
    sets.check(viewer.is_some())?;
    sets.check_network(args, viewer.as_ref())?;
    let metrics = choice.possible(&sets)?;
    let of_features = metrics
        .iter()
        .any(|metric| metric.needs().contains(&Need::Features));
    if viewer.is_some() && args.save_reference.is_none() && !of_features {
        return Err(Failure::bad_input(
            "--network: none of these metrics looks at features: leave it out",
        ));
    }
    let stop = signals.begin();
    if let Some(viewer) = &viewer {
        sets.look(viewer, stop)?;
    }
    let counter = Counter::new(metrics.len() as u64, "scores");
    let mut scores = Scores::default();
    for metric in &metrics {
        if stop.is_raised() {
            counter.close();
            return Err(Failure::from(RunError::Stopped));
        }
        let name = metric.description().name;
        let refused = |e: pfgmpp_metrics::MetricError| Failure::bad_input(format!("{name}: {e}"));
        match &sets.reference {
            Reference::Moments(reference) => {
                let own = Moments::of(sets.looked_at()).map_err(refused)?;
                scores.push(name, frechet_distance(&own, reference).map_err(refused)?);
            }
            Reference::Sets { .. } => {
                scores.push(
                    name,
                    metric.evaluate(&inputs(args, &sets)).map_err(refused)?,
                );
            }
            Reference::None => {}
        }
        counter.add(1);
    }
    counter.close();
    scores.iter().filter_map(Score::absence).for_each(note);
    if let Some(path) = &args.save_reference {
        let kept = sets.to_keep().expect("what is kept already was refused");
        let moments =
            Moments::of(kept).map_err(|e| Failure::bad_input(format!("--save-reference: {e}")))?;
        let network = match (&viewer, &args.features) {
            (Some(viewer), _) => Some(viewer.about()),
            // Features out of a file do not say what made them.
            (None, Some(_)) => None,
            (None, None) => Some(NO_NETWORK.to_string()),
        };
        save_moments(path, &moments, network)?;
        note(format_args!(
            "statistics of {} samples: {}",
            moments.num(),
            path.display()
        ));
    }
    let tails = sets.tails(&scores, args.seed)?;
    report::report(args, &sets, &scores, tails.as_ref())
}

impl Args {
    /// Refuses features of files beside a network that is to compute them.
    fn check(&self) -> Result<(), Failure> {
        self.network.check()?;
        let given = self.features.is_some() || self.reference_features.is_some();
        if self.network.named().is_some() && given {
            return Err(Failure::bad_input(
                "--network: computes the features: leave --features and --reference-features out",
            ));
        }
        Ok(())
    }
}

/// What metrics are measured on.
fn inputs<'a>(args: &Args, sets: &'a Sets) -> Inputs<'a> {
    let (held_out, features) = match &sets.reference {
        Reference::Sets { values, features } => (values.as_ref(), features.as_ref()),
        _ => (None, None),
    };
    Inputs {
        samples: sets.samples.as_ref().map(|set| &set.values),
        held_out: held_out.map(|set| &set.values),
        features: sets
            .features
            .as_ref()
            .zip(features)
            .map(|(own, other)| [&own.values, &other.values]),
        errors: true,
        resample: true,
        num_projections: args.projections as usize,
        seed: args.seed,
        ..Inputs::default()
    }
}
