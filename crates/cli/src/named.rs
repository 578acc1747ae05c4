//! What `--samples` and `--reference` name.

use std::path::{Path, PathBuf};

use pfgmpp_data::DataSource;
use pfgmpp_run::RunError;

use crate::data_args::source;
use crate::download::hub;
use crate::failure::Failure;

/// A file or folder that is there, or a source of data that is there as well by now.
pub enum Named {
    Path(PathBuf),
    Source(DataSource),
}

impl Named {
    /// What `text`, the value of `--{flag}`, names; what is of the Hub is fetched.
    ///
    /// # Errors
    ///
    /// Neither a file that is there nor a source.
    pub fn parse(flag: &str, text: &str) -> Result<Self, Failure> {
        let path = Path::new(text);
        if path.exists() {
            return Ok(Self::Path(path.to_path_buf()));
        }
        if looks_like_a_file(path) {
            return Err(Failure::bad_input(format!(
                "{text}: no such file or folder"
            )));
        }
        let source = source(&format!("--{flag}"), text)?;
        source.fetch(&hub()).map_err(RunError::from)?;
        Ok(Self::Source(source))
    }
}

fn looks_like_a_file(path: &Path) -> bool {
    let endings = ["npy", "npz", "safetensors", "csv", "zip", "png"];
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_path = path.components().count() > 1 && !path.to_string_lossy().contains([':', '{']);
    is_path || ending.is_some_and(|ending| endings.contains(&ending))
}
