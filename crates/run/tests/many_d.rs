//! One network that is trained at several D and told which.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use pfgmpp_checkpoint::{Export, Layout, Model, beyond_trained};
use pfgmpp_config::yaml::parse_assignment;
use pfgmpp_config::{Document, RunConfig};
use pfgmpp_data::Dataset;
use pfgmpp_hub::Hub;
use pfgmpp_kernel::{Denoiser, Dimension, Query};
use pfgmpp_run::{Lookup, Ranks, ResolvedRun, preflight};
use pfgmpp_train::Trainer;

const LIST: &str = "training.d_list=[1, 8, 128, inf]";

fn read(overrides: &[&str]) -> Result<RunConfig, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/many_d.yaml");
    let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
    let small = ["network.ddpmpp.model_channels=8", "training.nimg=192"];
    for text in small.iter().chain(overrides) {
        let (key, value) = parse_assignment(text).unwrap();
        document.set::<RunConfig>(&key, value, text).unwrap();
    }
    RunConfig::read(&document, &[]).map_err(|e| e.to_string())
}

fn trainer(config: &RunConfig, data: &Dataset) -> Trainer {
    let model = config.trained().expect("a network");
    Trainer::new(model, config.seed, data, &Device::Cpu).unwrap()
}

fn estimate(model: &dyn Denoiser) -> Vec<f32> {
    let x = Tensor::arange(0f32, 128.0, &Device::Cpu).unwrap();
    let x = ((x / 64.0).unwrap() - 1.0)
        .unwrap()
        .reshape((2, 1, 8, 8))
        .unwrap();
    let found = model.denoise(&Query::new(&x, &[1.0, 0.2])).unwrap();
    found.flatten_all().unwrap().to_vec1().unwrap()
}

fn d(value: f64) -> Dimension {
    Dimension::new(value).unwrap()
}

