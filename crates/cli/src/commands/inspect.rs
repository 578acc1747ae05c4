//! `pfgmpp inspect`: what a checkpoint is.

use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_checkpoint::{
    Checkpoint, CheckpointConfig, LoadOptions, Loaded, Model, Resolved, Source, network_name,
    prediction_name, resolve,
};

use crate::download::hub;
use crate::failure::Failure;
use crate::terminal::{note, print};

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint or run folder, a network pickle, a file of PyTorch, a safetensors file, a diffusers folder, or
    /// any of these on the Hugging Face Hub: hf://owner/name[@revision][/file]
    #[arg(value_name = "REF")]
    reference: PathBuf,
    /// A config.json that describes the network, for files that hold weights only
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where in the file the weights stand, where it holds several: names joined by dots, such as state.ema
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
}

pub fn inspect(args: &Args) -> Result<(), Failure> {
    let Resolved { path, reference } = resolve(&args.reference, &hub())?;
    if path != args.reference {
        line("fetched", &reference);
    }
    let source = Source::open(&path)?;
    let options = LoadOptions {
        d: None,
        config: args.config.clone(),
        key: args.key.clone(),
    };
    let loaded = match source.load(&options, &Device::Cpu) {
        Ok(loaded) => loaded,
        Err(error) if error.is_unsupported() => {
            list(&source)?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    if matches!(source, Source::Checkpoint(_)) {
        Checkpoint::verify(&path)?;
    }
    show(&source, loaded, &path)
}

fn show(source: &Source, loaded: Loaded, path: &Path) -> Result<(), Failure> {
    let parameters = loaded.checkpoint.num_parameters();
    // A description that does not fit its weights is no description.
    let model = Model::new(loaded.checkpoint, path, &Device::Cpu)?;
    line("source", source.kind());
    describe(&model.config, parameters);
    for text in &loaded.notes {
        note(text);
    }
    Ok(())
}

fn describe(config: &CheckpointConfig, parameters: usize) {
    let [channels, height, width] = config.data.shape;
    let schedule = &config.sampler.schedule;
    line("architecture", &network_name(&config.network));
    line("parameters", &parameters.to_string());
    line("prediction", &prediction_name(&config.prediction));
    line("D", &config.d.to_string());
    line(
        "sigma",
        &format!("{} to {}", schedule.sigma_min(), schedule.sigma_max()),
    );
    line(
        "data",
        &format!("{}, {channels}x{height}x{width}", config.data.name),
    );
    line(
        "labels",
        &match config.data.label_dim {
            0 => "none".to_string(),
            classes => format!("{classes} classes"),
        },
    );
    line(
        "images seen",
        &match config.training.nimg {
            0 => "not recorded".to_string(),
            nimg => nimg.to_string(),
        },
    );
    line(
        "network",
        &serde_json::to_string(&config.network).unwrap_or_default(),
    );
}

/// The tensors of a network that this version does not know.
fn list(source: &Source) -> Result<(), Failure> {
    let tensors = source.tensors(&Device::Cpu)?;
    let elements: usize = tensors.values().map(|tensor| tensor.elem_count()).sum();
    line("source", source.kind());
    line("tensors", &tensors.len().to_string());
    line("elements", &elements.to_string());
    Ok(())
}

fn line(name: &str, value: &str) {
    print(format_args!("{name:<13} {value}"));
}
