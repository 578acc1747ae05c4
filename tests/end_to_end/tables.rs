//! Tables: standardised for the network, in their own units everywhere else.

use std::fs;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

use crate::program::{output, pfgmpp, repository, small_sweep, stderr, stdout};

/// Rows of two columns of very different scales, `factor` times as large; a fixed spread of points.
fn table(folder: &Path, name: &str, factor: f64) -> PathBuf {
    let mut text = "rain,\"wind, in m/s\"\n".to_string();
    for i in 0..200u32 {
        // Two sequences that fill the unit interval.
        let (u, v) = (
            f64::from(i) * 0.618_034 % 1.0,
            f64::from(i) * 0.414_214 % 1.0,
        );
        text += &format!(
            "{},{}\n",
            factor * (500.0 + 100.0 * u),
            factor * (2.0 + 0.01 * v)
        );
    }
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// `configs/NAME.yaml` on the table at `csv`, over levels at which an exact posterior is smooth.
fn config(folder: &Path, csv: &Path, name: &str) -> String {
    let text = fs::read_to_string(repository().join("configs").join(name)).unwrap();
    let data = format!("data: {}", source(csv));
    let lines = text.lines().map(|line| match line {
        line if line.starts_with("data:") => data.as_str(),
        line if line.contains("sigma_min:") => "      sigma_min: 0.2",
        line => line,
    });
    let lines: Vec<&str> = lines.collect();
    let path = folder.join(name);
    fs::write(&path, lines.join("\n")).unwrap();
    path.to_str().unwrap().to_string()
}

fn source(csv: &Path) -> String {
    let path = csv.display();
    format!("{{csv: {{path: {path}, standardise: {{sigma_data: 0.5}}}}}}")
}

fn run(flags: &[&str]) -> std::process::Output {
    let mut command = pfgmpp();
    command.args(flags);
    output(command)
}

fn columns(path: &Path) -> (Vec<String>, Vec<Vec<f64>>) {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_string)
        .collect();
    let rows = reader.deserialize::<Vec<f64>>().map(Result::unwrap);
    let rows: Vec<Vec<f64>> = rows.collect();
    let column = |place: usize| rows.iter().map(|row| row[place]).collect();
    (names, (0..rows[0].len()).map(column).collect())
}

#[test]
fn a_table_comes_back_with_its_names_in_its_own_units() {
    let folder = tempfile::tempdir().unwrap();
    let csv = table(folder.path(), "t.csv", 1.0);
    let config = config(folder.path(), &csv, "toy.yaml");
    let out = folder.path().join("run");
    let out = out.to_str().unwrap();
    let short = [
        "training.nimg=60_000",
        "training.log_every=20_000",
        "training.state_every=60_000",
        "training.grid_every=0",
        "ema.half_life=5000",
        "scoring.num_samples=64",
        "scoring.num_projections=8",
        "network.mlp.hidden_dim=32",
    ];
    let mut flags = vec!["train", &config, "--out", out];
    for set in &short {
        flags.extend(["--set", set]);
    }
    let done = run(&flags);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("2 columns standardised"),
        "got {}",
        stderr(&done)
    );

    let text = fs::read_to_string(Path::new(out).join("checkpoint/config.json")).unwrap();
    // JSON is YAML.
    let kept: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(
        kept["data"]["columns"][1]["name"],
        Value::from("wind, in m/s")
    );

    let samples = folder.path().join("x.csv");
    let done = run(&[
        "sample",
        "--checkpoint",
        out,
        "--num",
        "400",
        "--out",
        samples.to_str().unwrap(),
    ]);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("in the table's own units"),
        "got {}",
        stderr(&done)
    );
    let (names, values) = columns(&samples);
    assert_eq!(names, ["rain", "wind, in m/s"]);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    // Half of the columns' deviations, 29 and 0.0029, is many standard errors of a mean of 400.
    for (values, want, deviation) in [(&values[0], 550.0, 28.9), (&values[1], 2.005, 0.002_89)] {
        let got = mean(values);
        assert!(
            (got - want).abs() < 0.5 * deviation,
            "got mean {got}, want {want}"
        );
        let squares: Vec<f64> = values.iter().map(|v| (v - got).powi(2)).collect();
        let ratio = mean(&squares).sqrt() / deviation;
        assert!(
            (0.7..1.6).contains(&ratio),
            "got {ratio} times the deviation"
        );
    }
    // The same samples as an array.
    let array = folder.path().join("x.npy");
    assert!(
        run(&[
            "sample",
            "--checkpoint",
            out,
            "--num",
            "400",
            "--out",
            array.to_str().unwrap()
        ])
        .status
        .success()
    );
    let array = candle_core::Tensor::read_npy(array)
        .unwrap()
        .to_vec2::<f32>()
        .unwrap();
    for (row, rain) in array.iter().zip(&values[0]) {
        assert!(
            (f64::from(row[0]) - rain).abs() < 1e-3,
            "got {} and {rain}",
            row[0]
        );
    }
}

