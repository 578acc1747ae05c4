//! The flags that name data for a model.

use std::path::Path;

use pfgmpp_config::yaml::parse_value;
use pfgmpp_data::{DataError, DataSource, Dataset, Splits};
use pfgmpp_run::{RunError, SamplingModel};

use crate::download::hub;
use crate::failure::Failure;
use crate::model_args::tagged;
use crate::terminal::note;

/// Data, and which part of them.
#[derive(clap::Args)]
pub struct DataArgs {
    /// The data: a source as in a configuration, such as digits or 'npy: {path: x.npy, range: [-1, 1]}'; or the path of
    /// a folder or .zip of images, a .npy, .npz or .safetensors of bytes, or a file of MNIST's own format
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
        let source = source("--data", &self.data)?;
        let at = |e: DataError| Failure::from(RunError::from(e));
        source.fetch(&hub()).map_err(at)?;
        let splits = pfgmpp_run::load(&source)?;
        note(format_args!("data: {}", splits.found));
        self.check(model, &splits.train)?;
        let Splits {
            mut train,
            mut held_out,
            ..
        } = splits;
        let columns = model.columns();
        if columns != train.columns() {
            // Rows of another file, or of one that has grown: as the model's own were standardised.
            let columns = columns.ok_or_else(|| self.not_a_table())?;
            train = train.standardised_as(columns).map_err(at)?;
            held_out = held_out.standardised_as(columns).map_err(at)?;
            note(
                "the columns are standardised by the checkpoint's numbers, not by those of these data",
            );
        }
        Ok(match self.split {
            Split::HeldOut => vec![("held_out", held_out)],
            Split::Train => vec![("train", train)],
            Split::All => vec![("train", train), ("held_out", held_out)],
        })
    }

    fn not_a_table(&self) -> Failure {
        Failure::bad_input(format!(
            "--data {}: must be data as the model's are, which are not standardised: give a range in place of standardise",
            self.data
        ))
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

/// The source that `text`, the value of `flag`, names: what a configuration would say, or a path that is there.
///
/// # Errors
///
/// A text that is neither, and a path to something that is not data.
pub fn source(flag: &str, text: &str) -> Result<DataSource, Failure> {
    let path = Path::new(text);
    // A word that is a source stays one, whatever lies in the working directory.
    match parse_value(&tagged(text), flag) {
        Ok(source) => Ok(source),
        Err(_) if path.exists() => Ok(DataSource::at(path).map_err(RunError::from)?),
        Err(_) if looks_like_a_file(path) => Err(Failure::bad_input(format!(
            "{text}: no such file or folder"
        ))),
        Err(error) => Err(error.into()),
    }
}

fn looks_like_a_file(path: &Path) -> bool {
    let endings = [
        "npy",
        "npz",
        "safetensors",
        "csv",
        "zip",
        "png",
        "gz",
        "tar",
        "parquet",
    ];
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_path = path.components().count() > 1 && !path.to_string_lossy().contains([':', '{']);
    is_path || ending.is_some_and(|ending| endings.contains(&ending))
}
