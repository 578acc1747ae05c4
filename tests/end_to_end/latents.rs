//! What a model can do beside sampling: latent states and back, ways between samples, levels of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::bad_input::assert_refused;
use crate::program::{output, pfgmpp, repository, small_sweep, stderr, stdout};

/// The exact posterior of the digits at D = 8: nothing to train.
fn exact_digits(folder: &Path) -> PathBuf {
    let config = folder.join("exact.yaml");
    let text = fs::read_to_string(repository().join("configs/exact.yaml")).unwrap();
    let text = text.replace("data: eight_gaussians", "data: digits");
    fs::write(&config, text).unwrap();
    config
}

fn call(command: &str, config: &Path, flags: &[&str]) -> Output {
    let mut program = pfgmpp();
    program.args([command, "--config"]).arg(config);
    program.args(["--d", "8"]).args(flags);
    output(program)
}

/// A network of D = inf that has seen a few digits: a smooth function, unlike the exact posterior of points.
fn trained(folder: &Path) -> PathBuf {
    let out = folder.join("out");
    let done = output(small_sweep(&out, &["axes.d=[inf]"]));
    assert!(done.status.success(), "got {}", stderr(&done));
    out.join("d=inf,seed=0")
}

fn call_trained(command: &str, model: &Path, flags: &[&str]) -> Output {
    let mut program = pfgmpp();
    program
        .args([command, "--checkpoint"])
        .arg(model)
        .args(flags);
    output(program)
}

fn json(done: &Output) -> serde_json::Value {
    assert!(done.status.success(), "got {}", stderr(done));
    serde_json::from_str(&stdout(done)).expect("JSON")
}

#[test]
fn data_come_back_from_their_latents_the_better_the_more_steps() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let latents = folder.path().join("latents.npy");
    let error = |steps: &str, out: &[&str]| {
        let flags = [
            "--data", "digits", "--num", "12", "--json", "--solver", "heun",
        ];
        let flags = [&flags[..], &["--steps", steps], out].concat();
        json(&call_trained("encode", &model, &flags))["reconstruction_rms"]
            .as_f64()
            .unwrap()
    };
    let (few, many) = (
        error("20", &[]),
        error("80", &["--out", latents.to_str().unwrap()]),
    );
    // Second order: a sixteenth where steps are small enough.
    assert!(
        many < few / 8.0 && many < 1e-3,
        "20 steps {few:e}, 80 steps {many:e}"
    );
    let latents = candle_core::Tensor::read_npy(latents).unwrap();
    assert_eq!(latents.dims(), [12, 1, 8, 8]);
    let again = folder.path().join("latents.npy");
    let flags = ["--data", "digits", "--out", again.to_str().unwrap()];
    let refused = call_trained("encode", &model, &flags);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("is there already"));
}

