//! Classes from the data to the network, the held-out error and the samples.

use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use pfgmpp_config::yaml::parse_assignment;
use pfgmpp_config::{ConfigError, Document, ModelConfig, RunConfig};
use pfgmpp_data::{DataSource, Splits};
use pfgmpp_hub::Hub;
use pfgmpp_kernel::{Condition, Denoiser, Query};
use pfgmpp_run::{Lookup, Ranks, ResolvedRun, RunError, SamplingModel, preflight};
use pfgmpp_sampler::Guidance;
use pfgmpp_train::{Trainer, TrainerConfig};

/// `config` with what it names found; that is all on this machine.
fn resolved(config: &RunConfig) -> ResolvedRun {
    ResolvedRun::resolve(config.clone(), None, &Lookup::new(&Hub::from_env(), &[])).unwrap()
}

/// `configs/toy.yaml` with classes and a small network, after `overrides`.
fn config(overrides: &[&str]) -> Result<RunConfig, ConfigError> {
    let toy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/toy.yaml");
    let text = fs::read_to_string(toy).unwrap();
    let text = text.replace("  solver:", "  classes: uniform\n  solver:") + "condition: classes\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classes.yaml");
    fs::write(&path, text).unwrap();
    let (mut document, _) = Document::read::<RunConfig>(&path)?;
    let small = [
        "network.mlp.hidden_dim=32",
        "network.mlp.label_dropout=0.2",
        "training.nimg=96_000",
        "optimizer.lr=0.01",
        "objective.unbiased.noise_law.log_normal.p_mean=0.5",
        "ema.ramp_up=0.05",
        "d=inf",
    ];
    let mut places = Vec::new();
    for text in small.iter().chain(overrides) {
        let (key, value) = parse_assignment(text)?;
        document.set::<RunConfig>(&key, value, text)?;
        places.push((key, (*text).to_string()));
    }
    RunConfig::read(&document, &places)
}

fn trained(config: &RunConfig) -> &TrainerConfig {
    config.trained().expect("a network")
}

fn trainer(config: &RunConfig, data: &Splits) -> Trainer {
    Trainer::new(trained(config), config.seed, &data.train, &Device::Cpu).unwrap()
}

/// The mean of the training points of each class, or of all for `None`.
fn mean(data: &Splits, class: Option<u32>) -> [f32; 2] {
    let points = data.train.images().unwrap().flatten_from(1).unwrap();
    let points = points.to_vec2::<f32>().unwrap();
    let labels = data.train.class_labels().unwrap().unwrap().values();
    let of = points.iter().zip(labels);
    let of: Vec<_> = of
        .filter(|(_, label)| class.is_none_or(|class| class == **label))
        .collect();
    [0, 1].map(|k| of.iter().map(|(point, _)| point[k]).sum::<f32>() / of.len() as f32)
}

/// At a noise level far above the data the best estimate is the mean of the class, or of all data without one.
#[test]
fn a_network_that_is_told_the_class_estimates_that_class() {
    let config = config(&[]).unwrap();
    let data = config.data.load().unwrap();
    let mut trainer = trainer(&config, &data);
    while trainer.nimg() < trained(&config).training.nimg {
        trainer.step().unwrap();
    }
    let model = trainer.averaged_model().unwrap();
    assert_eq!(model.takes().label_dim, 8);
    let x = Tensor::zeros((9, 2, 1, 1), candle_core::DType::F64, &Device::Cpu).unwrap();
    let classes: Vec<Option<usize>> = (0..8).map(Some).chain([None]).collect();
    let condition = Condition::of_classes(&classes, 8, &Device::Cpu).unwrap();
    let sigma = [8.0; 9];
    let got = model.denoise(&Query::new(&x, &sigma).under(&condition));
    let got = got
        .unwrap()
        .flatten_from(1)
        .unwrap()
        .to_vec2::<f64>()
        .unwrap();
    for (class, got) in classes.iter().zip(got) {
        let want = mean(&data, class.map(|class| class as u32));
        let off = (got[0] - f64::from(want[0])).hypot(got[1] - f64::from(want[1]));
        // Neighbouring means lie 0.6 apart, that of all data 0.8 from each.
        assert!(
            off < 0.15,
            "class {class:?}: got {got:?}, want {want:?}, {off} off"
        );
    }
}

