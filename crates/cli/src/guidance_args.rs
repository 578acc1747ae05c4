//! The flags of guidance.

use std::path::PathBuf;

use pfgmpp_checkpoint::resolve;
use pfgmpp_sampler::Guidance;

use crate::download::hub;
use crate::failure::Failure;

/// How far samples are led, for every command that takes a model.
#[derive(clap::Args)]
#[command(next_help_heading = "Model and sampler")]
pub struct GuidanceArgs {
    /// Scale of guidance, classifier-free or by --autoguidance: 1 for none, 2 for clearer classes
    /// [default: as the model was scored with]
    #[arg(long, value_name = "W", allow_negative_numbers = true)]
    guidance: Option<f64>,
    /// Noise levels between which --guidance acts, such as 0.2,5 [default: all]
    #[arg(long, value_name = "LOW,HIGH", value_parser = interval, requires = "guidance")]
    guidance_interval: Option<[f64; 2]>,
    /// Autoguidance: a less trained or smaller checkpoint that samples are led away from, in place of the model without
    /// its classes
    #[arg(long, value_name = "REF", requires = "guidance")]
    autoguidance: Option<PathBuf>,
}

impl GuidanceArgs {
    /// The guidance that the flags ask for, if any.
    ///
    /// # Errors
    ///
    /// A weight or an interval out of range, and a reference that is not found.
    pub fn read(&self) -> Result<Option<Guidance>, Failure> {
        let Some(scale) = self.guidance else {
            return Ok(None);
        };
        let mut guidance = Guidance {
            scale,
            interval: None,
            reference: None,
        };
        let blame = |flag: &'static str| {
            move |e: pfgmpp_transfer::ParameterError| Failure::bad_input(format!("{flag}: {e}"))
        };
        guidance.check().map_err(blame("--guidance"))?;
        guidance.interval = self.guidance_interval;
        guidance.check().map_err(blame("--guidance-interval"))?;
        if let Some(path) = &self.autoguidance {
            guidance.reference = Some(resolve(path, &hub())?.path.display().to_string());
            guidance.check().map_err(blame("--autoguidance"))?;
        }
        Ok(Some(guidance))
    }
}

/// Reads `LOW,HIGH`.
fn interval(text: &str) -> Result<[f64; 2], String> {
    let ends: Vec<f64> = text
        .split(',')
        .map_while(|end| end.trim().parse().ok())
        .collect();
    match ends[..] {
        [low, high] if text.matches(',').count() == 1 => Ok([low, high]),
        _ => Err("must be two noise levels such as 0.2,5".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::interval;

    #[test]
    fn an_interval_is_two_noise_levels() {
        assert_eq!(interval("0.2,5"), Ok([0.2, 5.0]));
        assert_eq!(interval(" 0 , 80 "), Ok([0.0, 80.0]));
        for text in ["", "1", "1,", "1,2,", "1,2,3", "a,b", "1,2,b"] {
            let error = interval(text).unwrap_err();
            assert!(error.contains("two noise levels"), "{text:?}: {error}");
        }
    }
}
