//! Which training a state belongs to.

use pfgmpp_data::Dataset;
use serde_json::{Map, Value, json};

use crate::config::{Method, TrainerConfig};

/// All that the weights after a number of images follow from, by the dotted names of configurations.
///
/// The length of training is not among it, nor how often it reports: neither changes what came before.
pub(crate) fn identity(model: &TrainerConfig, seed: u64, data: &Dataset) -> Map<String, Value> {
    let objective = match &model.method {
        Method::Denoiser {
            noise_law,
            reference_batch,
            ..
        } => json!({ "noise_law": noise_law, "reference_batch": reference_batch }),
        Method::Field {
            perturbation,
            large_batch,
            ..
        } => json!({ "perturbation": perturbation, "large_batch": large_batch }),
    };
    let fields = [
        ("d", json!(model.d)),
        ("seed", json!(seed)),
        ("data", json!(data.name())),
        ("data.shape", json!(data.image_shape())),
        ("data.images", json!(data.num_images())),
        ("network", json!(model.network)),
        ("condition", json!(model.condition)),
        ("prediction", json!(model.prediction())),
        ("objective", objective),
        ("optimizer", json!(model.optimizer)),
        ("ema", json!(model.ema)),
        ("training.batch_size", json!(model.training.batch_size)),
    ];
    fields
        .map(|(name, value)| (name.to_string(), value))
        .into_iter()
        .collect()
}

/// The first thing in which a state's training `there` is not that `here`, in words.
pub(crate) fn difference(there: &Map<String, Value>, here: &Map<String, Value>) -> Option<String> {
    // What one of the two versions that wrote them does not know has no say.
    let both = there
        .iter()
        .filter_map(|(name, there)| Some((name, there, here.get(name)?)));
    let mut different = both.filter(|(_, there, here)| there != here);
    let (name, there, here) = different.next()?;
    let (name, there, here) = innermost(name.clone(), there, here);
    Some(format!("{name} is {there} there and {here} here"))
}

/// The first difference of two values within them, with its dotted name.
fn innermost<'a>(
    name: String,
    there: &'a Value,
    here: &'a Value,
) -> (String, &'a Value, &'a Value) {
    let (Some(a), Some(b)) = (there.as_object(), here.as_object()) else {
        return (name, there, here);
    };
    let both = a.iter().filter_map(|(key, a)| Some((key, a, b.get(key)?)));
    match both.into_iter().find(|(_, a, b)| a != b) {
        Some((key, a, b)) => innermost(format!("{name}.{key}"), a, b),
        None => (name, there, here),
    }
}
