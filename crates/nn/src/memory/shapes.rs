//! Weights that are shapes only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::constants::{is_computed, is_constant};

/// Shapes of the parameters that a network asked for: each is one value in memory, seen everywhere.
#[derive(Clone, Default)]
pub(super) struct Shapes(Arc<Mutex<BTreeMap<String, u64>>>);

/// A builder of networks that cannot be evaluated, and what they will have asked for.
pub(super) fn counted() -> (Shapes, VarBuilder<'static>) {
    let shapes = Shapes::default();
    let builder = VarBuilder::from_backend(Box::new(shapes.clone()), DType::F32, Device::Cpu);
    (shapes, builder)
}

impl Shapes {
    /// The number of trained values.
    pub(super) fn count(&self) -> u64 {
        let sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let trained = sizes.iter().filter(|(name, _)| !is_constant(name));
        trained.map(|(_, size)| size).sum()
    }
}

impl SimpleBackend for Shapes {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let size = shape
            .dims()
            .iter()
            .try_fold(1u64, |size, &dim| size.checked_mul(dim as u64));
        let Some(size) = size else {
            bail!("parameter {name} has shape {shape:?}, more values than can be counted");
        };
        let mut sizes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.insert(name.to_owned(), size);
        Tensor::zeros(1, dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        bail!("the shape of parameter {name} is not known")
    }

    /// True of all parameters; constants that a network computes itself have no values to be compared.
    fn contains_tensor(&self, name: &str) -> bool {
        !is_computed(name)
    }
}
