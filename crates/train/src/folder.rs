//! The folder of one run: what lies where, and the lock that keeps a second process out.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use pfgmpp_checkpoint::{remove_partial, write_file};
use serde::{Deserialize, Serialize};

use crate::RunError;

/// A locked run folder; the lock ends with the value, or with the process.
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Opens `path`, makes it if need be, and locks it.
    ///
    /// # Errors
    ///
    /// A folder that another process holds, or that cannot be made.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let lock = lock(path)?;
        remove_partial(path).map_err(RunError::io(path))?;
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved configuration, `config.yaml`.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.yaml")
    }

    /// Everything needed to go on, `state/state.safetensors`.
    pub fn state(&self) -> PathBuf {
        self.path.join("state").join("state.safetensors")
    }

    /// The weights that sample, `checkpoint/`.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// The final sample grid, `samples/grid.png`.
    pub fn grid(&self) -> PathBuf {
        Self::grid_in(&self.path)
    }

    /// The scores, `metrics.json`; there when the run is finished.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.json")
    }

    /// One line of JSON a report, `log.jsonl`.
    pub fn log(&self) -> PathBuf {
        Self::log_in(&self.path)
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
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), RunError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(RunError::io(parent))?;
        }
        write_file(path, bytes).map_err(RunError::io(path))
    }
}

/// Makes the folder `path` if need be and takes its lock, `.lock`.
///
/// # Errors
///
/// A folder that another process holds, or that cannot be made.
pub fn lock(path: &Path) -> Result<File, RunError> {
    if path.exists() && !path.is_dir() {
        return Err(RunError::NoFolder {
            path: path.to_path_buf(),
        });
    }
    fs::create_dir_all(path).map_err(RunError::io(path))?;
    let file = path.join(".lock");
    // Not truncated: a link in its place must not cost anyone a file.
    let options = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file);
    let lock = options.map_err(RunError::io(&file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(RunError::InUse {
            path: path.to_path_buf(),
        }),
        Err(TryLockError::Error(source)) => Err(RunError::Io { path: file, source }),
    }
}

/// One line of `log.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Images seen.
    pub nimg: u64,
    /// Loss, mean over the images since the line before.
    pub loss: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Speed since the line before.
    pub images_per_second: f64,
}

/// The log of a run, one line of JSON at a time.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log for a run that stands at `nimg`: later lines, of a run that was cut off after
    /// its last saved state, are dropped.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn open(path: &Path, nimg: u64) -> Result<Self, RunError> {
        let kept: Vec<String> = read_log(path)?
            .into_iter()
            .filter(|line| line.nimg <= nimg)
            .map(|line| to_json_line(&line))
            .collect();
        write_file(path, kept.concat().as_bytes()).map_err(RunError::io(path))?;
        let file = File::options().append(true).open(path);
        Ok(Self {
            path: path.to_path_buf(),
            file: file.map_err(RunError::io(path))?,
        })
    }

    /// Appends one line.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn append(&mut self, line: &LogLine) -> Result<(), RunError> {
        self.file
            .write_all(to_json_line(line).as_bytes())
            .map_err(RunError::io(&self.path))
    }
}

/// Reads the whole lines of a log; a missing file is an empty log.
///
/// # Errors
///
/// A file that is there and cannot be read.
pub fn read_log(path: &Path) -> Result<Vec<LogLine>, RunError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = fs::read(path).map_err(RunError::io(path))?;
    let text = String::from_utf8_lossy(&bytes);
    // A last line that was cut off does not parse and is left out.
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

fn to_json_line(line: &LogLine) -> String {
    serde_json::to_string(line).expect("a log line has string keys") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let first = RunFolder::open(&path).unwrap();
        let error = RunFolder::open(&path).err().unwrap().to_string();
        assert!(error.contains("in use by another process"), "got {error}");
        drop(first);
        RunFolder::open(&path).unwrap();
    }

    #[test]
    fn a_resumed_log_drops_what_came_after_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let line = |nimg| LogLine {
            nimg,
            loss: 0.5,
            lr: 1e-3,
            images_per_second: 10.0,
        };
        let mut log = Log::open(&path, 0).unwrap();
        for nimg in [64, 128, 192] {
            log.append(&line(nimg)).unwrap();
        }
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"nimg\": 2").unwrap();
        let mut log = Log::open(&path, 128).unwrap();
        log.append(&line(200)).unwrap();
        let nimgs: Vec<u64> = read_log(&path).unwrap().iter().map(|l| l.nimg).collect();
        assert_eq!(nimgs, [64, 128, 200]);
    }
}
