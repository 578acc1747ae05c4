//! `pfgmpp data pack`: images of one size of images of any.

use std::path::{Path, PathBuf};

use pfgmpp_data::{DataError, DataSource, Filter, PackOptions, Packed, Splits};
use pfgmpp_run::RunError;
use pfgmpp_store::write_file;
use serde::Serialize;

use crate::data_args::source;
use crate::download::hub;
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::out_file;
use crate::terminal::{Counter, note, print, print_json, shell_word};

#[derive(clap::Args)]
pub struct Args {
    /// A folder or ZIP archive of images (PNG, JPEG, WebP, TIFF, BMP) of any size; or any other data of images, as a
    /// configuration names them, such as digits or '{cifar: {path: cifar-10-python.tar.gz}}'
    #[arg(value_name = "SRC")]
    source: String,
    /// The ZIP archive to write: PNG images and dataset.json, as the published data sets of EDM have them
    #[arg(value_name = "DST.zip")]
    out: PathBuf,
    /// Side of the images, or WIDTHxHEIGHT: the largest central part of that shape is taken and resized [default:
    /// the size that all images have]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    size: Option<[usize; 2]>,
    /// How images are resized [default: lanczos]
    #[arg(long, value_enum)]
    resize: Option<Resize>,
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
    let signals = stop_on_signal()?;
    let options = PackOptions {
        size: args.size,
        filter: match args.resize {
            Some(Resize::Box) => Filter::Box,
            Some(Resize::Lanczos) | None => Filter::Lanczos,
        },
        skip_unreadable: args.skip_unreadable,
    };
    let mut counter = None;
    let mut progress = |_: usize, total: usize| {
        counter
            .get_or_insert_with(|| Counter::new(total as u64, "packing"))
            .add(1);
    };
    let path = Path::new(&args.source);
    let packed = match named(args)? {
        None => pfgmpp_data::pack(path, &options, &mut progress),
        Some(splits) => pfgmpp_data::pack_set(&splits, &mut progress),
    };
    if let Some(counter) = counter {
        counter.close();
    }
    let packed = packed.map_err(RunError::from)?;
    // A signal that comes now waits for the file, which takes a moment.
    let _ = signals.begin();
    write_file(&args.out, &packed.bytes).map_err(RunError::io(&args.out))?;
    report(args, &packed)
}

/// The data, unless they are a folder or an archive of images, or nothing that is there.
fn named(args: &Args) -> Result<Option<Splits>, Failure> {
    let path = Path::new(&args.source);
    let missing = !path.exists() && !args.source.contains(':');
    let source = match (DataSource::at(path), source("SRC", &args.source)) {
        (Ok(DataSource::Folder(_) | DataSource::Zip(_)), _) => return Ok(None),
        (_, Err(_)) if missing || path.is_dir() => return Ok(None),
        (_, source) => source?,
    };
    if args.size.is_some() || args.skip_unreadable || args.resize.is_some() {
        return Err(Failure::bad_input(format!(
            "{}: --size, --resize and --skip-unreadable are for folders and archives of images: pack it without them, then the archive with them",
            args.source
        )));
    }
    let at = |e: DataError| Failure::from(RunError::from(e));
    source.fetch(&hub()).map_err(at)?;
    Ok(Some(pfgmpp_run::load(&source)?))
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
