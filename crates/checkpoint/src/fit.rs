//! Whether weights fit the network that a configuration describes, told from names and shapes before any is read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use pfgmpp_nn::{Signature, is_constant};

use crate::foreign::has_variances;
use crate::used::NETWORK;
use crate::{CheckpointConfig, CheckpointError};

/// Names that an error shows.
const SHOWN: usize = 3;

/// Names of weights, as they are here, and the shape of each.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// Refuses weights that are not those of the network of `config`, before memory is taken for them. Weights that the
/// network does not have are refused by name when it is built, and are not what takes the memory by then.
///
/// # Errors
///
/// The first weight that is missing or of another shape, with some names that are there; more in all than the network
/// has by far.
pub(crate) fn check(
    config: &CheckpointConfig,
    mut shapes: Shapes,
    path: &Path,
) -> std::result::Result<(), CheckpointError> {
    for (name, shape) in &mut shapes {
        let first = shape.first().copied().unwrap_or(0);
        if has_variances(config, name, first) {
            shape[0] /= 2;
        }
    }
    let there = examples(&shapes);
    let asked = Arc::new(Mutex::new(Asked::default()));
    let elements = |shape: &[usize]| shape.iter().fold(1usize, |n, size| n.saturating_mul(*size));
    let all = shapes
        .values()
        .fold(0usize, |n, shape| n.saturating_add(elements(shape)));
    let outline = Outline {
        shapes,
        asked: asked.clone(),
    };
    let builder = VarBuilder::from_backend(Box::new(outline), DType::F32, Device::Cpu);
    let signature = Signature {
        label_dim: config.data.label_dim,
        ..config.prediction.signature(config.data.shape)
    };
    let built = config
        .network
        .build_beside(signature, config.data.image_channels(), &builder);
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    let names = |problem: String| CheckpointError::Names {
        path: path.to_path_buf(),
        problem,
        there: there.clone(),
    };
    if let Some(problem) = &asked.problem {
        return Err(names(problem.clone()));
    }
    built.map_err(|source| CheckpointError::Weights {
        path: path.to_path_buf(),
        source,
    })?;
    // Room for constants beside the weights, and for a condition of training that sampling does not take.
    let most = asked.elements.saturating_mul(2).saturating_add(1 << 20);
    if all > most {
        return Err(names(format!(
            "it has {} weights, the file holds {all} numbers",
            asked.elements
        )));
    }
    Ok(())
}

/// Some names, without those of constants.
fn examples(shapes: &Shapes) -> String {
    let shown: Vec<String> = shapes
        .keys()
        .filter(|name| !is_constant(name))
        .take(SHOWN)
        .map(|name| {
            let name = name.strip_prefix(NETWORK).unwrap_or(name);
            name.chars().filter(|c| !c.is_control()).take(60).collect()
        })
        .collect();
    match shown.len() {
        0 => "no weights".into(),
        len if len < shapes.len() => format!("{}, ... ({} in all)", shown.join(", "), shapes.len()),
        _ => shown.join(", "),
    }
}

/// What a network asked for.
#[derive(Default)]
struct Asked {
    elements: usize,
    /// What it did not get, first.
    problem: Option<String>,
}

/// Weights without their values.
struct Outline {
    shapes: Shapes,
    asked: Arc<Mutex<Asked>>,
}

impl Outline {
    fn look(&self, name: &str) -> Result<&[usize]> {
        match self.shapes.get(name) {
            Some(shape) => Ok(shape),
            None => self.refuse(format!("{} is missing", short(name))),
        }
    }

    fn refuse<T>(&self, problem: String) -> Result<T> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let first = asked.problem.get_or_insert(problem);
        bail!("{first}")
    }

    /// One number seen as all: a shape takes no memory.
    fn zeros(&self, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.elements = asked
            .elements
            .saturating_add(shape.iter().product::<usize>());
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }
}

fn short(name: &str) -> &str {
    name.strip_prefix(NETWORK).unwrap_or(name)
}

impl SimpleBackend for Outline {
    fn get(
        &self,
        want: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let got = self.look(name)?;
        if got != want.dims() {
            return self.refuse(format!(
                "{} has the shape {got:?}, the network has {:?}",
                short(name),
                want.dims()
            ));
        }
        self.zeros(got, dtype, device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = self.look(name)?;
        self.zeros(shape, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        // The values of constants are looked at when the network is built in earnest.
        !is_constant(name) && self.shapes.contains_key(name)
    }
}
