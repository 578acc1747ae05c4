//! Which training a state belongs to.

use pfgmpp_data::Dataset;
use serde_json::{Map, Value, json};

use crate::config::{Method, TrainerConfig};
use crate::lengths::NonFinite;

/// What is absent by default, which a state without it was trained without.
const OPTIONAL: [&str; 6] = [
    "training.d_list",
    "training.start_from",
    "augment",
    "post_hoc_ema.sigma_rel",
    "training.micro_batch",
    "training.non_finite",
];
/// What the data are, beyond their name, shape and number.
pub(crate) const FINGERPRINT: &str = "data.fingerprint";

/// What data the training is measured on: no part of what the weights follow from.
pub(crate) const HELD_OUT: &str = "data.held_out_fingerprint";

/// All that the weights after a number of images follow from, by the dotted names of configurations.
///
/// The length of training is not among it, nor how often it reports: neither changes what came before.
pub(crate) fn identity(
    model: &TrainerConfig,
    seed: u64,
    data: &Dataset,
    fingerprint: &str,
) -> Map<String, Value> {
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
        (FINGERPRINT, json!(fingerprint)),
        ("network", json!(model.network)),
        ("condition", json!(model.condition)),
        ("prediction", json!(model.prediction())),
        ("objective", objective),
        ("optimizer", json!(model.optimizer)),
        ("ema", json!(model.ema)),
        ("training.batch_size", json!(model.training.batch_size)),
    ];
    fields
        .into_iter()
        .chain(optional(model))
        .map(|(name, value)| (name.to_string(), value))
        .collect()
}

/// What is absent by default, as far as it is there: states of before say the same.
fn optional(model: &TrainerConfig) -> impl Iterator<Item = (&'static str, Value)> {
    let training = &model.training;
    let post_hoc = model.post_hoc_ema.as_ref();
    let start = training.start_from.as_ref();
    let non_finite = training.non_finite;
    let values = [
        post_hoc.map(|config| ("post_hoc_ema.sigma_rel", json!(config.sigma_rel))),
        (training.micro_batch).map(|micro| ("training.micro_batch", json!(micro))),
        (non_finite.filter(|what| *what == NonFinite::Skip))
            .map(|what| ("training.non_finite", json!(what))),
        (training.d_list.as_ref()).map(|list| ("training.d_list", json!(list))),
        start.map(|start| ("training.start_from", json!(start))),
        (model.augment).map(|augment| ("augment", json!(augment))),
    ];
    values.into_iter().flatten()
}

/// The first thing in which a state's training `there` is not that `here`, in words.
pub(crate) fn difference(there: &Map<String, Value>, here: &Map<String, Value>) -> Option<String> {
    // What one of the two versions that wrote them does not know has no say.
    let both = there
        .iter()
        .filter_map(|(name, there)| Some((name, there, here.get(name)?)));
    let mut different = both.filter(|(_, there, here)| there != here);
    if let Some((name, there, here)) = different.next() {
        return Some(innermost(name, there, here));
    }
    let in_one = |name: &&&str| there.contains_key(**name) != here.contains_key(**name);
    let name = *OPTIONAL.iter().find(in_one)?;
    let words = |value: Option<&Value>| value.map_or("absent".to_string(), Value::to_string);
    let (there, here) = (words(there.get(name)), words(here.get(name)));
    Some(format!("{name} is {there} there and {here} here"))
}

/// The first difference of two values within them, with its dotted name.
fn innermost(name: &str, there: &Value, here: &Value) -> String {
    let (Some(a), Some(b)) = (there.as_object(), here.as_object()) else {
        return format!("{name} is {there} there and {here} here");
    };
    if let Some((key, a, b)) = a
        .iter()
        .filter_map(|(key, a)| Some((key, a, b.get(key)?)))
        .find(|(_, a, b)| a != b)
    {
        return innermost(&format!("{name}.{key}"), a, b);
    }
    let missing = |a: &Map<String, Value>, b: &Map<String, Value>| {
        let mut only = a.iter().filter(|(key, _)| !b.contains_key(*key));
        only.next().map(|(key, value)| (key.clone(), value.clone()))
    };
    match (missing(a, b), missing(b, a)) {
        (Some((key, value)), _) => format!("{name}.{key} is {value} there and absent here"),
        (None, Some((key, value))) => format!("{name}.{key} is absent there and {value} here"),
        (None, None) => format!("{name} is {there} there and {here} here"),
    }
}
