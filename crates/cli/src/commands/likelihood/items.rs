//! The data whose likelihoods are asked for, and the table of them.

use std::f64::consts::LN_2;
use std::fmt::Write;
use std::path::Path;

use pfgmpp_data::{DataSource, Dataset, ImageArchive, ImageFolder, NpyArray, Splits};
use pfgmpp_run::{ItemLikelihood, SamplingModel};

use super::{Args, Split, USUAL, is_of_images};
use crate::download::hub;
use crate::failure::Failure;
use crate::model_args::tagged;
use crate::terminal::note;

/// Items of one part of a data set.
pub struct Part {
    /// The part's name.
    pub name: &'static str,
    /// The whole part.
    pub data: Dataset,
    /// Which of it are taken.
    pub indices: Vec<usize>,
    /// Items of the parts before it, taken or not, by which seeds go on.
    pub before: u64,
}

/// Loads the data that `args` name, which are to fit `model`.
pub fn load(args: &Args, model: &SamplingModel) -> Result<Vec<Part>, Failure> {
    let source = source(&args.data)?;
    let at = |e: pfgmpp_data::DataError| Failure::from(pfgmpp_run::RunError::from(e));
    source.fetch(&hub()).map_err(at)?;
    let splits = pfgmpp_run::load(&source)?;
    note(format_args!("data: {}", splits.found));
    check(args, model, &splits.train)?;
    take(args, splits)
}

/// The source that `text` names: a path that is there, or what a configuration would say.
fn source(text: &str) -> Result<DataSource, Failure> {
    let path = Path::new(text).to_path_buf();
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending {
        _ if path.is_dir() => Ok(DataSource::Folder(ImageFolder { path })),
        Some("zip") if path.is_file() => Ok(DataSource::Zip(ImageArchive { path })),
        Some("npy") if path.is_file() => Ok(DataSource::Npy(NpyArray {
            path,
            labels: None,
            range: None,
            layout: None,
        })),
        _ => Ok(pfgmpp_config::yaml::parse_value(&tagged(text), "--data")?),
    }
}

/// Refuses data of another shape or without the model's classes.
fn check(args: &Args, model: &SamplingModel, data: &Dataset) -> Result<(), Failure> {
    let (got, want) = (data.image_shape(), model.shape());
    if got != want {
        return Err(Failure::bad_input(format!(
            "--data: must be of the model's shape {want:?}, got {got:?}"
        )));
    }
    let (got, want) = (data.num_classes(), model.label_dim());
    if want > 0 && got != want {
        return Err(Failure::bad_input(format!(
            "--data: must have the model's {want} classes, as a likelihood is that of an item in its class, got {got}"
        )));
    }
    if args.dequantize && !is_of_images(model) {
        let message = "--dequantize: points in the plane have no grey levels: leave it out";
        return Err(Failure::bad_input(message));
    }
    Ok(())
}

/// The first items of the parts that are asked for.
fn take(args: &Args, splits: Splits) -> Result<Vec<Part>, Failure> {
    let Splits {
        train, held_out, ..
    } = splits;
    let parts = match args.split {
        Split::HeldOut => vec![("held_out", held_out)],
        Split::Train => vec![("train", train)],
        Split::All => vec![("train", train), ("held_out", held_out)],
    };
    let there: usize = parts.iter().map(|(_, data)| data.num_images()).sum();
    let asked = args.num.unwrap_or(USUAL.min(there as u64));
    if asked > there as u64 {
        return Err(Failure::bad_input(format!(
            "--num: must be at most the {there} items that there are, got {asked}"
        )));
    }
    let (mut left, mut before) = (asked as usize, 0);
    let mut taken = Vec::new();
    for (name, data) in parts {
        let here = data.num_images().min(left);
        if here > 0 {
            let num = data.num_images() as u64;
            taken.push(Part {
                name,
                data,
                indices: (0..here).collect(),
                before,
            });
            (left, before) = (left - here, before + num);
        }
    }
    Ok(taken)
}

/// A row for each item of `n` values.
pub fn to_csv(found: &[(&Part, Vec<ItemLikelihood>)], n: usize) -> String {
    let rows = || {
        let parts = found.iter();
        parts.flat_map(|(part, items)| {
            let indices = part.indices.iter().copied();
            indices.zip(items).map(|(index, item)| (*part, index, item))
        })
    };
    let probes = rows().next().map_or(0, |(_, _, item)| item.by_probe.len());
    let mut csv =
        "split,index,class,ln_p,ln_prior,nats_per_dimension,bits_per_dimension".to_string();
    for probe in 0..probes {
        write!(csv, ",ln_p_probe_{probe}").expect("a string takes all");
    }
    for (part, index, item) in rows() {
        let class = item.class.map_or(String::new(), |class| class.to_string());
        let nats = -item.ln_p / n as f64;
        let (name, ln_p, prior, bits) = (part.name, item.ln_p, item.prior, nats / LN_2);
        write!(csv, "\n{name},{index},{class},{ln_p},{prior},{nats},{bits}")
            .expect("a string takes all");
        for value in &item.by_probe {
            write!(csv, ",{value}").expect("a string takes all");
        }
    }
    csv + "\n"
}
