//! Weights by name, each of which is taken once.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};

use crate::error::FeatureError;

/// Names that an error shows.
const SHOWN: usize = 3;

/// The weights that no layer has taken yet.
pub(crate) struct Weights {
    tensors: HashMap<String, Tensor>,
    network: &'static str,
    device: Device,
}

impl Weights {
    /// Those of `network`, whose layers compute on `device`.
    pub(crate) fn new(
        tensors: HashMap<String, Tensor>,
        network: &'static str,
        device: &Device,
    ) -> Self {
        Self {
            tensors,
            network,
            device: device.clone(),
        }
    }

    /// Whether there is one of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of the one of this name.
    ///
    /// # Errors
    ///
    /// [`FeatureError::Missing`].
    pub(crate) fn shape(&self, name: &str) -> Result<Vec<usize>, FeatureError> {
        let found = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
        Ok(found.dims().to_vec())
    }

    /// Takes the one of this name, in `f32` on the device.
    ///
    /// # Errors
    ///
    /// One that is missing, of another shape, of whole numbers or not finite.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, FeatureError> {
        let found = self.tensors.remove(name);
        let found = found.ok_or_else(|| self.missing(name))?;
        if found.dims() != shape {
            return Err(FeatureError::Shape {
                name: name.to_string(),
                want: format!("{shape:?}"),
                got: found.dims().to_vec(),
            });
        }
        let refuse = |problem| FeatureError::Values {
            name: name.to_string(),
            problem,
        };
        if !found.dtype().is_float() {
            return Err(refuse("must be of floating-point numbers"));
        }
        let found = found.to_dtype(DType::F32)?.contiguous()?;
        // A sum is finite if all its terms are, unless they overflow, which weights are far from.
        match found.sum_all()?.to_scalar::<f32>()?.is_finite() {
            true => Ok(found.to_device(&self.device)?),
            false => Err(refuse("must be finite, it holds a value that is not")),
        }
    }

    /// Gives every weight the name that `rename` says.
    ///
    /// # Errors
    ///
    /// [`FeatureError::Unknown`] where two weights get one name.
    pub(crate) fn rename(&mut self, rename: impl Fn(&str) -> String) -> Result<(), FeatureError> {
        for (name, tensor) in std::mem::take(&mut self.tensors) {
            if self.tensors.insert(rename(&name), tensor).is_some() {
                return Err(FeatureError::Unknown {
                    name: printable(&name),
                    network: self.network,
                    count: 1,
                });
            }
        }
        Ok(())
    }

    /// Makes sure that every weight was taken but those that are not part of the features.
    ///
    /// # Errors
    ///
    /// [`FeatureError::Unknown`].
    pub(crate) fn finish(&self, may_be_left: impl Fn(&str) -> bool) -> Result<(), FeatureError> {
        let names = self.tensors.keys().filter(|name| !may_be_left(name));
        let mut names: Vec<&String> = names.collect();
        names.sort();
        match names.first() {
            None => Ok(()),
            Some(name) => Err(FeatureError::Unknown {
                name: printable(name),
                network: self.network,
                count: names.len(),
            }),
        }
    }

    fn missing(&self, name: &str) -> FeatureError {
        let mut there: Vec<&String> = self.tensors.keys().collect();
        there.sort();
        let shown = there.iter().take(SHOWN).map(|name| printable(name));
        let shown = shown.collect::<Vec<_>>().join(", ");
        FeatureError::Missing {
            name: name.to_string(),
            network: self.network,
            there: match there.len() {
                0 => "none".to_string(),
                all if all > SHOWN => format!("{shown}, ... ({all} in all)"),
                _ => shown,
            },
        }
    }
}

/// A name out of a file, as an error may show it.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}
