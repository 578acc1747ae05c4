//! States as they are saved, changed, and of other versions.

use super::*;
use crate::adam::AdamConfig;
use crate::ema::EmaConfig;
use candle_nn::Init;
use pfgmpp_checkpoint::write_tensors;
use serde_json::json;

const OPTIMIZER: AdamConfig = AdamConfig {
    lr: 0.1,
    beta1: 0.9,
    beta2: 0.99,
    eps: 1e-8,
    lr_ramp_up: 0.0,
    schedule: None,
    weight_decay: None,
    clip_norm: None,
};

const POSITION_OF_A_RUN: Position = Position {
    nimg: 640,
    steps: 10,
    tail_sum: 0,
    tail_count: 0,
    seconds: 1.5,
    skipped: 0,
    skipped_in_a_row: 0,
    validation: None,
};

/// What a training of this seed says of itself.
fn run(seed: u64) -> Map<String, Value> {
    let fields = [("d", json!(8.0)), ("seed", json!(seed))];
    fields
        .map(|(name, value)| (name.to_string(), value))
        .into_iter()
        .collect()
}

fn ema(half_life: f64) -> EmaConfig {
    EmaConfig {
        half_life,
        ramp_up: 0.05,
    }
}

/// A training of one parameter with averages of these half-lives, each average at another value.
fn training(half_lives: &[f64]) -> (Parameters, Adam, Averages) {
    let parameters = Parameters::new(0, &Device::Cpu);
    let init = Init::Const(1.0);
    parameters
        .builder()
        .get_with_hints(3, "weight", init)
        .unwrap();
    let adam = Adam::new(OPTIMIZER, &parameters).unwrap();
    let mut averages = Averages::new(ema(half_lives[0]), &parameters).unwrap();
    for &half_life in &half_lives[1..] {
        averages.track(ema(half_life), &parameters).unwrap();
    }
    for (average, &half_life) in averages.iter().zip(half_lives) {
        let value = Tensor::full(half_life as f32, 3, &Device::Cpu).unwrap();
        average.var(0).set(&value).unwrap();
    }
    (parameters, adam, averages)
}

/// The first value of each average that a training with averages of `after` finds where one with those of
/// `before` saved its state.
fn restored(before: &[f64], after: &[f64]) -> Result<Vec<f32>, TrainError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let (parameters, adam, averages) = training(before);
    save(
        &path,
        &parameters,
        &adam,
        &averages,
        &POSITION_OF_A_RUN,
        &run(0),
    )?;
    load_values(&path, after)
}

fn load_values(path: &Path, half_lives: &[f64]) -> Result<Vec<f32>, TrainError> {
    let (parameters, mut adam, averages) = training(half_lives);
    for average in averages.iter() {
        let zeros = average.var(0).zeros_like().unwrap();
        average.var(0).set(&zeros).unwrap();
    }
    let restored = load(
        path,
        &parameters,
        &mut adam,
        &averages,
        &run(0),
        &Device::Cpu,
    )?;
    let want = Restored {
        position: POSITION_OF_A_RUN,
        knows_its_data: false,
        held_out: None,
    };
    assert_eq!(restored, Some(want));
    assert_eq!(adam.steps(), POSITION_OF_A_RUN.steps);
    let value = |ema: &Ema| ema.tensors()["weight"].to_vec1::<f32>().unwrap()[0];
    Ok(averages.iter().map(value).collect())
}

#[test]
fn every_average_is_restored_to_its_own_place() {
    let got = restored(&[500.0, 7.0, 80.0], &[500.0, 80.0, 7.0]).unwrap();
    assert_eq!(got, [500.0, 80.0, 7.0]);
}

#[test]
fn averages_that_do_not_match_the_state_are_refused_by_name() {
    for (before, after, want) in [
        (&[500.0, 7.0][..], &[500.0][..], "ema@7,0.05/weight"),
        (&[500.0][..], &[500.0, 7.0][..], "ema@7,0.05/weight"),
        (&[500.0, 8.0][..], &[500.0, 7.0][..], "ema@8,0.05/weight"),
    ] {
        let error = restored(before, after).unwrap_err().to_string();
        assert!(error.contains(want), "got {error}, want {want} in it");
    }
}

