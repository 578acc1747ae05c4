//! Images that a network is to look at, a batch at a time.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use pfgmpp_data::{DataSource, Dataset, ImageArchive, ImageFolder};
use pfgmpp_features::FeatureNetwork;
use pfgmpp_run::{RunError, SampleSet, load};

use crate::failure::Failure;
use crate::named::Named;
use crate::terminal::note;

/// Images `[C, H, W]` in `[-1, 1]`, in memory or in files that are read when they are needed.
pub enum Images<'a> {
    Values(&'a Tensor),
    /// Sets one behind the other.
    Data(Vec<Dataset>),
}

/// What was read to be looked at.
pub struct Source {
    /// What it is, in a line.
    pub found: String,
    held: Held,
}

enum Held {
    Set(SampleSet),
    Data(Vec<Dataset>),
}

impl Source {
    /// All images of a folder, archive or array; the held-out part of a data source.
    pub fn open(flag: &str, text: &str) -> Result<Self, Failure> {
        let (source, is_whole) = match Named::parse(flag, text)? {
            Named::Source(source) => (source, false),
            Named::Path(path) if path.is_dir() => (DataSource::Folder(ImageFolder { path }), true),
            Named::Path(path) if has_ending(&path, "zip") => {
                (DataSource::Zip(ImageArchive { path }), true)
            }
            Named::Path(path) => {
                let set = SampleSet::read(&path)?;
                return Ok(Self {
                    found: set.found.clone(),
                    held: Held::Set(set),
                });
            }
        };
        let splits = load(&source)?;
        let (which, sets) = match is_whole {
            true => ("all", vec![splits.train, splits.held_out]),
            false => ("the held-out", vec![splits.held_out]),
        };
        if sets.iter().any(|set| set.columns().is_some()) {
            return Err(not_images(flag, "rows of a table"));
        }
        let num: usize = sets.iter().map(Dataset::num_images).sum();
        let [c, h, w] = sets[0].image_shape();
        Ok(Self {
            found: format!("{}: {which} {num} images, of {c}x{h}x{w}", source.name()),
            held: Held::Data(sets),
        })
    }

    /// The images.
    pub fn images(&self) -> Images<'_> {
        match &self.held {
            Held::Set(set) => Images::Values(&set.values),
            Held::Data(sets) => Images::Data(sets.clone()),
        }
    }
}

impl Images<'_> {
    /// How many there are.
    pub fn num(&self) -> usize {
        match self {
            Self::Values(values) => values.dims()[0],
            Self::Data(sets) => sets.iter().map(Dataset::num_images).sum(),
        }
    }

    /// Refuses what a network for images cannot look at, and says what it will see of some images.
    pub fn check(&self, flag: &str, network: FeatureNetwork) -> Result<(), Failure> {
        let shape = match self {
            Self::Values(values) => values.dims()[1..].to_vec(),
            Self::Data(sets) => sets[0].image_shape().to_vec(),
        };
        let &[channels @ (1 | 3), _, _] = shape.as_slice() else {
            return Err(not_images(flag, &format!("samples of shape {shape:?}")));
        };
        match (channels, network.channels()) {
            (1, 3) => note(format_args!(
                "{flag}: grey images are shown to the network with three equal channels"
            )),
            (3, 1) => note(format_args!(
                "{flag}: the network sees no colours: the mean of the three channels"
            )),
            _ => {}
        }
        if let Self::Values(values) = self {
            let values = values.to_dtype(DType::F32)?.flatten_all()?;
            let (least, most): (f32, f32) =
                (values.min(0)?.to_scalar()?, values.max(0)?.to_scalar()?);
            if least >= 0.0 {
                note(format_args!(
                    "{flag}: no value is below 0: are they pixels in [0, 1]? They are taken to lie in [-1, 1]"
                ));
            }
            if least < -1.0 || most > 1.0 {
                note(format_args!(
                    "{flag}: values from {least} to {most} are cut off at -1 and 1, as in a picture"
                ));
            }
        }
        Ok(())
    }

    /// Gives `take` all of them in order, `[B, C, H, W]` of up to `batch`.
    pub fn for_each_batch(
        &self,
        batch: usize,
        mut take: impl FnMut(&Tensor) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Values(values) => {
                for start in (0..self.num()).step_by(batch) {
                    let rows = batch.min(self.num() - start);
                    take(&values.narrow(0, start, rows)?)?;
                }
            }
            Self::Data(sets) => {
                for set in sets {
                    let indices: Vec<usize> = (0..set.num_images()).collect();
                    for chunk in indices.chunks(batch) {
                        take(&set.batch(chunk, &Device::Cpu).map_err(RunError::from)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn not_images(flag: &str, what: &str) -> Failure {
    Failure::bad_input(format!(
        "{flag}: a network looks at images of 1 or 3 channels, got {what}"
    ))
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|own| own.eq_ignore_ascii_case(ending))
}
