//! Training by several ranks, which are threads here: what is trained does not depend on their number.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use pfgmpp_config::{Document, RunConfig, yaml};
use pfgmpp_train::Trainer;
use pfgmpp_train::ranks::{ProcessGroup, in_threads};

/// The digits' training, small, with overrides.
fn config(overrides: &[&str]) -> RunConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
    let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
    let small = [
        "network.ddpmpp.model_channels=8",
        "network.ddpmpp.dropout=0.1",
        "training.nimg=336",
        "training.batch_size=32",
        "optimizer.lr_ramp_up=64",
    ];
    for text in small.iter().chain(overrides) {
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

/// What a training leaves and tells on its way.
#[derive(Debug, PartialEq)]
struct Found {
    weights: BTreeMap<String, Vec<u32>>,
    losses: Vec<u64>,
    norms: Vec<u64>,
    skipped: u64,
    error: Option<String>,
}

fn train(mut trainer: Trainer, config: &RunConfig) -> Found {
    let (mut losses, mut norms, mut error) = (Vec::new(), Vec::new(), None);
    while trainer.nimg() < config.trained().unwrap().training.nimg {
        match trainer.step() {
            Ok(step) if step.skipped => {}
            Ok(step) => {
                losses.extend(step.loss.iter().map(|loss| loss.to_bits()));
                norms.push(step.grad_norm.to_bits());
            }
            Err(found) => {
                error = Some(found.to_string());
                break;
            }
        }
    }
    let bits = |tensor: &Tensor| {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.iter().map(|value| value.to_bits()).collect()
    };
    let tensors = trainer.ema().tensors();
    Found {
        weights: tensors
            .iter()
            .map(|(name, t)| (name.clone(), bits(t)))
            .collect(),
        losses,
        norms,
        skipped: trainer.skipped(),
        error,
    }
}

/// Trains by `size` ranks, each of which goes on from `state` if there is one; gives what each has found.
fn by_ranks(config: &RunConfig, size: usize, state: Option<&Path>) -> Vec<Found> {
    std::thread::scope(|scope| {
        let ranks = in_threads(size).into_iter().map(|comm| {
            scope.spawn(move || {
                // A core of its own, as a process would have it.
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
                let group = Arc::new(ProcessGroup::start(|| Ok(comm)).unwrap());
                let mut trainer = trainer(config);
                if let Some(state) = state {
                    trainer.restore(state).unwrap();
                }
                trainer.join(group).unwrap();
                pool.build().unwrap().install(|| train(trainer, config))
            })
        });
        let ranks: Vec<_> = ranks.collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn assert_the_same(got: &[Found], want: &Found, what: &str) {
    for (rank, got) in got.iter().enumerate() {
        assert_eq!(got.error, want.error, "{what}, rank {rank}");
        assert_eq!(got.skipped, want.skipped, "{what}, rank {rank}");
        assert!(
            got.losses == want.losses,
            "{what}, rank {rank}: other losses"
        );
        assert!(got.norms == want.norms, "{what}, rank {rank}: other norms");
        assert!(
            got.weights == want.weights,
            "{what}, rank {rank}: other weights"
        );
    }
}

#[test]
fn one_two_and_four_ranks_train_the_same_bits_as_one_process() {
    // 336 images end with half a batch: two of four ranks have nothing of it.
    for overrides in [
        &["training.micro_batch=8"][..],
        &["training.micro_batch=4", "augment={geometric: 0.5}"],
        &["training.micro_batch=8", "optimizer.clip_norm=0.05"],
        &[
            "training.micro_batch=8",
            "condition=classes",
            "sampler.classes=uniform",
        ],
    ] {
        let config = config(overrides);
        let alone = train(trainer(&config), &config);
        for size in [1, 2, 4] {
            let got = by_ranks(&config, size, None);
            assert_the_same(&got, &alone, &format!("{overrides:?}, {size} ranks"));
        }
    }
}

#[test]
fn without_micro_batch_each_rank_has_one_piece() {
    let pieces = config(&["training.micro_batch=16"]);
    let alone = train(trainer(&pieces), &pieces);
    let got = by_ranks(&config(&[]), 2, None);
    assert_the_same(
        &got,
        &alone,
        "two ranks, and one with pieces of half a batch",
    );
}

#[test]
fn training_goes_on_with_another_number_of_ranks_to_the_same_bits() {
    let config = config(&["training.micro_batch=8"]);
    let alone = train(trainer(&config), &config);
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.safetensors");
    let mut first = trainer(&config);
    while first.nimg() < 160 {
        first.step().unwrap();
    }
    first.save(&state).unwrap();
    for size in [2, 4] {
        for got in by_ranks(&config, size, Some(&state)) {
            assert!(got.weights == alone.weights, "{size} ranks: other weights");
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_on_one_rank_is_that_of_all() {
    let mut config = config(&["training.micro_batch=8", "training.non_finite=skip"]);
    let pfgmpp_config::ModelConfig::Network(model) = &mut config.model else {
        panic!("a network");
    };
    model.optimizer.lr = 1e4;
    model.optimizer.lr_ramp_up = 0.0;
    model.training.nimg = 400_000;
    let alone = train(trainer(&config), &config);
    let error = alone.error.as_deref().unwrap_or_default();
    assert!(error.contains("100 steps were skipped"), "got {error}");
    assert_the_same(&by_ranks(&config, 4, None), &alone, "4 ranks");
}

#[test]
fn ranks_of_different_trainings_are_refused() {
    let join = |overrides: [&'static str; 2]| {
        let ranks = in_threads(2).into_iter().zip(overrides);
        let ranks = ranks.map(|(comm, set)| {
            std::thread::spawn(move || {
                let group = Arc::new(ProcessGroup::start(|| Ok(comm)).unwrap());
                let joined = trainer(&config(&["training.micro_batch=8", set])).join(group);
                joined.map_err(|error| error.to_string())
            })
        });
        let ranks: Vec<_> = ranks.collect();
        let joined = ranks.into_iter().map(|rank| rank.join().unwrap());
        joined.collect::<Vec<_>>()
    };
    for (overrides, want) in [
        (
            ["seed=0", "seed=1"],
            "rank 1 has other configuration than rank 0",
        ),
        (
            ["training.nimg=64", "training.nimg=96"],
            "rank 1 has other training.nimg",
        ),
    ] {
        for got in join(overrides) {
            let got = got.unwrap_err();
            assert!(got.contains(want), "got {got}, want {want}");
        }
    }
    assert!(join(["seed=1", "seed=1"]).iter().all(Result::is_ok));
}

#[test]
fn what_ranks_cost_is_counted() {
    let config = config(&["training.micro_batch=8"]);
    let costs = std::thread::scope(|scope| {
        let ranks = in_threads(2).into_iter().map(|comm| {
            let config = &config;
            scope.spawn(move || {
                let mut trainer = trainer(config);
                trainer
                    .join(Arc::new(ProcessGroup::start(|| Ok(comm)).unwrap()))
                    .unwrap();
                assert_eq!(trainer.rank_costs(), None, "before the first step");
                (0..3).for_each(|_| drop(trainer.step().unwrap()));
                (
                    trainer.rank_costs().unwrap(),
                    trainer.num_parameters() as u64,
                )
            })
        });
        let ranks: Vec<_> = ranks.collect();
        let costs = ranks.into_iter().map(|rank| rank.join().unwrap());
        costs.collect::<Vec<_>>()
    });
    for (costs, parameters) in costs {
        // Two ranks send each other half of the gradients, and the other half's sums. Constants are sent, too.
        let (got, want) = (costs.bytes_per_step, 4 * parameters);
        assert!(
            (want..want + 4096).contains(&got),
            "got {got} bytes, want {want}"
        );
        assert!(costs.waiting <= costs.summing + 1.0, "{costs:?}");
    }
}
