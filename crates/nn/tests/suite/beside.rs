//! Networks that are shown an image beside the perturbed one.

use candle_core::{Device, Result, Tensor};
use pfgmpp_kernel::Condition;
use pfgmpp_nn::{Context, Parameters, Signature};

use crate::kinds::{SIGNATURE, bits, image, kinds, lively, noise};

/// Channels of the image beside.
const SHOWN: usize = 2;

#[test]
fn a_network_of_pairs_is_that_of_both_images_as_channels() -> Result<()> {
    let wide = Signature {
        in_channels: SIGNATURE.in_channels + SHOWN,
        ..SIGNATURE
    };
    let shown = (image(2)?.narrow(1, 0, SHOWN)? * 0.5)?;
    for config in kinds(0.0) {
        let parameters = Parameters::new(0, &Device::Cpu);
        let beside = config.build_beside(SIGNATURE, SHOWN, &parameters.builder())?;
        lively(&parameters)?;
        let plain = config.build(wide, &parameters.builder())?;
        assert_eq!(beside.takes().image_channels, SHOWN, "{config:?}");
        assert_eq!(beside.takes().label_dim, SIGNATURE.label_dim);
        let told = Condition::none().with_image(shown.clone())?;
        let got = beside.forward(&image(2)?, &noise(2)?, &Context::under(&told))?;
        let both = Tensor::cat(&[&image(2)?, &shown], 1)?;
        let want = plain.forward(&both, &noise(2)?, &Context::default())?;
        assert_eq!(bits(&got)?, bits(&want)?, "{config:?}");
        let error = beside.forward(&image(2)?, &noise(2)?, &Context::default());
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("image of 2 channels, got none"),
            "got {error}"
        );
        let memory = config.memory_beside(SIGNATURE, SHOWN)?;
        assert_eq!(memory.parameters(), parameters.count() as u64, "{config:?}");
    }
    Ok(())
}

#[test]
fn a_network_that_is_shown_nothing_is_the_plain_one() -> Result<()> {
    let config = &kinds(0.0)[0];
    let parameters = Parameters::new(0, &Device::Cpu);
    let network = config.build_beside(SIGNATURE, 0, &parameters.builder())?;
    assert_eq!(network.takes().image_channels, 0);
    let got = network.forward(&image(1)?, &noise(1)?, &Context::default())?;
    assert_eq!(got.dims(), [1, 3, 8, 8]);
    Ok(())
}