#[test]
fn latents_in_a_file_decode_to_the_data_that_they_are_of() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let many = ["--solver", "heun", "--steps", "40"];
    let run = |command: &str, flags: &[&str]| {
        let done = call_trained(command, &model, &[&many[..], flags].concat());
        assert!(done.status.success(), "{command}: got {}", stderr(&done));
    };
    let held_out = pfgmpp_data::DataSource::Digits.load().unwrap().held_out;
    let want = held_out.images().unwrap().narrow(0, 0, 3).unwrap();
    for latents in [at("l.npy"), at("l.safetensors")] {
        run(
            "encode",
            &["--data", "digits", "--num", "3", "--out", &latents],
        );
        let back = at("back.npy");
        run(
            "decode",
            &[
                "--latents",
                &latents,
                "--batch",
                "2",
                "--overwrite",
                "--out",
                &back,
            ],
        );
        let got = candle_core::Tensor::read_npy(&back).unwrap();
        let off = (got - &want).unwrap().sqr().unwrap().mean_all().unwrap();
        let rms = off.to_scalar::<f32>().unwrap().sqrt();
        assert!(
            rms < 0.03,
            "{latents}: got {rms} off the digits, want below 0.03"
        );
    }
    let out = folder.path().join("tiny.npy");
    let flags = ["-q", "--d", "1e-30", "--out", out.to_str().unwrap()];
    let want = "--d: d must be from 0.1 to 1e15, or inf, got 1e-30";
    assert_refused(&call_trained("sample", &model, &flags), &out, &[want]);
    // The way between two digits of the data begins with what the first one decodes to, and ends with the second.
    let (ends, way) = (at("ends.png"), at("way.png"));
    let latents = at("two.npy");
    run(
        "encode",
        &["--data", "digits", "--num", "2", "--out", &latents],
    );
    run("decode", &["--latents", &latents, "--out", &ends]);
    run(
        "interpolate",
        &["--latents", &latents, "--frames", "2", "--out", &way],
    );
    assert_eq!(fs::read(ends).unwrap(), fs::read(way).unwrap());
    let one = at("one.npy");
    run("encode", &["--data", "digits", "--num", "1", "--out", &one]);
    let (text, out) = (at("text.npy"), folder.path().join("x.png"));
    fs::write(&text, "text").unwrap();
    for (command, file, want) in [
        (
            "interpolate",
            &one,
            "--latents: must hold two states or more",
        ),
        ("decode", &text, "is not a NumPy array"),
        ("decode", &at("gone.npy"), "there is no such file or folder"),
        (
            "decode",
            &at("back.png"),
            "give a .npy or .safetensors file",
        ),
    ] {
        let flags = [
            "-q",
            "--latents",
            file.as_str(),
            "--out",
            out.to_str().unwrap(),
        ];
        assert_refused(&call_trained(command, &model, &flags), &out, &[want]);
    }
}

#[test]
fn data_of_another_shape_have_no_latents() {
    let folder = tempfile::tempdir().unwrap();
    let config = exact_digits(folder.path());
    let out = folder.path().join("x.npy");
    let flags = [
        "--data",
        "two_moons",
        "--quiet",
        "--out",
        out.to_str().unwrap(),
    ];
    assert_refused(
        &call("encode", &config, &flags),
        &out,
        &["two_moons", "[2, 1, 1]", "[1, 8, 8]"],
    );
}

#[test]
fn the_way_between_two_samples_begins_and_ends_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let config = exact_digits(folder.path());
    let at = |name: &str| folder.path().join(name);
    let draw = |command: &str, name: &str, flags: &[&str]| {
        let out = at(name);
        let flags = [&["--steps", "9", "--out", out.to_str().unwrap()], flags].concat();
        let done = call(command, &config, &flags);
        assert!(done.status.success(), "got {}", stderr(&done));
        fs::read(out).unwrap()
    };
    let ends = draw(
        "interpolate",
        "way.png",
        &["--seeds", "3-4", "--frames", "2"],
    );
    assert_eq!(ends, draw("sample", "both.png", &["--seeds", "3-4"]));
    let gif = draw(
        "interpolate",
        "way.gif",
        &["--seeds", "3,9,11", "--frames", "5"],
    );
    assert_eq!(&gif[..6], b"GIF89a");
    let flags = ["--seeds", "3", "--out", "x.png"];
    let refused = call("interpolate", &config, &flags);
    assert!(stderr(&refused).contains("--seeds: must be two seeds or more"));
    let out = at("x.mp4");
    let flags = ["--out", out.to_str().unwrap()];
    assert_refused(
        &call("interpolate", &config, &flags),
        &out,
        &[".png or .gif"],
    );
}

#[test]
fn a_temperature_below_one_draws_nearer_to_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let config = exact_digits(folder.path());
    let prior = |name: &str, temperature: &str| {
        let out = folder.path().join(name);
        // Down from 80 to 79 only: hardly more than the prior itself.
        let schedule = [
            "--schedule",
            "levels: [80.0, 79.0]",
            "--temperature",
            temperature,
        ];
        let flags = [
            &schedule[..],
            &["--seeds", "0-9", "--out", out.to_str().unwrap()],
        ]
        .concat();
        let done = call("sample", &config, &flags);
        assert!(done.status.success(), "got {}", stderr(&done));
        let x = candle_core::Tensor::read_npy(out).unwrap();
        let square = x.sqr().unwrap().mean_all().unwrap();
        f64::from(square.to_scalar::<f32>().unwrap()).sqrt()
    };
    let ratio = prior("half.npy", "0.5") / prior("one.npy", "1");
    assert!((ratio - 0.5).abs() < 1e-2, "got {ratio}, want 0.5");
}

