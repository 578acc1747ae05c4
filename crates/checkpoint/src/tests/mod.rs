//! Files that mean harm, or are broken.

mod contents;
mod fuzz;
mod hostile;
mod mapping;
mod memory;
mod stems;

use candle_core::Device;
use pfgmpp_store::Window;

use crate::source::read_file;
use crate::{Checkpoint, LoadOptions, Model};

/// Reads a file as `--checkpoint` would, network included; what it was, or the line that a user sees.
fn read(bytes: Vec<u8>) -> Result<(), String> {
    let file = Window::from_bytes(bytes);
    let mut notes = Vec::new();
    let (config, weights) = read_file(&file, &LoadOptions::default(), &Device::Cpu, &mut notes)
        .map_err(|e| e.to_string())?;
    let config = config.ok_or("weights only")?;
    let checkpoint = Checkpoint { config, weights };
    match Model::new(checkpoint, "file".as_ref(), &Device::Cpu) {
        Ok(_) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}
