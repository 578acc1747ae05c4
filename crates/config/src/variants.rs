//! What a run's model is sampled with besides: `evaluations` of a configuration.

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use crate::error::ConfigError;
use crate::run_config::{ModelConfig, RunConfig};
use crate::yaml::{self, Document};

/// Settings of the sampler, each with the values that it takes in turn: a model is sampled and scored with each
/// combination after its own samples are scored, without being trained again.
///
/// ```yaml
/// evaluations:
///   sampler.schedule.edm.num_steps: [6, 9, 18]
///   weights.bits: [4, 8, 32]
/// ```
///
/// A list of such sections stands for the combinations of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Evaluations {
    /// All combinations.
    One(Mapping),
    /// Those of each section.
    Several(Vec<Mapping>),
}

/// The key of weights that are rounded, which is no setting of the sampler.
const WEIGHT_BITS: &str = "weights.bits";
/// What weights are not rounded to.
const ALL_BITS: u32 = 32;
/// More combinations than anyone means to score.
const MOST: usize = 1000;

/// A run's model sampled otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Each setting and its value, as text.
    pub values: Vec<(String, String)>,
    /// The configuration with these settings, of the model that the run has or has trained.
    pub config: RunConfig,
    /// Bits that each weight is rounded to, where it is.
    pub weight_bits: Option<u32>,
}

impl Variant {
    /// `sampler.injected_noise=0.2,weights.bits=4`
    pub fn name(&self) -> String {
        let named = self
            .values
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        named.collect::<Vec<_>>().join(",")
    }
}

impl RunConfig {
    /// Every combination that `evaluations` names, the first setting slowest; `origin` names the file in errors.
    ///
    /// # Errors
    ///
    /// A setting that is not of the sampler or has no list of values, a value that is not accepted, and more than a thousand
    /// combinations.
    pub fn variants(&self, origin: &str) -> Result<Vec<Variant>, ConfigError> {
        let sections = match &self.evaluations {
            None => return Ok(Vec::new()),
            Some(Evaluations::One(settings)) => std::slice::from_ref(settings),
            Some(Evaluations::Several(sections)) => sections.as_slice(),
        };
        let mut plain = self.clone();
        plain.evaluations = None;
        let document = Document::of(&plain, origin)?;
        let mut all: Vec<Variant> = Vec::new();
        for settings in sections {
            if settings.is_empty() {
                let message = "evaluations: a section without settings: name one, such as sampler.injected_noise: [0, 0.2]";
                return Err(ConfigError::new(origin, message));
            }
            for variant in self.combinations(settings, &document, origin)? {
                // Sections may have some in common.
                if all.iter().all(|other| other.values != variant.values) {
                    all.push(variant);
                }
            }
            if all.len() > MOST {
                let message = format!("evaluations: more than {MOST} combinations: shorten a list");
                return Err(ConfigError::new(origin, message));
            }
        }
        Ok(all)
    }

    /// The combinations of one section, set in `document`.
    fn combinations(
        &self,
        settings: &Mapping,
        document: &Document,
        origin: &str,
    ) -> Result<Vec<Variant>, ConfigError> {
        let mut all = vec![(Vec::new(), document.clone(), None)];
        for (key, values) in settings {
            let key = key.as_str().unwrap_or_default();
            let refuse =
                |message: String| ConfigError::new(origin, format!("evaluations.{key}: {message}"));
            let listed = values.as_sequence().filter(|values| !values.is_empty());
            let values = listed.ok_or_else(|| {
                let got = yaml::shown(values);
                refuse(format!(
                    "must be a list of values, such as [6, 9, 18], got {got}"
                ))
            })?;
            if key != WEIGHT_BITS && !key.starts_with("sampler.") {
                return Err(refuse(format!(
                    "must be a setting of the sampler, such as sampler.solver, or {WEIGHT_BITS}: anything else is another run"
                )));
            }
            if all.len().saturating_mul(values.len()) > MOST {
                return Err(refuse(format!(
                    "more than {MOST} combinations: shorten a list"
                )));
            }
            let mut longer = Vec::with_capacity(all.len() * values.len());
            for (chosen, document, bits) in &all {
                for value in values {
                    let mut chosen: Vec<(String, String)> = chosen.clone();
                    chosen.push((key.to_string(), text(value)));
                    let (mut document, mut bits): (Document, Option<u32>) =
                        (document.clone(), *bits);
                    match key {
                        WEIGHT_BITS => bits = self.weight_bits(value).map_err(refuse)?,
                        _ => document.set::<Self>(
                            key,
                            value.clone(),
                            &format!("{origin}: evaluations"),
                        )?,
                    }
                    longer.push((chosen, document, bits));
                }
            }
            all = longer;
        }
        let variant = |(values, document, weight_bits): (_, Document, _)| {
            // The keys of what stands here are not those that were set beside it.
            let config = Self::read(&document, &[])
                .map_err(|e| ConfigError::new(origin, format!("evaluations: {}", e.message)))?;
            Ok(Variant {
                values,
                config,
                weight_bits,
            })
        };
        all.into_iter().map(variant).collect()
    }

