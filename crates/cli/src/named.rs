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
        let source = source(&format!("--{flag}"), text)?;
        source.fetch(&hub()).map_err(RunError::from)?;
        Ok(Self::Source(source))
    }
}