#[test]
fn its_checkpoint_is_the_same_denoiser_at_any_d() {
    // What tells of augmentation stands behind what tells D, and is zero in both.
    for augment in [&[][..], &["augment={geometric: 0.5}"]] {
        let config = read(&[&[LIST], augment].concat()).unwrap();
        let data = config.data.load().unwrap().train;
        let mut trainer = trainer(&config, &data);
        while trainer.nimg() < 192 {
            trainer.step().unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let checkpoint = trainer.checkpoint(config.sampler.clone()).unwrap();
        checkpoint.save(&path).unwrap();
        let mut before: Option<Vec<f32>> = None;
        // 20 is between those that it was trained at.
        for at in [1.0, 8.0, 20.0, 128.0, f64::INFINITY] {
            let own = estimate(&*trainer.averaged_model_at(d(at)).unwrap());
            let model = Model::load(&path, &Device::Cpu).unwrap().at(d(at)).unwrap();
            assert_eq!(model.config.d, d(at));
            assert_eq!(estimate(&*model.denoiser), own, "at D = {at}");
            assert_ne!(
                before,
                Some(own.clone()),
                "at D = {at} as at the one before"
            );
            before = Some(own);
            let inside = model.notes.iter().all(|note| !note.contains("d_list"));
            assert!(inside, "at D = {at}: got {:?}", model.notes);
        }
        let checkpoint = trainer.checkpoint(config.sampler.clone()).unwrap();
        let error = Export::new(&checkpoint, Layout::EdmStateDict, &path);
        let (got, want) = (error.err().unwrap().to_string(), "a network for many D");
        assert!(got.contains(want), "got {got}, want {want}");
    }
}

#[test]
fn a_d_beyond_those_of_the_list_is_said_before_a_run_and_where_its_checkpoint_is_asked() {
    let list = [1.0, 8.0, 128.0].map(d);
    for (at, said) in [
        (0.5, true),
        (1.0, false),
        (20.0, false),
        (128.0, false),
        (1e4, true),
    ] {
        let got = beyond_trained(&list, d(at));
        assert_eq!(got.is_some(), said, "at D = {at}: got {got:?}");
    }
    assert_eq!(beyond_trained(&[], d(3.0)), None);
    let config = read(&["training.d_list=[1, 8, 128]", "d=8", "sampler.d=0.5"]).unwrap();
    let hub = Hub::from_env();
    let run = ResolvedRun::resolve(config, None, &Lookup::new(&hub, &[])).unwrap();
    let splits = run.config().data.load().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let runs = [(folder.path().join("run"), &run, &splits)];
    let found = preflight(runs.into_iter(), folder.path(), (&Device::Cpu, Ranks::ONE)).unwrap();
    let want = "the network was trained at D from 1 to 128 (training.d_list) and has learned nothing of D = 0.5: its samples may be far off";
    assert!(
        found.notes.iter().any(|note| note == want),
        "got {:?}, want {want}",
        found.notes
    );
    let model = run.config().trained().unwrap();
    let trainer = Trainer::new(model, 0, &splits.train, &Device::Cpu).unwrap();
    let path = folder.path().join("checkpoint");
    trainer
        .checkpoint(run.config().sampler.clone())
        .unwrap()
        .save(&path)
        .unwrap();
    let asked = Model::load(&path, &Device::Cpu)
        .unwrap()
        .at(d(0.5))
        .unwrap();
    // What asks for samples asks again.
    let asked = asked.at(d(0.5)).unwrap();
    assert_eq!(asked.notes, [want]);
}

#[test]
fn it_goes_on_from_its_state_bit_for_bit_and_in_pieces_to_rounding() {
    let config = read(&[LIST]).unwrap();
    let data = config.data.load().unwrap().train;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.safetensors");
    let weights = |trainer: &Trainer| {
        let all = trainer.ema().tensors().into_values();
        all.map(|tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .collect::<Vec<_>>()
            .concat()
    };
    let mut alone = trainer(&config, &data);
    alone.step().unwrap();
    alone.save(&state).unwrap();
    alone.step().unwrap();
    let mut resumed = trainer(&config, &data);
    resumed.restore(&state).unwrap();
    resumed.step().unwrap();
    let sorted = |trainer: &Trainer| {
        let mut bits: Vec<u32> = weights(trainer).iter().map(|w| w.to_bits()).collect();
        bits.sort_unstable();
        bits
    };
    assert_eq!(sorted(&alone), sorted(&resumed));
    let losses = |overrides: &[&str]| {
        let config = read(&[&[LIST], overrides].concat()).unwrap();
        trainer(&config, &data).step().unwrap().loss
    };
    let (whole, pieces) = (losses(&[]), losses(&["training.micro_batch=13"]));
    for (whole, piece) in whole.iter().zip(&pieces) {
        assert!(
            (whole - piece).abs() <= 1e-4 * whole.abs(),
            "got {piece}, want {whole}"
        );
    }
    let other = read(&["training.d_list=[1, inf]"]).unwrap();
    let got = trainer(&other, &data)
        .restore(&state)
        .unwrap_err()
        .to_string();
    assert!(got.contains("training.d_list"), "got {got}");
}

#[test]
fn lists_and_networks_that_do_not_serve_are_refused() {
    let stable = "objective={stable_target: {noise_law: {log_normal: {p_mean: -1.2, p_std: 1.2}}, reference_batch: 64}}";
    for (overrides, want) in [
        (
            &["training.d_list=[8]"][..],
            "from 2 to 64 values of D, each once",
        ),
        (
            &["training.d_list=[8, 1, 8]"],
            "each once, such as [1, 8, 128, inf], got [8, 1, 8]",
        ),
        (&["training.d_list=[8, -1]"], "d_list"),
        (&[LIST, stable], "absent with objective stable_target"),
    ] {
        let got = read(overrides).unwrap_err();
        assert!(got.contains(want), "{overrides:?}: got {got}, want {want}");
        assert_eq!(got.lines().count(), 1, "got {got}");
    }
}

#[test]
fn zeros_that_are_not_numbers_do_not_come_of_any_d() {
    let config = read(&["training.d_list=[0.5, 1e12]"]).unwrap();
    let data = config.data.load().unwrap().train;
    let mut trainer = trainer(&config, &data);
    let step = trainer.step().unwrap();
    assert!(
        step.loss.iter().all(|loss| loss.is_finite()),
        "got {:?}",
        step.loss
    );
    let at = trainer.averaged_model_at(d(1e15)).unwrap();
    let x = Tensor::zeros((1, 1, 8, 8), DType::F64, &Device::Cpu).unwrap();
    let found = at.denoise(&Query::new(&x, &[0.5])).unwrap();
    let sum = found.sum_all().unwrap().to_scalar::<f64>().unwrap();
    assert!(sum.is_finite(), "got {sum}");
}