#[test]
fn levels_that_were_searched_for_bring_few_steps_nearer_to_many() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let file = folder.path().join("levels.yaml");
    let flags = [
        "--solver", "dpmpp2m", "--steps", "6", "--num", "16", "--grid", "30",
    ];
    let flags = [&flags[..], &["--json", "--out", file.to_str().unwrap()]].concat();
    let found = json(&call_trained("schedule", &model, &flags));
    let number = |key: &str| found[key].as_f64().unwrap();
    let (rms_error, before) = (number("rms_error"), number("rms_error_before"));
    assert!(
        rms_error < 0.8 * before,
        "got {rms_error} over the levels found, {before} over EDM's"
    );
    assert_eq!(found["levels"].as_array().unwrap().len(), 7);
    let out = folder.path().join("x.npy");
    // The file brings its solver along, and a flag stands above it.
    for (flags, solver) in [(&[][..], "dpmpp2m"), (&["--solver", "euler"], "euler")] {
        let file = ["--schedule", file.to_str().unwrap()];
        let rest = [
            "--num",
            "4",
            "--json",
            "--overwrite",
            "--out",
            out.to_str().unwrap(),
        ];
        let done = call_trained("sample", &model, &[&file[..], flags, &rest].concat());
        let drawn = json(&done);
        assert_eq!(drawn["sampler"]["solver"], solver);
        assert_eq!(drawn["evaluations"], 6);
    }
    let refused = call_trained(
        "schedule",
        &model,
        &["--solver", "rk45: {rtol: 1e-3, atol: 1e-3}"],
    );
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("one of fixed steps"),
        "got {}",
        stderr(&refused)
    );
}

#[test]
fn flags_that_mean_nothing_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = exact_digits(folder.path());
    let out = folder.path().join("x.npy");
    for (flags, want) in [
        (
            &["--self-timed", "0"][..],
            "kappa must be a positive number or inf",
        ),
        (&["--schedule", "nowhere.yaml"], "no such file"),
        (&["--solver", "rk45"], "rk45 has parameters: such as"),
        (
            &["--temperature", "0"],
            "--temperature: temperature must be from 0.01 to 10",
        ),
        (&["--guidance", "2"], "guidance"),
        (&["--autoguidance", "x"], "--guidance"),
        (
            &["--guidance", "-1"],
            "--guidance: scale must be from 0 to 100, got -1",
        ),
        (
            &["--guidance", "2", "--guidance-interval", "1"],
            "must be two noise levels such as 0.2,5",
        ),
        (
            &["--guidance", "2", "--guidance-interval", "5,1"],
            "--guidance-interval: interval[0]",
        ),
        (
            &["--guess", "previous"],
            "--guess: the model is sampled at the D that it is of, 8,",
        ),
        (
            &["--self-timed", "4", "--guess", "previous"],
            "--guess: self-timed sampling takes",
        ),
        (
            &["--schedule", "levels: [80, 1e-300, 0]"],
            "from 1e-9 to 1e6 each, or 0",
        ),
        (
            &["--schedule", "edm"],
            "must have its settings, as in `edm: {num_steps: ...",
        ),
        (&["--steps", "0"], "--steps"),
        (&["--solver", "unipc"], "unipc: {order: 2, variant: bh2}"),
        (&["--schedule", "levels: [1, 2, 0]"], "--schedule"),
        (
            &["--schedule", "levels: [9, 1, 0]", "--steps", "4"],
            "--steps: the levels are a list of 2 steps",
        ),
    ] {
        let flags = [flags, &["--out", out.to_str().unwrap()]].concat();
        assert_refused(&call("sample", &config, &flags), &out, &[want]);
    }
}
