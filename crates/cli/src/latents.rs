//! Latent states that a flag names.

use std::path::Path;

use candle_core::{Device, Tensor};
use pfgmpp_run::{LatentFile, SamplingModel};

use crate::failure::Failure;
use crate::terminal::note;

/// Classes that a line shows.
const SHOWN: usize = 10;

/// The latent states in the file at `path`, `[n, C, H, W]` on `device`, and the class of each for a model that has classes:
/// those `asked` for in turn, else those of the file.
///
/// # Errors
///
/// A file that holds no states of the model, and a model with classes where neither says which.
pub fn read(
    path: &Path,
    model: &SamplingModel,
    asked: Option<&[usize]>,
    device: &Device,
) -> Result<(Tensor, Option<Vec<usize>>), Failure> {
    let refused = |e: String| Failure::bad_input(format!("--latents {}: {e}", path.display()));
    let file = LatentFile::read(path, model.shape()).map_err(refused)?;
    let states = file.states.to_device(device)?;
    say_size(&file.states, model)?;
    let label_dim = model.label_dim();
    if label_dim == 0 {
        return match asked {
            None => Ok((states, None)),
            Some(_) => Err(Failure::bad_input(
                "--class: the model has no classes: leave it out",
            )),
        };
    }
    let num = states.dim(0)?;
    let said = match (asked, &file.classes) {
        (Some(asked), own) => {
            let own = own
                .as_ref()
                .map_or("", |_| ", in place of those of the file");
            format!("{} in turn{own}", listed(asked))
        }
        (None, Some(own)) => format!("those of {}: {}", path.display(), listed(own)),
        (None, None) => String::new(),
    };
    let classes = match (asked, file.classes) {
        (Some(asked), _) => asked.iter().copied().cycle().take(num).collect(),
        (None, Some(classes)) => classes,
        (None, None) => {
            let message = "does not say of which classes its states are: give --class, such as --class 3 or 0,3,5";
            return Err(refused(message.to_string()));
        }
    };
    match classes.iter().find(|class| **class >= label_dim) {
        None => {
            note(format_args!("classes: {said}, of {label_dim}"));
            Ok((states, Some(classes)))
        }
        Some(class) => Err(refused(format!(
            "class {class}: the model has {label_dim} classes, from 0"
        ))),
    }
}

/// The first few classes.
fn listed(classes: &[usize]) -> String {
    let shown = classes.iter().take(SHOWN).map(ToString::to_string);
    let shown: Vec<String> = shown.collect();
    let more = if classes.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// How large states are beside those of the prior, so that ones of another scale are noticed.
fn say_size(states: &Tensor, model: &SamplingModel) -> Result<(), Failure> {
    let square = states.sqr()?.mean_all()?.to_scalar::<f32>()?;
    let ratio = f64::from(square).sqrt() / model.sampler().levels().sigma_max();
    let typical = match model.d().is_infinite() {
        true => "about 1 for samples",
        false => "of the order of 1 for most samples",
    };
    note(format_args!(
        "latents: {ratio:.3} of the highest noise level (root of the mean square; {typical})"
    ));
    Ok(())
}
