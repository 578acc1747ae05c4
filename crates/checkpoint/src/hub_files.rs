//! Which files of a repository make up a checkpoint, and fetching them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use pfgmpp_hub::{Hub, Reference};

use crate::CheckpointError;
use crate::checkpoint::{CONFIG as OWN_CONFIG, WEIGHTS as OWN_WEIGHTS, read_config};
use crate::foreign::{self, CONFIG, Diffusers, Layout, PART, PIPELINE, SCHEDULERS, UNETS};

/// The files of one checkpoint, by their names in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Files {
    /// A folder of this program, or a run folder around it.
    Own { config: String, weights: String },
    /// A folder of diffusers.
    Diffusers {
        description: Vec<String>,
        weights: Vec<String>,
    },
    /// A file that was named.
    File(String),
}

impl Files {
    /// What is small and says what the weights are.
    fn description(&self) -> Vec<String> {
        match self {
            Self::Own { config, .. } => vec![config.clone()],
            Self::Diffusers { description, .. } => description.clone(),
            Self::File(name) => vec![name.clone()],
        }
    }

    /// All, the weights last: where they are, everything is.
    fn all(&self) -> Vec<String> {
        let mut files = self.description();
        match self {
            Self::Own { weights, .. } => files.push(weights.clone()),
            Self::Diffusers { weights, .. } => files.extend(weights.iter().cloned()),
            Self::File(_) => {}
        }
        files
    }

    /// Refuses a description that no weights can be read by, before they are fetched.
    fn check(&self, snapshot: &Path, folder: &Path) -> Result<(), CheckpointError> {
        match self {
            Self::Own { config, .. } => read_config(&snapshot.join(config)).map(|_| ()),
            Self::Diffusers { .. } => match Diffusers::find_description(folder)? {
                Some(found) => {
                    let described = found.describe(&mut Vec::new()).map(|_| ());
                    described.map_err(CheckpointError::foreign(folder))
                }
                None => Ok(()),
            },
            Self::File(_) => Ok(()),
        }
    }
}

/// Brings the checkpoint that `reference` names here: its description, and its weights if that is one that
/// can be read. Returns its place and the commit.
pub(crate) fn fetch(
    hub: &Hub,
    reference: &Reference,
) -> Result<(PathBuf, String), CheckpointError> {
    let Reference {
        repo,
        revision,
        path,
    } = reference;
    let chosen = RefCell::new(None);
    let description = |names: &[String]| {
        let files = choose(names, path)?;
        let description = files.description();
        chosen.replace(Some(files));
        Ok(description)
    };
    let fetched = hub.fetch(repo, revision, &description)?;
    let place = match path.as_str() {
        "" => fetched.folder.clone(),
        path => fetched.folder.join(path),
    };
    if let Some(files) = chosen.take() {
        files.check(&fetched.folder, &place)?;
    }
    let all = |names: &[String]| choose(names, path).map(|files| files.all());
    hub.fetch(repo, &fetched.commit, &all)?;
    Ok((place, fetched.commit))
}

/// The files of the checkpoint at `path` of a repository that holds `names`.
fn choose(names: &[String], path: &str) -> Result<Files, String> {
    let has = |name: &String| names.contains(name);
    if !path.is_empty() && has(&path.to_string()) {
        return Ok(Files::File(path.into()));
    }
    let within = |folder: &str| match path {
        "" => folder.to_string(),
        path => format!("{path}/{folder}"),
    };
    for folder in [within(""), within("checkpoint/")] {
        let (config, weights) = (folder.clone() + OWN_CONFIG, folder + OWN_WEIGHTS);
        if has(&config) && has(&weights) {
            return Ok(Files::Own { config, weights });
        }
    }
    let unets = UNETS.map(|unet| within(&format!("{unet}/")));
    for folder in [within("")].into_iter().chain(unets) {
        let config = folder.clone() + CONFIG;
        let Some(weights) = weights(names, &folder).filter(|_| has(&config)) else {
            continue;
        };
        // Beside the network, or beside the folder that it has within a pipeline.
        let around = UNETS.iter().find_map(|unet| {
            let start = folder.strip_suffix('/')?.strip_suffix(unet)?;
            (start.is_empty() || start.ends_with('/')).then_some(start)
        });
        let pipeline = around.unwrap_or(&folder);
        let places = [folder.as_str(), pipeline];
        let scheduler = places
            .iter()
            .flat_map(|place| SCHEDULERS.map(|name| format!("{place}{name}")))
            .find(has)
            .ok_or_else(|| {
                format!(
                    "{} is there, but no {pipeline}{}",
                    weights[0], SCHEDULERS[0]
                )
            })?;
        let index = format!("{pipeline}{PIPELINE}");
        let mut description = vec![config, scheduler];
        description.extend(Some(index).filter(has));
        return Ok(Files::Diffusers {
            description,
            weights,
        });
    }
    Err(nothing(names, path))
}

