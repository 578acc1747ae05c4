//! Noise schedules against those of diffusers (`tests/data/make_schedulers.py`).

use std::fs;

use pfgmpp_nn::Prediction;
use pfgmpp_transfer::Preconditioning;
use serde_json::{Value, json};

use crate::folder::*;

fn fixture(kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(here("tests/data/schedulers.json")).expect("part of the crate");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    value[kind].as_array().expect("a list").clone()
}

/// The preconditioning of a small network beside a scheduler's configuration, as text.
fn preconditioning(scheduler: &str) -> Preconditioning {
    let (tensors, config) = golden("unet2d.safetensors");
    let folder = tempfile::tempdir().expect("a folder");
    flat(folder.path(), &config, &json!({}), &tensors);
    fs::write(folder.path().join("scheduler_config.json"), scheduler).expect("a file");
    match loaded(folder.path()).checkpoint.config.prediction {
        Prediction::Denoised(preconditioning) => preconditioning,
        Prediction::Field(_) => panic!("a field"),
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn levels_of_discrete_schedulers_are_those_of_diffusers() {
    let cases = fixture("discrete");
    assert_eq!(cases.len(), 14);
    for case in cases {
        let text = case["config"].as_str().expect("a text");
        let Preconditioning::Ddpm(ddpm) = preconditioning(text) else {
            panic!("{text:.100}: not of discrete steps");
        };
        let levels: Vec<f64> = ddpm.levels().levels().collect();
        let steps = case["steps"].as_array().expect("a list").iter();
        for (step, want) in steps.zip(case["levels"].as_array().expect("a list")) {
            let (got, want) = (levels[number(step) as usize], number(want));
            // Products of a thousand numbers in 32 bits, and 1 - alpha_bar of one near 1.
            let tolerance = 1e-4 + 1e-7 / (want * want);
            assert!(
                (got / want - 1.0).abs() < tolerance,
                "{text:.60} step {step}: got {got}, want {want}"
            );
        }
    }
}

#[test]
fn scalings_of_continuous_schedulers_are_those_of_diffusers() {
    for case in fixture("continuous") {
        let text = case["config"].as_str().expect("a text");
        let got = preconditioning(text);
        for row in case["rows"].as_array().expect("a list") {
            let row: Vec<f64> = row.as_array().expect("a list").iter().map(number).collect();
            let c = got.coefficients(row[0]);
            for (got, want) in [c.c_in, c.c_noise, c.c_skip, c.c_out]
                .into_iter()
                .zip(&row[1..])
            {
                let tolerance = 1e-6 * want.abs().max(1e-3);
                assert!(
                    (got - want).abs() < tolerance,
                    "{text:.60} at {row:?}: got {got}"
                );
            }
        }
    }
}

#[test]
fn a_flag_of_early_versions_says_what_the_output_is() {
    let output = |scheduler: Value| {
        let Preconditioning::Ddpm(ddpm) = preconditioning(&scheduler.to_string()) else {
            panic!("not of discrete steps");
        };
        serde_json::to_value(ddpm.output).expect("a word")
    };
    let of = |flag: bool| {
        let mut scheduler = scheduler();
        scheduler["predict_epsilon"] = json!(flag);
        scheduler
    };
    assert_eq!(output(of(true)), "epsilon");
    assert_eq!(output(of(false)), "sample");
}
