//! `pfgmpp ema`: an average of a run's weights over any length, made afterwards.

use std::path::{Path, PathBuf};

use pfgmpp_config::{Document, RunConfig};
use pfgmpp_run::{
    Lookup, PostHoc, PostHocAverage, ResolvedRun, RunError, RunFolder, StopFlag, load,
};
use serde::Serialize;

use crate::commands::convert::check_out;
use crate::download::hub;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::output::complain;
use crate::terminal::{note, print, print_json};

/// From here on the average made is another than the one asked for, and a line says so.
const NOTABLE: f64 = 0.01;

/// From here on it is refused.
const USELESS: f64 = 0.5;

#[derive(clap::Args)]
pub struct Args {
    /// Folder of a run whose configuration has post_hoc_ema; it may still be training
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Lengths of the averages to make, as shares of training; several are compared
    #[arg(long, value_name = "L,...", value_delimiter = ',', required = true)]
    sigma_rel: Vec<f64>,
    /// Where in training the averages end, in images seen [default: the latest snapshot]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    nimg: Option<u64>,
    /// Folder for the checkpoint, which must not exist yet; needs a single length
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write what was found as JSON
    #[arg(long)]
    json: bool,
}

/// An average, as JSON.
#[derive(Serialize)]
struct Made {
    /// Its relative length.
    sigma_rel: f64,
    /// The images seen by its end.
    nimg: u64,
    /// The distance of its profile from the one asked for, as a share of that one's norm.
    profile_error: f64,
    /// Its error on held-out images, in units of the data.
    denoising_error: f64,
    /// The folder of its checkpoint, if one was asked for.
    checkpoint: Option<PathBuf>,
}

pub fn ema(args: &Args) -> Result<(), Failure> {
    if let Some(out) = &args.out {
        if args.sigma_rel.len() > 1 {
            let message = "--out: asks for a single length: give --sigma-rel one, or leave --out out to compare several";
            return Err(Failure::bad_input(message));
        }
        check_out(out)?;
    }
    let signals = stop_on_signal()?;
    check_run(&args.run)?;
    let (_, config) = Document::read::<RunConfig>(&RunFolder::config_in(&args.run))?;
    let begun = std::slice::from_ref(&args.run);
    let resolved = ResolvedRun::resolve(config, Some(&args.run), &Lookup::new(&hub(), begun))?;
    let config = resolved.config();
    let splits = load(&config.data)?;
    let post_hoc = PostHoc::open(&args.run, config, &splits)?;
    let nimg = args.nimg.unwrap_or_else(|| post_hoc.last_nimg());
    note(format_args!(
        "averages after {nimg} images, of {} snapshots",
        post_hoc.num_snapshots()
    ));
    let stop = signals.begin();
    let mut all = Vec::new();
    for &sigma_rel in &args.sigma_rel {
        let average = post_hoc.average(sigma_rel, nimg)?;
        let off = format!(
            "sigma_rel {sigma_rel}: the snapshots miss its profile after {nimg} images by {:.1} %: more of them, or lengths on both \
             sides of it, would come nearer; {}",
            100.0 * average.profile_error,
            post_hoc.saved_near(nimg)
        );
        if average.profile_error > USELESS {
            return Err(Failure::bad_input(off));
        }
        if average.profile_error > NOTABLE {
            complain(off);
        }
        all.push(make(args, &post_hoc, &average, stop)?);
    }
    if args.json {
        return print_json(&all);
    }
    print("sigma_rel  profile_error  denoising_error");
    for one in &all {
        let Made {
            sigma_rel,
            profile_error,
            denoising_error,
            ..
        } = one;
        print(format_args!(
            "{sigma_rel:<9}  {profile_error:<13.2e}  {denoising_error:.5}"
        ));
    }
    if let Some(out) = &args.out {
        print(format_args!("\nCheckpoint: {}", out.display()));
    }
    Ok(())
}

/// Refuses what is no run folder, such as the checkpoint in one.
fn check_run(path: &Path) -> Result<(), Failure> {
    if RunFolder::config_in(path).is_file() {
        return Ok(());
    }
    let around = path.parent().filter(|p| RunFolder::config_in(p).is_file());
    let give = match around {
        Some(run) => format!("give {}, in which it lies", run.display()),
        None => "give the folder that pfgmpp train wrote".to_string(),
    };
    Err(Failure::bad_input(format!(
        "{}: is no run folder, with config.yaml and averages: {give}",
        path.display()
    )))
}

/// Measures one average, and writes it where that was asked for.
fn make(
    args: &Args,
    post_hoc: &PostHoc<'_>,
    average: &PostHocAverage,
    stop: &StopFlag,
) -> Result<Made, Failure> {
    let error = post_hoc.denoising_error(average, stop)?;
    if let Some(out) = &args.out {
        let checkpoint = post_hoc.checkpoint(average, stop)?;
        checkpoint.save(out).map_err(RunError::from)?;
    }
    Ok(Made {
        sigma_rel: average.sigma_rel,
        nimg: average.nimg,
        profile_error: average.profile_error,
        denoising_error: error,
        checkpoint: args.out.clone(),
    })
}
