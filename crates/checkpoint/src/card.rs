//! The model card: what a person reads beside the weights.

use pfgmpp_nn::{NetworkConfig, Prediction};
use serde::Serialize;

use crate::CheckpointConfig;

/// The text of a `README.md` for a checkpoint.
///
/// - `source`: name of the file that it was converted from.
/// - `parameters`: number of the network's parameters.
/// - `notes`: what that file does not record and was assumed.
pub fn model_card(
    config: &CheckpointConfig,
    source: &str,
    parameters: usize,
    notes: &[String],
) -> String {
    let data = &config.data;
    let [channels, height, width] = data.shape;
    let labels = match data.label_dim {
        0 => "none".to_string(),
        classes => format!("{classes} classes"),
    };
    let (low, high) = (
        config.sampler.schedule.sigma_min(),
        config.sampler.schedule.sigma_max(),
    );
    let mut card = format!(
        "---\nlibrary_name: pfgmpp\ntags: [pfgmpp, diffusion]\n---\n\n# {name}, D = {d}\n\n\
         A PFGM++ denoiser, converted from `{source}` by `pfgmpp convert`.\n\n\
         | | |\n|---|---|\n\
         | network | {network}, {parameters} parameters |\n\
         | prediction | {prediction} |\n\
         | D | {d} |\n\
         | data | {name}, {channels}x{height}x{width}, values from {min} to {max} |\n\
         | labels | {labels} |\n\
         | sigma | {low} to {high} |\n\
         | images seen | {nimg} |\n\n\
         ```\npfgmpp sample --checkpoint . --num 64 --seed 0 --out samples.png\n```\n\n\
         The weights stay under the licence of their source.\n",
        name = data.name,
        d = config.d,
        network = network_name(&config.network),
        prediction = prediction_name(&config.prediction),
        min = data.range[0],
        max = data.range[1],
        nimg = match config.training.nimg {
            0 => "not recorded".to_string(),
            nimg => nimg.to_string(),
        },
    );
    if !notes.is_empty() {
        card.push_str("\nNot recorded in the source, and assumed:\n\n");
        for note in notes {
            card.push_str(&format!("- {note}\n"));
        }
    }
    card
}

/// The name of an architecture, as configurations spell it.
pub fn network_name(network: &NetworkConfig) -> String {
    tag(network)
}

/// The name of what a network predicts, as configurations spell it, such as `denoised, edm`.
pub fn prediction_name(prediction: &Prediction) -> String {
    match prediction {
        Prediction::Denoised(preconditioning) => format!("denoised, {}", tag(preconditioning)),
        Prediction::Field(_) => tag(prediction),
    }
}

/// The word that an enum of the configuration is written with.
fn tag(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Object(map)) => map.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}
