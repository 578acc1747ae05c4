//! The flags that name data for a model.

use std::path::Path;

use pfgmpp_config::yaml::parse_value;
use pfgmpp_data::{DataSource, Dataset};

use crate::failure::Failure;
use crate::model_args::tagged;
use crate::terminal::note;

/// Data, and which part of them.
#[derive(clap::Args)]
pub struct DataArgs {
    /// Images: a folder, a ZIP archive or a .npy file; or a source as configurations name it, such as digits or
    /// 'npy: {path: x.npy, range: [0, 1]}'
    #[arg(long, value_name = "SOURCE")]
    data: String,
    /// Which part of them
    #[arg(long, value_enum, default_value_t = Split::HeldOut)]
    split: Split,
}

/// Part of a data set.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Split {
    /// What is not trained on
    HeldOut,
    /// What is trained on
    Train,
}

impl DataArgs {
    /// Reads the data, which are to be of `shape` `[C, H, W]`.
    ///
    /// # Errors
    ///
    /// Data that cannot be read or are of another shape.
    pub fn load(&self, shape: [usize; 3]) -> Result<Dataset, Failure> {
        let splits = pfgmpp_run::load(&source(&self.data)?)?;
        note(format_args!("data: {}", splits.found));
        let data = match self.split {
            Split::HeldOut => splits.held_out,
            Split::Train => splits.train,
        };
        match data.image_shape() {
            found if found == shape => Ok(data),
            found => Err(Failure::bad_input(format!(
                "--data {}: images are of shape {found:?}, the model is for {shape:?}",
                self.data
            ))),
        }
    }
}

/// The source that a flag names: by its place, or in the words of configurations.
fn source(text: &str) -> Result<DataSource, Failure> {
    let path = Path::new(text);
    let ends_in = |ending: &str| {
        path.extension()
            .is_some_and(|e| e.eq_ignore_ascii_case(ending))
    };
    let kind = match () {
        () if path.is_dir() => "folder",
        () if ends_in("zip") => "zip",
        () if ends_in("npy") => "npy",
        () => return Ok(parse_value(&tagged(text), "--data")?),
    };
    // A text in JSON's quotes is one of YAML.
    let place = serde_json::Value::from(text);
    Ok(parse_value(
        &format!("{{{kind}: {{path: {place}}}}}"),
        "--data",
    )?)
}