    fn weight_bits(&self, value: &Value) -> Result<Option<u32>, String> {
        if matches!(self.model, ModelConfig::Exact { .. }) {
            return Err("the exact posterior has no weights".to_string());
        }
        match value.as_u64() {
            Some(bits @ 2..=16) => Ok(Some(bits as u32)),
            Some(bits) if bits == u64::from(ALL_BITS) => Ok(None),
            _ => Err(format!(
                "must be from 2 to 16, or {ALL_BITS} for weights as they are, got {}",
                text(value)
            )),
        }
    }
}

/// A value on one line.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => yaml::to_line(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(evaluations: &str) -> Result<RunConfig, ConfigError> {
        let text = include_str!("../../../configs/exact.yaml");
        let text = format!("{text}\nevaluations: {evaluations}\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exact.yaml");
        std::fs::write(&path, text).unwrap();
        let (document, _) = Document::read::<RunConfig>(&path)?;
        RunConfig::read(&document, &[])
    }

    #[test]
    fn every_combination_is_a_variant_of_the_sampler() {
        let config = config("{sampler.injected_noise: [0, 0.2], sampler.d: [8, inf]}").unwrap();
        let variants = config.variants("x").unwrap();
        let names: Vec<String> = variants.iter().map(Variant::name).collect();
        assert_eq!(
            names,
            [
                "sampler.injected_noise=0,sampler.d=8",
                "sampler.injected_noise=0,sampler.d=inf",
                "sampler.injected_noise=0.2,sampler.d=8",
                "sampler.injected_noise=0.2,sampler.d=inf",
            ]
        );
        assert_eq!(variants[1].config.d().to_string(), "inf");
        assert_eq!(variants[2].config.d().to_string(), "8");
        assert_eq!(variants[2].config.evaluations, None);
        let sections = "[{sampler.d: [8]}, {sampler.injected_noise: [0]}, {sampler.d: [8]}]";
        let several = self::config(sections).unwrap();
        let names = several.variants("x").unwrap();
        let names: Vec<String> = names.iter().map(Variant::name).collect();
        assert_eq!(names, ["sampler.d=8", "sampler.injected_noise=0"]);
        let again: RunConfig =
            yaml::parse_value(&yaml::to_string(&config).unwrap(), "again").unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn what_is_no_list_of_settings_of_the_sampler_is_refused() {
        for (evaluations, want) in [
            (
                "{training.nimg: [1]}",
                "evaluations.training.nimg: must be a setting of the sampler",
            ),
            ("{sampler.injected_noise: 0.1}", "[6, 9, 18], got 0.1"),
            ("{sampler.injected_noise: []}", "must be a list of values"),
            ("{sampler.injected_nose: [1]}", "injected_nose"),
            ("{sampler.injected_noise: [-1]}", "injected_noise"),
            ("{weights.bits: [4]}", "the exact posterior has no weights"),
            ("{}", "a section without settings"),
            ("[{}]", "a section without settings"),
            ("{sampler.solver: [hoin]}", "evaluations"),
        ] {
            let got = config(evaluations).unwrap_err().to_string();
            assert!(got.contains(want), "{evaluations}: got {got}");
            assert_eq!(got.lines().count(), 1, "got {got}");
        }
    }
}
