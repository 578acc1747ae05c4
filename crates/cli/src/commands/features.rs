//! `pfgmpp features`: what a pretrained network sees in images, as a file.

use std::path::PathBuf;

use pfgmpp_checkpoint::write_tensors;
use pfgmpp_run::{SampleFile, SampleFormat};
use serde::Serialize;

use crate::failure::Failure;
use crate::images::Source;
use crate::interrupt::stop_on_signal;
use crate::network_args::NetworkArgs;
use crate::out_file;
use crate::terminal::{note, print, print_json};

#[derive(clap::Args)]
#[command(
    override_usage = "pfgmpp features [OPTIONS] --samples <SAMPLES> --network <NETWORK>\n                       [--weights <REF>] --out <FILE>",
    group = clap::ArgGroup::new("a network").args(["network"]).required(true)
)]
pub struct Args {
    /// The images: a folder or .zip of them, a .npy, .npz or .safetensors file, or a data source such as digits, of which
    /// the held-out part is taken
    #[arg(long, value_name = "SAMPLES")]
    samples: String,
    #[command(flatten)]
    network: NetworkArgs,
    /// A file for the features, ending in .npy or .safetensors: one row per image
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace that file if it is there
    #[arg(long)]
    overwrite: bool,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// What was written, as JSON.
#[derive(Serialize)]
struct Written<'a> {
    samples: &'a str,
    /// Rows.
    num: usize,
    /// Columns.
    num_features: usize,
}

pub fn features(args: &Args) -> Result<(), Failure> {
    let format = match SampleFormat::of(&args.out) {
        Some(format @ (SampleFormat::Npy | SampleFormat::Safetensors)) => format,
        _ => {
            return Err(Failure::bad_input(format!(
                "{}: features are written as .npy or .safetensors: give such a name",
                args.out.display()
            )));
        }
    };
    out_file::check(&args.out, &[], args.overwrite)?;
    args.network.check()?;
    let signals = stop_on_signal()?;
    let source = Source::open("samples", &args.samples)?;
    note(format_args!("samples: {}", source.found));
    let images = source.images();
    if let Some(network) = args.network.named() {
        images.check("--samples", network)?;
    }
    let viewer = args.network.load()?;
    let viewer = viewer.ok_or_else(|| Failure::bad_input("--network: must be given"))?;
    let (num, num_features) = (images.num(), viewer.num_features());
    let stop = signals.begin();
    if format == SampleFormat::Safetensors {
        let all = viewer.features(&images, stop)?;
        write_tensors(&args.out, &[("features".to_string(), all)].into(), None)?;
    } else {
        // An array has no room for the places of the images, which are its rows.
        let places: Vec<u64> = (0..num as u64).collect();
        let shape = [1, 1, num_features];
        let mut file = SampleFile::create(&args.out, format, shape, &places, None, None)?;
        viewer.look(&images, stop, |rows| Ok(file.add(&rows)?))?;
        file.finish()?;
    }
    if args.json {
        return print_json(&Written {
            samples: &source.found,
            num,
            num_features,
        });
    }
    print(format_args!(
        "{num_features} features of {num} images: {}",
        args.out.display()
    ));
    Ok(())
}
