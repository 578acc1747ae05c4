//! The `scheduler_config.json` of diffusers: the noise schedule that a network was trained with.

use pfgmpp_transfer::{BetaSchedule, DdpmOutput, DdpmPreconditioning, NoiseLevel};
use serde_json::{Map, Value, json};

use super::ForeignError;
use super::options::Options;

/// Schedulers of discrete steps that have the same defaults; a sampler of its own stands behind each, which
/// is not used.
const KNOWN: [&str; 3] = ["DDPMScheduler", "DDIMScheduler", "PNDMScheduler"];

/// Largest number of time steps.
const MAX_STEPS: usize = 100_000;

/// Reads a configuration; defaults are those of diffusers.
pub(super) fn read(
    config: &Map<String, Value>,
    file: &str,
) -> Result<DdpmPreconditioning, ForeignError> {
    let mut options = Options::new(config, file);
    let class = config.get("_class_name").and_then(Value::as_str);
    let class = class.unwrap_or("DDPMScheduler");
    if let Some(sigma_data) = config.get("sigma_data") {
        let what = format!("scheduler {class:.60} with sigma_data {sigma_data}");
        return Err(ForeignError::Unsupported(what));
    }
    if !KNOWN.contains(&class) {
        return Err(ForeignError::Unsupported(format!("scheduler {class:.60}")));
    }
    let beta_start = options.take("beta_start", 1e-4)?;
    let beta_end = options.take("beta_end", 0.02)?;
    let schedule: String = options.take("beta_schedule", "linear".into())?;
    let beta = match schedule.as_str() {
        "linear" => BetaSchedule::Linear {
            beta_start,
            beta_end,
        },
        "scaled_linear" => BetaSchedule::ScaledLinear {
            beta_start,
            beta_end,
        },
        "squaredcos_cap_v2" => BetaSchedule::SquaredcosCapV2,
        other => {
            let what = format!("scheduler {class} with beta_schedule {other:.40}");
            return Err(ForeignError::Unsupported(what));
        }
    };
    let output: String = options.take("prediction_type", "epsilon".into())?;
    let output = match output.as_str() {
        "epsilon" => DdpmOutput::Epsilon,
        "sample" => DdpmOutput::Sample,
        "v_prediction" => DdpmOutput::VPrediction,
        other => {
            let what = format!("scheduler {class} with prediction_type {other:.40}");
            return Err(ForeignError::Unsupported(what));
        }
    };
    let m = options.size("num_train_timesteps", 1000, 2..=MAX_STEPS)?;
    options.expect("trained_betas", &[Value::Null])?;
    options.expect("rescale_betas_zero_snr", &[json!(false)])?;
    // Everything else is about diffusers' own samplers.
    Ok(DdpmPreconditioning {
        beta,
        m,
        output,
        noise: NoiseLevel::Nominal,
    })
}
