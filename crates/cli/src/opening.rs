//! The first lines of a command: what it took.

use std::path::Path;

use pfgmpp_checkpoint::{CheckpointConfig, network_name, prediction_name};
use pfgmpp_config::{ModelConfig, RunConfig, yaml};
use pfgmpp_kernel::Dimension;
use pfgmpp_nn::Prediction;
use pfgmpp_run::SamplingModel;
use pfgmpp_sampler::SamplerConfig;
use pfgmpp_train::{ConditionConfig, TrainerConfig};
use pfgmpp_transfer::Preconditioning;

use crate::device::DeviceArgs;

/// `model: ddpmpp, denoiser, D = inf, 10 classes; trained on digits, 1x8x8; weights averaged over training`
pub fn checkpoint(config: &CheckpointConfig, notes: &[String]) -> String {
    let [channels, height, width] = config.data.shape;
    let weights =
        weights(config, notes).map_or(String::new(), |which| format!("; weights {which}"));
    format!(
        "model: {}, {}, D = {}{}, {}; trained on {}, {channels}x{height}x{width}{weights}",
        network_name(&config.network),
        prediction_name(&config.prediction),
        config.d,
        match config.d_list.is_empty() {
            true => String::new(),
            false => format!(" of a network trained at {}", listed(&config.d_list)),
        },
        classes(config.data.label_dim),
        config.data.name,
    )
}

/// `1, 8, 128, inf`
pub fn listed(all: &[Dimension]) -> String {
    let all: Vec<String> = all.iter().map(Dimension::to_string).collect();
    all.join(", ")
}

/// Whether weights are averages over training, where that is known.
///
/// What this program trained holds its averages; of another's weights, their reader notes which were taken.
pub fn weights(config: &CheckpointConfig, notes: &[String]) -> Option<&'static str> {
    let as_left = notes
        .iter()
        .any(|note| note.starts_with("the weights are those of"));
    match config.training.nimg {
        _ if as_left => Some("not averaged"),
        0 => None,
        _ => Some("averaged over training"),
    }
}

/// What a run trains or takes, with the number of classes that it learns from its data.
pub fn run(config: &RunConfig, label_dim: usize) -> String {
    match &config.model {
        ModelConfig::Exact { d } => {
            format!("model: the exact posterior of the training data, D = {d}")
        }
        ModelConfig::Network(model) => format!(
            "model: {}, to be trained on {} images, D = {}, {}",
            model
                .network
                .as_ref()
                .map_or_else(String::new, network_name),
            model.training.nimg,
            model.d,
            classes(match model.condition {
                Some(ConditionConfig::Classes) => label_dim,
                _ => 0,
            }),
        ),
        ModelConfig::Checkpoint { source } => {
            format!("model: checkpoint {source}, sampled at D = {}", config.d())
        }
    }
}

/// `sampler: {solver: heun, schedule: {edm: {...}}}, 35 evaluations per sample`: all that samples are drawn with, as a
/// configuration says it.
pub fn sampler(model: &SamplingModel) -> String {
    sampler_by(model, model.sampler_config())
}

/// As [`sampler`], of states that are decoded: their classes are told, not drawn.
pub fn sampler_of_states(model: &SamplingModel) -> String {
    sampler_by(model, &without_classes(model.sampler_config()))
}

/// A sampler without the classes that it would draw.
pub fn without_classes(config: &SamplerConfig) -> SamplerConfig {
    SamplerConfig {
        classes: None,
        ..config.clone()
    }
}

fn sampler_by(model: &SamplingModel, config: &SamplerConfig) -> String {
    let config = yaml::to_line(config);
    let evaluations = match model.evaluations() {
        Some(1) => "1 evaluation".to_string(),
        Some(several) => format!("{several} evaluations"),
        None => "evaluations as needed".to_string(),
    };
    format!("sampler: {{{config}}}, {evaluations} per sample")
}

/// Where a command computes and writes.
pub fn place(device: &DeviceArgs, out: &Path) -> String {
    let threads = match rayon::current_num_threads() {
        1 => "1 thread".to_string(),
        several => format!("{several} threads"),
    };
    format!("on {device}, {threads}, into {}", out.display())
}

fn classes(number: usize) -> String {
    match number {
        0 => "no classes".to_string(),
        1 => "1 class".to_string(),
        several => format!("{several} classes"),
    }
}

/// What `sigma_data: measured` was found to be.
pub fn measured(model: &TrainerConfig) -> String {
    let found = match model.prediction() {
        Prediction::Denoised(Preconditioning::Edm(edm)) => edm.sigma_data.to_string(),
        other => prediction_name(&other),
    };
    format!("preconditioning.edm.sigma_data: measured on the images to learn from, {found}")
}
