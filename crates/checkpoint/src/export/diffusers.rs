//! A pipeline of diffusers: the network's folder, the scheduler's, and the index of both.

use pfgmpp_kernel::Dimension;
use pfgmpp_nn::{NetworkConfig, TimeEmbeddingType, UNet2DConfig};
use pfgmpp_transfer::{BetaSchedule, DdpmOutput, DdpmPreconditioning, Preconditioning, Schedule};
use serde_json::{Value, json};

use super::{Export, NoCounterpart, no_preconditioning, note_range, preconditioning};
use crate::card::network_name;
use crate::used::{NETWORK, is_augmentation};
use crate::{CheckpointConfig, Metadata, Tensors};

/// Where the weights lie.
const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

/// The folder of `config`'s network with `weights`.
pub(super) fn export(config: &CheckpointConfig, weights: Tensors) -> Result<Export, NoCounterpart> {
    let NetworkConfig::UNet2D(network) = &config.network else {
        let name = network_name(&config.network);
        return Err(NoCounterpart(format!("network {name}")));
    };
    if let Dimension::Finite(d) = config.d {
        return Err(NoCounterpart(format!("a network of D = {d}")));
    }
    let mut notes = Vec::new();
    let (scheduler, pipeline) = scheduler(config, network, &mut notes)?;
    let mut files = vec![
        ("unet/config.json", unet(config, network)),
        ("scheduler/scheduler_config.json", scheduler.clone()),
    ];
    match pipeline {
        Some(class) => files.push((
            "model_index.json",
            json!({"_class_name": class, "unet": ["diffusers", "UNet2DModel"],
                "scheduler": ["diffusers", scheduler["_class_name"]]}),
        )),
        None => notes.push(format!(
            "diffusers has no pipeline for {} and a UNet2DModel: load both by their folders",
            scheduler["_class_name"].as_str().unwrap_or_default()
        )),
    }
    let own = weights
        .into_iter()
        .filter(|(name, _)| !is_augmentation(name));
    let named = own.filter_map(|(name, tensor)| Some((name.strip_prefix(NETWORK)?.into(), tensor)));
    Ok(Export {
        weights: named.collect(),
        metadata: Metadata::from([("format".to_owned(), "pt".to_owned())]),
        place: Some(WEIGHTS),
        files,
        notes,
    })
}

/// The network's `config.json`: its options have the names of diffusers here too.
fn unet(config: &CheckpointConfig, network: &UNet2DConfig) -> Value {
    let [channels, height, width] = config.data.shape;
    let mut value = serde_json::to_value(network).unwrap_or_default();
    if let Some(options) = value.as_object_mut() {
        // Of training here alone.
        options.remove("label_dropout");
    }
    value["_class_name"] = "UNet2DModel".into();
    value["act_fn"] = "silu".into();
    value["in_channels"] = channels.into();
    value["out_channels"] = channels.into();
    value["sample_size"] = match height == width {
        true => height.into(),
        false => json!([height, width]),
    };
    if config.data.label_dim > 0 {
        value["num_class_embeds"] = config.data.label_dim.into();
    }
    value
}

/// The scheduler's configuration, and the class of the pipeline of both, where there is one.
fn scheduler(
    config: &CheckpointConfig,
    network: &UNet2DConfig,
    notes: &mut Vec<String>,
) -> Result<(Value, Option<&'static str>), NoCounterpart> {
    let schedule = &config.sampler.schedule;
    let (low, high) = (schedule.sigma_min(), schedule.sigma_max());
    let preconditioning = preconditioning(config)?;
    let fourier = network.time_embedding_type == TimeEmbeddingType::Fourier;
    if fourier != matches!(preconditioning, Preconditioning::Ve(_)) {
        let word = if fourier { "fourier" } else { "positional" };
        let why = format!(" with time_embedding_type {word}");
        return Err(no_preconditioning(config, &why));
    }
    let usual = match preconditioning {
        Preconditioning::Ve(_) => [0.0, 1.0],
        _ => [-1.0, 1.0],
    };
    note_range(config, usual, "diffusers", notes);
    Ok(match preconditioning {
        Preconditioning::Ddpm(ddpm) => (
            steps(ddpm, config.data.range == usual),
            Some("DDPMPipeline"),
        ),
        Preconditioning::Edm(edm) => {
            let rho = match schedule {
                Schedule::Edm(edm) => edm.rho,
                _ => 7.0,
            };
            let value = json!({"_class_name": "EDMEulerScheduler", "sigma_data": edm.sigma_data,
                "sigma_min": low, "sigma_max": high, "rho": rho, "prediction_type": "epsilon"});
            (value, None)
        }
        Preconditioning::Ve(_) => {
            let value = json!({"_class_name": "ScoreSdeVeScheduler", "num_train_timesteps": 2000,
                "sigma_min": low, "sigma_max": high});
            (value, Some("ScoreSdeVePipeline"))
        }
        Preconditioning::Consistency(consistency) => {
            let value = json!({"_class_name": "CMStochasticIterativeScheduler",
                "sigma_data": consistency.sigma_data, "sigma_min": consistency.sigma_min, "sigma_max": high});
            (value, Some("ConsistencyModelPipeline"))
        }
        _ => return Err(no_preconditioning(config, "")),
    })
}

/// DDPM's discrete steps; `clip` says whether diffusers' sampler may clip estimates to -1 and 1, as it usually does.
fn steps(ddpm: &DdpmPreconditioning, clip: bool) -> Value {
    let mut value = json!({"_class_name": "DDPMScheduler", "num_train_timesteps": ddpm.m, "clip_sample": clip,
    "prediction_type": match ddpm.output {
        DdpmOutput::Epsilon => "epsilon",
        DdpmOutput::Sample => "sample",
        DdpmOutput::VPrediction => "v_prediction",
    }});
    let (name, rates) = match &ddpm.beta {
        BetaSchedule::Linear {
            beta_start,
            beta_end,
        } => ("linear", Some((beta_start, beta_end))),
        BetaSchedule::ScaledLinear {
            beta_start,
            beta_end,
        } => ("scaled_linear", Some((beta_start, beta_end))),
        BetaSchedule::Sigmoid {
            beta_start,
            beta_end,
        } => ("sigmoid", Some((beta_start, beta_end))),
        BetaSchedule::SquaredcosCapV2 => ("squaredcos_cap_v2", None),
        BetaSchedule::Trained(betas) => {
            value["trained_betas"] = json!(betas);
            return value;
        }
    };
    value["beta_schedule"] = name.into();
    if let Some((start, end)) = rates {
        value["beta_start"] = json!(start);
        value["beta_end"] = json!(end);
    }
    value
}
