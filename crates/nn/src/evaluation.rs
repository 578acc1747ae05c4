//! An evaluation of a network that covectors can be taken back through.

use candle_core::{Result, Tensor, Var};
use pfgmpp_kernel::{column, in_f64, squared_norms};

use crate::{Context, Network};

/// The output of a network with what it came from.
pub(crate) struct Evaluation {
    input: Var,
    c_noise: Var,
    output: Tensor,
}

/// A covector taken back through a network.
pub(crate) struct Gradient {
    /// By the input, of its shape, in the dtype of the covector.
    pub(crate) input: Tensor,
    /// By c_noise of each sample.
    pub(crate) c_noise: Vec<f64>,
}

impl Evaluation {
    /// Evaluates `network` on `input` `[B, C, H, W]` and `c_noise` `[B]`, both detached.
    pub(crate) fn new(
        network: &dyn Network,
        input: &Tensor,
        c_noise: &Tensor,
        context: &Context,
    ) -> Result<Self> {
        let (input, c_noise) = (Var::from_tensor(input)?, Var::from_tensor(c_noise)?);
        let output = network.forward(input.as_tensor(), c_noise.as_tensor(), context)?;
        Ok(Self {
            input,
            c_noise,
            output,
        })
    }

    /// The output, detached.
    pub(crate) fn output(&self) -> Tensor {
        self.output.detach()
    }

    /// Takes the covector `v`, of the shape of the output and of any float dtype, back to what the output came from.
    ///
    /// A covector of a sample goes through the network at norm 1, so that neither it nor its gradient leaves the
    /// range of the network's own type.
    pub(crate) fn pull(&self, v: &Tensor) -> Result<Gradient> {
        let norms: Vec<f64> = squared_norms(v)?
            .into_iter()
            .map(|square| if square > 0.0 { square.sqrt() } else { 1.0 })
            .collect();
        let unit = v
            .broadcast_div(&column(&norms, v)?)?
            .to_dtype(self.output.dtype())?;
        let mut gradients = (&self.output * unit)?.sum_all()?.backward()?;
        let mut take = |var: &Var| match gradients.remove(var) {
            Some(gradient) => Ok(gradient.detach()),
            // The output does not depend on it.
            None => var.zeros_like(),
        };
        let (input, c_noise) = (take(&self.input)?, take(&self.c_noise)?);
        let c_noise = in_f64(&c_noise)?.to_vec1::<f64>()?;
        Ok(Gradient {
            input: input
                .to_dtype(v.dtype())?
                .broadcast_mul(&column(&norms, v)?)?,
            c_noise: c_noise
                .iter()
                .zip(&norms)
                .map(|(g, norm)| g * norm)
                .collect(),
        })
    }
}
