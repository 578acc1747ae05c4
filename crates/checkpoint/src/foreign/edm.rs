//! Networks of EDM and PFGM++: a preconditioning around a network, `ema` among other things in a file.
//!
//! Structure: Karras et al. 2022 (arXiv:2206.00364) and Xu et al. 2023 (arXiv:2302.04265), published code.

use pfgmpp_kernel::Dimension;
use pfgmpp_nn::Prediction;
use pfgmpp_pickle::{Id, Value};
use pfgmpp_sampler::{SamplerConfig, SolverConfig};
use pfgmpp_transfer::{
    DataScale, EdmPreconditioning, EdmSchedule, IddpmLevels, IddpmPreconditioning, NoiseLevel,
    Preconditioning, RoundedSchedule, Schedule, VePreconditioning, VpPreconditioning, VpProcess,
};

use super::network::network;
use super::settings::Settings;
use super::{ForeignError, Module};
use crate::torch::TorchFile;
use crate::{CheckpointConfig, DataSummary, FORMAT, TrainingSummary};

/// What the file's network is here; `notes` collects what the file does not tell and was assumed.
///
/// - `d`: the dimension that it was trained at, which files of EDM and some of PFGM++ do not record.
pub(crate) fn describe(
    module: &Module,
    d: Option<Dimension>,
    notes: &mut Vec<String>,
) -> Result<CheckpointConfig, ForeignError> {
    let settings = Settings::of(module)?;
    if settings.flag("pfgm")? {
        let what = "a network that predicts original PFGM's field (pfgm = True)";
        return Err(ForeignError::Unsupported(what.into()));
    }
    let precond = preconditioning(module.class(), &settings)?;
    let inner = module.child("model").ok_or_else(|| ForeignError::Module {
        module: module.class().into(),
        problem: "it holds no network named model".into(),
    })?;
    let inside = Settings::of(&inner)?;
    let network = network(&inner, &inside)?;
    let side = settings.size("img_resolution", None)?;
    let shape = [settings.size("img_channels", None)?, side, side];
    let file = module.file;
    let n: f64 = shape.iter().map(|&size| size as f64).product();
    notes.push(format!(
        "the spread of the data is not in the file: taken as that of a Gaussian of standard deviation {}",
        precond.sigma_data
    ));
    if settings.flag("use_fp16")? {
        notes.push("the network was made for numbers of 16 bits: it is evaluated in 32".into());
    }
    let label_dim = settings.size("label_dim", Some(0))?;
    let channels = shape[0];
    inside.agree("img_resolution", side)?;
    inside.agree("in_channels", channels)?;
    inside.agree("label_dim", label_dim)?;
    let d = dimension(&settings, file, d, notes)?;
    settings.refuse_others(&OF_PRECONDITIONINGS, Some(&inside))?;
    Ok(CheckpointConfig {
        format: FORMAT,
        d,
        d_list: Vec::new(),
        data: DataSummary {
            name: data_name(file).unwrap_or_else(|| "unknown".into()),
            shape,
            range: [-1.0, 1.0],
            label_dim,
            class_counts: Vec::new(),
            corruption: None,
            input_channels: 0,
            columns: None,
            scale: DataScale {
                second_moment: precond.sigma_data.powi(2),
                n_eff: n,
            },
            scale_about_mean: None,
        },
        network,
        sampler: precond.sampler(side),
        prediction: Prediction::Denoised(precond.preconditioning),
        denoising_error: None,
        training: TrainingSummary {
            nimg: nimg(file).unwrap_or(0),
            seed: 0,
        },
        weights_sha256: String::new(),
        weights_crc32: String::new(),
    })
}

/// Arguments of the preconditionings' constructors that are read, and those that choose among what is read.
const OF_PRECONDITIONINGS: [&str; 20] = [
    "img_resolution",
    "img_channels",
    "label_dim",
    "use_fp16",
    "model_type",
    "sigma_min",
    "sigma_max",
    "sigma_data",
    "beta_d",
    "beta_min",
    "M",
    "epsilon_t",
    "C_1",
    "C_2",
    "pfgm",
    "pfgmpp",
    "small",
    "D",
    "N",
    "class_name",
];

/// A preconditioning, and what sampling needs to know of it.
struct Precond {
    preconditioning: Preconditioning,
    sigma_data: f64,
    /// The noise levels that the network knows.
    sigma_range: [f64; 2],
}

impl Precond {
    /// The published sampler, on the levels that the network knows where those are few.
    fn sampler(&self, side: usize) -> SamplerConfig {
        let usual = sampler(side, self.sigma_range);
        match (&self.preconditioning, &usual.schedule) {
            (Preconditioning::Iddpm(iddpm), Schedule::Edm(edm)) => {
                let schedule = Schedule::Rounded(RoundedSchedule {
                    num_steps: edm.num_steps,
                    sigma_min: edm.sigma_min,
                    sigma_max: edm.sigma_max,
                    rho: edm.rho,
                    c_1: iddpm.c_1,
                    c_2: iddpm.c_2,
                    m: iddpm.m,
                });
                SamplerConfig { schedule, ..usual }
            }
            _ => usual,
        }
    }

    /// A preconditioning that assumes no standard deviation of the data: 0.5 is usual for images within [-1, 1].
    fn of_noise(preconditioning: Preconditioning, sigma_range: [f64; 2]) -> Self {
        Self {
            preconditioning,
            sigma_data: 0.5,
            sigma_range,
        }
    }
}

