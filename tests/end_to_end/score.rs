//! `pfgmpp score`: samples, features and statistics from files.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::program::{output, pfgmpp, stderr, stdout};

fn score(args: &[&str]) -> std::process::Output {
    let mut command = pfgmpp();
    command.arg("score").args(args);
    output(command)
}

fn found(args: &[&str]) -> serde_json::Value {
    let done = score(&[args, &["--json"]].concat());
    assert!(done.status.success(), "got {}", stderr(&done));
    serde_json::from_str(&stdout(&done)).unwrap()
}

/// `[num, 6]` of numbers that differ, as a file.
fn features(folder: &Path, name: &str, num: usize, shift: f64) -> PathBuf {
    let value = |k: usize| ((k * k * 31 + k * 7) % 101) as f64 / 50.0 + shift;
    let values: Vec<f64> = (0..6 * num).map(value).collect();
    let path = folder.join(name);
    Tensor::from_vec(values, (num, 6), &Device::Cpu)
        .unwrap()
        .write_npy(&path)
        .unwrap();
    path
}

#[test]
fn the_held_out_part_of_a_data_source_is_no_distance_from_itself() {
    let got = found(&["--samples", "digits", "--reference", "digits"]);
    let of = |name: &str| got["scores"][name].as_f64().unwrap();
    for name in ["sliced_wasserstein", "frechet_distance"] {
        assert!(of(name).abs() < 1e-6, "{name}: got {}", of(name));
    }
    for name in ["precision", "recall", "coverage"] {
        assert_eq!(of(name), 1.0, "{name}");
    }
    assert!(
        of("energy_distance") < 0.0,
        "its own pairs are 0 apart: got {}",
        of("energy_distance")
    );
    assert!(of("energy_distance_standard_error") > 0.0);
    assert_eq!(
        got["reference"][0],
        "digits: the 359 samples that are held out, of 1x8x8"
    );
}

#[test]
fn sets_in_other_units_are_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let near = features(folder.path(), "near.npy", 40, 0.0);
    let far = folder.path().join("far.npy");
    let bytes = (Tensor::read_npy(&near).unwrap() * 127.5).unwrap();
    bytes.write_npy(&far).unwrap();
    for (reference, want) in [(&far, true), (&near, false)] {
        let [samples, reference] = [&near, reference].map(|path| path.to_str().unwrap());
        let flags = ["--metrics", "energy_distance"];
        let done = score(
            &[
                &["--samples", samples, "--reference", reference],
                &flags[..],
            ]
            .concat(),
        );
        assert!(done.status.success(), "got {}", stderr(&done));
        let said = stderr(&done).contains("are both in the same units?");
        assert_eq!(said, want, "{reference}: got {}", stderr(&done));
    }
}

#[test]
fn statistics_that_were_kept_give_the_same_frechet_distance() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        features(folder.path(), "a.npy", 40, 0.0),
        features(folder.path(), "b.npy", 30, 0.2),
    );
    let kept = folder.path().join("stats.safetensors");
    let (a, b, kept) = (
        a.to_str().unwrap(),
        b.to_str().unwrap(),
        kept.to_str().unwrap(),
    );
    let all = [
        "--features",
        a,
        "--reference-features",
        b,
        "--metrics",
        "frechet_distance",
    ];
    let want = found(&[&all[..], &["--save-reference", kept]].concat());
    let got = found(&["--features", a, "--reference-features", kept]);
    assert_eq!(got["scores"], want["scores"]);
    let again = score(&[&all[..], &["--save-reference", kept]].concat());
    assert_eq!(again.status.code(), Some(2), "got {}", stderr(&again));
    assert!(
        stderr(&again).contains("--overwrite"),
        "got {}",
        stderr(&again)
    );
    // What the statistics cannot give is left out, and said so; asked for by name it is refused.
    let asked = score(&[
        "--features",
        a,
        "--reference-features",
        kept,
        "--metrics",
        "recall",
    ]);
    assert_eq!(asked.status.code(), Some(2));
    assert!(
        stderr(&asked).contains("recall needs the samples of the reference"),
        "got {}",
        stderr(&asked)
    );
}

#[test]
fn the_table_fits_the_terminal_and_says_which_way_is_better() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        features(folder.path(), "a.npy", 40, 0.0),
        features(folder.path(), "b.npy", 30, 0.2),
    );
    let done = score(&[
        "--samples",
        a.to_str().unwrap(),
        "--reference",
        b.to_str().unwrap(),
    ]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let table = stdout(&done);
    for want in ["energy distance", "higher is better", "Fréchet distance"] {
        assert!(table.contains(want), "got no {want} in\n{table}");
    }
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "got\n{table}"
    );
}

