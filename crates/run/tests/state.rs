//! Which training goes on from which saved state.

use std::path::Path;

use candle_core::{Device, Tensor};
use pfgmpp_config::yaml::parse_assignment;
use pfgmpp_config::{Document, RunConfig};
use pfgmpp_data::{Dataset, Splits};
use pfgmpp_train::Trainer;

fn config(overrides: &[&str]) -> RunConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
    let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
    for text in ["network.ddpmpp.model_channels=8"].iter().chain(overrides) {
        let (key, value) = parse_assignment(text).unwrap();
        document.set::<RunConfig>(&key, value, text).unwrap();
    }
    RunConfig::read(&document, &[]).unwrap()
}

fn trainer(config: &RunConfig, data: &Dataset) -> Trainer {
    let model = config.trained().expect("a network");
    Trainer::new(model, config.seed, data, &Device::Cpu).unwrap()
}

#[test]
fn a_state_is_of_one_training_whatever_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let first = config(&["training.nimg=128"]);
    let splits: Splits = first.data.load().unwrap();
    let mut before = trainer(&first, &splits.train);
    before.step().unwrap();
    before.save(&path).unwrap();

    let restored = |overrides: &[&str], data: &Dataset| {
        let mut trainer = trainer(&config(overrides), data);
        let restored = trainer.restore(&path);
        restored.map(|_| trainer.nimg()).map_err(|e| e.to_string())
    };
    for same in [
        "training.nimg=128",
        "training.nimg=256",
        "training.log_every=64",
        "training.state_every=64",
        "training.grid_every=0",
        "sampler.solver=euler",
        "scoring.num_samples=8",
    ] {
        let got = restored(&[same], &splits.train);
        assert_eq!(got, Ok(before.nimg()), "with {same}");
    }
    for (other, want) in [
        ("d=64", "d is 128 there and 64 here"),
        ("seed=1", "seed is 0 there and 1 here"),
        (
            "network.ddpmpp.dropout=0.1",
            "network.ddpmpp.dropout is 0.0 there and 0.1 here",
        ),
        (
            "preconditioning.edm.sigma_data=0.5",
            "sigma_data is 0.75 there and 0.5 here",
        ),
        (
            "objective.unbiased.noise_law.log_normal.p_std=1.1",
            "p_std is 1.2 there and 1.1 here",
        ),
        (
            "optimizer.lr=0.001",
            "optimizer.lr is 0.002 there and 0.001 here",
        ),
        (
            "ema.half_life=8000",
            "ema.half_life is 16000.0 there and 8000.0 here",
        ),
        (
            "training.batch_size=32",
            "training.batch_size is 64 there and 32 here",
        ),
        (
            "training.nimg=32",
            "it stands at 64 images, training.nimg is 32",
        ),
    ] {
        let got = restored(&[other], &splits.train).unwrap_err();
        assert!(got.contains(want), "with {other}: got {got}, want {want}");
        let advice = "remove this file to train from the beginning";
        assert!(
            got.contains(advice),
            "with {other}: got {got}, want {advice}"
        );
        assert_eq!(got.lines().count(), 1, "with {other}: got {got}");
    }
    let got = restored(&[], &splits.held_out).unwrap_err();
    let want = r#"data is "digits/train" there and "digits/held_out" here"#;
    assert!(
        got.contains(want),
        "with other images: got {got}, want {want}"
    );
}

#[test]
fn a_state_of_other_data_of_the_same_name_shape_and_number_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let config = config(&["training.nimg=128"]);
    let train = config.data.load().unwrap().train;
    let mut before = trainer(&config, &train);
    before.step().unwrap();
    before.save(&path).unwrap();
    let restored = |data: &Dataset| trainer(&config, data).restore(&path);
    assert_eq!(restored(&train).unwrap(), None, "nothing to say");
    let images = train.images().unwrap();
    let classes = train.class_labels().unwrap().cloned();
    // One value of one image, and the order of two.
    let mut values = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values[1000] += if values[1000] < 0.0 { 1e-3 } else { -1e-3 };
    let changed = Tensor::from_vec(values, images.shape(), &Device::Cpu).unwrap();
    let mut order: Vec<u32> = (0..train.num_images() as u32).collect();
    order.swap(0, 1);
    let order = Tensor::from_vec(order, train.num_images(), &Device::Cpu).unwrap();
    let swapped = images.index_select(&order, 0).unwrap();
    for images in [changed, swapped] {
        let other = Dataset::new(train.name(), &images, classes.clone()).unwrap();
        let got = restored(&other).unwrap_err().to_string();
        let want = "was trained on other data than digits/train is now";
        assert!(got.contains(want), "got {got}, want {want}");
        let advice = "if these weights are to be gone on from, choose another folder";
        assert!(got.contains(advice), "got {got}, want {advice}");
        assert_eq!(got.lines().count(), 1, "got {got}");
    }
}

#[test]
fn a_state_that_was_measured_on_other_held_out_data_goes_on_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let config = config(&["training.nimg=128"]);
    let splits = config.data.load().unwrap();
    let measured = |held_out: &Dataset| {
        let mut trainer = trainer(&config, &splits.train);
        trainer.note_held_out(held_out).unwrap();
        trainer
    };
    let mut before = measured(&splits.held_out);
    before.step().unwrap();
    before.save(&path).unwrap();
    assert_eq!(measured(&splits.held_out).restore(&path).unwrap(), None);
    // A trainer that is not told has nothing to compare.
    assert_eq!(
        trainer(&config, &splits.train).restore(&path).unwrap(),
        None
    );
    let fewer: Vec<usize> = (0..splits.held_out.num_images() - 1).collect();
    let other = splits.held_out.subset("digits/held_out", &fewer).unwrap();
    let mut resumed = measured(&other);
    let got = resumed.restore(&path).unwrap().expect("a line");
    assert_eq!(resumed.nimg(), before.nimg(), "it goes on");
    let want = "state.safetensors: the held-out data changed since it was saved";
    assert!(got.contains(want), "got {got}, want {want}");
    assert_eq!(got.lines().count(), 1, "got {got}");
}
