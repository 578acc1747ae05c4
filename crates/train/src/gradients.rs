//! The gradients of one step, of one piece of its batch after the other.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};
use pfgmpp_nn::Parameters;
use pfgmpp_nn::ops::squared_norm;

/// A gradient for each parameter, in their order; none for one that the loss does not depend on.
#[derive(Default)]
pub(crate) struct Gradients(Vec<Option<Tensor>>);

impl Gradients {
    /// Adds the gradients of `parameters` in `grads`; the first ones are taken as they are.
    pub(crate) fn add(&mut self, parameters: &Parameters, grads: &GradStore) -> Result<()> {
        let vars = parameters.vars();
        self.0.resize(vars.len(), None);
        for (sum, (_, var)) in self.0.iter_mut().zip(&vars) {
            let Some(grad) = grads.get(var) else { continue };
            *sum = Some(match sum.take() {
                None => grad.clone(),
                Some(sum) => (sum + grad)?,
            });
        }
        Ok(())
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
