//! The log of a run: `log.jsonl`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use pfgmpp_store::{StoreError, write_file};
use serde::{Deserialize, Serialize};

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
    /// Norm of the gradient before it is clipped, mean over the steps since the line before; not in logs of versions
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grad_norm: Option<f64>,
    /// The averaged weights' error on held-out data, where it was measured here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denoising_error: Option<f64>,
    /// Steps so far that were left out because their loss or gradient was not finite; left out itself as long as
    /// there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    /// Main memory that the process held, in MiB, where the system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<f64>,
    /// Processes that share the batches, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<u64>,
    /// Bytes of gradients that the first of them sends to others in a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_sent_per_step: Option<u64>,
    /// Mean loss since the line before of each band of noise levels that was met.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub loss_by_sigma: BTreeMap<String, f64>,
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
    pub fn open(path: &Path, nimg: u64) -> Result<Self, StoreError> {
        let kept: Vec<String> = read_log(path)?
            .into_iter()
            .filter(|line| line.nimg <= nimg)
            .map(|line| to_json_line(&line))
            .collect();
        write_file(path, kept.concat().as_bytes()).map_err(StoreError::io(path))?;
        let file = File::options().append(true).open(path);
        Ok(Self {
            path: path.to_path_buf(),
            file: file.map_err(StoreError::io(path))?,
        })
    }

    /// Appends one line.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn append(&mut self, line: &LogLine) -> Result<(), StoreError> {
        self.file
            .write_all(to_json_line(line).as_bytes())
            .map_err(StoreError::io(&self.path))
    }
}

/// Reads the whole lines of a log; a missing file is an empty log.
///
/// # Errors
///
/// A file that is there and cannot be read.
pub fn read_log(path: &Path) -> Result<Vec<LogLine>, StoreError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = fs::read(path).map_err(StoreError::io(path))?;
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
    fn a_resumed_log_drops_what_came_after_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let line = |nimg| LogLine {
            nimg,
            loss: 0.5,
            lr: 1e-3,
            images_per_second: 10.0,
            grad_norm: Some(0.25),
            denoising_error: None,
            skipped: None,
            memory_mib: None,
            ranks: None,
            bytes_sent_per_step: None,
            loss_by_sigma: BTreeMap::from([("below_0.05".to_string(), 0.5)]),
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
