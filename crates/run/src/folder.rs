//! The folder of one run: what lies where.

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_checkpoint::read_sealed_tensors;
use pfgmpp_store::{LockedFolder, StoreError, adopt, check_writable};

use crate::result::is_result;

/// The folders of the state and of pictures.
const INNER: [&str; 2] = ["state", "samples"];
/// The folder of averages that were saved on the way.
const AVERAGES: &str = "averages";

/// A locked run folder; the lock ends with the value, or with the process.
pub struct RunFolder(LockedFolder);

impl RunFolder {
    /// Opens `path`, makes it if need be, locks it, and removes what an interrupted write left in it.
    ///
    /// # Errors
    ///
    /// A folder that another process holds, or that cannot be made.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::adopt_copied(path)?;
        LockedFolder::open(path, &[INNER[0], INNER[1], AVERAGES]).map(Self)
    }

    /// Whether there is a run in `path` whose result or state is what this program wrote.
    pub fn is_run(path: &Path) -> bool {
        let result = || std::fs::read(Self::metrics_in(path)).is_ok_and(|bytes| is_result(&bytes));
        let state = || read_sealed_tensors(&Self::state_in(path), &Device::Cpu).is_ok();
        Self::config_in(path).is_file() && (result() || state())
    }

    /// Whether there is a sweep in `path`, or its plan.
    pub fn is_sweep(path: &Path) -> bool {
        let there = |name: &&str| path.join(name).is_file();
        !Self::config_in(path).exists() && ["results.json", "plan.json"].iter().any(there)
    }

    /// Takes a run that was copied without its hidden files for what it is.
    fn adopt_copied(path: &Path) -> Result<(), StoreError> {
        match !path.join(".lock").exists() && Self::is_run(path) {
            true => adopt(path),
            false => Ok(()),
        }
    }

    /// As [`Self::open`], of a folder within that of a sweep, which is not made, and at which another process may look just now:
    /// asks again for two seconds.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; [`StoreError::Gone`] where the sweep's folder is not there.
    pub fn open_within(sweep: &Path, path: &Path) -> Result<Self, StoreError> {
        Self::adopt_copied(path)?;
        LockedFolder::open_within(sweep, path, &[INNER[0], INNER[1], AVERAGES]).map(Self)
    }

    /// Makes the folders that a run writes into in the end, and finds out whether it may.
    ///
    /// # Errors
    ///
    /// One that cannot be made, or may not be written into.
    pub fn prepare(&self) -> Result<(), StoreError> {
        for name in INNER {
            let path = self.path().join(name);
            self.0.make(&path)?;
            check_writable(&path).map_err(StoreError::io(&path))?;
        }
        Ok(())
    }

    /// Makes sure that the folder is still there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`].
    pub fn check(&self) -> Result<(), StoreError> {
        self.0.check()
    }

    /// Removes the file `path` of this run, if it is there.
    ///
    /// # Errors
    ///
    /// Any other failure of the file system.
    pub fn forget(&self, path: &Path) -> Result<(), StoreError> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io(path)(error))
            }
            _ => Ok(()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The resolved configuration, `config.yaml`.
    pub fn config(&self) -> PathBuf {
        Self::config_in(self.path())
    }

    /// Everything needed to go on, `state/state.safetensors`.
    pub fn state(&self) -> PathBuf {
        Self::state_in(self.path())
    }

    /// Where scores of the run in `path` lie by what its model was sampled with besides.
    pub fn evaluations_in(path: &Path) -> PathBuf {
        path.join("evaluations.json")
    }

    /// Where the state of the run in `path` lies, for readers that need no lock.
    pub fn state_in(path: &Path) -> PathBuf {
        path.join("state").join("state.safetensors")
    }

    /// The weights with the lowest error on held-out data, `best/`.
    pub fn best(&self) -> PathBuf {
        self.path().join("best")
    }

    /// Averages that were saved on the way, `averages/`.
    pub fn averages(&self) -> PathBuf {
        Self::averages_in(self.path())
    }

    /// Where averages of the run in `path` lie, for readers that need no lock.
    pub fn averages_in(path: &Path) -> PathBuf {
        path.join(AVERAGES)
    }

    /// Where the configuration of the run in `path` lies, for readers that need no lock.
    pub fn config_in(path: &Path) -> PathBuf {
        path.join("config.yaml")
    }

    /// The weights that sample, `checkpoint/`.
    pub fn checkpoint(&self) -> PathBuf {
        Self::checkpoint_in(self.path())
    }

    /// Where the weights of the run in `path` lie, for readers that need no lock.
    pub fn checkpoint_in(path: &Path) -> PathBuf {
        path.join("checkpoint")
    }

    /// The final sample grid, `samples/grid.png`.
    pub fn grid(&self) -> PathBuf {
        Self::grid_in(self.path())
    }

    /// The scores, `metrics.json`; there when the run is finished.
    pub fn metrics(&self) -> PathBuf {
        Self::metrics_in(self.path())
    }

    /// Where the scores of the run in `path` lie, for readers that need no lock.
    pub fn metrics_in(path: &Path) -> PathBuf {
        path.join("metrics.json")
    }

    /// The scores of each class, `class_scores.json`; there when a run with classes is finished.
    pub fn class_scores(&self) -> PathBuf {
        self.path().join("class_scores.json")
    }

    /// The tails of each column, `tails.json`; there when a run is finished that is scored by tails.
    pub fn tails(&self) -> PathBuf {
        self.path().join("tails.json")
    }

    /// One line of JSON a report, `log.jsonl`.
    pub fn log(&self) -> PathBuf {
        Self::log_in(self.path())
    }

    /// Where the final sample grid of the run in `path` lies, for readers that need no lock.
    pub fn grid_in(path: &Path) -> PathBuf {
        path.join("samples").join("grid.png")
    }

    /// Where the paths of samples in the plane lie, `samples/paths.json`.
    pub fn paths_in(path: &Path) -> PathBuf {
        path.join("samples").join("paths.json")
    }

    /// Where the pictures of samples on their way lie, `samples/paths.png`.
    pub fn strip_in(path: &Path) -> PathBuf {
        path.join("samples").join("paths.png")
    }

    /// Where the log of the run in `path` lies, for readers that need no lock.
    pub fn log_in(path: &Path) -> PathBuf {
        path.join("log.jsonl")
    }

    /// Writes a file of this folder whole, with the folder that holds it.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.write(path, bytes)
    }
}
