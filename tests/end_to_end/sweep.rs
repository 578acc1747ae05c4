//! `pfgmpp sweep` from its file to its report.

use std::fs;
use std::path::Path;

use crate::program::{output, pfgmpp, results, scores, small_sweep, stderr, stdout};

#[test]
fn a_sweep_trains_samples_and_scores_every_d() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let done = output(small_sweep(&out, &["axes.d=[0.5,8,inf]"]));
    assert!(done.status.success(), "got {}", stderr(&done));

    let rows = results(&out);
    let ds: Vec<&str> = rows.iter().map(|row| row["d"].as_str()).collect();
    assert_eq!(ds, ["0.5", "8", "inf"]);
    for row in &rows {
        assert_eq!(row["status"], "finished");
        assert_eq!(row["nimg"], "512");
        for column in [
            "train_loss",
            "energy_distance",
            "sliced_wasserstein",
            "denoising_error",
            "seconds",
        ] {
            let value: f64 = row[column].parse().unwrap();
            assert!(value.is_finite() && value > 0.0, "{column}: got {value}");
        }
    }
    for run in ["d=0.5,seed=0", "d=8,seed=0", "d=inf,seed=0"] {
        for file in [
            "config.yaml",
            "metrics.json",
            "log.jsonl",
            "checkpoint/config.json",
        ] {
            assert!(out.join(run).join(file).is_file(), "no {run}/{file}");
        }
        let grid = fs::read(out.join(run).join("samples/grid.png")).unwrap();
        assert_eq!(&grid[1..4], b"PNG");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(json["rows"][2]["d"], "inf");
    assert_eq!(json["references"].as_array().unwrap().len(), 3);
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    // A grid and a strip of pictures on their way for each run.
    assert_eq!(report.matches("data:image/png;base64").count(), 6);
    let table = stdout(&done);
    assert!(table.contains("fitted Gaussian"), "got {table}");
    let widest = table
        .lines()
        .map(|line| line.chars().count())
        .max()
        .unwrap();
    assert!(widest <= 80, "the table is {widest} columns wide:\n{table}");
}

#[test]
fn a_second_sweep_skips_what_is_finished_and_takes_on_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    assert!(output(small_sweep(&out, &["axes.d=[8]"])).status.success());
    let first = results(&out);
    let again = output(small_sweep(&out, &["axes.d=[8,64]"]));
    assert!(again.status.success(), "got {}", stderr(&again));
    assert!(
        stderr(&again).contains("d=8,seed=0: already finished"),
        "got {}",
        stderr(&again)
    );
    let second = results(&out);
    assert_eq!(second.len(), 2);
    // The very same row: not even its seconds were measured anew.
    assert_eq!(second[0], first[0]);
}

#[test]
fn the_number_of_jobs_and_threads_changes_no_score() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for (jobs, threads) in [("1", "1"), ("1", "3"), ("2", "2")] {
        let out = folder.path().join(format!("{jobs}-{threads}"));
        let mut command = small_sweep(&out, &["axes.d=[1,inf]"]);
        command.args(["--jobs", jobs, "--threads", threads]);
        assert!(output(command).status.success());
        all.push(scores(&out));
    }
    assert!(all.iter().all(|scores| scores == &all[0]), "got {all:?}");
}

#[test]
fn a_run_that_fails_is_reported_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let done = output(small_sweep(
        &out,
        &[
            "axes.d=[8]",
            "axes.optimizer.lr=[1e4,0.002]",
            "optimizer.lr_ramp_up=0",
        ],
    ));
    // `axes.optimizer.lr` is one key with dots, not a path into the axes.
    assert_eq!(done.status.code(), Some(1), "got {}", stderr(&done));
    let rows = results(&out);
    assert_eq!(rows[0]["status"], "failed");
    assert!(
        rows[0]["message"].contains("loss became"),
        "got {:?}",
        rows[0]
    );
    assert_eq!(rows[1]["status"], "finished");
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("loss became"));
    assert!(
        stderr(&done).contains("1 of 2 runs failed"),
        "got {}",
        stderr(&done)
    );
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut command = small_sweep(&out, &[]);
    command.arg("--dry-run");
    let done = output(command);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        stdout(&done).contains("d=2048,seed=0"),
        "got {}",
        stdout(&done)
    );
    assert!(!out.exists());
}

