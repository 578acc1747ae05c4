//! `pfgmpp inspect`: what a checkpoint is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use pfgmpp_checkpoint::{
    Checkpoint, CheckpointConfig, LoadOptions, Loaded, Model, Resolved, Source, network_name,
    prediction_name, resolve,
};
use pfgmpp_config::yaml;

use crate::download::hub;
use crate::failure::Failure;
use crate::opening::{listed, weights};
use crate::terminal::{note, print, print_json};

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint or run folder, a network pickle, a file of PyTorch, a safetensors file, a diffusers folder, or
    /// any of these on the Hugging Face Hub: hf://owner/name[@revision][/file]
    #[arg(value_name = "REF")]
    reference: PathBuf,
    /// A config.json that describes the network, for files that hold weights only
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where in the file the weights are, if it holds several: names joined by dots, such as state.ema
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Names and what they stand for, in order.
#[derive(Default)]
struct Lines(Vec<(&'static str, String)>);

impl Lines {
    fn add(&mut self, name: &'static str, value: &impl ToString) {
        self.0.push((name, value.to_string()));
    }

    /// Prints them, or a JSON object in which what is a number or an object of JSON is one.
    fn print(self, json: bool) -> Result<(), Failure> {
        if json {
            let entry = |(name, text): (&'static str, String)| {
                let value = serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
                (name, value)
            };
            let map: BTreeMap<&str, serde_json::Value> = self.0.into_iter().map(entry).collect();
            return print_json(&map);
        }
        for (name, value) in self.0 {
            print(format_args!("{name:<13} {value}"));
        }
        Ok(())
    }
}

pub fn inspect(args: &Args) -> Result<(), Failure> {
    let Resolved { path, reference } = resolve(&args.reference, &hub())?;
    let mut lines = Lines::default();
    if path != args.reference {
        lines.add("fetched", &reference);
    }
    let source = Source::open(&path)?;
    let options = LoadOptions {
        d: None,
        config: args.config.clone(),
        key: args.key.clone(),
        weight_bits: None,
    };
    let loaded = match source.load(&options, &Device::Cpu) {
        Ok(loaded) => loaded,
        Err(error) if error.is_unsupported() => {
            list(&source, &mut lines)?;
            lines.print(args.json)?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    if matches!(source, Source::Checkpoint(_)) {
        Checkpoint::verify(&path)?;
    }
    show(&source, loaded, &path, &mut lines)?;
    lines.print(args.json)
}

fn show(source: &Source, loaded: Loaded, path: &Path, lines: &mut Lines) -> Result<(), Failure> {
    let parameters = loaded.checkpoint.num_parameters();
    // A description that does not fit its weights is no description.
    let model = Model::new(loaded.checkpoint, path, &Device::Cpu)?;
    lines.add("source", &source.kind());
    describe(&model.config, parameters, lines);
    if let Some(which) = weights(&model.config, &loaded.notes) {
        lines.add("weights", &which);
    }
    for text in &loaded.notes {
        note(text);
    }
    Ok(())
}

fn describe(config: &CheckpointConfig, parameters: usize, lines: &mut Lines) {
    let [channels, height, width] = config.data.shape;
    let schedule = &config.sampler.schedule;
    lines.add("architecture", &network_name(&config.network));
    lines.add("parameters", &parameters);
    lines.add("prediction", &prediction_name(&config.prediction));
    lines.add("D", &config.d);
    if !config.d_list.is_empty() {
        lines.add("trained at D", &listed(&config.d_list));
    }
    lines.add(
        "sigma",
        &format!("{} to {}", schedule.sigma_min(), schedule.sigma_max()),
    );
    lines.add("sampler", &yaml::to_line(&config.sampler));
    lines.add(
        "data",
        &format!("{}, {channels}x{height}x{width}", config.data.name),
    );
    if let Some(columns) = &config.data.columns {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        lines.add("columns", &format!("{}, standardised", names.join(", ")));
    }
    lines.add(
        "labels",
        &match config.data.label_dim {
            0 => "none".to_string(),
            classes => format!("{classes} classes"),
        },
    );
    lines.add(
        "images seen",
        &match config.training.nimg {
            0 => "not recorded".to_string(),
            nimg => nimg.to_string(),
        },
    );
    lines.add(
        "network",
        &serde_json::to_string(&config.network).unwrap_or_default(),
    );
}

/// The tensors of a network that this version does not know.
fn list(source: &Source, lines: &mut Lines) -> Result<(), Failure> {
    let tensors = source.tensors(&Device::Cpu)?;
    let elements: usize = tensors.values().map(|tensor| tensor.elem_count()).sum();
    lines.add("source", &source.kind());
    lines.add("tensors", &tensors.len());
    lines.add("elements", &elements);
    Ok(())
}
