//! The network through which scores look at images, and what it has seen.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::{Source, file_sha256};
use pfgmpp_config::{ConfigError, FeaturesConfig};
use pfgmpp_features::{Extractor, FeatureNetwork};
use pfgmpp_hub::Reference;

use crate::cache::Cache;
use crate::error::RunError;
use crate::free_memory::free_memory;
use crate::memory::{check_needed, held};
use crate::observer::{Observer, Phase, Progress, StopFlag};

/// The key of a configuration that names the network.
const KEY: &str = "scoring.features";
/// The file of weights in a folder or repository that is named as a whole.
const WEIGHTS: &str = "model.safetensors";
/// Images that are looked at between two reports of how far it is.
const AT_A_TIME: usize = 64;
/// Networks that a process keeps for its next runs.
const NETWORKS: usize = 2;
/// Features of data sets that it keeps.
const DATA_SETS: usize = 64;
/// Matrices of the size of a covariance that a Fréchet distance holds at a time.
const MATRICES: u64 = 8;

/// The file that `weights` names, as [`resolve`](pfgmpp_checkpoint::resolve) takes it: a folder or a repository stands for its
/// `model.safetensors`.
///
/// # Errors
///
/// What is not there, in a sentence that begins with it.
pub fn feature_weights(weights: &str) -> Result<String, String> {
    if Reference::is_meant(weights) {
        let mut named: Reference = weights.parse().map_err(|e| format!("{e}"))?;
        if named.path.is_empty() {
            named.path = WEIGHTS.to_string();
        }
        return Ok(named.to_string());
    }
    let path = Path::new(weights);
    if !path.exists() {
        return Err(format!("{weights}: there is no such file or folder"));
    }
    match path.is_dir() {
        true if !path.join(WEIGHTS).is_file() => Err(format!(
            "{weights}: the folder has no {WEIGHTS}: name the file"
        )),
        true => Ok(path.join(WEIGHTS).display().to_string()),
        false => Ok(weights.to_string()),
    }
}

/// Refuses to look through `network`, with the file of its `weights`, where the memory does not suffice.
///
/// # Errors
///
/// [`RunError::Memory`].
pub fn check_feature_memory(
    network: FeatureNetwork,
    weights: Option<&Path>,
) -> Result<(), RunError> {
    let needed = memory_of(network, weights);
    check_needed(("network", network.name()), free_memory(), needed)
}

/// Reads `network`, of the file of its `weights` unless they are built in, on `device`.
///
/// # Errors
///
/// Weights that cannot be read or are another network's.
pub fn load_feature_network(
    network: FeatureNetwork,
    weights: Option<&Path>,
    device: &Device,
) -> Result<Extractor, RunError> {
    let Some(weights) = weights else {
        return Ok(Extractor::digits(device)?);
    };
    let tensors = Source::open(weights).and_then(|source| source.tensors(&Device::Cpu))?;
    Ok(Extractor::new(network, tensors, device)?)
}

/// Bytes that looking through `network` takes on all threads, with its weights, beside what is looked at.
fn memory_of(network: FeatureNetwork, weights: Option<&Path>) -> u64 {
    let file = weights.map(std::fs::metadata);
    let weights = file.and_then(Result::ok).map_or(0, |file| file.len());
    let threads = rayon::current_num_threads() as u64;
    held(
        weights,
        weights.saturating_add(threads * network.working_memory()),
    )
}

/// What memory features take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeatureMemory {
    num_features: u64,
}

impl FeatureMemory {
    pub(crate) fn of(network: &Extractor) -> Self {
        Self {
            num_features: network.num_features() as u64,
        }
    }

    /// Of the features of so many images.
    pub fn features(self, images: u64) -> u64 {
        images.saturating_mul(4 * self.num_features)
    }

    /// Of what comes and goes while `num` samples are compared with `held_out` images.
    pub fn comparing(self, num: u64, held_out: u64) -> u64 {
        let numbers = num
            .saturating_add(held_out)
            .saturating_mul(self.num_features);
        let numbers = numbers.saturating_add(MATRICES * self.num_features * self.num_features);
        numbers.saturating_mul(8)
    }
}

/// A network that was read.
pub(crate) struct OpenNetwork {
    pub extractor: Extractor,
    /// [`FeatureSource::fingerprint`] as it was then.
    pub fingerprint: String,
}

/// A network that a configuration names, with the place of its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureSource {
    network: FeatureNetwork,
    weights: Option<PathBuf>,
}

impl FeatureSource {
    pub(crate) fn new(config: &FeaturesConfig, weights: Option<PathBuf>) -> Self {
        let network = match config {
            FeaturesConfig::Digits => FeatureNetwork::Digits,
            FeaturesConfig::Inception { .. } => FeatureNetwork::Inception,
            FeaturesConfig::Dinov2 { .. } => FeatureNetwork::DinoV2,
        };
        Self { network, weights }
    }

    /// Makes sure that the network can be read, and keeps nothing of it; which it is and what its weights mean for scores, where
    /// that is not what its name says, and the memory of its features.
    ///
    /// # Errors
    ///
    /// Weights that cannot be read or are another network's.
    pub(crate) fn check(&self) -> Result<(Vec<String>, FeatureMemory), RunError> {
        let network = self.read(&Device::Cpu)?;
        let caution = network.caution().map(str::to_string);
        let about = format!("scoring.features: {}", network.about());
        let notes = std::iter::once(about).chain(caution).collect();
        Ok((notes, FeatureMemory::of(&network)))
    }

