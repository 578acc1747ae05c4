//! The samples, the reference, and the features of both.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use pfgmpp_features::FeatureNetwork;
use pfgmpp_metrics::{Moments, Scores, TailReport, is_of_tables};
use pfgmpp_run::{NO_NETWORK, SampleSet, StopFlag, is_moments, network_of_moments, read_moments};

use super::Args;
use crate::failure::Failure;
use crate::images::Images;
use crate::named::Named;
use crate::network_args::Viewer;
use crate::terminal::note;

/// How many times the standard deviations of two sets may differ before a line asks about it.
const APART: f64 = 10.0;

/// What is scored, and against what.
pub struct Sets {
    pub samples: Option<SampleSet>,
    pub features: Option<SampleSet>,
    pub reference: Reference,
}

/// What is scored against.
pub enum Reference {
    /// Nothing: statistics are kept for later.
    None,
    /// Samples, or features of them, or both.
    Sets {
        values: Option<SampleSet>,
        features: Option<SampleSet>,
    },
    /// Statistics that were kept.
    Moments(Moments),
}

impl Sets {
    /// Reads all that `args` name, and says in a line each what was read.
    pub fn load(args: &Args) -> Result<Self, Failure> {
        let samples = args
            .samples
            .as_deref()
            .map(|text| read("samples", text))
            .transpose()?;
        let features = args
            .features
            .as_deref()
            .map(|path| read_file("features", path))
            .transpose()?;
        let kept = [
            args.reference_features.as_deref(),
            args.reference.as_deref().map(Path::new),
        ];
        let kept = kept.into_iter().flatten().find(|path| is_moments(path));
        let reference = if let Some(path) = kept {
            let moments = read_moments(path)?;
            note(format_args!(
                "reference: {}: mean and covariance of {} samples of {} values, for the Fréchet distance",
                path.display(),
                moments.num(),
                moments.mean().len()
            ));
            Reference::Moments(moments)
        } else if args.reference.is_none() && args.reference_features.is_none() {
            Reference::None
        } else {
            Reference::Sets {
                values: args
                    .reference
                    .as_deref()
                    .map(|text| read("reference", text))
                    .transpose()?,
                features: args
                    .reference_features
                    .as_deref()
                    .map(|path| read_file("features of the reference", path))
                    .transpose()?,
            }
        };
        let mut samples = samples;
        if let (
            Some(own),
            Reference::Sets {
                values: Some(values),
                ..
            },
        ) = (&mut samples, &reference)
            && own.without_class(values)?
        {
            note(
                "samples: the column class, that of what each was drawn under, is left out: the reference has no such column",
            );
        }
        Ok(Self {
            samples,
            features,
            reference,
        })
    }

    /// Refuses what a network cannot look at, and says what it will see.
    ///
    /// # Errors
    ///
    /// Samples or a reference that are not images.
    pub fn check_images(&self, network: FeatureNetwork) -> Result<(), Failure> {
        if let Some(samples) = &self.samples {
            Images::Values(&samples.values).check("--samples", network)?;
        }
        match &self.reference {
            Reference::Sets {
                values: Some(values),
                ..
            } => Images::Values(&values.values).check("--reference", network),
            _ => Ok(()),
        }
    }

    /// Refuses statistics of the features of another network, or of features where there is none, and the other way round.
    pub fn check_network(&self, args: &Args, viewer: Option<&Viewer>) -> Result<(), Failure> {
        let (Reference::Moments(_), Some(path)) = (&self.reference, &args.reference) else {
            return Ok(());
        };
        let theirs = network_of_moments(path.as_ref());
        let Some(viewer) = viewer else {
            return match theirs {
                Some(theirs) if theirs != NO_NETWORK && args.features.is_none() => {
                    Err(Failure::bad_input(format!(
                        "--reference {path}: holds statistics of features ({theirs}), and the samples are compared themselves: give \
                     that network by --network"
                    )))
                }
                _ => Ok(()),
            };
        };
        let own = viewer.about();
        match theirs {
            Some(theirs) if theirs != own => Err(Failure::bad_input(format!(
                "--reference {path}: holds statistics of another network ({theirs}), the samples are looked at by {own}"
            ))),
            Some(_) => Ok(()),
            None => {
                note(format_args!(
                    "{path} does not say which network its statistics are of: taken for those of {own}"
                ));
                Ok(())
            }
        }
    }