/// Defaults are those of the published constructors.
fn preconditioning(class: &str, settings: &Settings) -> Result<Precond, ForeignError> {
    let range = |low, high| -> Result<[f64; 2], ForeignError> {
        Ok([
            settings.number("sigma_min", low)?,
            settings.number("sigma_max", high)?,
        ])
    };
    let noise = NoiseLevel::Nominal;
    match class {
        // PFGM++ has EDM's class take VE's scalings under this name.
        "EDMPrecond" if settings.flag("small")? => Ok(Precond::of_noise(
            Preconditioning::Ve(VePreconditioning { noise }),
            range(0.0, f64::INFINITY)?,
        )),
        "EDMPrecond" => {
            let sigma_data = settings.number("sigma_data", 0.5)?;
            Ok(Precond {
                preconditioning: Preconditioning::Edm(EdmPreconditioning { sigma_data, noise }),
                sigma_data,
                sigma_range: range(0.0, f64::INFINITY)?,
            })
        }
        "VPPrecond" => {
            let beta_d = settings.number("beta_d", 19.9)?;
            let beta_min = settings.number("beta_min", 0.1)?;
            let m = settings.size("M", Some(1000))?;
            let process = VpProcess { beta_d, beta_min };
            let low = process.sigma(settings.number("epsilon_t", 1e-5)?);
            Ok(Precond::of_noise(
                Preconditioning::Vp(VpPreconditioning {
                    beta_d,
                    beta_min,
                    m,
                    noise,
                }),
                [low, process.sigma(1.0)],
            ))
        }
        "VEPrecond" => Ok(Precond::of_noise(
            Preconditioning::Ve(VePreconditioning { noise }),
            range(0.02, 100.0)?,
        )),
        "iDDPMPrecond" => iddpm(settings),
        class => Err(ForeignError::Unsupported(format!(
            "an object of class {class:.60} in place of EDMPrecond"
        ))),
    }
}

fn iddpm(settings: &Settings) -> Result<Precond, ForeignError> {
    let c_1 = settings.number("C_1", 0.001)?;
    let c_2 = settings.number("C_2", 0.008)?;
    let m = settings.size("M", Some(1000))?;
    let levels = IddpmLevels { c_1, c_2, m };
    levels.check().map_err(ForeignError::parameter)?;
    Ok(Precond::of_noise(
        Preconditioning::Iddpm(IddpmPreconditioning {
            c_1,
            c_2,
            m,
            noise: NoiseLevel::Nominal,
        }),
        [levels.level(m - 1), levels.level(0)],
    ))
}

/// The D that the network was trained at: as told, as the network records it, or as the loss beside it does.
fn dimension(
    settings: &Settings,
    file: &TorchFile,
    told: Option<Dimension>,
    notes: &mut Vec<String>,
) -> Result<Dimension, ForeignError> {
    let is_pfgmpp = match settings.given("pfgmpp") {
        Some(_) => Some(settings.flag("pfgmpp")?),
        None => None,
    };
    let in_network = settings.given("D");
    let in_loss = || attribute_of(file, "loss_fn", "D");
    let recorded = match is_pfgmpp {
        Some(false) => Some(f64::INFINITY),
        _ => match in_network.or_else(in_loss) {
            None => None,
            Some(id) => Some(file.number(id).ok_or_else(|| ForeignError::Setting {
                name: "D".into(),
                value: "something else".into(),
                accepted: "a number".into(),
            })?),
        },
    };
    let recorded = recorded.map(Dimension::new).transpose();
    let recorded = recorded.map_err(|e| ForeignError::Setting {
        name: "D".into(),
        value: e.got,
        accepted: "a positive number or inf".into(),
    })?;
    match (told, recorded) {
        (Some(told), Some(recorded)) if told != recorded => Err(ForeignError::Told {
            name: "d",
            value: told.to_string(),
            because: format!("the file records D = {recorded}"),
        }),
        (Some(d), _) | (None, Some(d)) => Ok(d),
        (None, None) => {
            notes.push(
                "D is not in the file: taken as inf; a network of PFGM++ has to be converted with its D".into(),
            );
            Ok(Dimension::Infinite)
        }
    }
}

/// The published number of steps: 18 up to 32x32 and 40 above (Karras et al. 2022, table 1).
pub(super) fn num_steps(side: usize) -> usize {
    if side <= 32 { 18 } else { 40 }
}

/// The published sampler: Heun within the levels that the network knows.
pub(super) fn sampler(side: usize, [low, high]: [f64; 2]) -> SamplerConfig {
    // Karras et al. 2022, table 1; 0.002 and 80 hold for data within [-1, 1].
    SamplerConfig::new(
        SolverConfig::Heun,
        Schedule::Edm(EdmSchedule {
            num_steps: num_steps(side),
            sigma_min: low.max(0.002),
            sigma_max: high.min(80.0),
            rho: 7.0,
        }),
    )
}

/// The last part of the data's path, without its extension.
fn data_name(file: &TorchFile) -> Option<String> {
    let pickle = &file.pickle;
    let data = pickle.entry(pickle.root(), "dataset_kwargs")?;
    let path = pickle.text(pickle.entry(data, "path")?)?;
    let last = path.rsplit(['/', '\\']).find(|part| !part.is_empty())?;
    let name = last.strip_suffix(".zip").unwrap_or(last);
    Some(name.chars().filter(|c| !c.is_control()).take(80).collect())
}

/// Images seen in training, which training states count as `step`.
fn nimg(file: &TorchFile) -> Option<u64> {
    let pickle = &file.pickle;
    match pickle.get(pickle.entry(pickle.root(), "step")?) {
        Value::Int(step) => u64::try_from(*step).ok(),
        _ => None,
    }
}

/// An attribute of an object that stands beside the network.
fn attribute_of(file: &TorchFile, object: &str, name: &str) -> Option<Id> {
    let object = file.pickle.entry(file.pickle.root(), object)?;
    Module::new(file, object)?.attribute(name)
}
