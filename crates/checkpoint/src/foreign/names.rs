//! From the names that weights have in a file to those that they have here, and what of them is not taken.

use candle_core::{Result, Tensor};
use pfgmpp_nn::Prediction;
use pfgmpp_transfer::Preconditioning;

use crate::used::{LEVELS, NETWORK};
use crate::{CheckpointConfig, DATA_MEAN, Tensors};

/// What programs put their network into, so that its name stands before those of all weights.
const WRAPPERS: [&str; 15] = [
    "module",
    "model",
    "net",
    "network",
    "unet",
    "ema",
    "ema_model",
    "model_ema",
    "ema_net",
    "denoiser",
    "denoise_fn",
    "diffusion",
    "diffusion_model",
    "score_model",
    "generator",
];
/// What `torch.compile` and wrappers for several GPUs put into names, wherever the wrapped module stands.
const WITHIN: [&str; 3] = [
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
];
/// Counters that programs keep beside the weights.
const COUNTERS: [&str; 4] = ["n_averaged", "initted", "step", "num_updates"];

/// How the names in a file become those of this program.
pub(crate) struct Renaming {
    /// Parts that stand before every name.
    wrappers: usize,
}

impl Renaming {
    /// What all of `names` have in common.
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<Vec<&str>> = names
            .map(|name| parts(name).collect())
            // Constants beside the network stand outside of its wrappers.
            .filter(|parts: &Vec<&str>| parts.len() > 1)
            .collect();
        let shared = |i: usize| {
            let first = names.first()?.get(i)?;
            let all = names.iter().all(|parts| parts.get(i) == Some(first));
            (all && WRAPPERS.contains(first)).then_some(())
        };
        let wrappers = (0..8).take_while(|&i| shared(i).is_some()).count();
        // A network of one layer of such a name would have nothing left.
        let least = names.iter().map(Vec::len).min().unwrap_or(0);
        Self {
            wrappers: wrappers.min(least.saturating_sub(1)),
        }
    }

    /// The name here: that of a network's weight stands below `model.`.
    pub(crate) fn name(&self, name: &str) -> String {
        let parts: Vec<&str> = parts(name).collect();
        if let [constant] = parts.as_slice()
            && [LEVELS, DATA_MEAN].contains(constant)
        {
            return (*constant).to_owned();
        }
        let wrappers = match parts.len() {
            1 => 0,
            _ => self.wrappers,
        };
        format!("{NETWORK}{}", parts[wrappers..].join("."))
    }
}

fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split('.').filter(|part| !WITHIN.contains(part))
}

/// The weights under the names that this program uses: the network's below `model.`.
pub(crate) fn named_as_here(tensors: Tensors) -> Tensors {
    let is_counter = |name: &String, tensor: &Tensor| {
        COUNTERS.contains(&name.as_str()) && tensor.elem_count() == 1
    };
    let mut tensors = tensors;
    tensors.retain(|name, tensor| !is_counter(name, tensor));
    let renaming = Renaming::of(tensors.keys().map(String::as_str));
    let renamed = tensors.into_iter();
    renamed
        .map(|(name, tensor)| (renaming.name(&name), tensor))
        .collect()
}

/// Whether the first dimension of a weight, named as here, holds estimates of variances in its second half.
///
/// The networks of iDDPM, and some of diffusers, give them beside the noise: no ODE needs them.
pub(crate) fn has_variances(config: &CheckpointConfig, name: &str, first: usize) -> bool {
    let estimates_noise = matches!(
        config.prediction,
        Prediction::Denoised(Preconditioning::Iddpm(_) | Preconditioning::Ddpm(_))
    );
    let layer = name
        .strip_suffix(".weight")
        .or_else(|| name.strip_suffix(".bias"));
    // A decoder of type skip gives an image at every resolution.
    let last = layer.is_some_and(|layer| {
        ["model.out_conv", "model.conv_out"].contains(&layer)
            || layer.starts_with("model.dec.") && layer.ends_with("_aux_conv")
    });
    estimates_noise && last && first == 2 * config.data.shape[0]
}

/// Leaves the halves of [`has_variances`] out.
pub(crate) fn without_variances(
    config: &CheckpointConfig,
    mut weights: Tensors,
) -> Result<Tensors> {
    let channels = config.data.shape[0];
    for (name, tensor) in &mut weights {
        let first = tensor.dims().first().copied().unwrap_or(0);
        if has_variances(config, name, first) {
            *tensor = tensor.narrow(0, 0, channels)?.contiguous()?;
        }
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(names: &[&str]) -> Vec<String> {
        let renaming = Renaming::of(names.iter().copied());
        names.iter().map(|name| renaming.name(name)).collect()
    }

    #[test]
    fn wrappers_are_taken_off_however_they_are_nested() {
        for wrapper in [
            "",
            "model.",
            "module.",
            "_orig_mod.",
            "module._orig_mod.",
            "_orig_mod.module.",
            "unet.",
            "module.model.",
            "ema_model.unet.",
        ] {
            let names = ["conv_in.weight", "conv_out.bias"].map(|name| format!("{wrapper}{name}"));
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let want = ["model.conv_in.weight", "model.conv_out.bias"];
            assert_eq!(renamed(&names), want, "{wrapper}");
        }
    }

    #[test]
    fn a_part_that_was_compiled_keeps_its_place() {
        let got = renamed(&["enc._orig_mod.a.weight", "dec.b.weight"]);
        assert_eq!(got, ["model.enc.a.weight", "model.dec.b.weight"]);
    }

    #[test]
    fn constants_beside_the_network_stay_there() {
        let got = renamed(&["model.enc.a", "model.dec.b", "u", "data_mean"]);
        assert_eq!(got, ["model.enc.a", "model.dec.b", "u", "data_mean"]);
    }

    #[test]
    fn a_layer_of_the_name_of_a_wrapper_is_kept_beside_others() {
        let got = renamed(&["net.0.weight", "out.weight"]);
        assert_eq!(got, ["model.net.0.weight", "model.out.weight"]);
    }
}