/// Labels and what is dropped of them follow from seed and position, so nothing of them is saved.
#[test]
fn a_resumed_training_with_classes_ends_with_the_same_bits() {
    let config = config(&["training.nimg=2048", "training.batch_size=96"]).unwrap();
    let data = config.data.load().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.safetensors");
    let end = |mut trainer: Trainer, save_at: u64| {
        let mut losses = Vec::new();
        while trainer.nimg() < 2048 {
            let loss = trainer.step().unwrap().loss;
            losses.extend(loss.iter().map(|loss| loss.to_bits()));
            if trainer.nimg() == save_at {
                trainer.save(&state).unwrap();
            }
        }
        let tensors = trainer.ema().tensors();
        let mut names: Vec<&String> = tensors.keys().collect();
        names.sort();
        let values = |name| {
            tensors[name]
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap()
        };
        let weights: Vec<u32> = names
            .into_iter()
            .flat_map(values)
            .map(f32::to_bits)
            .collect();
        (losses, weights)
    };
    let (losses, weights) = end(trainer(&config, &data), 96 * 8);
    let mut resumed = trainer(&config, &data);
    resumed.restore(&state).unwrap();
    assert_eq!(resumed.nimg(), 96 * 8);
    let (later, again) = end(resumed, 0);
    assert_eq!(later, losses[96 * 8..]);
    assert_eq!(again, weights);

    let dropped = |rate: &str| {
        let set = format!("network.mlp.label_dropout={rate}");
        let config = self::config(&["training.nimg=2048", &set]).unwrap();
        end(trainer(&config, &data), 0).0
    };
    assert_ne!(
        dropped("0.2"),
        dropped("0.0"),
        "dropped labels change the loss"
    );
    assert_eq!(dropped("0.2"), dropped("0.2"));
}

/// The model that `config` would begin with, ready to sample.
fn sampling_model(config: &RunConfig, data: &Splits) -> Result<SamplingModel, RunError> {
    let model = trainer(config, data).averaged_model()?;
    let moments = || unreachable!("D is that of the model");
    let shape = data.train.image_shape();
    SamplingModel::new(model, config.d(), shape, moments, &config.sampler)?
        .with_classes(config.first_seed(), &data.train.class_counts())
}

#[test]
fn the_class_of_a_sample_follows_from_its_seed_and_its_place() {
    let classes = |choice: &str, seed: u64| {
        let set = format!("sampler.classes={choice}");
        let config = config(&[&set, &format!("seed={seed}")]).unwrap();
        let data = config.data.load().unwrap();
        let model = sampling_model(&config, &data).unwrap();
        let seeds = config.sample_seeds(40);
        let all = model.classes(&seeds).unwrap();
        assert_eq!(
            model.classes(&seeds[7..19]).unwrap(),
            all[7..19],
            "{choice}"
        );
        all
    };
    assert_eq!(classes("[1,5]", 0)[..4], [1, 5, 1, 5]);
    assert_eq!(classes("[1,5]", 3), classes("[1,5]", 0), "by place");
    assert_eq!(classes("0-7", 2)[..9], [0, 1, 2, 3, 4, 5, 6, 7, 0]);
    assert_eq!(classes("7", 2), [7; 40]);
    for choice in ["uniform", "data"] {
        assert_eq!(classes(choice, 1), classes(choice, 1));
        assert_ne!(classes(choice, 1), classes(choice, 2), "{choice}: by seed");
    }
}

#[test]
fn what_has_no_classes_or_not_those_is_refused_by_key() {
    let error = |overrides: &[&str]| config(overrides).unwrap_err().to_string();
    let stable = "objective={stable_target: {noise_law: {log_normal: {p_mean: 0, p_std: 1}}, reference_batch: 512}}";
    for (set, want) in [
        (
            "condition=null",
            "sampler.classes must be absent for a model that is told no classes",
        ),
        (
            "sampler.classes=null",
            "sampler.classes must be uniform, data or a list such as [0, 3]",
        ),
        (
            "sampler.classes=[]",
            "sampler.classes must be uniform, data, or a list of at least one",
        ),
        (
            "sampler.classes=some",
            "classes: must be uniform, data, or classes such as 3, 0-9 or 0,3,5, got some",
        ),
        (
            stable,
            "condition must be absent with objective stable_target",
        ),
    ] {
        let got = error(&[set]);
        assert!(
            got.contains(want),
            "{set}: got `{got}`, want `{want}` in it"
        );
    }
    let run = |set: &[&str]| {
        let config = config(set).unwrap();
        let data = config.data.load().unwrap();
        let out = tempfile::tempdir().unwrap();
        let runs = [(out.path().join("run"), &resolved(&config), &data)];
        preflight(runs.into_iter(), out.path(), (&Device::Cpu, Ranks::ONE))
            .map(|found| found.notes)
            .map_err(|e| e.to_string())
    };
    let got = run(&["sampler.classes=[8]"]).unwrap_err();
    let want = "sampler: classes must be from 0 to 7: the model has 8 classes (label_dim), got 8";
    assert!(got.contains(want), "got {got}");
    let got = run(&["data={noise: {shape: [1, 2, 2], num: 64}}"]).unwrap_err();
    assert!(
        got.contains("condition: condition classes needs data with classes"),
        "got {got}"
    );
    assert!(
        run(&[]).unwrap().is_empty(),
        "nothing to say of a run that says all"
    );
}