#[test]
fn the_likelihood_of_a_table_is_a_density_in_its_own_units() {
    let folder = tempfile::tempdir().unwrap();
    let nats = |factor: f64| {
        let csv = table(folder.path(), "t.csv", factor);
        let config = config(folder.path(), &csv, "exact.yaml");
        let data = source(&csv);
        let flags = [
            "likelihood",
            "--config",
            &config,
            "--data",
            &data,
            "--num",
            "20",
            "--exact-trace",
            "--json",
        ];
        let done = run(&flags);
        assert!(done.status.success(), "got {}", stderr(&done));
        let found: Value = serde_yaml::from_str(&stdout(&done)).unwrap();
        let said = found["assumptions"].as_sequence().unwrap();
        let says = |line: &Value| line.as_str().unwrap().contains("table's own units");
        assert!(said.iter().any(says), "got {said:?}");
        found["nats_per_dimension"].as_f64().unwrap()
    };
    let (got, want) = (nats(1000.0) - nats(1.0), 1000f64.ln());
    assert!((got - want).abs() < 1e-3, "got {got}, want {want}");
}

#[test]
fn what_is_not_a_table_is_not_written_as_one_and_a_table_asks_for_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let done = output(small_sweep(&out, &["axes.d=[1]"]));
    assert!(done.status.success(), "got {}", stderr(&done));
    let (images, x) = (out.join("d=1,seed=0"), folder.path().join("x.csv"));
    let flags = [
        "sample",
        "--checkpoint",
        images.to_str().unwrap(),
        "--out",
        x.to_str().unwrap(),
    ];
    let done = run(&flags);
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains(".csv holds rows of a table"),
        "got {}",
        stderr(&done)
    );
    assert!(!x.exists());

    let csv = table(folder.path(), "t.csv", 1.0);
    let config = config(folder.path(), &csv, "exact.yaml");
    let done = run(&[
        "likelihood",
        "--config",
        &config,
        "--data",
        "eight_gaussians",
        "--num",
        "4",
    ]);
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
    let want = "must be a table with the columns rain, wind, in m/s";
    assert!(stderr(&done).contains(want), "got {}", stderr(&done));
}

#[test]
fn a_table_with_two_columns_of_one_name_is_refused_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("twice.csv");
    let rows: String = (0..20)
        .map(|i| format!("{i},{},{}\n", 2 * i, 3 * i))
        .collect();
    fs::write(&csv, format!("a,a,b\n{rows}")).unwrap();
    let place = csv.display();
    for source in [
        format!("{{csv: {{path: {place}, standardise: {{sigma_data: 0.5}}}}}}"),
        format!("{{csv: {{path: {place}, range: [0, 60]}}}}"),
        format!("{{csv: {{path: {place}, range: [0, 60], columns: [b, b]}}}}"),
    ] {
        let done = run(&["data", "info", &source]);
        assert_eq!(
            done.status.code(),
            Some(2),
            "{source}: got {}",
            stderr(&done)
        );
        let said = stderr(&done);
        assert!(
            said.contains("two of its columns are called"),
            "{source}: got {said}"
        );
    }
}
