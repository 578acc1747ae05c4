//! Averages of any length from snapshots of two, beside those that were tracked all along.

use std::path::Path;

use candle_core::{Device, Tensor};
use pfgmpp_config::{Document, RunConfig, yaml};
use pfgmpp_train::{PowerProfile, Profile, Snapshot, Trainer, reconstruct_weights};

const STEPS: u64 = 96;
const BATCH: u64 = 16;

/// The digits' training, small, with two averages that are saved every three steps.
fn config() -> RunConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text + "\npost_hoc_ema: {sigma_rel: [0.05, 0.1], snapshot_every: 48}\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.yaml");
    std::fs::write(&path, text).unwrap();
    let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
    for text in [
        "network.ddpmpp.model_channels=8".to_string(),
        format!("training.nimg={}", STEPS * BATCH),
        format!("training.batch_size={BATCH}"),
        "optimizer.lr_ramp_up=64".to_string(),
    ] {
        let (key, value) = yaml::parse_assignment(&text).unwrap();
        document.set::<RunConfig>(&key, value, &text).unwrap();
    }
    RunConfig::read(&document, &[]).unwrap()
}

fn trainer(config: &RunConfig) -> Trainer {
    let splits = config.data.load().unwrap();
    let model = config.trained().expect("a network");
    Trainer::new(model, config.seed, &splits.train, &Device::Cpu).unwrap()
}

/// Trains up to `nimg` images and saves snapshots into `folder` as a run does.
fn train(trainer: &mut Trainer, nimg: u64, folder: &Path) {
    while trainer.nimg() < nimg {
        trainer.step().unwrap();
        if trainer.nimg().is_multiple_of(48) {
            trainer.save_snapshots(folder).unwrap();
        }
    }
}

fn norm(tensor: &Tensor) -> f64 {
    let sum = tensor.sqr().unwrap().sum_all().unwrap();
    f64::from(sum.to_scalar::<f32>().unwrap())
}

#[test]
fn a_third_length_is_the_average_that_was_tracked_all_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = trainer(&config());
    let lengths = [0.06, 0.08, 0.15];
    let profiles = lengths.map(|length| PowerProfile::new(length).unwrap());
    for profile in profiles {
        trainer.track(profile).unwrap();
    }
    train(&mut trainer, STEPS * BATCH, folder.path());
    let tracked = |sigma_rel: f64| {
        let is =
            |profile: &Profile| matches!(profile, Profile::Power(p) if p.sigma_rel() == sigma_rel);
        let found = trainer.averages().iter().find(|ema| is(ema.profile()));
        found.expect("it is tracked").tensors()
    };
    let snapshots: Vec<Snapshot> = Snapshot::list(folder.path()).unwrap();
    // Those that were tracked for the test were saved too.
    let [short, long] = [0.05, 0.1];
    let kept = |s: &&Snapshot| [short, long].contains(&s.moment.0.sigma_rel());
    let snapshots: Vec<Snapshot> = snapshots.iter().filter(kept).cloned().collect();
    assert_eq!(snapshots.len(), 2 * 32);
    let (short, long) = (tracked(short), tracked(long));
    for profile in profiles {
        let target = (profile, trainer.nimg());
        let (made, found) = reconstruct_weights(&snapshots, target).unwrap().unwrap();
        let want = tracked(profile.sigma_rel());
        let mut sums = [0.0; 3];
        for (name, want) in &want {
            sums[0] += norm(&(&made[name] - want).unwrap());
            sums[1] += norm(want);
            sums[2] += norm(&(&short[name] - &long[name]).unwrap());
        }
        let [gap, size, apart] = sums.map(f64::sqrt);
        println!(
            "sigma_rel {}: {:.2e} of the weights, {:.2e} of the distance of the two saved, profile {:.2e}",
            profile.sigma_rel(),
            gap / size,
            gap / apart,
            found.error
        );
        assert!(gap < 1e-3 * size, "got {gap} of {size}, want below 1e-3");
        // The weights hardly move in so short a training: what the two saved averages differ by is the better scale.
        assert!(gap < 2e-2 * apart, "got {gap} of {apart}, want below 2e-2");
    }
}

#[test]
fn snapshots_and_averages_of_a_resumed_training_are_those_of_one_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut alone = trainer(&config());
    train(&mut alone, STEPS * BATCH, &at("alone"));

    let mut first = trainer(&config());
    train(&mut first, 30 * BATCH, &at("cut"));
    first.save(&at("state.safetensors")).unwrap();
    // Work that is lost with the process.
    train(&mut first, 50 * BATCH, &at("cut"));
    let mut second = trainer(&config());
    second.restore(&at("state.safetensors")).unwrap();
    second.forget_later_snapshots(&at("cut")).unwrap();
    let left = Snapshot::list(&at("cut")).unwrap();
    assert!(
        left.iter().all(|s| s.moment.1 <= 30 * BATCH),
        "got {left:?}"
    );
    train(&mut second, STEPS * BATCH, &at("cut"));

    let files = |name: &str| {
        let all = Snapshot::list(&at(name)).unwrap();
        all.iter()
            .map(|s| (s.moment.1, std::fs::read(&s.path).unwrap()))
            .collect::<Vec<_>>()
    };
    let (got, want) = (files("cut"), files("alone"));
    assert_eq!(got.len(), want.len());
    assert!(got == want, "snapshots differ");
}

#[test]
fn rotation_keeps_the_latest_of_each_length() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    let pfgmpp_config::ModelConfig::Network(model) = &mut config.model else {
        panic!("a network");
    };
    model.post_hoc_ema.as_mut().unwrap().keep = Some(2);
    let mut trainer = trainer(&config);
    train(&mut trainer, 192, folder.path());
    let all = Snapshot::list(folder.path()).unwrap();
    let got: Vec<(f64, u64)> = all
        .iter()
        .map(|s| (s.moment.0.sigma_rel(), s.moment.1))
        .collect();
    assert_eq!(got, [(0.05, 144), (0.05, 192), (0.1, 144), (0.1, 192)]);
}