#[test]
fn what_cannot_be_scored_is_refused_in_one_line_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    features(folder.path(), "six.npy", 40, 0.0);
    features(folder.path(), "four.npy", 4, 0.0);
    let nan = Tensor::new(&[[0f32, f32::NAN], [1.0, 1.0]], &Device::Cpu).unwrap();
    nan.write_npy(at("nan.npy")).unwrap();
    fs::write(at("text.npz"), "text").unwrap();
    let (six, four, nan, text, none) = (
        at("six.npy"),
        at("four.npy"),
        at("nan.npy"),
        at("text.npz"),
        at("none.npy"),
    );
    Tensor::new(1f32, &Device::Cpu)
        .unwrap()
        .write_npy(at("one.npy"))
        .unwrap();
    let one = at("one.npy");
    for (args, want) in [
        (
            vec!["--samples", &one, "--reference", &six],
            "one.npy: holds one number, samples are wanted",
        ),
        (
            vec!["--samples", &six, "--reference", "digits"],
            "--samples and --reference: must have samples of one shape",
        ),
        (
            vec!["--samples", &nan, "--reference", &six],
            "values must be finite, got NaN in sample 0",
        ),
        (
            vec!["--samples", &text, "--reference", &six],
            "is not a NumPy archive (.npz)",
        ),
        (
            vec!["--samples", &none, "--reference", &six],
            "no such file or folder",
        ),
        (vec!["--samples", "digts", "--reference", &six], "digits"),
        (
            vec!["--samples", &six, "--reference", &six, "--metrics", "fid"],
            "--metrics: metrics must be some of",
        ),
        (
            vec!["--samples", &six, "--reference", &six, "--metrics", "nll"],
            "nll needs a model",
        ),
        (
            vec![
                "--samples",
                &four,
                "--reference",
                &six,
                "--metrics",
                "recall",
            ],
            "needs more than 5 samples",
        ),
        (vec!["--features", &six], "--reference"),
        (vec!["--samples", &six], "--reference"),
    ] {
        let done = score(&args);
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{args:?}: got {said}");
        let last = said
            .trim_end()
            .lines()
            .last()
            .unwrap_or_default()
            .to_string();
        assert!(last.contains(want), "{args:?}: got {last}\nwant {want}");
    }
}

/// A table of 400 rows under `header`, its second column with a right tail of index about `index`.
fn table(folder: &Path, name: &str, header: &str, index: f64) -> PathBuf {
    let mut text = format!("{header}\n");
    for i in 0..400u32 {
        // Two sequences that fill the unit interval.
        let (u, v) = (
            f64::from(i) * 0.618_034 % 1.0,
            (f64::from(i) + 0.5) * 0.414_214 % 1.0,
        );
        text += &format!("{u},{}\n", (1.0 - v).powf(-1.0 / index));
    }
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn tables_are_compared_by_the_tails_of_their_columns() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, header: &str, index: f64| {
        let path = table(folder.path(), name, header, index);
        path.to_str().unwrap().to_string()
    };
    let (heavy, light) = (at("heavy.csv", "u,x", 2.0), at("light.csv", "u,x", 20.0));
    let got = found(&["--samples", &light, "--reference", &heavy]);
    let of = |name: &str| got["scores"][name].as_f64().unwrap();
    // Over two columns, the first of which is the same on both sides.
    assert!(of("hill_right") > 1.2, "got {}", of("hill_right"));
    assert!(of("hill_right_standard_error") > 0.0);
    assert!(
        got["scores"]["hill_right_99"].is_null(),
        "of 400 rows it is left out"
    );
    assert!(of("tail_ks_95") > 0.3, "got {}", of("tail_ks_95"));
    let column = &got["tails"]["columns"][1];
    assert_eq!(column["name"], "x");
    // By the distances from the median, sqrt(2): the index lies below that of the values themselves.
    let data = &column["data"]["hill_right"];
    let [low, high] = [0, 1].map(|end| data["interval"][end].as_f64().unwrap());
    assert!(0.8 < low && low < 2.0 && high < 3.0, "got {low} to {high}");
    // In words, the intervals beside the numbers, within the width of a terminal.
    let done = score(&["--samples", &light, "--reference", &heavy]);
    let said = stdout(&done);
    for want in ["index, highest 5 %", "all", "95 % bootstrap intervals"] {
        assert!(said.contains(want), "got no {want} in\n{said}");
    }
    assert!(
        said.lines().all(|line| line.chars().count() <= 100),
        "got\n{said}"
    );
    // Other columns are another table.
    let other = at("other.csv", "u,y", 2.0);
    let done = score(&["--samples", &other, "--reference", &heavy]);
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("the same columns"),
        "got {}",
        stderr(&done)
    );
}

#[test]
fn samples_of_a_table_with_their_classes_are_scored_against_one_without() {
    let folder = tempfile::tempdir().unwrap();
    let table = |name: &str, class: bool| {
        let mut text = format!("a,b{}\n", if class { ",class" } else { "" });
        for row in 0..40 {
            let (a, b) = (f64::from(row * 7 % 11), f64::from(row * 5 % 13) - 6.0);
            text += &format!("{a},{b}{}\n", if class { ",2" } else { "" });
        }
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (samples, reference) = (table("samples.csv", true), table("reference.csv", false));
    let mut score = pfgmpp();
    score.arg("score").arg("--samples").arg(&samples);
    score.arg("--reference").arg(&reference);
    score.args(["--metrics", "energy_distance", "--json"]);
    let done = output(score);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("the column class"),
        "got {}",
        stderr(&done)
    );
    let mut other = pfgmpp();
    other.arg("score").arg("--samples").arg(&reference);
    other.arg("--reference").arg(&samples);
    let done = output(other);
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
}
