//! `model_index.json`: the parts of a pipeline of diffusers, of which a network and its noise schedule are known here.

use std::path::Path;

use serde_json::{Map, Value};

use super::ForeignError;
use super::diffusers::read_map;

/// The name of the file.
pub(crate) const INDEX: &str = "model_index.json";

/// Pipelines that give a network's images as they are.
const KNOWN: [&str; 6] = [
    "DDPMPipeline",
    "DDIMPipeline",
    "PNDMPipeline",
    "ScoreSdeVePipeline",
    "KarrasVePipeline",
    "ConsistencyModelPipeline",
];
/// Parts that are read.
const READ: [&str; 2] = ["unet", "scheduler"];
/// What describes a pipeline and changes nothing of what it gives.
const DESCRIPTION: [&str; 3] = ["_class_name", "_diffusers_version", "_name_or_path"];

/// Refuses a pipeline in `folder` whose other parts would change what its network means: the latents that a VAE
/// decodes are no pictures.
///
/// # Errors
///
/// The first part or class that is not known, by name.
pub(super) fn check(folder: &Path) -> Result<(), ForeignError> {
    let path = folder.join(INDEX);
    if !path.is_file() {
        return Ok(());
    }
    let index = read_map(&path).map_err(|problem| ForeignError::Module {
        module: INDEX.into(),
        problem,
    })?;
    check_parts(&index)
}

/// The class of the scheduler that the index of `folder` names, if it names one.
pub(super) fn scheduler_class(folder: &Path) -> Option<String> {
    let index = read_map(&folder.join(INDEX)).ok()?;
    let class = index.get("scheduler")?.as_array()?.last()?.as_str()?;
    Some(class.to_string())
}

fn check_parts(index: &Map<String, Value>) -> Result<(), ForeignError> {
    let class = index.get("_class_name").and_then(Value::as_str);
    let class = class.unwrap_or("of no class");
    // A part that is left out stands as [null, null].
    let absent = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.iter().all(Value::is_null),
        _ => false,
    };
    let other = index.iter().find(|(name, value)| {
        let known = READ.contains(&name.as_str()) || DESCRIPTION.contains(&name.as_str());
        !known && !absent(value)
    });
    if let Some((name, value)) = other {
        let what = match value {
            Value::Array(items) => items.last().and_then(Value::as_str).unwrap_or("an object"),
            _ => "a setting",
        };
        return Err(ForeignError::Unsupported(format!(
            "{INDEX}: pipeline {class:.60} with {name:.40} ({what:.60})"
        )));
    }
    if !KNOWN.contains(&class) {
        return Err(ForeignError::Unsupported(format!(
            "{INDEX}: pipeline {class:.60}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(index: &Value) -> Result<(), String> {
        let map = index.as_object().expect("a map");
        check_parts(map).map_err(|e| e.to_string())
    }

    #[test]
    fn a_network_and_its_schedule_are_a_pipeline() {
        let index = json!({"_class_name": "DDPMPipeline", "_diffusers_version": "0.3.0",
            "scheduler": ["diffusers", "DDPMScheduler"], "unet": ["diffusers", "UNet2DModel"],
            "safety_checker": [null, null]});
        checked(&index).expect("a pipeline of pixels");
    }

    #[test]
    fn other_parts_are_refused_by_name() {
        let unet = json!(["diffusers", "UNet2DModel"]);
        for (index, want) in [
            (
                json!({"_class_name": "LDMPipeline", "unet": unet, "vqvae": ["diffusers", "VQModel"]}),
                "pipeline LDMPipeline with vqvae (VQModel) is not supported yet",
            ),
            (
                json!({"_class_name": "DDPMPipeline", "unet": unet, "vae": ["diffusers", "AutoencoderKL"]}),
                "pipeline DDPMPipeline with vae (AutoencoderKL)",
            ),
            (
                json!({"_class_name": "DDPMPipeline", "unet": unet, "latent_scale": 0.18}),
                "with latent_scale (a setting)",
            ),
            (
                json!({"_class_name": "RePaintPipeline", "unet": unet}),
                "pipeline RePaintPipeline is not supported",
            ),
            (json!({"unet": unet}), "pipeline of no class"),
        ] {
            let got = checked(&index).expect_err("a refusal");
            assert!(got.contains(want), "got {got}, want {want}");
        }
    }
}
