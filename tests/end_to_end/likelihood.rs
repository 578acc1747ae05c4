//! `pfgmpp likelihood`: figures, files, and what is refused.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_yaml::Value;

use crate::program::{output, pfgmpp, repository, results, small_sweep, stderr, stdout};

fn likelihood(flags: &[&str]) -> Output {
    let mut command = pfgmpp();
    command.arg("likelihood").args(flags);
    output(command)
}

/// The JSON that a command with these flags prints.
fn found(flags: &[&str]) -> Value {
    let done = likelihood(&[flags, &["--json"]].concat());
    assert!(done.status.success(), "{flags:?}: got {}", stderr(&done));
    // JSON is YAML.
    serde_yaml::from_str(&stdout(&done)).expect("standard output is JSON")
}

fn number(found: &Value, key: &str) -> f64 {
    found[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key} must be a number, got {:?}", found[key]))
}

/// The exact posterior of points in the plane, or of other data, over levels at which it is smooth.
fn config(folder: &Path, data: &str) -> String {
    let text = fs::read_to_string(repository().join("configs/exact.yaml")).unwrap();
    let text = text.replace("data: eight_gaussians", &format!("data: {data}"));
    let text = text.replace("sigma_min: 0.002", "sigma_min: 0.2");
    let path = folder.join("exact.yaml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn points_in_the_plane_have_one_likelihood_by_probes_and_exactly_in_any_batch() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "eight_gaussians");
    let table = folder.path().join("items.csv");
    let plane = [
        "--config",
        &config,
        "--data",
        "eight_gaussians",
        "--num",
        "40",
    ];
    let out = ["--exact-trace", "--out", table.to_str().unwrap()];
    let exact = found(&[&plane[..], &out].concat());
    assert_eq!(number(&exact, "num"), 40.0);
    assert_eq!(number(&exact, "sigma_min"), 0.2);
    assert_eq!(number(&exact, "standard_error_probes"), 0.0);
    let nats = number(&exact, "nats_per_dimension");
    // Eight bells of deviation 0.2 and more on a circle of radius below 1: the density is of order 1.
    assert!((0.0..1.5).contains(&nats), "got {nats} nats per dimension");

    let rows = csv::Reader::from_path(&table).unwrap().into_records();
    let rows: Vec<csv::StringRecord> = rows.map(Result::unwrap).collect();
    let mean = rows.iter().map(|row| row[5].parse::<f64>().unwrap());
    let mean = mean.sum::<f64>() / rows.len() as f64;
    assert_eq!(
        (rows.len(), &rows[39][0], &rows[39][1]),
        (40, "held_out", "3993")
    );
    assert!(
        (mean - nats).abs() < 1e-9,
        "got {mean} of the table, want {nats}"
    );

    let probes = found(&[&plane[..], &["--probes", "20"]].concat());
    let (got, error) = (
        number(&probes, "nats_per_dimension"),
        number(&probes, "standard_error_probes"),
    );
    assert!(
        error > 0.0 && (got - nats).abs() < 3.0 * error,
        "got {got} ± {error}, want {nats}"
    );
    let batch = ["--probes", "20", "--batch", "3", "--threads", "2"];
    let again = found(&[&plane[..], &batch].concat());
    assert_eq!(number(&again, "nats_per_dimension"), got);
}

#[test]
fn the_lines_say_what_was_measured_and_how() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "digits");
    let done = likelihood(&[
        "--config",
        &config,
        "--data",
        "digits",
        "--num",
        "4",
        "--split",
        "all",
        "--dequantize",
        "--solver",
        "heun",
        "--steps",
        "6",
    ]);
    let (text, notes) = (stdout(&done), stderr(&done));
    assert!(done.status.success(), "got {notes}");
    for part in [
        "nats per dimension",
        "of 4 items",
        "8-bit images",
        "log2(127.5)",
        "over the data",
        "unknown over the probes",
        "N = 64, D = 128",
        "Student-t of 128 degrees of freedom and scale 80",
        "heun, 5 steps from sigma = 0.2 up to 80 (without the one to 0), 11.0 evaluations",
        "1 probe (Rademacher)",
        "dequantization: uniform noise",
    ] {
        assert!(text.contains(part), "got `{text}`, want `{part}` in it");
    }
    for part in [
        "lowest noise level, sigma = 0.2",
        "has the error of the solver's steps",
    ] {
        assert!(notes.contains(part), "got `{notes}`, want `{part}` in it");
    }
}

#[test]
fn the_metric_of_a_sweep_is_what_the_command_gives() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let sets = ["axes.d=[8,inf]", "scoring.metrics=[energy_distance, nll]"];
    let done = output(small_sweep(&out, &sets));
    assert!(done.status.success(), "got {}", stderr(&done));
    for row in results(&out) {
        let name = format!("d={},seed=0", row["d"]);
        let run = out.join(&name);
        let command = found(&[
            "--checkpoint",
            run.to_str().unwrap(),
            "--data",
            "digits",
            "--num",
            "256",
        ]);
        for (column, key) in [
            ("nll", "nats_per_dimension"),
            ("nll_standard_error", "standard_error_data"),
        ] {
            let (got, want): (f64, f64) = (row[column].parse().unwrap(), number(&command, key));
            assert!(
                (got - want).abs() < 1e-9,
                "{name}, {column}: got {got}, want {want}"
            );
        }
    }
}

#[test]
fn what_has_no_likelihood_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let plane = config(folder.path(), "eight_gaussians");
    let there = folder.path().join("there.csv");
    fs::write(&there, "kept").unwrap();
    let large = tempfile::tempdir().unwrap();
    let noise = "{noise: {shape: [1, 9, 9], num: 20}}";
    let large = config(large.path(), noise);
    let points = ["--config", &plane, "--data", "eight_gaussians"];
    let images = ["--config", &large, "--data", noise];
    let cases: [(&[&str], &[&str], &str); 12] = [
        (
            &["--config", &plane],
            &["--data", "digits"],
            "--data digits: must be of the model's shape [2, 1, 1], got [1, 8, 8]",
        ),
        (&["--config", &plane], &["--data", "nothing"], "--data"),
        (
            &images,
            &["--exact-trace"],
            "exact_trace must be for data of at most 64 values",
        ),
        (&points, &["--probes", "0"], "--probes"),
        (
            &points,
            &["--exact-trace", "--probes", "2"],
            "cannot be used with",
        ),
        (&points, &["--num", "1000000"], "--num: must be at most the"),
        (&points, &["--num", "0"], "--num"),
        (&points, &["--dequantize"], "no grey levels"),
        (&points, &["--self-timed", "4"], "self_timed"),
        (&points, &["--steps", "9"], "give --solver too"),
        (&points, &["--class", "1"], "--class"),
        (
            &points,
            &["--out", there.to_str().unwrap()],
            "is there already",
        ),
    ];
    for (model, flags, want) in cases {
        let done = likelihood(&[model, flags].concat());
        let text = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{flags:?}: got {text}");
        let last = text.trim().lines().last().unwrap_or_default();
        assert!(
            last.contains(want),
            "{flags:?}: got `{last}`, want `{want}` in it"
        );
        assert_eq!(stdout(&done), "");
    }
    assert_eq!(fs::read_to_string(&there).unwrap(), "kept");
}
