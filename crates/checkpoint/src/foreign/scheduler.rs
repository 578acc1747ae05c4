//! The `scheduler_config.json` of diffusers: the noise schedule that a network was trained with.

use pfgmpp_sampler::{SamplerConfig, SolverConfig};
use pfgmpp_transfer::{
    BetaSchedule, ConsistencyPreconditioning, DdpmOutput, DdpmPreconditioning, EdmPreconditioning,
    EdmSchedule, NoiseLevel, Preconditioning, Schedule, VePreconditioning,
};
use serde_json::{Map, Value, json};

use super::ForeignError;
use super::edm::{num_steps, sampler};
use super::options::Options;

/// Schedulers of discrete steps; a sampler of its own stands behind each, which is not used.
const DISCRETE: [&str; 19] = [
    "DDPMScheduler",
    "DDIMScheduler",
    "PNDMScheduler",
    "DDPMParallelScheduler",
    "DDIMParallelScheduler",
    "DDIMInverseScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverSinglestepScheduler",
    "DPMSolverSDEScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
    "SASolverScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "LMSDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
];
/// Those of them whose defaults are the rates of latent diffusion.
const LATENT_RATES: [&str; 4] = [
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "DPMSolverSDEScheduler",
];
/// Schedulers of EDM's preconditioning.
const EDM: [&str; 2] = ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"];

/// Options of diffusers' own samplers, which change nothing of what a network was trained for.
const OF_SAMPLERS: [&str; 47] = [
    "algorithm_type",
    "clip_denoised",
    "clip_sample",
    "clip_sample_range",
    "correct_steps",
    "corrector_order",
    "disable_corrector",
    "dynamic_thresholding_ratio",
    "euler_at_final",
    "final_sigmas_type",
    "flow_shift",
    "interpolation_type",
    "lambda_min_clipped",
    "lower_order_final",
    "noise_sampler_seed",
    "original_inference_steps",
    "predict_x0",
    "predictor_order",
    "rho",
    "s_noise",
    "sample_max_value",
    "sampling_eps",
    "set_alpha_to_one",
    "shift_terminal",
    "sigma_max",
    "sigma_min",
    "sigma_schedule",
    "skip_prk_steps",
    "snr",
    "solver_order",
    "solver_p",
    "solver_type",
    "steps_offset",
    "tau_func",
    "tensor_format",
    "thresholding",
    "time_shift_type",
    "timestep_scaling",
    "timestep_spacing",
    "timestep_values",
    "timesteps",
    "use_beta_sigmas",
    "use_exponential_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
    "variance_type",
    "skip_type",
];

/// Largest number of time steps.
const MAX_STEPS: usize = 100_000;

/// What a scheduler says of the network beside it.
pub(super) struct Noise {
    /// What the network's output stands for.
    pub(super) preconditioning: Preconditioning,
    /// The noise levels that it knows.
    pub(super) sigma_range: [f64; 2],
    /// The values that black and white stand for.
    pub(super) range: [f64; 2],
    /// What the scheduler says of sampling beyond the levels.
    kind: Kind,
}

enum Kind {
    Usual,
    /// EDM's exponent of the levels.
    Edm(f64),
    Ve,
    Consistency,
}

impl Noise {
    /// The sampler of a network of images of that side.
    pub(super) fn sampler(&self, side: usize) -> SamplerConfig {
        let [sigma_min, sigma_max] = self.sigma_range;
        let edm = |num_steps, rho| {
            Schedule::Edm(EdmSchedule {
                num_steps,
                sigma_min,
                sigma_max,
                rho,
            })
        };
        match self.kind {
            Kind::Usual => sampler(side, self.sigma_range),
            Kind::Edm(rho) => SamplerConfig::new(SolverConfig::Heun, edm(num_steps(side), rho)),
            Kind::Ve => SamplerConfig::new(SolverConfig::Heun, edm(num_steps(side), 7.0)),
            // One step to where the path ends, and one more over the lowest level, where the network changes nothing.
            Kind::Consistency => SamplerConfig::new(SolverConfig::Euler, edm(2, 7.0)),
        }
    }
}