/// The weights of diffusers in a folder: all in one file, or an index and the parts that it may name.
fn weights(names: &[String], folder: &str) -> Option<Vec<String>> {
    let (best, layout) = foreign::best_weights(|name| names.contains(&format!("{folder}{name}")))?;
    let mut files = vec![format!("{folder}{best}")];
    if layout == Layout::Parts {
        let start = format!("{folder}{PART}");
        let parts = names.iter().filter(|name| name.starts_with(&start));
        files.extend(parts.cloned());
    }
    Some(files)
}

/// What to name instead.
fn nothing(names: &[String], path: &str) -> String {
    let is_file = |name: &&String| {
        let extension = Path::new(name).extension().unwrap_or_default();
        ["pkl", "pt", "pth", "safetensors"]
            .iter()
            .any(|known| extension == *known)
    };
    let files: Vec<&str> = names.iter().filter(is_file).map(String::as_str).collect();
    let place = match path {
        "" => "no checkpoint there".to_string(),
        path => format!("no checkpoint at {path:?}"),
    };
    match files.as_slice() {
        [] => format!(
            "{place}: a folder with {OWN_CONFIG} and {OWN_WEIGHTS}, one of diffusers, or a file of PyTorch is needed"
        ),
        some => {
            let shown = some[..some.len().min(4)].join(", ");
            let more = if some.len() > 4 { ", ..." } else { "" };
            format!("{place}: name one of its files behind a slash ({shown}{more})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], path: &str) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        choose(&names, path).map(|files| files.all())
    }

    #[test]
    fn a_checkpoint_is_its_description_and_the_better_of_its_weights() {
        let flat = [
            "README.md",
            "config.json",
            "diffusion_pytorch_model.bin",
            "diffusion_pytorch_model.safetensors",
            "model_index.json",
            "scheduler_config.json",
        ];
        let nested = [
            "model_index.json",
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.bin",
            "vae/diffusion_pytorch_model.bin",
        ];
        let own = ["README.md", "config.json", "model.safetensors", "x/a.pkl"];
        let parts = [
            "config.json",
            "diffusion_pytorch_model-00001-of-00002.safetensors",
            "diffusion_pytorch_model-00002-of-00002.safetensors",
            "diffusion_pytorch_model.safetensors.index.json",
            "scheduler_config.json",
        ];
        let averaged = [
            "scheduler/scheduler_config.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors",
            "unet_ema/config.json",
            "unet_ema/diffusion_pytorch_model.fp16.safetensors",
        ];
        let beside = [
            "config.json",
            "diffusion_pytorch_model.ema.safetensors",
            "diffusion_pytorch_model.safetensors",
            "scheduler_config.json",
        ];
        for (names, path, want) in [
            (&flat[..], "", &[flat[1], flat[5], flat[4], flat[3]][..]),
            (&nested, "", &[nested[2], nested[1], nested[0], nested[3]]),
            (
                &nested,
                "unet",
                &[nested[2], nested[1], nested[0], nested[3]],
            ),
            (&own, "", &[own[1], own[2]]),
            (&own, "x/a.pkl", &[own[3]]),
            (&flat, "diffusion_pytorch_model.bin", &[flat[2]]),
            (
                &parts,
                "",
                &[parts[0], parts[4], parts[3], parts[1], parts[2]],
            ),
            (&averaged, "", &[averaged[3], averaged[0], averaged[4]]),
            (&beside, "", &[beside[0], beside[3], beside[1]]),
        ] {
            assert_eq!(chosen(names, path).unwrap(), want, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        for (names, path, want) in [
            (
                &["README.md"][..],
                "",
                "no checkpoint there: a folder with config.json",
            ),
            (
                &["a.pkl", "b.pt"],
                "",
                "name one of its files behind a slash (a.pkl, b.pt)",
            ),
            (
                &["a.pkl"],
                "c.pkl",
                "no checkpoint at \"c.pkl\": name one of its files",
            ),
            (
                &["unet/config.json", "unet/diffusion_pytorch_model.bin"],
                "",
                "unet/diffusion_pytorch_model.bin is there, but no scheduler/scheduler_config.json",
            ),
        ] {
            let got = chosen(names, path).unwrap_err();
            assert!(got.contains(want), "got {got}, want {want}");
        }
    }
}
