//! Every configuration and every sweep of the repository can be read.

use std::path::{Path, PathBuf};

use pfgmpp_config::{Document, RunConfig};
use pfgmpp_sweep::Plan;

/// The YAML files of a folder of the repository.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(folder);
    let entries = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml");
    let mut files: Vec<PathBuf> = entries.filter(is_yaml).collect();
    files.sort();
    files
}

#[test]
fn every_configuration_is_read_and_checked() {
    let files = files("configs");
    assert!(files.len() >= 18, "got {files:?}");
    for path in files {
        let (document, _) = Document::read::<RunConfig>(&path).unwrap();
        RunConfig::read(&document, &[]).unwrap();
    }
}

#[test]
fn every_sweep_is_planned() {
    let files = files("experiments");
    assert!(files.len() >= 13, "got {files:?}");
    for path in files {
        let plan = Plan::read(&path, &[]).unwrap();
        let names: Vec<&str> = plan
            .points
            .iter()
            .map(|point| point.name.as_str())
            .collect();
        assert!(names.len() >= 2, "{}: {names:?}", path.display());
    }
}