/// Reads a configuration; defaults are those of diffusers. `notes` collects what a user of it must know.
///
/// - `fourier`: whether the network has a Fourier embedding of the level, as VE's networks have and no others.
pub(super) fn read(
    config: &Map<String, Value>,
    file: &str,
    fourier: bool,
    notes: &mut Vec<String>,
) -> Result<Noise, ForeignError> {
    let class = config.get("_class_name").and_then(Value::as_str);
    let class = class.unwrap_or_else(|| {
        notes.push(format!("{file} names no class: read as DDPMScheduler"));
        "DDPMScheduler"
    });
    let noise = match class {
        "ScoreSdeVeScheduler" => ve(config, file, notes)?,
        "CMStochasticIterativeScheduler" => consistency(config, file, notes)?,
        class if EDM.contains(&class) => edm(config, file, class)?,
        class if DISCRETE.contains(&class) => discrete(config, file, class)?,
        _ => return Err(ForeignError::Unsupported(format!("scheduler {class:.60}"))),
    };
    if fourier != matches!(noise.kind, Kind::Ve) {
        let embedding = if fourier { "fourier" } else { "positional" };
        let what = format!("scheduler {class} with time_embedding_type {embedding}");
        return Err(ForeignError::Unsupported(what));
    }
    Ok(noise)
}

/// The options that all schedulers share are taken off, and what is left is refused by name.
fn finish(mut options: Options) -> Result<(), ForeignError> {
    for name in ["use_flow_sigmas", "use_dynamic_shifting"] {
        options.expect(name, &[json!(false)])?;
    }
    options.ignore(&OF_SAMPLERS);
    options.finish()
}

fn discrete(config: &Map<String, Value>, file: &str, class: &str) -> Result<Noise, ForeignError> {
    if let Some(sigma_data) = config.get("sigma_data") {
        let what = format!("scheduler {class:.60} with sigma_data {sigma_data}");
        return Err(ForeignError::Unsupported(what));
    }
    let mut options = Options::new(config, file);
    let (start, end) = match LATENT_RATES.contains(&class) {
        true => (8.5e-4, 0.012),
        false => (1e-4, 0.02),
    };
    let beta_start = options.take("beta_start", start)?;
    let beta_end = options.take("beta_end", end)?;
    let schedule: String = options.take("beta_schedule", "linear".into())?;
    let trained: Option<Vec<f64>> = options.take("trained_betas", None)?;
    let beta = match (trained, schedule.as_str()) {
        (Some(betas), _) => BetaSchedule::Trained(betas),
        (None, "linear") => BetaSchedule::Linear {
            beta_start,
            beta_end,
        },
        (None, "scaled_linear") => BetaSchedule::ScaledLinear {
            beta_start,
            beta_end,
        },
        (None, "squaredcos_cap_v2") => BetaSchedule::SquaredcosCapV2,
        (None, "sigmoid") => BetaSchedule::Sigmoid {
            beta_start,
            beta_end,
        },
        (None, other) => {
            let what = format!("scheduler {class} with beta_schedule {other:.40}");
            return Err(ForeignError::Unsupported(what));
        }
    };
    let output = output(&mut options, class)?;
    let mut m = options.size("num_train_timesteps", 1000, 2..=MAX_STEPS)?;
    if let BetaSchedule::Trained(betas) = &beta {
        // diffusers takes as many steps as there are rates.
        m = betas.len();
        options.within("the length of trained_betas", m, &(2..=MAX_STEPS))?;
    }
    options.expect("rescale_betas_zero_snr", &[json!(false)])?;
    options.expect("timestep_type", &[json!("discrete")])?;
    finish(options)?;
    let preconditioning = DdpmPreconditioning {
        beta,
        m,
        output,
        noise: NoiseLevel::Nominal,
    };
    let levels = preconditioning.levels();
    levels.check().map_err(ForeignError::parameter)?;
    let low = levels.levels().next().unwrap_or(0.0);
    let high = levels.levels().last().unwrap_or(0.0);
    Ok(Noise {
        preconditioning: Preconditioning::Ddpm(preconditioning),
        sigma_range: [low, high],
        range: [-1.0, 1.0],
        kind: Kind::Usual,
    })
}

