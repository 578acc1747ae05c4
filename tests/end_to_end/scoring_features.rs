//! Runs and sweeps that are scored through a network, by `scoring.features`.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::features::{METRICS, json, run, weights};
use crate::hub::assert_fails;
use crate::program::{SMALL, limited, output, pfgmpp, small_sweep, stderr};

/// Trains the digits, small, into `run` of the folder; `sets` are of the form `KEY=VALUE`.
fn train(folder: &Path, sets: &[&str]) -> Output {
    let mut command = pfgmpp();
    command
        .args(["train", "configs/digits.yaml", "--out"])
        .arg(folder.join("run"));
    for set in SMALL.iter().chain(sets) {
        command.args(["--set", &set.replace("{F}", folder.to_str().unwrap())]);
    }
    output(command)
}

#[test]
fn a_run_is_scored_through_a_network_as_its_samples_are() {
    const ASKED: &str =
        "scoring.metrics=[frechet_distance, energy_distance, kernel_distance, coverage]";
    for (features, flags) in [
        ("digits", "--network digits"),
        (
            "{dinov2: {weights: {F}}}",
            "--network dinov2 --weights {F}/model.safetensors",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        weights(folder);
        let done = train(folder, &[ASKED, &format!("scoring.features={features}")]);
        assert!(done.status.success(), "got {}", stderr(&done));
        let found = fs::read_to_string(folder.join("run/metrics.json")).unwrap();
        let found: serde_json::Value = serde_json::from_str(&found).unwrap();
        let drawn = run(
            "sample",
            folder,
            "--checkpoint {F}/run --seeds 0-31 --out {F}/s.npy",
        );
        assert!(drawn.status.success(), "got {}", stderr(&drawn));
        let given = format!("--samples {{F}}/s.npy --reference digits {flags} {METRICS}");
        let want = json(&run("score", folder, &given));
        for name in ["frechet_distance", "kernel_distance", "coverage"] {
            let [got, want] = [&found, &want].map(|of| of["scores"][name].as_f64().unwrap());
            assert!(
                (got - want).abs() <= 1e-9 * want.abs(),
                "{features} {name}: got {got}, want {want}"
            );
        }
        // Of the samples themselves they are other numbers.
        let pixels = "--samples {F}/s.npy --reference digits";
        let pixels = json(&run("score", folder, &format!("{pixels} {METRICS}")));
        assert_ne!(
            pixels["scores"]["frechet_distance"],
            found["scores"]["frechet_distance"]
        );
    }
}

#[test]
fn a_sweep_shows_its_reference_rows_through_the_network_too() {
    let folder = tempfile::tempdir().unwrap();
    let sets = [
        "axes.d=[8, inf]",
        "scoring.metrics=[energy_distance, frechet_distance]",
        "scoring.features=digits",
    ];
    let done = output(small_sweep(folder.path(), &sets));
    assert!(done.status.success(), "got {}", stderr(&done));
    let all = fs::read_to_string(folder.path().join("results.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    let rows = all["references"].as_array().unwrap();
    let of = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["scores"]["frechet_distance"].as_f64().unwrap()
    };
    let (data, gaussian, noise) = (
        of("training data"),
        of("fitted Gaussian"),
        of("prior noise"),
    );
    println!("training data {data}, fitted Gaussian {gaussian}, prior noise {noise}");
    assert!(
        0.0 < data && data < gaussian && gaussian < noise,
        "got {data}, {gaussian}, {noise}"
    );
    let report = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(
        report.contains("features of the classifier of digits"),
        "the report says what they are of"
    );
}

#[test]
fn features_that_nothing_compares_or_nothing_can_be_seen_in_are_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    weights(folder.path());
    for (sets, want) in [
        (
            &[
                "scoring.features={inception: {weights: {F}}}",
                "scoring.metrics=[recall]",
            ][..],
            "scoring.features: weight fc.weight is missing, which Inception-v3 has",
        ),
        (
            &["scoring.features=digits"][..],
            "scoring.features must be left out where none of metrics compares features",
        ),
        (
            &[
                "scoring.features={dinov2: {weights: none.pth}}",
                "scoring.metrics=[recall]",
            ],
            "none.pth: there is no such file",
        ),
        (
            &["scoring.features=vgg", "scoring.metrics=[recall]"],
            "digits",
        ),
        (
            &["scoring.features=inception", "scoring.metrics=[recall]"],
            "weights",
        ),
    ] {
        let done = train(folder.path(), sets);
        assert_fails(&done, 2, want);
        assert!(
            !folder.path().join("run").exists(),
            "{sets:?}: nothing is written"
        );
    }
    let mut command = pfgmpp();
    command
        .args(["train", "configs/toy.yaml", "--out"])
        .arg(folder.path().join("run"));
    command.args([
        "--set",
        "scoring.metrics=[recall]",
        "--set",
        "scoring.features=digits",
    ]);
    let want = "the classifier of digits looks at images of 1 or 3 channels, the data are 2x1x1: leave it out";
    assert_fails(&output(command), 2, want);
}

#[test]
#[cfg(target_os = "linux")]
fn a_network_that_does_not_fit_the_memory_is_refused_with_the_figure() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, out) = (folder.path().join("large.safetensors"), "nothing");
    // Eight GiB of weights, which are not even read.
    let file = fs::File::create(&weights).unwrap();
    file.set_len(8 << 30).unwrap();
    let large = format!(
        "scoring.features={{dinov2: {{weights: {}}}}}",
        weights.display()
    );
    let out = folder.path().join(out);
    let mut args = vec!["train", "configs/digits.yaml", "--out"];
    args.push(out.to_str().unwrap());
    for set in [&*large, "scoring.metrics=[frechet_distance]"] {
        args.extend(["--set", set]);
    }
    let done = limited(3000, &args);
    let said = stderr(&done);
    assert_eq!(done.status.code(), Some(2), "got {said}");
    let error = said.lines().last().unwrap();
    assert!(
        error.contains("scoring.features: dinov2: needs about 8."),
        "got {said}"
    );
    assert!(!out.exists());
    // So do those that look without a run.
    let mut args = vec![
        "features",
        "--samples",
        "digits",
        "--network",
        "dinov2",
        "--weights",
    ];
    let file = folder.path().join("features.npy");
    args.extend([weights.to_str().unwrap(), "--out", file.to_str().unwrap()]);
    let said = stderr(&limited(3000, &args));
    let error = said.lines().last().unwrap();
    assert!(
        error.contains("network: dinov2: needs about 8."),
        "got {said}"
    );
    assert!(!file.exists());
}

