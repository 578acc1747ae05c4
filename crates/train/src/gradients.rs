//! The gradients of one step, of one piece of its batch or of several.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};
use pfgmpp_nn::Parameters;
use pfgmpp_nn::ops::squared_norm;

/// A gradient for each parameter, in their order; none for one that the loss does not depend on.
#[derive(Default)]
pub(crate) struct Gradients(Vec<Option<Tensor>>);

impl Gradients {
    /// The gradients of `parameters` in `grads`.
    pub(crate) fn of(parameters: &Parameters, grads: &GradStore) -> Self {
        let vars = parameters.vars();
        Self(
            vars.iter()
                .map(|(_, var)| grads.get(var).cloned())
                .collect(),
        )
    }

    /// The sum of both, the other's terms on the right.
    pub(crate) fn plus(self, other: Self) -> Result<Self> {
        let pairs = self.0.into_iter().zip(other.0);
        let sums = pairs.map(|pair| match pair {
            (Some(left), Some(right)) => (left + right).map(Some),
            (left, right) => Ok(left.or(right)),
        });
        sums.collect::<Result<_>>().map(Self)
    }

    /// The norm of all of them together; infinite or not a number if any value is.
    pub(crate) fn norm(&self) -> Result<f64> {
        let mut sum = 0.0;
        for grad in self.0.iter().flatten() {
            sum += squared_norm(grad)?;
        }
        Ok(sum.sqrt())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&Tensor>> {
        self.0.iter().map(Option::as_ref)
    }
}

impl From<Vec<Option<Tensor>>> for Gradients {
    fn from(gradients: Vec<Option<Tensor>>) -> Self {
        Self(gradients)
    }
}
