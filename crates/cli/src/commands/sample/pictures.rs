//! One PNG a sample, written many at a time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::Tensor;
use pfgmpp_data::to_image;
use pfgmpp_run::RunError;
use pfgmpp_store::{StoreError, write_files, write_new_files};

use super::place::file_name;
use crate::failure::Failure;

/// What is drawn is written at the latest after this time, or when it takes so many bytes: to bring each picture
/// to the disk by itself would take several times as long as to draw it.
const LATEST: Duration = Duration::from_secs(1);
const MOST: usize = 32 << 20;

/// Pictures on their way into a folder.
pub struct Pictures<'a> {
    folder: &'a Path,
    overwrite: bool,
    taken: Vec<PathBuf>,
    waiting: Vec<(PathBuf, Vec<u8>)>,
    bytes: usize,
    since: Instant,
}

impl<'a> Pictures<'a> {
    /// None yet; with `overwrite`, those in the folder are replaced.
    pub fn new(folder: &'a Path, overwrite: bool) -> Self {
        Self {
            folder,
            overwrite,
            taken: Vec::new(),
            waiting: Vec::new(),
            bytes: 0,
            since: Instant::now(),
        }
    }

    /// Takes `samples` `[n, C, H, W]` of `seeds`, and writes what has waited long enough.
    pub fn add(&mut self, samples: &Tensor, seeds: &[u64]) -> Result<(), Failure> {
        for (index, seed) in seeds.iter().enumerate() {
            let image = to_image(&samples.get(index)?).map_err(RunError::from)?;
            let png = image.to_png().map_err(RunError::from)?;
            self.bytes += png.len();
            self.waiting.push((self.folder.join(file_name(*seed)), png));
        }
        if self.since.elapsed() >= LATEST || self.bytes >= MOST {
            self.write()?;
        }
        Ok(())
    }

    /// Those that another call has written meanwhile, and that stay.
    pub fn taken(&self) -> &[PathBuf] {
        &self.taken
    }

    /// Fails if another call has written some of them meanwhile.
    pub fn check_own(&self) -> Result<(), Failure> {
        match self.taken.first() {
            None => Ok(()),
            Some(path) => Err(RunError::from(StoreError::Taken { path: path.clone() }).into()),
        }
    }

    /// Writes all that waits.
    pub fn write(&mut self) -> Result<(), Failure> {
        match self.overwrite {
            true => write_files(&self.waiting).map_err(RunError::from)?,
            false => {
                let taken = write_new_files(&self.waiting).map_err(RunError::from)?;
                self.taken.extend(taken);
            }
        }
        self.waiting.clear();
        (self.bytes, self.since) = (0, Instant::now());
        Ok(())
    }
}
