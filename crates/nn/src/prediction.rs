//! What a network's output stands for.

use pfgmpp_kernel::{Denoiser, Kernel};
use pfgmpp_transfer::{DataScale, FieldPrediction, ParameterError, Preconditioning};
use serde::{Deserialize, Serialize};

use crate::{FieldNetwork, Network, Preconditioned, Signature};

/// What a network predicts, and so how it becomes a denoiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The clean data, under a preconditioning ([`Preconditioned`]).
    Denoised(Preconditioning),
    /// The normalised field of original PFGM ([`FieldNetwork`]).
    Field(FieldPrediction),
}

impl Prediction {
    /// What a network takes and gives for unconditional images of `shape` `[C, H, W]`.
    pub fn signature(&self, shape: [usize; 3]) -> Signature {
        let signature = Signature::unconditional(shape);
        match self {
            Self::Denoised(_) => signature,
            Self::Field(_) => Signature {
                out_channels: signature.in_channels + 1,
                ..signature
            },
        }
    }

    /// Makes `network` a denoiser for data of scale `data` perturbed by `kernel`.
    ///
    /// # Errors
    ///
    /// A parameter outside its range.
    pub fn denoiser(
        &self,
        network: Box<dyn Network>,
        kernel: &Kernel,
        data: DataScale,
    ) -> Result<Box<dyn Denoiser>, ParameterError> {
        Ok(match self {
            Self::Denoised(preconditioning) => {
                let preconditioning = preconditioning.clone();
                Box::new(Preconditioned::new(network, preconditioning, kernel, data)?)
            }
            Self::Field(field) => {
                field.check()?;
                Box::new(FieldNetwork::new(network, field.clone()))
            }
        })
    }
}
