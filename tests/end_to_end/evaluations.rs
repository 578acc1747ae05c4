//! A model that is trained once and sampled in several ways.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{SMALL, output, pfgmpp, small_sweep, stderr, stdout};

/// Trains the digits, small, into `out`, with `evaluations`; gives what is written as JSON.
fn train(out: &Path, evaluations: &str) -> Value {
    let mut command = pfgmpp();
    command
        .args(["train", "configs/digits.yaml", "--json", "--out"])
        .arg(out);
    command.args(["--set", &format!("evaluations={evaluations}")]);
    for set in SMALL {
        command.args(["--set", set]);
    }
    let done = output(command);
    assert!(done.status.success(), "got {}", stderr(&done));
    serde_json::from_str(&stdout(&done)).unwrap()
}

/// The energy distance of the combination of these values, and how long it took.
fn of<'v>(found: &'v Value, values: &[&str]) -> [&'v Value; 2] {
    let all = found["evaluations"].as_array().unwrap();
    let is_it = |evaluated: &&Value| {
        let own = evaluated["values"].as_array().unwrap();
        own.iter()
            .map(|pair| pair[1].as_str().unwrap())
            .eq(values.iter().copied())
    };
    let found = all
        .iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("{values:?} in {all:?}"));
    [&found["scores"]["energy_distance"], &found["seconds"]]
}

#[test]
fn what_is_asked_of_the_run_itself_gives_its_own_scores_and_nothing_is_done_twice() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let first = train(
        &out,
        "{sampler.schedule.edm.num_steps: [6, 4], weights.bits: [32, 3]}",
    );
    assert_eq!(first["evaluations"].as_array().unwrap().len(), 4);
    let own = &first["result"]["scores"]["energy_distance"];
    assert_eq!(of(&first, &["6", "32"])[0], own);
    for other in [["4", "32"], ["6", "3"], ["4", "3"]] {
        assert_ne!(of(&first, &other)[0], own, "{other:?}");
    }
    let weights = fs::read(out.join("checkpoint/model.safetensors")).unwrap();

    // Another value is added to the finished run; what is there stays, to the second.
    let more = train(
        &out,
        "{sampler.schedule.edm.num_steps: [4, 5], weights.bits: [32]}",
    );
    assert_eq!(of(&more, &["4", "32"]), of(&first, &["4", "32"]));
    assert_eq!(more["evaluations"].as_array().unwrap().len(), 2);
    assert_eq!(more["result"], first["result"]);
    let now = fs::read(out.join("checkpoint/model.safetensors")).unwrap();
    assert!(weights == now, "the model was trained again");

    // Scores that somebody changed are measured again.
    let path = out.join("evaluations.json");
    let text = fs::read_to_string(&path).unwrap();
    let there = of(&more, &["5", "32"])[0].to_string();
    assert!(text.contains(&there), "{there} in {text}");
    fs::write(&path, text.replace(&there, "0.125")).unwrap();
    let again = train(
        &out,
        "{sampler.schedule.edm.num_steps: [4, 5], weights.bits: [32]}",
    );
    assert_eq!(of(&again, &["5", "32"])[0], of(&more, &["5", "32"])[0]);
}

#[test]
fn a_sweep_has_a_table_and_plots_of_its_evaluations() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let evaluations = "evaluations=[{sampler.injected_noise: [0, 0.2]}, {sampler.solver: [heun]}]";
    let done = output(small_sweep(&out, &["axes.d=[8, inf]", evaluations]));
    assert!(done.status.success(), "got {}", stderr(&done));
    let table = fs::read_to_string(out.join("evaluations.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    let header = "d,seed,sampler.injected_noise,sampler.solver,energy_distance,";
    assert!(lines[0].starts_with(header), "got {}", lines[0]);
    assert_eq!(lines.len(), 1 + 2 * 3, "got {table}");
    assert!(lines[2].starts_with("8,0,0.2,,"), "got {}", lines[2]);
    assert!(lines[6].starts_with("inf,0,,heun,"), "got {}", lines[6]);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Energy distance by injected_noise"));
    let figure = out.join("figures/energy_distance_by_sampler_injected_noise.svg");
    assert!(figure.is_file());
    let (width, _) = image::image_dimensions(figure.with_extension("png")).unwrap();
    assert_eq!(width, 1200, "three pixels a unit of the drawing");
    let runs = fs::read_dir(&out)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().join("config.yaml").is_file());
    assert_eq!(runs.count(), 2, "an evaluation is no run");
}

