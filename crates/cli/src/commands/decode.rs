//! `pfgmpp decode`: latent states back as data.

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use pfgmpp_data::Column;
use pfgmpp_kernel::Dimension;
use pfgmpp_run::{RunError, SampleFile, sample_grid};
use pfgmpp_sampler::SamplerConfig;
use pfgmpp_store::write_file;
use serde::Serialize;

use super::sample::pictures::Pictures;
use super::sample::place::{self, Form};
use crate::device::DeviceArgs;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::latents;
use crate::model_args::ModelArgs;
use crate::opening;
use crate::terminal::{Counter, note, print, print_json};

#[derive(clap::Args)]
#[command(
    override_usage = "pfgmpp decode [OPTIONS] --checkpoint <REF> --latents <FILE> --out <PATH>"
)]
pub struct Args {
    /// Latent states: a .npy or .safetensors file, as pfgmpp encode writes them
    #[arg(long, value_name = "FILE")]
    latents: PathBuf,
    /// A name ending in .png for one picture, .npz for images as bytes (arr_0), .npy or .safetensors for the values; or a
    /// folder for one PNG per state, numbered from 0
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// States decoded at a time; it changes memory and speed, not the data
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// Class of each state, in turn, of a model that has classes, such as 3 or 0,3,5 [default: as in the file]
    #[arg(long = "class", value_name = "CLASSES", value_delimiter = ',')]
    classes: Option<Vec<usize>>,
    /// Replace what is there already
    #[arg(long)]
    overwrite: bool,
    /// Write what was decoded as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What was decoded, as JSON.
#[derive(Serialize)]
struct Decoded<'a> {
    /// The file or folder.
    out: &'a Path,
    /// States.
    num: usize,
    /// The dimension D of the data.
    d: Dimension,
    /// All that they are drawn with.
    sampler: &'a SamplerConfig,
    /// Evaluations of the model per sample; absent where they depend on the sample.
    evaluations: Option<usize>,
    /// The shape of each, `[C, H, W]`.
    shape: [usize; 3],
    /// The class of each, empty without classes.
    classes: Vec<usize>,
}

pub fn decode(args: &Args) -> Result<(), Failure> {
    let form = Form::of(&args.out);
    let place = |path: &Path| std::fs::canonicalize(path).ok();
    if place(&args.out).is_some_and(|out| place(&args.latents) == Some(out)) {
        return Err(Failure::bad_input(format!(
            "--out: {} holds the latents: give another name",
            args.out.display()
        )));
    }
    place::check(&args.out, form, 1, args.overwrite)?;
    let signals = stop_on_signal()?;
    let device = args.device.open()?;
    let model = args.model.load(None, 0, &device)?;
    place::check_form(form, model.shape())?;
    let asked = args.classes.as_deref();
    let (states, classes) = latents::read(&args.latents, &model, asked, &device)?;
    let num = states.dim(0)?;
    place::check(&args.out, form, num as u64, args.overwrite)?;
    let places: Vec<u64> = (0..num as u64).collect();
    if form == Form::Pictures && !args.overwrite {
        place::check_samples(&args.out, &places)?;
    }
    let batch = args.batch.min(num as u64);
    if device.is_cpu() {
        model.check_memory("--batch", batch, num as u64)?;
    }
    note(opening::sampler_of_states(&model));
    note(opening::place(&args.device, &args.out));
    if let Some(line) = place::units(form, &model) {
        note(line);
    }
    let stop = signals.begin();
    let counter = Counter::new(num as u64, "states");
    let mut parts = Vec::new();
    for first in (0..num).step_by(batch as usize) {
        let len = (num - first).min(batch as usize);
        let own = classes.as_ref().map(|classes| &classes[first..first + len]);
        let condition = model.condition(own, &device)?;
        parts.push(model.decode(&states.narrow(0, first, len)?, &condition, true, stop)?);
        counter.add(len as u64);
    }
    counter.close();
    let data = Tensor::cat(&parts, 0)?.to_dtype(DType::F32)?;
    write(
        args,
        form,
        &data,
        (&places, model.columns()),
        classes.clone(),
    )?;
    if args.json {
        return print_json(&Decoded {
            out: &args.out,
            num,
            d: model.d(),
            sampler: &opening::without_classes(model.sampler_config()),
            evaluations: model.evaluations(),
            shape: model.shape(),
            classes: classes.unwrap_or_default(),
        });
    }
    print(format_args!(
        "{num} states decoded at D = {}: {}",
        model.d(),
        args.out.display()
    ));
    Ok(())
}

/// Writes `data` `[n, C, H, W]` as `form` says.
fn write(
    args: &Args,
    form: Form,
    data: &Tensor,
    (places, columns): (&[u64], Option<&[Column]>),
    classes: Option<Vec<usize>>,
) -> Result<(), Failure> {
    let out = &args.out;
    if form == Form::Pictures {
        std::fs::create_dir_all(out).map_err(|e| RunError::io(out)(e))?;
    }
    place::prepare(out, form, places)?;
    match form {
        Form::Grid => {
            let grid = sample_grid(data, None).map_err(RunError::from)?;
            let png = grid.to_png().map_err(RunError::from)?;
            write_file(out, &png).map_err(|e| RunError::io(out)(e).into())
        }
        Form::Array(format) => {
            let [_, c, h, w] = data.dims()[..] else {
                unreachable!("data have four dimensions");
            };
            let mut file = SampleFile::create(out, format, [c, h, w], places, classes, columns)?;
            file.add(data)?;
            Ok(file.finish()?)
        }
        Form::Pictures => {
            let mut pictures = Pictures::new(out, args.overwrite);
            pictures.add(data, places)?;
            pictures.write()?;
            pictures.check_own()
        }
    }
}