    /// Makes room for the features that [`Self::look`] computes: from here on it is known how many there will be.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn expect_features(&mut self, viewer: &Viewer) -> Result<(), Failure> {
        if let Some(samples) = &self.samples {
            self.features = Some(expected(samples, viewer)?);
        }
        if let Reference::Sets {
            values: Some(values),
            features,
        } = &mut self.reference
        {
            *features = Some(expected(values, viewer)?);
        }
        Ok(())
    }

    /// Computes the features of samples and reference.
    ///
    /// # Errors
    ///
    /// A stop, and failures of the tensor backend.
    pub fn look(&mut self, viewer: &Viewer, stop: &StopFlag) -> Result<(), Failure> {
        if let (Some(samples), Some(features)) = (&self.samples, &mut self.features) {
            features.values = viewer.features(&Images::Values(&samples.values), stop)?;
        }
        if let Reference::Sets {
            values: Some(values),
            features: Some(features),
        } = &mut self.reference
        {
            features.values = viewer.features(&Images::Values(&values.values), stop)?;
        }
        Ok(())
    }

    /// Refuses sets that do not belong together. Images that a network has `looked_at` may be of different shapes.
    pub fn check(&self, looked_at: bool) -> Result<(), Failure> {
        let pairs = match &self.reference {
            Reference::None => return Ok(()),
            Reference::Moments(moments) => {
                let (got, want) = (
                    self.looked_at().elem_count() / self.looked_at().dims()[0],
                    moments.mean().len(),
                );
                return match got == want {
                    true => Ok(()),
                    false => Err(Failure::bad_input(format!(
                        "the samples have {got} values each, the statistics are of {want}: name those of the same features"
                    ))),
                };
            }
            Reference::Sets { values, features } => [
                (
                    "--samples and --reference",
                    self.samples.as_ref().zip(values.as_ref()),
                ),
                (
                    "--features and --reference-features",
                    self.features.as_ref().zip(features.as_ref()),
                ),
            ],
        };
        if pairs.iter().all(|(_, pair)| pair.is_none()) {
            return Err(Failure::bad_input(
                "nothing to compare: give --samples with --reference, or --features with --reference-features",
            ));
        }
        for (flags, pair) in pairs {
            if let Some((own, other)) = pair {
                note_units(flags, &own.values, &other.values)?;
            }
            if let Some((own, other)) = pair
                && let (Some(names), Some(want)) = (&own.columns, &other.columns)
                && names != want
            {
                return Err(Failure::bad_input(format!(
                    "{flags}: must be tables with the same columns in the same order, got {} and {}",
                    names.join(", "),
                    want.join(", ")
                )));
            }
            if let Some((own, other)) = pair
                && shapes_differ(own, other)
            {
                let is_image = |set: &SampleSet| set.values.rank() == 4;
                if looked_at && is_image(own) && is_image(other) {
                    note(format_args!(
                        "{flags}: the images are of {:?} and {:?}: each is resized to what the network takes",
                        &own.values.dims()[1..],
                        &other.values.dims()[1..]
                    ));
                    continue;
                }
                return Err(Failure::bad_input(format!(
                    "{flags}: must have samples of one shape, got {:?} and {:?}",
                    &own.values.dims()[1..],
                    &other.values.dims()[1..]
                )));
            }
        }
        Ok(())
    }

    /// The names of the columns, where both sides are tables.
    pub fn names(&self) -> Option<&[String]> {
        let Reference::Sets { values, .. } = &self.reference else {
            return None;
        };
        let reference = values.as_ref()?.columns.as_ref()?;
        self.samples.as_ref()?.columns.as_ref()?;
        Some(reference)
    }

    /// The tails of each column, if `scores` has any of them.
    pub fn tails(&self, scores: &Scores, seed: u64) -> Result<Option<TailReport>, Failure> {
        let (Some(samples), Reference::Sets { values, .. }) = (&self.samples, &self.reference)
        else {
            return Ok(None);
        };
        match values {
            Some(values) if scores.iter().any(|score| is_of_tables(&score.name)) => {
                let names = self.names().unwrap_or_default();
                let tails = TailReport::measure(&samples.values, &values.values, names, seed);
                let tails = tails.map_err(|e| Failure::bad_input(format!("tails: {e}")))?;
                Ok(Some(tails))
            }
            _ => Ok(None),
        }
    }

    /// What metrics of features look at: features, or else the samples themselves.
    pub fn looked_at(&self) -> &Tensor {
        let set = self.features.as_ref().or(self.samples.as_ref());
        &set.expect("one of them is required").values
    }

    /// The set whose statistics are kept: the reference, or, without one, the samples.
    pub fn to_keep(&self) -> Option<&Tensor> {
        match &self.reference {
            Reference::None => Some(self.looked_at()),
            Reference::Sets { values, features } => {
                features.as_ref().or(values.as_ref()).map(|set| &set.values)
            }
            Reference::Moments(_) => None,
        }
    }
}

/// Says so where two sets spread so differently that they are hardly in the same units, as bytes and values in [-1, 1] are.
fn note_units(flags: &str, own: &Tensor, other: &Tensor) -> Result<(), Failure> {
    let spread = |values: &Tensor| -> candle_core::Result<f64> {
        let values = values.to_dtype(DType::F64)?.flatten_all()?;
        let about_mean = values.broadcast_sub(&values.mean_all()?)?;
        Ok(about_mean.sqr()?.mean_all()?.to_scalar::<f64>()?.sqrt())
    };
    let (own, other) = (spread(own)?, spread(other)?);
    if own.max(other) > APART * own.min(other) {
        note(format_args!(
            "{flags}: the standard deviations are {own:.3} and {other:.3}: are both in the same units?"
        ));
    }
    Ok(())
}

/// Whether samples of the two cannot be compared value by value.
pub fn shapes_differ(a: &SampleSet, b: &SampleSet) -> bool {
    let images = a.values.rank() == 4 && b.values.rank() == 4;
    a.n() != b.n() || (images && a.values.dims()[1..] != b.values.dims()[1..])
}

/// Reads a file or folder that is there, or the held-out part of a data source.
fn read(what: &str, text: &str) -> Result<SampleSet, Failure> {
    match Named::parse(what, text)? {
        Named::Path(path) => read_file(what, &path),
        Named::Source(source) => {
            let set = SampleSet::held_out(&source)?;
            note(format_args!("{what}: {}", set.found));
            Ok(set)
        }
    }
}

/// Features that are yet to be computed, of their number alone: zeros that take no memory.
fn expected(set: &SampleSet, viewer: &Viewer) -> Result<SampleSet, Failure> {
    let shape = (set.values.dim(0)?, viewer.num_features());
    let zero = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    Ok(SampleSet {
        found: format!("{} features of {}", viewer.num_features(), set.found),
        values: zero.broadcast_as(shape)?,
        columns: None,
    })
}

fn read_file(what: &str, path: &Path) -> Result<SampleSet, Failure> {
    let set = SampleSet::read(path)?;
    note(format_args!("{what}: {}", set.found));
    Ok(set)
}