#[test]
fn what_cannot_be_evaluated_is_refused_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (evaluations, want) in [
        ("{training.nimg: [1]}", "must be a setting of the sampler"),
        ("{sampler.solver: [hoin]}", "hoin"),
        ("{weights.bits: [1]}", "must be from 2 to 16"),
        // Known only once there is a model: at another D a network of D = 128 has no guess of the data.
        ("{sampler.d: [8]}", "evaluations: sampler.d=8"),
    ] {
        let mut command = pfgmpp();
        command
            .args(["train", "configs/digits.yaml", "--out"])
            .arg(&out);
        command.args(["--set", &format!("evaluations={evaluations}")]);
        let done = output(command);
        assert_eq!(
            done.status.code(),
            Some(2),
            "{evaluations}: got {}",
            stderr(&done)
        );
        assert!(
            stderr(&done).contains(want),
            "{evaluations}: got {}",
            stderr(&done)
        );
        assert!(!out.exists());
    }
}

#[test]
fn a_sweep_starts_from_another_configuration_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = |base: &str| {
        let mut command = pfgmpp();
        command.args([
            "sweep",
            "experiments/quantization.yaml",
            "--dry-run",
            "--out",
        ]);
        command.arg(folder.path().join("out"));
        command.args(["--set", &format!("base={base}")]);
        output(command)
    };
    let done = sweep("configs/mnist_5k.yaml");
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("mnist_5k/14"),
        "got {}",
        stderr(&done)
    );
    let done = sweep("configs/mnist.yaml");
    assert_eq!(done.status.code(), Some(2));
    assert!(
        stderr(&done).contains("mnist.yaml"),
        "got {}",
        stderr(&done)
    );
}

#[test]
fn a_network_for_many_d_is_sampled_and_scored_at_each_without_being_lifted() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut train = pfgmpp();
    train
        .args(["train", "configs/many_d.yaml", "--json", "--out"])
        .arg(&run);
    train.args(["--set", "evaluations={sampler.d: [1, 20, inf]}"]);
    for set in SMALL {
        train.args(["--set", set]);
    }
    let done = output(train);
    assert!(done.status.success(), "got {}", stderr(&done));
    let found: Value = serde_json::from_str(&stdout(&done)).unwrap();
    let error = |value: &Value| value["scores"]["denoising_error"].as_f64().unwrap();
    let errors = found["evaluations"].as_array().unwrap();
    let mut errors: Vec<f64> = errors.iter().map(error).collect();
    errors.push(
        found["result"]["scores"]["denoising_error"]
            .as_f64()
            .unwrap(),
    );
    assert_eq!(errors.len(), 4, "got {errors:?}");
    assert!(
        errors.iter().all(|error| (0.0..2.0).contains(error)),
        "got {errors:?}"
    );
    let sample = |d: &str, out: &str| {
        let mut sample = pfgmpp();
        sample
            .arg("sample")
            .arg("--checkpoint")
            .arg(run.join("checkpoint"));
        sample
            .args(["--num", "2", "--d", d, "--out"])
            .arg(folder.path().join(out));
        output(sample)
    };
    for d in ["1", "20"] {
        let done = sample(d, &format!("{d}.npy"));
        let said = stderr(&done);
        assert!(done.status.success(), "got {said}");
        let want = format!("D = {d} of a network trained at 1, 8, 128, inf");
        assert!(said.contains(&want), "got {said}, want {want}");
        assert!(!said.contains("effective noise level"), "got {said}");
    }
    let bytes = |d: &str| fs::read(folder.path().join(format!("{d}.npy"))).unwrap();
    assert_ne!(bytes("1"), bytes("20"));
}