#[test]
fn a_state_written_before_there_were_several_averages_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let three = |value: f32| Tensor::full(value, 3, &Device::Cpu).unwrap();
    let tensors: HashMap<String, Tensor> = [
        ("weights/weight", 1.0),
        ("adam_m/weight", 2.0),
        ("adam_v/weight", 3.0),
        ("ema/weight", 4.0),
    ]
    .map(|(key, value)| (key.to_string(), three(value)))
    .into();
    let json = r#"{"nimg":640,"steps":10,"tail_sum":0,"tail_count":0,"seconds":1.5}"#.to_string();
    let metadata = HashMap::from([(POSITION.to_string(), json)]);
    write_tensors(&path, &tensors, Some(metadata)).unwrap();
    assert_eq!(load_values(&path, &[500.0]).unwrap(), [4.0]);
}

#[test]
fn the_state_of_another_run_is_refused_by_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let (parameters, adam, averages) = training(&[500.0]);
    save(
        &path,
        &parameters,
        &adam,
        &averages,
        &POSITION_OF_A_RUN,
        &run(1),
    )
    .unwrap();
    let error = load_values(&path, &[500.0]).unwrap_err().to_string();
    for want in ["seed is 1 there and 0 here", "remove this file to train"] {
        assert!(error.contains(want), "got {error}, want {want} in it");
    }
    assert_eq!(error.lines().count(), 1, "got {error}");
}

/// All that a state restores, to the bit.
fn content(path: &Path) -> Result<Vec<u64>, TrainError> {
    let (parameters, mut adam, averages) = training(&[500.0]);
    let position = load(
        path,
        &parameters,
        &mut adam,
        &averages,
        &run(0),
        &Device::Cpu,
    )?;
    let position = position.expect("there is a state").position;
    let mut all = vec![
        position.nimg,
        position.steps,
        position.tail_sum,
        position.tail_count,
        position.seconds.to_bits(),
        adam.steps(),
    ];
    for (_, var) in slots(&parameters, &adam, &averages) {
        let values = var.to_vec1::<f32>().unwrap();
        all.extend(values.into_iter().map(|value| u64::from(value.to_bits())));
    }
    Ok(all)
}

#[test]
fn every_flipped_bit_of_a_state_is_refused_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let (parameters, adam, averages) = training(&[500.0]);
    save(
        &path,
        &parameters,
        &adam,
        &averages,
        &POSITION_OF_A_RUN,
        &run(0),
    )
    .unwrap();
    let want = content(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    // One bit of every byte, and of the numbers, which are all that no reader can check, every bit.
    let data = whole.len() - 4 * 3 * 4;
    let bits = (0..whole.len()).flat_map(|at| match at < data {
        true => at * 8 + at % 8..at * 8 + at % 8 + 1,
        false => at * 8..at * 8 + 8,
    });
    for bit in bits {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, bytes).unwrap();
        match content(&path) {
            Ok(got) => {
                assert_eq!(got, want, "with bit {bit} flipped");
                harmless += 1;
            }
            Err(error) => {
                let error = error.to_string();
                let advice = "remove this file to train from the beginning";
                assert!(error.contains(advice), "bit {bit}: got {error}");
                assert_eq!(error.lines().count(), 1, "bit {bit}: got {error}");
                refused += 1;
            }
        }
    }
    assert!(
        refused > 700 && harmless == 0,
        "got {refused} refused, {harmless} harmless"
    );
}

#[test]
fn a_state_that_is_not_finite_is_not_saved_and_the_one_before_stands() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let (parameters, adam, averages) = training(&[500.0]);
    let save = || {
        save(
            &path,
            &parameters,
            &adam,
            &averages,
            &POSITION_OF_A_RUN,
            &Map::new(),
        )
    };
    save().unwrap();
    let before = std::fs::read(&path).unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        let values = Tensor::new(&[1.0, bad, 1.0], &Device::Cpu).unwrap();
        parameters.vars()[0].1.set(&values).unwrap();
        let error = save().unwrap_err().to_string();
        for part in ["after 640 images", "weights/weight", "lower optimizer.lr"] {
            assert!(error.contains(part), "got {error}, want {part}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

#[test]
fn the_best_error_is_kept_and_what_is_not_a_number_is_not_the_best() {
    let mut known = None;
    for (nimg, error) in [(1, f64::NAN), (2, 0.5), (3, f64::NAN), (4, 0.25), (5, 0.3)] {
        known = Some(Validation::and(known, nimg, error));
    }
    let known = known.unwrap();
    let got = (known.last_nimg, known.best_nimg, known.best_error());
    assert_eq!(got, (5, 4, 0.25));
}
