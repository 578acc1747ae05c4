//! What training may be told beyond its length: pieces of a batch, clipping, decay, rates that fall, steps left out.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use pfgmpp_config::{Document, RunConfig, yaml};
use pfgmpp_train::Trainer;

/// The digits' training, small, with `sections` in place of or beside its own.
fn config(sections: &[(&str, &str)]) -> RunConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    // A key within a section stands behind the section's first line, any other at the end.
    for (section, line) in sections {
        if section.is_empty() {
            text = format!("{text}\n{line}\n");
            continue;
        }
        let head = text
            .lines()
            .find(|line| line.starts_with(&format!("{section}:")));
        let head = head.expect("a section of the file").to_string();
        text = text.replacen(&head, &format!("{head}\n  {line}"), 1);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.yaml");
    std::fs::write(&path, text).unwrap();
    let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
    for text in [
        "network.ddpmpp.model_channels=8",
        "network.ddpmpp.dropout=0.1",
        "training.nimg=400",
        "training.batch_size=32",
        "optimizer.lr_ramp_up=64",
    ] {
        let (key, value) = yaml::parse_assignment(text).unwrap();
        document.set::<RunConfig>(&key, value, text).unwrap();
    }
    RunConfig::read(&document, &[]).unwrap()
}

fn trainer(config: &RunConfig) -> Trainer {
    let splits = config.data.load().unwrap();
    let model = config.trained().expect("a network");
    Trainer::new(model, config.seed, &splits.train, &Device::Cpu).unwrap()
}

fn trained(config: &RunConfig) -> Trainer {
    let mut trainer = trainer(config);
    while trainer.nimg() < 400 {
        trainer.step().unwrap();
    }
    trainer
}

fn weights(trainer: &Trainer) -> BTreeMap<String, Vec<f32>> {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let tensors = trainer.ema().tensors();
    tensors
        .iter()
        .map(|(name, t)| (name.clone(), values(t)))
        .collect()
}

/// The distance of two sets of weights, as a share of the norm of the first.
fn distance(a: &BTreeMap<String, Vec<f32>>, b: &BTreeMap<String, Vec<f32>>) -> f64 {
    let (mut gap, mut size) = (0.0, 0.0);
    for (a, b) in a.values().zip(b.values()) {
        for (a, b) in a.iter().zip(b) {
            gap += f64::from(a - b).powi(2);
            size += f64::from(*a).powi(2);
        }
    }
    (gap / size).sqrt()
}

#[test]
fn pieces_of_a_batch_are_augmented_and_corrupted_as_the_whole() {
    for section in [
        ("", "augment: {geometric: 0.5}"),
        ("", "condition: {corrupted: {mask: 0.5}}"),
    ] {
        let whole = weights(&trained(&config(&[section])));
        let pieces = [section, ("training", "micro_batch: 5")];
        let pieces = weights(&trained(&config(&pieces)));
        let got = distance(&whole, &pieces);
        assert!(got > 0.0 && got < 2e-4, "{section:?}: got {got}");
    }
}

#[test]
fn targets_that_average_over_images_are_not_augmented() {
    let config = with_stable_target(&config(&[("", "augment: {x_flip: true}")]));
    let error = config.check("a test").unwrap_err().to_string();
    let want = "augment: must be absent with objective stable_target";
    assert!(
        error.contains("augment") && error.contains("stable_target"),
        "got {error}, want {want}"
    );
}

#[test]
fn a_network_that_was_told_of_augmentation_denoises_without() {
    let config = config(&[("", "augment: {geometric: 0.5}")]);
    let trainer = trained(&config);
    let told = weights(&trainer);
    let name = "model.map_augment.weight";
    assert_eq!(told[name].len(), 9 * 8, "9 labels, 8 channels");
    assert!(
        told[name].iter().any(|w| *w != 0.0),
        "nothing was learnt of them"
    );
    let model = trainer.averaged_model().unwrap();
    let x = Tensor::zeros((2, 1, 8, 8), candle_core::DType::F32, &Device::Cpu).unwrap();
    let query = pfgmpp_kernel::Query::new(&x, &[1.0, 0.1]);
    assert_eq!(model.denoise(&query).unwrap().dims(), [2, 1, 8, 8]);
}

const STABLE: &str =
    "stable_target: {noise_law: {log_normal: {p_mean: -1.2, p_std: 1.2}}, reference_batch: 64}";

/// The configuration with another objective: the section has one key.
fn with_stable_target(config: &RunConfig) -> RunConfig {
    let text = yaml::to_string(config).unwrap();
    let start = text.find("objective:").expect("an objective");
    let end = start
        + text[start..]
            .find("\noptimizer:")
            .expect("a section behind");
    let text = format!("{}objective:\n  {STABLE}{}", &text[..start], &text[end..]);
    yaml::parse_value(&text, "a test").unwrap()
}

#[test]
fn a_batch_in_pieces_gives_the_same_weights_to_rounding() {
    // 12 pieces of 3 images do not fill a batch of 32, and 400 images end with half a batch.
    for micro in [16, 3] {
        let pieces = format!("micro_batch: {micro}");
        for objective in ["unbiased", "stable_target"] {
            let make = |sections: &[(&str, &str)]| match objective {
                "unbiased" => config(sections),
                _ => with_stable_target(&config(sections)),
            };
            let whole = weights(&trained(&make(&[])));
            let pieces = weights(&trained(&make(&[("training", &pieces)])));
            let got = distance(&whole, &pieces);
            println!("{objective}, pieces of {micro}: {got:.1e}");
            assert!(got > 0.0, "{objective}: the batch was not split");
            assert!(got < 2e-4, "{objective}, pieces of {micro}: got {got}");
        }
    }
}