/// A checkpoint with classes that is asked for none: random ones, and a line that says so.
#[test]
fn a_foreign_network_with_classes_is_never_asked_without_one() {
    let pickle =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../checkpoint/tests/data/edm-classes.pkl");
    let exact = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/exact.yaml");
    let (document, _) = Document::read::<RunConfig>(&exact).unwrap();
    let mut config = RunConfig::read(&document, &[]).unwrap();
    config.data = DataSource::Digits;
    config.model = ModelConfig::Checkpoint {
        source: pfgmpp_config::CheckpointSource::Reference(pickle.display().to_string()),
    };
    config.sampler.d = Some(pfgmpp_kernel::Dimension::Infinite);
    let data = config.data.load().unwrap();
    let out = tempfile::tempdir().unwrap();
    let runs = [(out.path().join("run"), &resolved(&config), &data)];
    let notes = preflight(runs.into_iter(), out.path(), (&Device::Cpu, Ranks::ONE))
        .unwrap()
        .notes;
    let has = |want: &str| notes.iter().any(|note| note.contains(want));
    assert!(
        has("the model has 3 classes and none is asked for: each sample is of a random one"),
        "got {notes:?}"
    );
    assert!(
        has("the model has 3 classes and the data have 10"),
        "got {notes:?}"
    );

    let model = SamplingModel::untrained(&resolved(&config), &data.train, &Device::Cpu).unwrap();
    let seeds = config.sample_seeds(60);
    let classes = model.classes(&seeds).unwrap();
    for class in 0..3 {
        let count = classes.iter().filter(|c| **c == class).count();
        assert!(
            (8..=32).contains(&count),
            "class {class}: got {count} of 60"
        );
    }
    let of = |choice: &str| {
        let mut config = config.clone();
        config.sampler.classes = Some(choice.parse().unwrap());
        let model =
            SamplingModel::untrained(&resolved(&config), &data.train, &Device::Cpu).unwrap();
        let x = model.sample(&seeds[..4], &Device::Cpu).unwrap();
        x.flatten_from(1).unwrap().to_vec2::<f32>().unwrap()
    };
    let alone = ["0", "1", "2"].map(of);
    assert_ne!(alone[0], alone[1]);
    assert_ne!(alone[1], alone[2]);
    let asked = model.sample(&seeds[..4], &Device::Cpu).unwrap();
    let asked = asked.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
    for (row, asked) in asked.iter().enumerate() {
        assert_eq!(*asked, alone[classes[row]][row], "sample {row}");
    }
}

#[test]
fn guidance_leads_samples_of_a_class_and_is_refused_without_classes() {
    let pickle =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../checkpoint/tests/data/edm-classes.pkl");
    let led = |scale: Option<f64>, interval: Option<[f64; 2]>, d: f64| {
        let model = pfgmpp_checkpoint::Model::load(&pickle, &Device::Cpu).unwrap();
        let mut sampler = model.config.sampler.clone();
        sampler.d = Some(pfgmpp_kernel::Dimension::new(d).unwrap());
        sampler.guess = Some(pfgmpp_transfer::Guess::Previous);
        sampler.guidance = scale.map(|scale| Guidance {
            scale,
            interval,
            reference: None,
        });
        let model = SamplingModel::of_checkpoint(model, &sampler).unwrap();
        let x = model.sample(&[0, 1, 2], &Device::Cpu).unwrap();
        x.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    for d in [8.0, f64::INFINITY] {
        let plain = led(None, None, d);
        assert_eq!(plain, led(Some(1.0), None, d), "d {d}: a scale of 1 leads");
        assert_ne!(
            plain,
            led(Some(3.0), None, d),
            "d {d}: a scale of 3 leads nowhere"
        );
        // No level of the schedule lies there.
        let beyond = led(Some(3.0), Some([500.0, 501.0]), d);
        assert_eq!(plain, beyond, "d {d}: led outside of the interval");
    }
    let mut without = config(&["condition=null", "sampler.classes=null"]).unwrap();
    let (scale, interval) = (2.0, None);
    without.sampler.guidance = Some(Guidance {
        scale,
        interval,
        reference: None,
    });
    let got = without.check("a test").unwrap_err().to_string();
    assert!(
        got.contains("guidance must be absent for a model"),
        "got {got}"
    );
}
