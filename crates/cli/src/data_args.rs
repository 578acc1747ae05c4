//! The flags that name data for a model.

use std::path::Path;

use pfgmpp_config::yaml::parse_value;
use pfgmpp_data::{DataError, DataSource, Dataset, ImageArchive, ImageFolder, NpyArray, Splits};
use pfgmpp_run::{RunError, SamplingModel};

use crate::download::hub;
use crate::failure::Failure;
use crate::model_args::tagged;
use crate::terminal::note;

/// Data, and which part of them.
#[derive(clap::Args)]
pub struct DataArgs {
    /// The data: a source as in a configuration, such as digits or 'npy: {path: x.npy, range: [-1, 1]}'; or the path of
    /// a folder or .zip of images or of a .npy of bytes
    #[arg(long, value_name = "SOURCE")]
    data: String,
    /// Which part of them
    #[arg(long, value_enum, default_value_t = Split::HeldOut)]
    split: Split,
}

/// A part of the data.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Split {
    /// What is held out: no model has learnt from it
    #[value(name = "held_out", alias = "held-out")]
    HeldOut,
    /// What models learn from
    Train,
    /// Both, what models learn from first
    All,
}

impl DataArgs {
    /// Reads the parts that are asked for, each with its name, for `model`.
    ///
    /// # Errors
    ///
    /// Data that cannot be read, are of another shape than the model's, or lack its classes.
    pub fn load(&self, model: &SamplingModel) -> Result<Vec<(&'static str, Dataset)>, Failure> {
        let source = source(&self.data)?;
        let at = |e: DataError| Failure::from(RunError::from(e));
        source.fetch(&hub()).map_err(at)?;
        let splits = pfgmpp_run::load(&source)?;
        note(format_args!("data: {}", splits.found));
        self.check(model, &splits.train)?;
        let Splits {
            train, held_out, ..
        } = splits;
        Ok(match self.split {
            Split::HeldOut => vec![("held_out", held_out)],
            Split::Train => vec![("train", train)],
            Split::All => vec![("train", train), ("held_out", held_out)],
        })
    }

    fn check(&self, model: &SamplingModel, data: &Dataset) -> Result<(), Failure> {
        let (got, want) = (data.image_shape(), model.shape());
        if got != want {
            return Err(Failure::bad_input(format!(
                "--data {}: must be of the model's shape {want:?}, got {got:?}",
                self.data
            )));
        }
        let (got, want) = (data.num_classes(), model.label_dim());
        if want > 0 && got != want {
            return Err(Failure::bad_input(format!(
                "--data {}: must have the model's {want} classes, as an item is taken in its class, got {got}",
                self.data
            )));
        }
        Ok(())
    }
}

/// The class of each item, for a model that has classes.
pub fn classes(
    model: &SamplingModel,
    data: &Dataset,
    indices: &[usize],
) -> Result<Option<Vec<usize>>, Failure> {
    if model.label_dim() == 0 {
        return Ok(None);
    }
    let labels = data.labels(indices).map_err(RunError::from)?;
    Ok(labels.map(|labels| labels.into_iter().map(|class| class as usize).collect()))
}

/// The source that `text` names: a path that is there, or what a configuration would say.
pub fn source(text: &str) -> Result<DataSource, Failure> {
    let path = Path::new(text).to_path_buf();
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending {
        _ if path.is_dir() => Ok(DataSource::Folder(ImageFolder { path })),
        Some("zip") if path.is_file() => Ok(DataSource::Zip(ImageArchive { path })),
        Some("npy") if path.is_file() => Ok(DataSource::Npy(NpyArray {
            path,
            labels: None,
            range: None,
            layout: None,
        })),
        _ => Ok(parse_value(&tagged(text), "--data")?),
    }
}
