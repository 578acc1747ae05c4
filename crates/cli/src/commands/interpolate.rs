//! `pfgmpp interpolate`: from one sample to the next through latent states.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use pfgmpp_data::{Picture, animation, is_planar};
use pfgmpp_kernel::Condition;
use pfgmpp_run::{RunError, SamplingModel, check_drawable, sample_rows, square};
use pfgmpp_sampler::interpolate as between;
use pfgmpp_store::write_file;

use crate::device::DeviceArgs;
use crate::drawn_args::DrawnArgs;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::latents;
use crate::model_args::ModelArgs;
use crate::opening;
use crate::out_file;
use crate::seeds::Seeds;
use crate::terminal::{Counter, note, print};

/// The most pictures that one call draws.
const MOST: u64 = 4096;
/// Hundredths of a second that a picture of an animation is shown.
const SHOWN: u16 = 8;

#[derive(clap::Args)]
#[command(override_usage = "pfgmpp interpolate [OPTIONS] --checkpoint <REF> --out <FILE>")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    drawn: DrawnArgs,
    /// Seeds of the samples between which latent states are interpolated, two or more: from each to the next
    #[arg(long, value_name = "LIST", default_value = "0-4")]
    seeds: Seeds,
    /// Latent states to interpolate between instead, as pfgmpp encode writes them: a .npy or .safetensors file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "temperature", "start_from_condition"])]
    latents: Option<PathBuf>,
    /// Pictures from one sample to the next, both counted
    #[arg(long, value_name = "K", default_value_t = 9, value_parser = clap::value_parser!(u64).range(2..=256))]
    frames: u64,
    /// A name ending in .png for one picture, a row from each sample to the next, or in .gif for an animation of all
    /// rows at once
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace that file if it is there
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

pub fn interpolate(args: &Args) -> Result<(), Failure> {
    let as_animation = check_place(args)?;
    if args.latents.is_none() {
        check_rows(args, args.seeds.num(), "--seeds: must be two seeds or more")?;
    }
    let signals = stop_on_signal()?;
    let device = args.device.open()?;
    // States of a file are of classes that the file or a list says, not of drawn ones.
    let drawn = args.latents.is_none().then_some(&args.drawn);
    let model = args.model.load(drawn, 0, &device)?;
    check_drawable(model.shape()).map_err(|e| Failure::bad_input(format!("--out: {e}")))?;
    if is_planar(model.shape()) {
        let message =
            "--checkpoint: points in the plane are not interpolated: there is no picture of one";
        return Err(Failure::bad_input(message));
    }
    let (states, classes) = ends(args, &model, &device)?;
    let num = states.dim(0)? as u64;
    let rows = check_rows(args, num, "--latents: must hold two states or more")?;
    if device.is_cpu() {
        model.check_memory("--seeds", rows, rows * args.frames)?;
    }
    note(match args.latents.is_some() {
        true => opening::sampler_of_states(&model),
        false => opening::sampler(&model),
    });
    note(opening::place(&args.device, &args.out));
    let (first, last) = (
        states.narrow(0, 0, rows as usize)?,
        states.narrow(0, 1, rows as usize)?,
    );
    let stop = signals.begin();
    let counter = Counter::new(args.frames, "frames");
    let mut frames = Vec::new();
    for frame in 0..args.frames {
        let t = frame as f64 / (args.frames - 1) as f64;
        let x = between(&first, &last, t)?;
        let condition = match &classes {
            None => Condition::none(),
            Some(classes) => {
                let (own, next) = (&classes[..rows as usize], &classes[1..]);
                model.condition_between(own, next, t, &device)?
            }
        };
        frames.push(model.decode(&x, &condition, true, stop)?);
        counter.add(1);
    }
    counter.close();
    let bytes = match as_animation {
        true => animated(&frames)?,
        false => in_rows(&frames, rows as usize)?,
    };
    write_file(&args.out, &bytes).map_err(|e| RunError::io(&args.out)(e))?;
    say(args, &model, rows);
    Ok(())
}

/// The rows between `num` states; refuses none, and more pictures than anyone means to draw.
fn check_rows(args: &Args, num: u64, fewer: &str) -> Result<u64, Failure> {
    let rows = num - 1;
    if rows == 0 {
        return Err(Failure::bad_input(format!("{fewer}, got 1")));
    }
    if rows.saturating_mul(args.frames) > MOST {
        return Err(Failure::bad_input(format!(
            "--frames: {rows} rows of {} pictures are more than {MOST}: take fewer rows or frames",
            args.frames
        )));
    }
    Ok(rows)
}

/// The latent states that are asked for, and the class of each, of a model that has classes.
fn ends(
    args: &Args,
    model: &SamplingModel,
    device: &Device,
) -> Result<(Tensor, Option<Vec<usize>>), Failure> {
    if let Some(path) = &args.latents {
        args.drawn.refuse_random_classes()?;
        return latents::read(path, model, args.drawn.list(), device);
    }
    let seeds = args.seeds.list();
    Ok((model.prior(&seeds, device)?, model.classes(&seeds)))
}

fn say(args: &Args, model: &SamplingModel, rows: u64) {
    print(format_args!(
        "{rows} {} of {} pictures at D = {}: {}",
        if rows == 1 { "row" } else { "rows" },
        args.frames,
        model.d(),
        args.out.display()
    ));
}

/// Whether the name asks for an animation; refuses a name of another kind, and one that is taken.
fn check_place(args: &Args) -> Result<bool, Failure> {
    let ends_in = |ending: &str| {
        let own = args.out.extension();
        own.is_some_and(|own| own.eq_ignore_ascii_case(ending))
    };
    if !ends_in("png") && !ends_in("gif") {
        let message = "pictures are written as .png or .gif: give such a name";
        let message = format!("{}: {message}", args.out.display());
        return Err(Failure::bad_input(message));
    }
    out_file::check(&args.out, &[], args.overwrite)?;
    Ok(ends_in("gif"))
}

/// One picture, a row from each sample to the next.
fn in_rows(frames: &[Tensor], rows: usize) -> Result<Vec<u8>, RunError> {
    let all = Tensor::stack(frames, 1)?.flatten(0, 1)?;
    debug_assert_eq!(all.dim(0)?, rows * frames.len());
    Ok(sample_rows(&all.to_dtype(DType::F32)?, frames.len())?.to_png()?)
}

/// All rows side by side, forth and back.
fn animated(frames: &[Tensor]) -> Result<Vec<u8>, RunError> {
    let picture = |frame: &Tensor| -> Result<Picture, RunError> {
        Ok(sample_rows(frame, square(frame.dim(0)?))?)
    };
    let there: Result<Vec<Picture>, RunError> = frames.iter().map(picture).collect();
    let mut all = there?;
    let back = frames
        .iter()
        .rev()
        .skip(1)
        .take(frames.len().saturating_sub(2));
    for frame in back {
        all.push(picture(frame)?);
    }
    animation(&all, SHOWN)
        .ok_or_else(|| candle_core::Error::msg("pictures are too large for an animation").into())
}
