//! `pfgmpp convert`: a checkpoint of another program, as one of this one, or the other way round.

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_checkpoint::{
    Checkpoint, Export, Layout, LoadOptions, Loaded, Model, Resolved, Source, model_card, resolve,
};
use pfgmpp_kernel::Dimension;
use pfgmpp_run::RunError;
use pfgmpp_store::{check_writable, remove_partial_of};

use crate::download::hub;
use crate::failure::Failure;
use crate::out_file;
use crate::terminal::{note, print};

#[derive(clap::Args)]
pub struct Args {
    /// A network pickle of EDM or PFGM++ (.pkl), a training state or weights of PyTorch (.pt, .pth), weights in
    /// a safetensors file, a folder of diffusers, a checkpoint folder, or any of these on the Hugging Face Hub:
    /// hf://owner/name[@revision][/file]
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Folder to write, which must not exist yet; with --to edm-state-dict a file that ends in .safetensors
    #[arg(value_name = "DST")]
    out: PathBuf,
    /// Write for another program: a pipeline folder of diffusers (networks unet2d), or the state dictionary of
    /// EDM's EDMPrecond and its kin (networks ddpmpp, ncsnpp, song_unet, adm)
    #[arg(long, value_name = "PROGRAM")]
    to: Option<To>,
    /// Dimension D that the network was trained at, where the file does not record it
    #[arg(long, value_name = "D")]
    d: Option<Dimension>,
    /// A config.json that describes the network, for files that hold weights only
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where in the file the weights are, if it holds several: names joined by dots, such as state.ema
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
}

/// Another program to write for.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum To {
    Diffusers,
    EdmStateDict,
}

pub fn convert(args: &Args) -> Result<(), Failure> {
    check_out(&args.out)?;
    if args.to == Some(To::EdmStateDict) {
        out_file::check(&args.out, &["safetensors"], false)?;
    }
    let device = Device::Cpu;
    let options = LoadOptions {
        d: args.d,
        config: args.config.clone(),
        key: args.key.clone(),
        weight_bits: None,
    };
    let Resolved { path, reference } = resolve(&args.source, &hub())?;
    let Loaded { checkpoint, notes } = Source::open(&path)?.load(&options, &device)?;
    // Nothing is written that could not be sampled. The copy shares its tensors.
    let copy = Checkpoint {
        config: checkpoint.config.clone(),
        weights: checkpoint.weights.clone(),
    };
    Model::new(copy, &path, &device)?;
    for text in &notes {
        note(text);
    }
    if let Some(to) = args.to {
        return export(&checkpoint, to, &path, &args.out);
    }
    // A path may be private; its last part is what the source is called.
    let name = match path == args.source {
        true => path.file_name().unwrap_or_default().to_string_lossy(),
        false => reference.into(),
    };
    let parameters = checkpoint.num_parameters();
    let card = model_card(&checkpoint.config, &name, parameters, &notes);
    let d = checkpoint.config.d;
    checkpoint.save_with(&args.out, &[("README.md", card)])?;
    print(format_args!(
        "{parameters} parameters, D = {d}: {}",
        args.out.display()
    ));
    Ok(())
}

/// Writes a checkpoint for another program.
fn export(checkpoint: &Checkpoint, to: To, path: &Path, out: &Path) -> Result<(), Failure> {
    let layout = match to {
        To::Diffusers => Layout::Diffusers,
        To::EdmStateDict => Layout::EdmStateDict,
    };
    let export = Export::new(checkpoint, layout, path)?;
    for text in &export.notes {
        note(text);
    }
    export.write(out)?;
    print(format_args!(
        "{} parameters, D = {}: {}",
        checkpoint.num_parameters(),
        checkpoint.config.d,
        out.display()
    ));
    Ok(())
}

/// Refuses to replace anything, and a place that cannot be written to, before any work is done; removes what an
/// interrupted call has left of the same folder.
pub fn check_out(out: &Path) -> Result<(), Failure> {
    if out.exists() {
        let message = format!("{}: is there already: give another name", out.display());
        return Err(Failure::bad_input(message));
    }
    let parent = out.parent().filter(|p| *p != Path::new(""));
    let parent = parent.unwrap_or(Path::new("."));
    if !parent.is_dir() {
        let message = format!("{}: no such folder", parent.display());
        return Err(Failure::bad_input(message));
    }
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    check_writable(parent)
        .and_then(|()| remove_partial_of(parent, |partial| partial == name))
        .map_err(|e| RunError::io(parent)(e).into())
}
