//! What another program has nothing like is refused by name.

use std::path::Path;

use pfgmpp_checkpoint::{Checkpoint, CheckpointConfig, Export, Layout, Tensors};
use pfgmpp_kernel::Dimension;
use serde_json::json;

use crate::cases::{config, edm, sizes, unet2d};

fn refused(config: CheckpointConfig, layout: Layout) -> String {
    let checkpoint = Checkpoint {
        config,
        weights: Tensors::new(),
    };
    let error = Export::new(&checkpoint, layout, Path::new("runs/a")).err();
    let error = error.expect("a refusal").to_string();
    assert!(!error.contains('\n'), "got {error}");
    error
}

#[test]
fn networks_preconditionings_and_d_without_a_counterpart_are_refused_by_name() {
    let ddpmpp = json!({"ddpmpp": sizes(8)});
    let mlp = json!({"mlp": {"hidden_dim": 32, "num_layers": 2, "embedding_type": "positional"}});
    let at = |d, mut config: CheckpointConfig| {
        config.d = Dimension::Finite(d);
        config
    };
    let posterior = json!({"edm": {"sigma_data": 0.5, "noise": "posterior"}});
    let vp = json!({"vp": {"beta_d": 19.9, "beta_min": 0.1, "m": 1000, "noise": "nominal"}});
    let consistency =
        json!({"consistency": {"sigma_data": 0.5, "sigma_min": 0.002, "noise": "nominal"}});
    let fourier = unet2d(&json!({"time_embedding_type": "fourier"}));
    let (diffusers, state) = (Layout::Diffusers, Layout::EdmStateDict);
    for (config, layout, want) in [
        (
            config(3, 0, &ddpmpp, &edm()),
            diffusers,
            "network ddpmpp has no counterpart in diffusers",
        ),
        (
            config(3, 0, &mlp, &edm()),
            diffusers,
            "network mlp has no counterpart in diffusers",
        ),
        (
            config(3, 0, &mlp, &edm()),
            state,
            "network mlp has no counterpart in EDM's code",
        ),
        (
            config(3, 0, &unet2d(&json!({})), &edm()),
            state,
            "network unet2d has no counterpart in EDM's code",
        ),
        (
            at(8.0, config(3, 0, &unet2d(&json!({})), &edm())),
            diffusers,
            "a network of D = 8 has no counterpart",
        ),
        (
            config(3, 0, &unet2d(&json!({})), &vp),
            diffusers,
            "preconditioning vp has no counterpart",
        ),
        (
            config(3, 0, &fourier, &edm()),
            diffusers,
            "preconditioning edm with time_embedding_type fourier has no",
        ),
        (
            config(3, 0, &ddpmpp, &consistency),
            state,
            "preconditioning consistency has no counterpart in EDM's code",
        ),
        (
            at(128.0, config(3, 0, &ddpmpp, &vp)),
            state,
            "preconditioning vp at D = 128 has no counterpart",
        ),
        (
            at(128.0, config(3, 0, &ddpmpp, &posterior)),
            state,
            "preconditioning edm at the posterior noise level at D = 128 has no counterpart in EDM's code",
        ),
    ] {
        let got = refused(config, layout);
        assert!(
            got.starts_with("runs/a: ") && got.contains(want),
            "got {got}, want {want}"
        );
    }
}