#[test]
fn a_dry_run_of_one_configuration_says_what_is_still_to_be_done_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let run = |more: &[&str]| {
        let mut command = pfgmpp();
        command
            .args(["train", "configs/digits.yaml", "--json", "--out"])
            .arg(&out)
            .args(more);
        for set in crate::program::SMALL {
            command.args(["--set", set]);
        }
        let done = output(command);
        assert!(done.status.success(), "got {}", stderr(&done));
        serde_json::from_str::<serde_json::Value>(&stdout(&done)).unwrap()
    };
    let expected = run(&["--dry-run"]);
    assert!(!out.exists());
    for key in ["images_per_second", "training_seconds", "sampling_seconds"] {
        assert!(
            expected[key].as_f64().unwrap() > 0.0,
            "{key}: got {expected}"
        );
    }
    for key in [
        "params",
        "images",
        "samples",
        "evaluations",
        "memory_mib",
        "disk_mib",
    ] {
        assert!(expected[key].as_u64().unwrap() > 0, "{key}: got {expected}");
    }
    run(&[]);
    let rest = run(&["--dry-run"]);
    assert_eq!(rest["images"], 0);
    assert_eq!(rest["params"], expected["params"]);
}

#[test]
fn one_configuration_trains_on_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut command = pfgmpp();
    command
        .args(["train", "configs/digits.yaml", "--out"])
        .arg(&out);
    for set in crate::program::SMALL {
        command.args(["--set", set]);
    }
    let done = output(command);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        stdout(&done).contains("energy_distance"),
        "got {}",
        stdout(&done)
    );
    assert!(out.join("samples/grid.png").is_file());
}

/// `pfgmpp sweep FILE` into `out`, with overrides.
fn sweep(file: &str, out: &Path, overrides: &[&str]) -> std::process::Output {
    let mut command = pfgmpp();
    command.args(["sweep", file, "--out"]).arg(out);
    for set in overrides {
        command.args(["--set", set]);
    }
    output(command)
}

#[test]
fn exact_models_need_no_training_and_reach_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let small = [
        "axes.data=[two_moons,digits]",
        "axes.d=[1,inf]",
        "scoring.num_samples=256",
    ];
    let done = sweep("experiments/exact_field.yaml", &out, &small);
    assert!(done.status.success(), "got {}", stderr(&done));
    let rows = results(&out);
    assert_eq!(rows.len(), 4);
    for row in &rows {
        assert_eq!(
            (row["nimg"].as_str(), row["train_loss"].as_str()),
            ("0", "")
        );
        let energy: f64 = row["energy_distance"].parse().unwrap();
        assert!(energy < 0.03, "{}: got {energy}", row["data"]);
    }
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(
        report.contains("polyline class=\"path\""),
        "paths in the plane"
    );
    assert!(out.join("data=digits,d=1/samples/paths.png").is_file());
    assert!(!out.join("data=digits,d=1/checkpoint").exists());
    let table = stdout(&done);
    let widest = table.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "got {widest:?} columns:\n{table}");
}

#[test]
fn original_pfgm_stands_beside_the_unbiased_objective() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let small = [
        "axes.data=[eight_gaussians]",
        "training.nimg=61440",
        "training.batch_size=64",
        "objective.pfgm.large_batch=512",
        "scoring.num_samples=256",
    ];
    let done = sweep("experiments/pfgm_vs_unbiased.yaml", &out, &small);
    assert!(done.status.success(), "got {}", stderr(&done));
    let rows = results(&out);
    let setups: Vec<&str> = rows.iter().map(|row| row["setup"].as_str()).collect();
    assert_eq!(setups, ["pfgm", "unbiased"]);
    for row in &rows {
        assert_eq!(
            (row["d"].as_str(), row["status"].as_str()),
            ("1", "finished")
        );
        // The prior stands at 27.
        let energy: f64 = row["energy_distance"].parse().unwrap();
        assert!(energy < 0.5, "{}: got {energy}", row["setup"]);
    }
}

