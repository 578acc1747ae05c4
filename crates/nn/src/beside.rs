//! A network that sees an image beside the perturbed one.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use pfgmpp_kernel::ConditionSpec;

use crate::{Context, MemoryEstimate, Network, NetworkConfig, Signature};

/// A network of pairs: the channels of the conditioning image stand behind those of the perturbed image.
struct Beside {
    /// Of as many channels more.
    network: Box<dyn Network>,
    image_channels: usize,
}

impl Network for Beside {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec {
            image_channels: self.image_channels,
            ..self.network.takes()
        }
    }

    fn forward(&self, x: &Tensor, c_noise: &Tensor, context: &Context) -> Result<Tensor> {
        let Some(image) = context.condition.image() else {
            bail!(
                "the network takes a conditioning image of {} channels, got none",
                self.image_channels
            );
        };
        let image = image.to_device(x.device())?.to_dtype(x.dtype())?;
        let beside = Tensor::cat(&[x, &image], 1)?;
        let condition = context.condition.without_image();
        let context = Context {
            condition: &condition,
            ..*context
        };
        self.network.forward(&beside, c_noise, &context)
    }
}

impl NetworkConfig {
    /// As [`Self::build`], for a network that is shown an image of `image_channels` channels beside the perturbed one
    /// ([`Condition::image`](pfgmpp_kernel::Condition::image)); 0 for one that is shown none.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub fn build_beside(
        &self,
        signature: Signature,
        image_channels: usize,
        builder: &VarBuilder,
    ) -> Result<Box<dyn Network>> {
        let network = self.build(with_image(signature, image_channels), builder)?;
        Ok(match image_channels {
            0 => network,
            _ => Box::new(Beside {
                network,
                image_channels,
            }),
        })
    }

    /// As [`Self::memory`], for a network of [`Self::build_beside`].
    ///
    /// # Errors
    ///
    /// As [`Self::memory`].
    pub fn memory_beside(
        &self,
        signature: Signature,
        image_channels: usize,
    ) -> Result<MemoryEstimate> {
        self.memory(with_image(signature, image_channels))
    }
}

fn with_image(signature: Signature, image_channels: usize) -> Signature {
    Signature {
        in_channels: signature.in_channels + image_channels,
        ..signature
    }
}