    /// Tells it from other networks, and from the same one with other weights, by the checksum of their file.
    ///
    /// # Errors
    ///
    /// Weights that cannot be read.
    pub fn fingerprint(&self) -> Result<String, RunError> {
        let Some(weights) = &self.weights else {
            return Ok(self.network.to_string());
        };
        static SUMS: Cache<(PathBuf, u64, Option<SystemTime>), String> = Cache::of(DATA_SETS);
        let file = std::fs::metadata(weights).map_err(RunError::io(weights))?;
        let key = (weights.clone(), file.len(), file.modified().ok());
        let sum = SUMS.get_or_make(key, || Ok(file_sha256(weights)?))?;
        Ok(format!("{} {sum}", self.network))
    }

    /// Bytes of memory that all runs of a process share while they look through it, beside the features of data.
    pub(crate) fn shared_memory(&self) -> u64 {
        memory_of(self.network, self.weights.as_deref())
    }

    /// Refuses to look through it where that takes `needed` bytes in all and fewer are `free`.
    ///
    /// # Errors
    ///
    /// [`RunError::Memory`].
    pub(crate) fn check_memory(&self, free: Option<u64>, needed: u64) -> Result<(), RunError> {
        check_needed((KEY, self.network.name()), free, needed)
    }

    fn read(&self, device: &Device) -> Result<Extractor, RunError> {
        let weights = self.weights.as_deref();
        load_feature_network(self.network, weights, device).map_err(|error| match error {
            RunError::Tensor(_) => error,
            refused => ConfigError::new(KEY, refused).into(),
        })
    }

    /// The network, which is read once for all runs of this process.
    ///
    /// # Errors
    ///
    /// As [`Self::check`].
    pub(crate) fn open(&self, device: &Device) -> Result<Arc<OpenNetwork>, RunError> {
        static OPEN: Cache<(FeatureSource, String), OpenNetwork> = Cache::of(NETWORKS);
        let key = (self.clone(), format!("{:?}", device.location()));
        OPEN.get_or_make(key, || {
            Ok(OpenNetwork {
                fingerprint: self.fingerprint()?,
                extractor: self.read(device)?,
            })
        })
    }

    /// The features of `data`, which `fingerprint` tells from others, and which are looked at once for all runs of this
    /// process.
    ///
    /// # Errors
    ///
    /// As [`Self::open`] and [`extract`].
    pub(crate) fn features_of_data(
        &self,
        (data, fingerprint): (&Tensor, String),
        device: &Device,
        stop: &StopFlag,
        observer: &mut dyn Observer,
    ) -> Result<Arc<Tensor>, RunError> {
        static FEATURES: Cache<(FeatureSource, String), Tensor> = Cache::of(DATA_SETS);
        let key = format!("{fingerprint} {:?}", device.location());
        FEATURES.get_or_make((self.clone(), key), || {
            extract(&self.open(device)?.extractor, data, stop, observer)
        })
    }
}

impl fmt::Display for FeatureSource {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.weights {
            Some(weights) => write!(f, "{} of {}", self.network, weights.display()),
            None => self.network.fmt(f),
        }
    }
}

/// The features `[n, num_features]` of `images` `[n, C, H, W]`, as pictures of 8 bits.
///
/// # Errors
///
/// [`RunError::Stopped`] when asked to stop, pixels that are not finite, failures of the tensor backend.
pub(crate) fn extract(
    network: &Extractor,
    images: &Tensor,
    stop: &StopFlag,
    observer: &mut dyn Observer,
) -> Result<Tensor, RunError> {
    let num = images.dims()[0];
    let go_on = |_: usize| !stop.is_raised();
    let began = Instant::now();
    let mut rows = Vec::with_capacity(num.div_ceil(AT_A_TIME));
    for start in (0..num).step_by(AT_A_TIME) {
        observer.progress(&Progress {
            phase: Phase::Features,
            done: start as u64,
            total: num as u64,
            loss: None,
            seconds_left: (start > 0)
                .then(|| began.elapsed().as_secs_f64() / start as f64 * (num - start) as f64),
        });
        let part = images.narrow(0, start, AT_A_TIME.min(num - start))?;
        rows.push(network.features(&part, &go_on)?);
    }
    Ok(Tensor::cat(&rows, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_or_repository_stands_for_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().display().to_string();
        let refused = feature_weights(&text).unwrap_err();
        assert!(
            refused.contains("has no model.safetensors"),
            "got {refused}"
        );
        std::fs::write(folder.path().join(WEIGHTS), b"").unwrap();
        let found = feature_weights(&text).unwrap();
        assert_eq!(Path::new(&found), folder.path().join(WEIGHTS));
        let of_the_hub = feature_weights("hf://facebook/dinov2-small").unwrap();
        assert_eq!(of_the_hub, "hf://facebook/dinov2-small/model.safetensors");
        let none = feature_weights("no/such.pth").unwrap_err();
        assert!(none.contains("no such file"), "got {none}");
    }
}
