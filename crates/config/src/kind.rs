//! The kinds of files that configurations are, and how one is told from another.

use serde::de::DeserializeOwned;
use serde_yaml::Value;

use crate::run_config::RunConfig;

/// What a YAML file of this program describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    /// One run: a model, how it is trained, sampled and scored.
    Run,
    /// A sweep: the configuration that its runs start from, and axes.
    Sweep,
}

impl ConfigKind {
    /// What a document is by its keys, whatever else may be wrong with it.
    pub(crate) fn of(document: &Value) -> Option<Self> {
        let map = document.as_mapping()?;
        let has = |keys: &[&str]| keys.iter().all(|key| map.contains_key(key));
        match (
            has(&["sampler", "scoring"]),
            has(&["base"]) || has(&["axes"]),
        ) {
            (true, false) => Some(Self::Run),
            (false, true) => Some(Self::Sweep),
            _ => None,
        }
    }

    /// What such a file is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Run => "the configuration of one run",
            Self::Sweep => "a sweep file",
        }
    }
}

/// What a file is read as.
pub trait Configuration: DeserializeOwned {
    /// The kind of such files.
    const KIND: ConfigKind;
}

impl Configuration for RunConfig {
    const KIND: ConfigKind = ConfigKind::Run;
}