#[test]
fn scores_through_weights_that_were_replaced_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let weights = weights(folder);
    let asked = [
        "scoring.metrics=[frechet_distance]",
        "scoring.features={dinov2: {weights: {F}/model.safetensors}}",
        "axes.d=[8, inf]",
    ];
    let place = folder.to_str().unwrap();
    let sets = asked.map(|set| set.replace("{F}", place));
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let out = folder.join("out");
    let done = output(small_sweep(&out, &sets));
    assert!(done.status.success(), "got {}", stderr(&done));
    let table = fs::read(out.join("results.json")).unwrap();
    let again = output(small_sweep(&out, &sets));
    assert!(again.status.success(), "got {}", stderr(&again));
    assert!(
        !stderr(&again).contains("reference rows"),
        "got {}",
        stderr(&again)
    );
    assert_eq!(fs::read(out.join("results.json")).unwrap(), table);
    // Other numbers in the last weight.
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    for collect in [false, true] {
        let mut command = small_sweep(&out, &sets);
        if collect {
            command.arg("--collect");
        }
        assert_fails(
            &output(command),
            2,
            "was scored through other weights than dinov2 of",
        );
    }
    assert_eq!(fs::read(out.join("results.json")).unwrap(), table);
}

#[test]
fn a_table_is_not_collected_of_data_that_were_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (table, out) = (folder.path().join("mine.csv"), folder.path().join("out"));
    let rows = |shift: u32| -> String {
        let rows = (0..200u32).map(|i| format!("{}.5,{}.25\n", (i * 37 + shift) % 101, i * i % 97));
        "x,y\n".to_string() + &rows.collect::<String>()
    };
    fs::write(&table, rows(0)).unwrap();
    let data = format!(
        "axes.data=[{{csv: {{path: {}, standardise: {{sigma_data: 0.5}}}}}}]",
        table.display()
    );
    let sweep = |collect: bool| {
        let mut command = pfgmpp();
        command
            .args(["sweep", "experiments/exact_field.yaml", "--out"])
            .arg(&out);
        for set in [&*data, "axes.d=[8, inf]", "scoring.num_samples=32"] {
            command.args(["--set", set]);
        }
        if collect {
            command.arg("--collect");
        }
        output(command)
    };
    let done = sweep(false);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(sweep(true).status.success());
    fs::write(&table, rows(1)).unwrap();
    for collect in [true, false] {
        assert_fails(&sweep(collect), 2, "holds a finished run on other data");
    }
}
