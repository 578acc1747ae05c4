//! TensorBoard event files: scalars, images, text and hyperparameters.
//!
//! Built on tensorboard-rs's record framing and its protocol messages. Its `SummaryWriter` is not
//! used: it loses events that are still queued at exit, truncates a file of the same second, and
//! has neither text nor errors.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use protobuf::{Message, RepeatedField};
use tensorboard_proto::event::{Event, SessionLog, SessionLog_SessionStatus};
use tensorboard_proto::summary::{Summary, Summary_Image, Summary_Value, SummaryMetadata};
use tensorboard_proto::tensor::TensorProto;
use tensorboard_proto::types::DataType;
use tensorboard_rs::record_writer::RecordWriter;
use thiserror::Error;

mod hparams;
#[cfg(test)]
mod tests;

const FILE_PREFIX: &str = "events.out.tfevents.";

/// What TensorBoard expects in the first record of a file.
const FILE_VERSION: &str = "brain.Event:2";

/// An event file that could not be made or written.
#[derive(Debug, Error)]
#[error("{}: {cause}", path.display())]
pub struct EventError {
    path: PathBuf,
    /// Part of the message, hence no source of its own: a chain would say it twice.
    cause: io::Error,
}

impl EventError {
    /// What the file system said.
    pub fn io_error(&self) -> &io::Error {
        &self.cause
    }
}

/// Appends events to one TensorBoard event file, the only one of this process for its folder.
///
/// Events are buffered; [`flush`](Self::flush) brings them to the disk, and dropping the writer
/// hands what is buffered to the operating system. The file may be read by TensorBoard while it
/// grows.
pub struct EventWriter {
    path: PathBuf,
    file: Arc<File>,
    records: RecordWriter<BufWriter<Arc<File>>>,
}

impl EventWriter {
    /// Starts a new event file in the folder `dir`; no file that exists is touched.
    ///
    /// The name is `events.out.tfevents.<unix seconds>.<host>.<process id>`.
    ///
    /// # Errors
    ///
    /// When the file cannot be made or written.
    pub fn create(dir: &Path) -> Result<Self, EventError> {
        Self::resume(dir, 0)
    }

    /// Starts a new event file in `dir` for a run that goes on; `step` is the first step that will
    /// be written (again).
    ///
    /// The file says that a session starts at `step`, so that TensorBoard drops the events of
    /// `step` and later which a run left that got further than its last saved state. A run's first
    /// session start drops nothing, whence a file of [`create`](Self::create) has one too.
    ///
    /// # Errors
    ///
    /// When the file cannot be made or written.
    pub fn resume(dir: &Path, step: u64) -> Result<Self, EventError> {
        let error = |cause| EventError {
            path: dir.to_path_buf(),
            cause,
        };
        let (path, file) = create_last(dir).map_err(error)?;
        let file = Arc::new(file);
        let records = RecordWriter::new(BufWriter::new(Arc::clone(&file)));
        let mut writer = Self {
            path,
            file,
            records,
        };
        writer.start_session(step)?;
        writer.flush()?;
        Ok(writer)
    }

    /// The event file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds `value`, stored as f32, to the curve named `tag`; a `/` in the tag groups curves.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn scalar(&mut self, tag: &str, value: f64, step: u64) -> Result<(), EventError> {
        let mut entry = Summary_Value::new();
        entry.set_simple_value(value as f32);
        self.summary(tag, entry, step)
    }

    /// Adds an encoded PNG of `width` by `height` pixels to the image series named `tag`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn image(
        &mut self,
        tag: &str,
        png: &[u8],
        width: u32,
        height: u32,
        step: u64,
    ) -> Result<(), EventError> {
        let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        let mut image = Summary_Image::new();
        image.set_width(side(width));
        image.set_height(side(height));
        image.set_encoded_image_string(png.to_vec());
        let mut entry = Summary_Value::new();
        entry.set_image(image);
        self.summary(tag, entry, step)
    }

    /// Adds a text in Markdown, such as a run's configuration, to the texts named `tag`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn text(&mut self, tag: &str, markdown: &str, step: u64) -> Result<(), EventError> {
        let mut metadata = SummaryMetadata::new();
        metadata
            .mut_plugin_data()
            .set_plugin_name("text".to_owned());
        let mut tensor = TensorProto::new();
        tensor.set_dtype(DataType::DT_STRING);
        tensor.mut_tensor_shape();
        tensor.set_string_val(RepeatedField::from_vec(vec![markdown.as_bytes().to_vec()]));
        let mut entry = Summary_Value::new();
        entry.set_metadata(metadata);
        entry.set_tensor(tensor);
        self.summary(tag, entry, step)
    }

    /// Returns once everything written so far is on the disk.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<(), EventError> {
        let done = self.records.flush().and_then(|()| self.file.sync_data());
        done.map_err(|cause| self.error(cause))
    }

    fn start_session(&mut self, step: u64) -> Result<(), EventError> {
        let mut version = Event::new();
        version.set_file_version(FILE_VERSION.to_owned());
        self.write(version)?;
        let mut session = SessionLog::new();
        session.set_status(SessionLog_SessionStatus::START);
        let mut start = Event::new();
        start.set_step(step_number(step));
        start.set_session_log(session);
        self.write(start)
    }

    fn summary(
        &mut self,
        tag: &str,
        mut entry: Summary_Value,
        step: u64,
    ) -> Result<(), EventError> {
        entry.set_tag(tag.to_owned());
        let mut summary = Summary::new();
        summary.set_value(RepeatedField::from_vec(vec![entry]));
        let mut event = Event::new();
        event.set_step(step_number(step));
        event.set_summary(summary);
        self.write(event)
    }

    fn write(&mut self, mut event: Event) -> Result<(), EventError> {
        event.set_wall_time(since_epoch().as_secs_f64());
        let bytes = event.write_to_bytes().map_err(io::Error::from);
        let done = bytes.and_then(|bytes| self.records.write(&bytes));
        done.map_err(|cause| self.error(cause))
    }

    fn error(&self, cause: io::Error) -> EventError {
        EventError {
            path: self.path.clone(),
            cause,
        }
    }
}

/// Makes an event file whose name sorts after all others in `dir`.
///
/// TensorBoard reads a folder's files in the order of their names and never goes back, so a run
/// resumed within the same second, or after the clock was set back, must still come last.
fn create_last(dir: &Path) -> io::Result<(PathBuf, File)> {
    let host = gethostname::gethostname();
    let host = host.to_string_lossy();
    let mut seconds = since_epoch().as_secs();
    for entry in std::fs::read_dir(dir)? {
        if let Some(taken) = seconds_in_name(&entry?.file_name().to_string_lossy()) {
            seconds = seconds.max(taken.saturating_add(1));
        }
    }
    loop {
        let name = format!("{FILE_PREFIX}{seconds:010}.{host}.{}", std::process::id());
        let path = dir.join(name);
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            // Another writer of this process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => seconds += 1,
            Err(error) => return Err(error),
        }
    }
}

fn seconds_in_name(name: &str) -> Option<u64> {
    name.strip_prefix(FILE_PREFIX)?
        .split('.')
        .next()?
        .parse()
        .ok()
}

fn since_epoch() -> std::time::Duration {
    // A clock before 1970 only misdates the events.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The protocol counts steps as i64; no run gets near its end.
fn step_number(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}