#[test]
fn one_diffusion_model_is_sampled_at_every_d() {
    let folder = tempfile::tempdir().unwrap();
    let (trained, out) = (folder.path().join("trained"), folder.path().join("out"));
    let done = output(small_sweep(&trained, &["axes.d=[inf]"]));
    assert!(done.status.success(), "got {}", stderr(&done));
    let checkpoint = trained.join("d=inf,seed=0");
    let reference = format!("model.checkpoint.reference={}", checkpoint.display());
    let small = [
        reference.as_str(),
        "axes.sampler.d=[1,8,inf]",
        "scoring.num_samples=32",
        "scoring.num_projections=16",
        "sampler.schedule.edm.num_steps=6",
    ];
    let done = sweep("experiments/zero_shot_d.yaml", &out, &small);
    assert!(done.status.success(), "got {}", stderr(&done));
    let rows = results(&out);
    let ds: Vec<&str> = rows.iter().map(|row| row["d"].as_str()).collect();
    assert_eq!(ds, ["1", "8", "inf"]);
    let nowhere = ["model.checkpoint.reference=/nowhere"];
    let done = sweep(
        "experiments/zero_shot_d.yaml",
        &folder.path().join("none"),
        &nowhere,
    );
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("no checkpoint here"),
        "got {}",
        stderr(&done)
    );
    // At its own D the checkpoint gives the samples that its own run scored.
    let own = &results(&trained)[0];
    assert_eq!(rows[2]["energy_distance"], own["energy_distance"]);
}

#[test]
fn a_configuration_chooses_its_scores_and_all_tables_follow() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let set = [
        "axes.d=[8,inf]",
        "scoring.metrics=[denoising_error,energy_distance]",
    ];
    let done = output(small_sweep(&out, &set));
    assert!(done.status.success(), "got {}", stderr(&done));
    let csv = fs::read_to_string(out.join("results.csv")).unwrap();
    assert_eq!(
        csv.lines().next(),
        Some("d,seed,nimg,train_loss,denoising_error,energy_distance,seconds,status,message")
    );
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(json["metrics"][0]["name"], "denoising_error");
    assert_eq!(json["metrics"][1]["better"], "lower");
    let scores = json["rows"][0]["result"]["scores"].as_object().unwrap();
    assert_eq!(scores.len(), 2, "got {scores:?}");
    let (table, report) = (
        stdout(&done),
        fs::read_to_string(out.join("report.html")).unwrap(),
    );
    assert!(table.contains("energy dist."), "got {table}");
    assert!(!table.contains("sliced W."), "got {table}");
    assert!(report.contains("Denoising error") && !report.contains("Sliced"));
}

#[test]
fn the_command_that_the_report_names_makes_the_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("it's a sweep");
    let done = output(small_sweep(&out, &["axes.d=[8, inf]"]));
    assert!(done.status.success(), "got {}", stderr(&done));
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    let (_, rest) = page.split_once("<code>pfgmpp train").expect("a command");
    let (command, _) = rest.split_once("</code>").unwrap();
    let command = command
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&");
    let again = folder.path().join("again");
    let command = command.replace("again/d=8,seed=0", again.to_str().unwrap());
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &format!("\"$0\" train {command}")])
        .arg(pfgmpp().get_program());
    let done = output(shell);
    assert!(done.status.success(), "{command}: got {}", stderr(&done));
    let scores = |run: &Path| {
        let text = fs::read_to_string(run.join("metrics.json")).unwrap();
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        found["scores"].clone()
    };
    assert_eq!(scores(&again), scores(&out.join("d=8,seed=0")));
    assert!(
        page.contains("<th scope=\"col\">d</th>"),
        "what differs is D"
    );
}
