//! Pairs of images from two sources: what a network is shown, and what stands behind it.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use pfgmpp_hub::Hub;
use serde::{Deserialize, Serialize};

use super::DataSource;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::source::Source;
use crate::splits::Splits;

/// Two sources of as many images of the same height and width: `condition: paired` shows a network the one of `input` beside
/// each of `target`, which samples are of.
///
/// Images that come from files are matched by their names without endings, others by their order. Classes are those of
/// `target`; what `target` holds out is held out with its input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paired {
    /// What is shown.
    pub input: Box<DataSource>,
    /// What is learned.
    pub target: Box<DataSource>,
}

impl Source for Paired {
    fn name(&self) -> String {
        self.target.name()
    }

    fn fetch(&self, hub: &Hub) -> Result<(), DataError> {
        self.input.fetch(hub)?;
        self.target.fetch(hub)
    }

    fn load(&self) -> Result<Splits, DataError> {
        pair(self.input.load()?, self.target.load()?)
    }

    fn load_from(&self, hub: &Hub) -> Result<Splits, DataError> {
        pair(self.input.load_from(hub)?, self.target.load_from(hub)?)
    }
}

/// `target` with `input` beside it.
fn pair(input: Splits, target: Splits) -> Result<Splits, DataError> {
    check(&input, &target)?;
    let (by, why) = match (&input.names, &target.names) {
        (Some(_), Some(_)) => ("name", ""),
        (None, None) => ("order", ""),
        _ => ("order", ", as only one of them has names"),
    };
    let mut found = target.found;
    let pixels = input.train.image_shape();
    found.remarks.push(format!(
        "paired by {by} with {}, {}x{}x{}, for condition: paired{why}",
        input.found.name, pixels[0], pixels[1], pixels[2]
    ));
    let of_input = input.found.remarks.iter();
    found
        .remarks
        .extend(of_input.map(|remark| format!("input: {remark}")));
    let beside = |mut part: Dataset, input: Dataset| {
        part.input = Some(Arc::new(input));
        part
    };
    Ok(Splits {
        train: beside(target.train, input.train),
        held_out: beside(target.held_out, input.held_out),
        found,
        names: target.names,
    })
}

/// Refuses sources whose images are not pairs.
fn check(input: &Splits, target: &Splits) -> Result<(), DataError> {
    let refuse = |reason: String| {
        Err(DataError::Paired {
            input: input.found.name.clone(),
            target: target.found.name.clone(),
            reason,
        })
    };
    if input.train.input.is_some() || target.train.input.is_some() {
        return refuse("one of them is paired itself".to_string());
    }
    if input.train.columns().is_some() || target.train.columns().is_some() {
        return refuse("tables are not paired".to_string());
    }
    if let (Some(inputs), Some(targets)) = (&input.names, &target.names)
        && let Some(reason) = unlike(inputs, targets)
    {
        return refuse(reason);
    }
    for (part, input, target) in [
        ("training", &input.train, &target.train),
        ("held out", &input.held_out, &target.held_out),
    ] {
        let (inputs, targets) = (input.num_images(), target.num_images());
        if inputs != targets {
            return refuse(format!(
                "{inputs} and {targets} images ({part}), there must be as many"
            ));
        }
        let ([_, a, b], [_, height, width]) = (input.image_shape(), target.image_shape());
        if [a, b] != [height, width] {
            return refuse(format!(
                "images of {a}x{b} and of {height}x{width} pixels, they must be of one size (pfgmpp data pack makes them so)"
            ));
        }
    }
    match same(&input.train, &target.train)? {
        true => refuse(
            "both hold the same images: name what the network is to be shown as input".to_string(),
        ),
        false => Ok(()),
    }
}

/// Whether two sets are one: a network that is shown what it is to draw learns to copy it.
fn same(a: &Dataset, b: &Dataset) -> Result<bool, DataError> {
    let first = |set: &Dataset| -> Result<Vec<f32>, DataError> {
        let image = set.batch(&[0], &Device::Cpu)?;
        Ok(image.flatten_all()?.to_vec1()?)
    };
    // Most are told apart by one image.
    Ok(first(a)? == first(b)? && a.fingerprint()? == b.fingerprint()?)
}

/// What keeps names from being those of pairs.
fn unlike(inputs: &[String], targets: &[String]) -> Option<String> {
    let stems = |names: &[String]| -> Vec<String> { names.iter().map(|name| stem(name)).collect() };
    let (inputs, targets) = (stems(inputs), stems(targets));
    if inputs == targets {
        return None;
    }
    let mut sorted = [inputs, targets];
    sorted.iter_mut().for_each(|names| names.sort());
    let [a, b] = &sorted;
    let missing = |here: &[String], there: &[String]| {
        let found = here.iter().find(|name| there.binary_search(name).is_err());
        found.cloned()
    };
    Some(if let Some(name) = missing(a, b) {
        format!("{name} of the input has no target of that name")
    } else if let Some(name) = missing(b, a) {
        format!("{name} of the target has no input of that name")
    } else {
        "their names are alike but not in one order, which endings make: give both the same ending"
            .to_string()
    })
}

/// A name without its ending.
fn stem(name: &str) -> String {
    let path = Path::new(name).with_extension("");
    path.to_string_lossy().into_owned()
}
