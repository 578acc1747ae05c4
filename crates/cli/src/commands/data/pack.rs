//! `pfgmpp data pack`: images of one size of images of any.

use std::path::PathBuf;

use pfgmpp_data::{Filter, PackOptions, Packed};
use pfgmpp_run::RunError;
use pfgmpp_store::write_file;
use serde::Serialize;

use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::out_file;
use crate::terminal::{Counter, note, print, print_json, shell_word};

#[derive(clap::Args)]
pub struct Args {
    /// A folder or ZIP archive of images (PNG, JPEG, WebP, TIFF, BMP) of any size
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// The ZIP archive to write: PNG images and dataset.json, as the published data sets of EDM have them
    #[arg(value_name = "DST.zip")]
    out: PathBuf,
    /// Side of the images, or WIDTHxHEIGHT: the largest central part of that shape is taken and resized [default:
    /// the size that all images have]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    size: Option<[usize; 2]>,
    /// How images are resized
    #[arg(long, value_enum, default_value_t = Resize::Lanczos)]
    resize: Resize,
    /// Skip files that cannot be read, and say how many
    #[arg(long)]
    skip_unreadable: bool,
    /// Replace an archive that is there
    #[arg(long)]
    overwrite: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// How images are resized.
#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Resize {
    /// The mean of what a pixel covers
    Box,
    /// Sharper
    Lanczos,
}

/// What was written: the JSON of `pfgmpp data pack`.
#[derive(Serialize)]
struct Written<'a> {
    path: &'a str,
    images: usize,
    shape: [usize; 3],
    classes: usize,
    remarks: &'a [String],
    left_out: Vec<String>,
}

/// Height and width of `64` or `64x48`.
fn size(text: &str) -> Result<[usize; 2], String> {
    let (width, height) = text.split_once(['x', 'X']).unwrap_or((text, text));
    let side = |text: &str| match text.parse() {
        Ok(side @ 1..=4096) => Ok(side),
        _ => Err("must be a side such as 64 or WIDTHxHEIGHT, each from 1 to 4096".to_string()),
    };
    Ok([side(height)?, side(width)?])
}

pub fn pack(args: &Args) -> Result<(), Failure> {
    out_file::check(&args.out, &["zip"], args.overwrite)?;
    let _signals = stop_on_signal()?;
    let options = PackOptions {
        size: args.size,
        filter: match args.resize {
            Resize::Box => Filter::Box,
            Resize::Lanczos => Filter::Lanczos,
        },
        skip_unreadable: args.skip_unreadable,
    };
    let mut counter = None;
    let mut progress = |_: usize, total: usize| {
        counter
            .get_or_insert_with(|| Counter::new(total as u64, "packing"))
            .add(1);
    };
    let packed = pfgmpp_data::pack(&args.source, &options, &mut progress);
    if let Some(counter) = counter {
        counter.close();
    }
    let packed = packed.map_err(RunError::from)?;
    write_file(&args.out, &packed.bytes).map_err(RunError::io(&args.out))?;
    report(args, &packed)
}

fn report(args: &Args, packed: &Packed) -> Result<(), Failure> {
    let left_out: Vec<String> = packed.skipped.iter().map(ToString::to_string).collect();
    if args.json {
        return print_json(&Written {
            path: &args.out.display().to_string(),
            images: packed.num_images,
            shape: packed.shape,
            classes: packed.num_classes,
            remarks: &packed.remarks,
            left_out,
        });
    }
    for remark in &packed.remarks {
        note(remark);
    }
    if !left_out.is_empty() {
        note(format_args!("left out: {}", left_out.join(", ")));
    }
    let [channels, height, width] = packed.shape;
    let classes = match packed.num_classes {
        0 => "no classes".to_string(),
        1 => "1 class".to_string(),
        several => format!("{several} classes"),
    };
    print(format_args!(
        "{}: {} images of {channels}x{height}x{width}, {classes}, {:.1} MiB",
        shell_word(&args.out),
        packed.num_images,
        packed.bytes.len() as f64 / f64::from(1 << 20)
    ));
    Ok(())
}
