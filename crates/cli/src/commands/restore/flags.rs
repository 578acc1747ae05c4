//! What is restored and how, as the flags say it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use candle_core::Tensor;
use pfgmpp_data::read_opaque_image;
use pfgmpp_run::{RestorationMethod, RunError};
use pfgmpp_sampler::{
    BoxAverage, ConjugateGradients, Corruption, Covariance, Identity, Mask, Observation, Operator,
};

use crate::failure::Failure;
use crate::terminal::note;

/// The noise of observations where none is given: six of the 256 levels of a pixel.
const NOISE: f64 = 0.05;
/// Iterations of mmps where none are given.
const ITERATIONS: usize = 3;
/// The step size of dps where none is given.
const ZETA: f64 = 10.0;
/// The least noise of an observation.
const LEAST_NOISE: f64 = 1e-3;

#[derive(clap::Args)]
pub struct TaskArgs {
    /// What was done to the images
    #[arg(long, value_enum)]
    task: Task,
    /// Image of the size of the images, white where they are seen and black where they are not; grey counts as seen
    /// from 128 on
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Side in pixels of the boxes whose means are seen
    #[arg(long, value_name = "F")]
    factor: Option<usize>,
    /// Standard deviation of the noise in what was seen, of pixels from -1 to 1, by which seen pixels may change; from
    /// 0.001 [default: 0.05; none for denoise]
    #[arg(long, value_name = "SIGMA")]
    noise: Option<f64>,
    /// How the model is told of what was seen [default: trained for a model of pairs, else joint for denoise, mmps for
    /// the others]
    #[arg(long, value_enum)]
    method: Option<Method>,
    /// What mmps and dps take for the covariance of the images behind a sample [default: effective]
    #[arg(long, value_enum)]
    covariance: Option<CovarianceArg>,
    /// Largest number of iterations of mmps, each an evaluation with its derivative [default: 3]
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,
    /// Step size of dps [default: 10]
    #[arg(long, value_name = "ZETA")]
    zeta: Option<f64>,
    /// What the model was trained for, once it was read.
    #[arg(skip)]
    trained_for: OnceLock<Corruption>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Task {
    /// Some pixels are not seen
    Inpaint,
    /// Means of boxes are seen
    Superres,
    /// All pixels are seen with noise
    Denoise,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Method {
    /// Moment matching, arXiv:2405.13712
    Mmps,
    /// Diffusion posterior sampling, arXiv:2209.14687
    Dps,
    /// Sample and observation joined, for denoise: exact at D = inf
    Joint,
    /// The training data reweighted, for a model that is exact
    Exact,
    /// What was seen is shown to the model, which was trained for that: condition corrupted
    Trained,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum CovarianceArg {
    /// The derivative at the noise level that a sample shows, scaled by it
    Effective,
    /// The derivative as it is, scaled by the level that a sample shows
    Scaled,
    /// The derivative as it is, scaled by the level of the schedule: right at D = inf only
    Nominal,
}

impl From<CovarianceArg> for Covariance {
    fn from(covariance: CovarianceArg) -> Self {
        match covariance {
            CovarianceArg::Effective => Self::Effective,
            CovarianceArg::Scaled => Self::Scaled,
            CovarianceArg::Nominal => Self::Nominal,
        }
    }
}

impl TaskArgs {
    /// Refuses flags that are missing, do not belong together or are out of range.
    pub fn check(&self) -> Result<(), Failure> {
        let refuse = |message: &str| Err(Failure::bad_input(message));
        match (self.task, &self.mask) {
            (Task::Inpaint, None) => return refuse("--mask: inpaint needs a mask, got none"),
            (Task::Superres | Task::Denoise, Some(_)) => {
                return refuse("--mask: only --task inpaint takes a mask: leave it out");
            }
            _ => {}
        }
        match (self.task, self.factor) {
            (Task::Superres, None) => return refuse("--factor: superres needs a factor, got none"),
            (Task::Inpaint | Task::Denoise, Some(_)) => {
                return refuse("--factor: only --task superres takes a factor: leave it out");
            }
            (_, Some(factor)) => {
                BoxAverage::new(factor).map_err(|e| flagged("factor", e))?;
            }
            _ => {}
        }
        if self.task == Task::Denoise && self.noise.is_none() {
            return refuse("--noise: denoise needs the noise of the images, got none");
        }
        if self.method == Some(Method::Joint) && self.task != Task::Denoise {
            return refuse("--method joint: only for --task denoise: take mmps or dps");
        }
        self.check_method_flags()?;
        self.observation(Arc::new(Identity))?;
        match self.method {
            // It is known once the model is.
            Some(Method::Trained) => Ok(()),
            _ => self.method().map(drop),
        }
    }

    /// Takes the model for what it was trained for, if it was trained on pairs.
    pub fn meet(&self, trained_for: Option<Corruption>) -> Result<(), Failure> {
        let Some(corruption) = trained_for else {
            return Ok(());
        };
        let corruption = *self.trained_for.get_or_init(|| corruption);
        if self.chosen() != Method::Trained {
            return Err(Failure::bad_input(
                "--method: the model was trained on pairs and is shown what was seen: take trained, or leave it out",
            ));
        }
        self.check_method_flags()?;
        let refuse = |what: String| {
            let message = format!("the model was trained on pairs for another task: {what}");
            Err(Failure::bad_input(message))
        };
        match (corruption, self.task) {
            (Corruption::Noise(sigma), Task::Denoise) if self.noise == Some(sigma) => Ok(()),
            (Corruption::Noise(sigma), _) => refuse(format!("--task denoise --noise {sigma}")),
            (Corruption::Box(side), Task::Superres) if self.factor == Some(side) => Ok(()),
            (Corruption::Box(side), _) => refuse(format!("--task superres --factor {side}")),
            (Corruption::Mask(_), Task::Inpaint) => Ok(()),
            (Corruption::Mask(_), _) => refuse("--task inpaint".to_string()),
        }
    }

    /// Refuses flags of another method than the chosen one.
    fn check_method_flags(&self) -> Result<(), Failure> {
        let (method, name) = (self.chosen(), self.method_name());
        let differentiates = matches!(method, Method::Mmps | Method::Dps);
        for (flag, given, taken) in [
            (
                "iterations",
                self.iterations.is_some(),
                method == Method::Mmps,
            ),
            ("zeta", self.zeta.is_some(), method == Method::Dps),
            ("covariance", self.covariance.is_some(), differentiates),
        ] {
            if given && !taken {
                let message = format!("--{flag}: is not used by --method {name}: leave it out");
                return Err(Failure::bad_input(message));
            }
        }
        Ok(())
    }

    /// Which pixels the mask shows, with its height and width.
    pub fn read_mask(&self) -> Result<Option<MaskFile>, Failure> {
        let Some(path) = &self.mask else {
            return Ok(None);
        };
        let image = read_opaque_image(path).map_err(RunError::from)?;
        let (_, height, width) = image.dims3()?;
        // White in all channels.
        let darkest = image.min(0)?.flatten_all()?.to_vec1::<f32>()?;
        let grey = darkest.iter().filter(|level| level.abs() < 1.0).count();
        if grey > 0 {
            note(format_args!(
                "mask: {grey} of {} pixels are neither white nor black: from 128 on they count as seen",
                darkest.len()
            ));
        }
        Ok(Some(MaskFile {
            size: [height, width],
            brightest: darkest
                .iter()
                .fold(0.0, |most, level| most.max(127.5 * (level + 1.0))),
            seen: darkest.into_iter().map(|level| level > 0.0).collect(),
        }))
    }

    /// What is seen of images of `shape`.
    pub fn operator(
        &self,
        mask: Option<&MaskFile>,
        shape: [usize; 3],
    ) -> Result<Arc<dyn Operator>, Failure> {
        let [_, height, width] = shape;
        if let Some(mask) = mask {
            if mask.size != [height, width] {
                let [rows, columns] = mask.size;
                return Err(Failure::bad_input(format!(
                    "--mask: must be {width} pixels wide and {height} high, as the model's images are, got {columns} wide and {rows} high"
                )));
            }
            let refused = |e| match mask.seen.contains(&true) {
                true => flagged("mask", e),
                false => Failure::bad_input(format!(
                    "--mask: {e}: a pixel is seen from level 128 of 255 on, the brightest has {:.0}",
                    mask.brightest
                )),
            };
            let mask = Mask::new(&mask.seen, shape).map_err(refused)?;
            return Ok(Arc::new(mask));
        }
        let Some(factor) = self.factor else {
            return Ok(Arc::new(Identity));
        };
        let boxes = BoxAverage::new(factor).map_err(|e| flagged("factor", e))?;
        boxes
            .observed_shape(&shape)
            .map_err(|e| flagged("factor", e))?;
        Ok(Arc::new(boxes))
    }

    /// How observations by `operator` come about.
    pub fn observation(&self, operator: Arc<dyn Operator>) -> Result<Observation, Failure> {
        Observation::new(operator, self.noise()).map_err(|mut error| {
            error.name = "the noise".to_string();
            flagged("noise", error)
        })
    }

    /// How the model is told.
    pub fn method(&self) -> Result<RestorationMethod, Failure> {
        let covariance = self.covariance.unwrap_or(CovarianceArg::Effective).into();
        Ok(match self.chosen() {
            Method::Mmps => {
                let iterations = ConjugateGradients {
                    max_iterations: self.iterations.unwrap_or(ITERATIONS),
                    tolerance: 1e-3,
                };
                iterations.check().map_err(|e| flagged("iterations", e))?;
                RestorationMethod::Mmps {
                    covariance,
                    iterations,
                }
            }
            Method::Dps => {
                let zeta = self.zeta.unwrap_or(ZETA);
                pfgmpp_transfer::ParameterError::positive("zeta", zeta)
                    .map_err(|e| flagged("zeta", e))?;
                RestorationMethod::Dps { covariance, zeta }
            }
            Method::Joint => RestorationMethod::JointNoise,
            Method::Exact => RestorationMethod::Exact,
            Method::Trained => match self.trained_for.get() {
                Some(&corruption) => RestorationMethod::Trained(corruption),
                None => {
                    return Err(Failure::bad_input(
                        "--method trained: the model was not trained on pairs (condition corrupted): take mmps or dps",
                    ));
                }
            },
        })
    }

    /// Refuses a method that the model is not for.
    pub fn check_model(&self, exact: bool) -> Result<(), Failure> {
        match self.chosen() {
            Method::Exact if !exact => Err(Failure::bad_input(
                "--method exact: only for a configuration with model: exact: take mmps or dps",
            )),
            _ => Ok(()),
        }
    }

    fn chosen(&self) -> Method {
        self.method
            .unwrap_or(match (self.trained_for.get(), self.task) {
                (Some(_), _) => Method::Trained,
                (None, Task::Denoise) => Method::Joint,
                (None, Task::Inpaint | Task::Superres) => Method::Mmps,
            })
    }

    /// The standard deviation of the noise.
    pub fn noise(&self) -> f64 {
        let default = match self.trained_for.get() {
            // It was trained without.
            Some(_) => LEAST_NOISE,
            None => NOISE,
        };
        self.noise.unwrap_or(default)
    }

    /// Whether observations are pictures of which parts are not seen.
    pub fn hides(&self) -> bool {
        self.task == Task::Inpaint
    }

    /// The shape of a picture of an observation of images of `shape`.
    pub fn picture_shape(&self, [channels, height, width]: [usize; 3]) -> [usize; 3] {
        let factor = self.factor.unwrap_or(1);
        [channels, height / factor, width / factor]
    }

    /// A picture of an observation of which the transpose is `back`: hidden pixels grey, means of boxes in their boxes.
    pub fn shown(&self, back: &Tensor) -> candle_core::Result<Tensor> {
        let factor = self.factor.unwrap_or(1) as f64;
        back * (factor * factor)
    }

    /// The task as its flag names it.
    pub fn name(&self) -> &'static str {
        match self.task {
            Task::Inpaint => "inpaint",
            Task::Superres => "superres",
            Task::Denoise => "denoise",
        }
    }

    /// The method as its flag names it.
    pub fn method_name(&self) -> &'static str {
        match self.chosen() {
            Method::Mmps => "mmps",
            Method::Dps => "dps",
            Method::Joint => "joint",
            Method::Exact => "exact",
            Method::Trained => "trained",
        }
    }

    /// `inpaint with noise of 0.05, by mmps`
    pub fn sentence(&self) -> String {
        format!(
            "{} with noise of {}, by {}",
            self.name(),
            self.noise(),
            self.method_name()
        )
    }
}

/// What a mask shows.
pub struct MaskFile {
    /// Height and width.
    size: [usize; 2],
    /// The level of its brightest pixel, of 255.
    brightest: f32,
    /// Of each pixel, whether it is seen.
    seen: Vec<bool>,
}

/// Blames a flag.
fn flagged(flag: &str, error: impl std::fmt::Display) -> Failure {
    Failure::bad_input(format!("--{flag}: {error}"))
}