#[test]
fn every_option_changes_training_and_goes_on_to_the_bit() {
    let plain = weights(&trained(&config(&[])));
    for sections in [
        &[("optimizer", "clip_norm: 0.05")][..],
        &[("optimizer", "weight_decay: 0.1")],
        &[(
            "optimizer",
            "schedule: {cosine: {over: 300, final_lr: 1.0e-5}}",
        )],
        &[("optimizer", "schedule: {inverse_sqrt: {reference: 100}}")],
        &[("training", "micro_batch: 12")],
        &[("", "augment: {x_flip: true}")],
        &[("", "augment: {geometric: 0.5}")],
        &[("", "condition: {corrupted: {noise: 0.5}}")],
        &[("", "condition: {corrupted: {box: 2}}")],
        &[
            ("", "condition: {corrupted: {mask: 0.5}}"),
            ("", "augment: {x_flip: true, geometric: 0.5}"),
            ("optimizer", "clip_norm: 0.05"),
            ("optimizer", "weight_decay: 0.1"),
            ("optimizer", "schedule: {inverse_sqrt: {reference: 100}}"),
            ("training", "micro_batch: 12"),
            ("training", "non_finite: skip"),
        ],
    ] {
        let config = config(sections);
        let alone = trained(&config);
        assert!(weights(&alone) != plain, "{sections:?} changed nothing");
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.safetensors");
        let mut first = trainer(&config);
        while first.nimg() < 160 {
            first.step().unwrap();
        }
        first.save(&state).unwrap();
        let mut second = trainer(&config);
        second.restore(&state).unwrap();
        while second.nimg() < 400 {
            second.step().unwrap();
        }
        assert!(
            weights(&second) == weights(&alone),
            "{sections:?}: other weights"
        );
        assert_eq!(second.train_loss(), alone.train_loss(), "{sections:?}");
    }
}

#[test]
fn a_state_of_other_options_is_refused_by_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.safetensors");
    let with = [
        ("optimizer", "clip_norm: 1.0"),
        ("training", "micro_batch: 16"),
    ];
    trainer(&config(&with)).save(&state).unwrap();
    for (sections, want) in [
        (
            &with[..1],
            "training.micro_batch is 16 there and absent here",
        ),
        (
            &with[1..],
            "optimizer.clip_norm is 1.0 there and absent here",
        ),
        (
            &[with[0], with[1], ("optimizer", "weight_decay: 0.1")],
            "optimizer.weight_decay is absent there and 0.1 here",
        ),
    ] {
        let got = trainer(&config(sections)).restore(&state).unwrap_err();
        let got = got.to_string();
        assert!(got.contains(want), "got {got}, want {want}");
    }
    trainer(&config(&with)).restore(&state).unwrap();
}

#[test]
fn the_norm_of_the_gradient_is_told_before_it_is_clipped() {
    let norms = |sections: &[(&str, &str)]| {
        let mut trainer = trainer(&config(sections));
        trainer.step().unwrap().grad_norm
    };
    let plain = norms(&[]);
    assert!(plain.is_finite() && plain > 0.0, "got {plain}");
    assert_eq!(norms(&[("optimizer", "clip_norm: 1.0e-3")]), plain);
    let pieces = norms(&[("training", "micro_batch: 5")]);
    assert!(
        (pieces / plain - 1.0).abs() < 1e-5,
        "got {pieces}, want {plain}"
    );
}

/// A rate so large that the weights leave the range of `f32` within a few steps.
const DIVERGING: (&str, &str) = ("optimizer", "weight_decay: 0.0");

#[test]
fn steps_that_are_not_finite_end_training_or_are_counted_and_left_out() {
    let diverging = |sections: &[(&str, &str)]| {
        let mut config = config(sections);
        let pfgmpp_config::ModelConfig::Network(model) = &mut config.model else {
            panic!("a network");
        };
        model.optimizer.lr = 1e4;
        model.optimizer.lr_ramp_up = 0.0;
        // One step of this rate is enough; what follows is skipped a hundred times.
        model.training.nimg = 400_000;
        config
    };
    let end = |config: &RunConfig| {
        let mut trainer = trainer(config);
        loop {
            if let Err(error) = trainer.step() {
                return (trainer, error.to_string());
            }
        }
    };
    let (stopped, error) = end(&diverging(&[DIVERGING]));
    assert_eq!(stopped.skipped(), 0);
    assert!(
        error.contains("became") && error.contains("lower optimizer.lr"),
        "got {error}"
    );
    let (skipped, error) = end(&diverging(&[DIVERGING, ("training", "non_finite: skip")]));
    assert!(skipped.skipped() >= 100, "got {}", skipped.skipped());
    assert!(
        error.contains("the last 100 steps were skipped"),
        "got {error}"
    );
    // What was skipped has left the weights finite.
    let finite = weights(&skipped).values().flatten().all(|w| w.is_finite());
    assert!(finite, "weights that are not finite");
}