/// What the network estimates: `prediction_type`, or the flag of the time before it.
fn output(options: &mut Options, class: &str) -> Result<DdpmOutput, ForeignError> {
    let epsilon: Option<bool> = options.take("predict_epsilon", None)?;
    let default = match epsilon {
        Some(false) => "sample",
        _ => "epsilon",
    };
    let told = options.has("prediction_type");
    let output: String = options.take("prediction_type", default.into())?;
    if told && epsilon.is_some_and(|epsilon| epsilon != (output == "epsilon")) {
        let what =
            format!("scheduler {class} with predict_epsilon and prediction_type {output:.40}");
        return Err(ForeignError::Unsupported(what));
    }
    match output.as_str() {
        "epsilon" => Ok(DdpmOutput::Epsilon),
        "sample" => Ok(DdpmOutput::Sample),
        "v_prediction" => Ok(DdpmOutput::VPrediction),
        other => {
            let what = format!("scheduler {class} with prediction_type {other:.40}");
            Err(ForeignError::Unsupported(what))
        }
    }
}

/// EDM's preconditioning: `epsilon` is the word for its own output there.
fn edm(config: &Map<String, Value>, file: &str, class: &str) -> Result<Noise, ForeignError> {
    let mut options = Options::new(config, file);
    let sigma_data = options.take("sigma_data", 0.5)?;
    let sigma_range = [
        options.take("sigma_min", 0.002)?,
        options.take("sigma_max", 80.0)?,
    ];
    let rho = options.take("rho", 7.0)?;
    let output: String = options.take("prediction_type", "epsilon".into())?;
    if output != "epsilon" {
        let what = format!("scheduler {class} with prediction_type {output:.40}");
        return Err(ForeignError::Unsupported(what));
    }
    ignore_rates(&mut options);
    finish(options)?;
    Ok(Noise {
        preconditioning: Preconditioning::Edm(EdmPreconditioning {
            sigma_data,
            noise: NoiseLevel::Nominal,
        }),
        sigma_range,
        range: [-1.0, 1.0],
        kind: Kind::Edm(rho),
    })
}

/// The variance-exploding process of Song et al. 2021: the network gives the score, of images within [0, 1].
fn ve(
    config: &Map<String, Value>,
    file: &str,
    notes: &mut Vec<String>,
) -> Result<Noise, ForeignError> {
    let mut options = Options::new(config, file);
    let sigma_range = [
        options.take("sigma_min", 0.01)?,
        options.take("sigma_max", 1348.0)?,
    ];
    ignore_rates(&mut options);
    options.ignore(&["prediction_type"]);
    finish(options)?;
    notes.push("networks of ScoreSdeVeScheduler know images from 0 (black) to 1 (white)".into());
    Ok(Noise {
        preconditioning: Preconditioning::Ve(VePreconditioning {
            noise: NoiseLevel::Nominal,
        }),
        sigma_range,
        range: [0.0, 1.0],
        kind: Kind::Ve,
    })
}

fn consistency(
    config: &Map<String, Value>,
    file: &str,
    notes: &mut Vec<String>,
) -> Result<Noise, ForeignError> {
    let mut options = Options::new(config, file);
    let sigma_data = options.take("sigma_data", 0.5)?;
    let sigma_min = options.take("sigma_min", 0.002)?;
    let sigma_max = options.take("sigma_max", 80.0)?;
    ignore_rates(&mut options);
    options.ignore(&["prediction_type"]);
    finish(options)?;
    notes.push(
        "a consistency model: its output is where a path ends, not the mean of the data, and one step of Euler's method is its sampler; with more steps, at another D, or lifted by its effective noise it is not what it was trained for"
            .into(),
    );
    Ok(Noise {
        preconditioning: Preconditioning::Consistency(ConsistencyPreconditioning {
            sigma_data,
            sigma_min,
            noise: NoiseLevel::Nominal,
        }),
        sigma_range: [sigma_min, sigma_max],
        range: [-1.0, 1.0],
        kind: Kind::Consistency,
    })
}

/// The rates of another scheduler, which a configuration keeps when it is made from that one's.
fn ignore_rates(options: &mut Options) {
    options.ignore(&[
        "num_train_timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "trained_betas",
        "rescale_betas_zero_snr",
        "timestep_type",
    ]);
}
