//! The flags that say what samples start from and are of.

use candle_core::Tensor;
use pfgmpp_checkpoint::DataSummary;
use pfgmpp_config::yaml::parse_value;
use pfgmpp_sampler::{Classes, SamplerConfig, noise_levels};
use serde_json::Value;

use crate::failure::Failure;
use crate::model_args::checked;
use crate::terminal::note;

/// What samples start from and are of, for every command that draws some.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "Model and sampler")]
pub struct DrawnArgs {
    /// Factor on the norm of the starting point of samples: below 1 for less varied ones [default: as the model was
    /// scored with, else 1]
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Start from the noisy image that a model of pairs is shown, at the level of its noise, in place of the prior: sigma: 0.5, or
    /// {sigma: 0.5, one_step: true, weight: 0.9}; of `sample --input` also sigma: measured [default: as the model was scored with, else from the prior]
    #[arg(long, value_name = "START")]
    start_from_condition: Option<String>,
    /// Classes of the samples of a model that has classes: 3, 0-9 or 0,3,5 in turn; uniform for random classes of equal
    /// probability, data for random ones as frequent as in the training data [default: as the model was scored with,
    /// else uniform]
    #[arg(long = "class", value_name = "CLASSES")]
    classes: Option<Classes>,
}

impl DrawnArgs {
    /// Sets in `sampler` what the flags ask for.
    ///
    /// # Errors
    ///
    /// A temperature out of range.
    pub fn set(&self, sampler: &mut SamplerConfig) -> Result<(), Failure> {
        if self.classes.is_some() {
            sampler.classes.clone_from(&self.classes);
        }
        if let Some(text) = &self.start_from_condition {
            let asked = start(text)?;
            if is_measured(&asked) {
                return Err(Failure::bad_input(format!(
                    "{START}: sigma: measured is measured of the images of `pfgmpp sample --input`: give a number"
                )));
            }
            sampler.start_from_condition = Some(parse_value(&asked.to_string(), START)?);
            checked(sampler, START)?;
        }
        if self.temperature.is_some() {
            sampler.temperature = self.temperature;
            checked(sampler, "--temperature")?;
        }
        Ok(())
    }

    /// Puts the noise level of `images` `[n, C, H, W]`, which samples are to start from, in place of `sigma: measured`: the median of
    /// what each shows. Gives the lowest, that, and the highest if it was asked for.
    ///
    /// # Errors
    ///
    /// Images that are too small, or show no noise.
    pub fn measure(&mut self, images: &Tensor) -> Result<Option<[f64; 3]>, Failure> {
        let asked = self.start_from_condition.as_deref().map(start);
        let Some(mut asked) = asked.transpose()?.filter(is_measured) else {
            return Ok(None);
        };
        let refuse = |e| Failure::bad_input(format!("{START}: {e}"));
        let mut found = noise_levels(images).map_err(refuse)?;
        found.sort_by(f64::total_cmp);
        let (low, high) = (found[0], found[found.len() - 1]);
        // Four digits are more than it is good for.
        let sigma = format!("{:.3e}", found[found.len() / 2]);
        let sigma = sigma.parse().expect("a number that was written");
        asked["sigma"] = Value::from(sigma);
        self.start_from_condition = Some(asked.to_string());
        Ok(Some([low, sigma, high]))
    }

    /// The classes that are asked for one by one, if they are.
    pub fn list(&self) -> Option<&[usize]> {
        match &self.classes {
            Some(Classes::List(list)) => Some(list),
            _ => None,
        }
    }

    /// Refuses `--class` where there is nothing to choose from.
    ///
    /// # Errors
    ///
    /// Any classes.
    pub fn refuse_classes(&self) -> Result<(), Failure> {
        match &self.classes {
            None => Ok(()),
            Some(classes) => Err(Failure::bad_input(format!(
                "--class {classes}: the model has no classes: leave it out"
            ))),
        }
    }

    /// Refuses classes at random, where states say of which they are.
    ///
    /// # Errors
    ///
    /// Such classes.
    pub fn refuse_random_classes(&self) -> Result<(), Failure> {
        match &self.classes {
            None | Some(Classes::List(_)) => Ok(()),
            Some(classes) => Err(Failure::bad_input(format!(
                "--class {classes}: states of a file are not of random classes: leave it out for those of the file, or give some, \
                 such as 3 or 0,3,5"
            ))),
        }
    }

    /// Refuses classes that the model does not have.
    ///
    /// # Errors
    ///
    /// Those classes.
    pub fn check_classes(
        &self,
        sampler: &SamplerConfig,
        data: &DataSummary,
    ) -> Result<(), Failure> {
        match (&sampler.classes, data.label_dim) {
            (_, 0) => self.refuse_classes(),
            (None, _) => Ok(()),
            (Some(classes), label_dim) => classes
                .check(label_dim, &data.class_counts)
                .map_err(|e| Failure::bad_input(format!("--class: {e}"))),
        }
    }

    /// What classes the samples are of, and how others are asked for.
    pub fn say_classes(&self, classes: &Classes, label_dim: usize) {
        let which = match classes {
            Classes::Uniform => {
                format!("one of {label_dim} at random, each as often, by the sample's seed")
            }
            Classes::Data => format!(
                "one of {label_dim} at random, as in the training data, by the sample's seed"
            ),
            Classes::List(list) if list.len() == 1 => format!("{classes}, of {label_dim}"),
            Classes::List(_) => format!("{classes} in turn, of {label_dim}"),
        };
        let other = match self.classes {
            None => format!(" (--class 0-{} asks for some)", label_dim - 1),
            Some(_) => String::new(),
        };
        note(format_args!("classes: {which}{other}"));
    }
}

/// The flag, for errors.
const START: &str = "--start-from-condition";

/// What the flag says, with or without its braces.
fn start(text: &str) -> Result<Value, Failure> {
    let braced = match text.trim_start().starts_with('{') {
        true => text.to_string(),
        false => format!("{{{text}}}"),
    };
    Ok(parse_value(&braced, START)?)
}

fn is_measured(start: &Value) -> bool {
    start.get("sigma").and_then(Value::as_str) == Some("measured")
}
