//! `pfgmpp advise`: how far the levels that samples show leave the schedule, and what trust it deserves.

mod picture;
mod report;

use std::path::PathBuf;

use pfgmpp_run::RunError;
use pfgmpp_store::write_file;
use pfgmpp_sweep::report::to_png;

use crate::data_args::DataArgs;
use crate::device::DeviceArgs;
use crate::drawn_args::DrawnArgs;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::model_args::ModelArgs;
use crate::out_file;
use crate::terminal::{Counter, note};

#[derive(clap::Args)]
#[command(override_usage = "pfgmpp advise [OPTIONS] --checkpoint <REF> --data <SOURCE>")]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    drawn: DrawnArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Samples to draw, and at most as many data to read levels off
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(32..=100_000))]
    num: u64,
    /// Seed of the first sample; the next has the next seed
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Samples at a time, at least one per thread; it changes memory and speed, not the figures
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: u64,
    /// A picture of the levels
    #[arg(long, value_name = "FILE.svg|.png")]
    out: Option<PathBuf>,
    /// Replace that file if it is there
    #[arg(long, requires = "out")]
    overwrite: bool,
    /// Write what was found as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

pub fn advise(args: &Args) -> Result<(), Failure> {
    if let Some(out) = &args.out {
        out_file::check(out, &["svg", "png"], args.overwrite)?;
    }
    let signals = stop_on_signal()?;
    let device = args.device.open()?;
    let model = args.model.load(Some(&args.drawn), args.seed, &device)?;
    if model.sampler().solver().adapts() {
        return Err(Failure::bad_input(
            "--solver: must take the steps of a schedule, which is what is judged: not rk45",
        ));
    }
    let parts = args.data.load(&model)?;
    let [(name, data)] = parts.as_slice() else {
        return Err(Failure::bad_input(
            "--split: must be held_out or train here",
        ));
    };
    if device.is_cpu() {
        model.check_memory("--batch", args.batch, args.num)?;
    }
    note(format_args!(
        "levels are read with the model's error on the data ({name}), and compared with those of data at known levels"
    ));
    let seeds: Vec<u64> = (0..args.num).map(|i| args.seed.wrapping_add(i)).collect();
    let known = args.num.min(data.num_images() as u64);
    let counter = Counter::new(args.num + known, "levels");
    let progress = |done| counter.add(done);
    let batch = (args.batch as usize, &device);
    let met = model.levels_met(&seeds, data, batch, signals.begin(), &progress);
    counter.close();
    let met = met?;
    if let Some(out) = &args.out {
        let svg = picture::draw(&met);
        let is_png = out
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
        let bytes = match is_png {
            true => to_png(&svg)
                .map_err(|e| Failure::Failed(anyhow::anyhow!("{}: {e}", out.display())))?,
            false => svg.into_bytes(),
        };
        write_file(out, &bytes).map_err(|e| RunError::io(out)(e))?;
    }
    report::report(args, &model, &met)
}
