//! Networks of pairs: `condition: {corrupted: ...}`, and `pfgmpp restore` by them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use image::{GrayImage, Luma};

use crate::program::{SMALL, output, pfgmpp, repository, stderr, stdout};

/// Two images of 8 by 8 in `folder`.
fn images(folder: &Path) -> PathBuf {
    let place = folder.join("images");
    fs::create_dir(&place).unwrap();
    for shift in [1, 3] {
        let level = |x: u32, y: u32| if x / 2 == shift || y == 0 { 255 } else { 0 };
        let image = GrayImage::from_fn(8, 8, |x, y| Luma([level(x, y)]));
        image.save(place.join(format!("{shift}.png"))).unwrap();
    }
    let seen = GrayImage::from_fn(8, 8, |_, y| Luma([if y < 4 { 255 } else { 0 }]));
    seen.save(folder.join("mask.png")).unwrap();
    place
}

/// A small run of pairs by `corruption`.
fn train(folder: &Path, name: &str, corruption: &str) -> PathBuf {
    let text = fs::read_to_string(repository().join("configs/denoise_digits.yaml")).unwrap();
    let text = text.replacen(
        "corrupted: {noise: 0.5}",
        &format!("corrupted: {corruption}"),
        1,
    );
    let config = folder.join(format!("{name}.yaml"));
    fs::write(&config, text).unwrap();
    let out = folder.join(name);
    let mut program = pfgmpp();
    program.arg("train").arg(&config).arg("--out").arg(&out);
    for set in SMALL.iter().chain(&["training.score_every=256"]) {
        program.args(["--set", set]);
    }
    let done = output(program);
    assert!(done.status.success(), "{corruption}: got {}", stderr(&done));
    out
}

fn restore(folder: &Path, checkpoint: &Path, out: &str, flags: &[&str]) -> Output {
    let mut program = pfgmpp();
    program.args(["restore", "--checkpoint"]).arg(checkpoint);
    program.arg("--images").arg(folder.join("images"));
    program.arg("--out").arg(folder.join(out)).args(flags);
    output(program)
}

#[test]
fn images_are_restored_by_networks_that_were_trained_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    images(folder);
    let mask = folder.join("mask.png").display().to_string();
    for (name, corruption, flags) in [
        (
            "noise",
            "{noise: 0.5}",
            &["--task", "denoise", "--noise", "0.5"][..],
        ),
        ("box", "{box: 2}", &["--task", "superres", "--factor", "2"]),
        (
            "mask",
            "{mask: 0.5}",
            &["--task", "inpaint", "--mask", &mask],
        ),
    ] {
        let run = train(folder, name, corruption);
        let with = [flags, &["--samples", "2", "--json"]].concat();
        let done = restore(folder, &run, &format!("{name}_out"), &with);
        assert!(done.status.success(), "{name}: got {}", stderr(&done));
        let found: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
        assert_eq!(found["method"], "trained", "{name}");
        assert_eq!(found["images"].as_array().unwrap().len(), 2, "{name}");
        let best = restore(folder, &run.join("best"), &format!("{name}_best"), flags);
        assert!(best.status.success(), "{name}: got {}", stderr(&best));
    }
}

#[test]
fn what_a_network_of_pairs_was_not_trained_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    images(folder);
    let run = train(folder, "noise", "{noise: 0.5}");
    let denoise = ["--task", "denoise", "--noise"];
    for (flags, want) in [
        (
            &[&denoise[..], &["0.3"]].concat()[..],
            "--task denoise --noise 0.5",
        ),
        (
            &["--task", "superres", "--factor", "2"],
            "--task denoise --noise 0.5",
        ),
        (
            &[&denoise[..], &["0.5", "--method", "mmps"]].concat(),
            "take trained",
        ),
    ] {
        let done = restore(folder, &run, "out", flags);
        let got = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{flags:?}: got {got}");
        assert!(got.contains(want), "{flags:?}: got {got}, want {want}");
        assert!(
            !folder.join("out").exists(),
            "{flags:?}: something was written"
        );
    }
    let mut bench = pfgmpp();
    bench.args([
        "bench",
        "configs/denoise_digits.yaml",
        "--batch",
        "2",
        "--runs",
        "1",
    ]);
    let done = output(bench);
    assert!(
        done.status.success(),
        "it can be timed: got {}",
        stderr(&done)
    );
    let mut sample = pfgmpp();
    sample
        .args(["sample", "--num", "2", "--checkpoint"])
        .arg(&run);
    sample.arg("--out").arg(folder.join("grid.png"));
    let done = output(sample);
    let got = stderr(&done);
    assert_eq!(done.status.code(), Some(2), "got {got}");
    assert!(got.contains("pfgmpp restore"), "got {got}");
}

/// Twenty images of 8 by 8 in two folders, those of one inverted in the other.
fn two_folders(folder: &Path) -> [PathBuf; 2] {
    let places = ["inputs", "targets"].map(|name| folder.join(name));
    for (place, inverted) in places.iter().zip([true, false]) {
        fs::create_dir(place).unwrap();
        for i in 0..20u32 {
            let image = GrayImage::from_fn(8, 8, |x, y| {
                let level = if (x + i) % 8 < 3 && y % 7 != i % 7 {
                    230
                } else {
                    20
                };
                Luma([if inverted { 255 - level } else { level }])
            });
            let ending = if inverted { "bmp" } else { "png" };
            image.save(place.join(format!("{i:02}.{ending}"))).unwrap();
        }
    }
    places
}

#[test]
fn pairs_of_two_folders_are_learned_and_sampled_under_images_of_a_third() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [inputs, targets] = two_folders(folder);
    let data = format!(
        "data={{paired: {{input: {{folder: {{path: {}}}}}, target: {{folder: {{path: {}}}}}}}}}",
        inputs.display(),
        targets.display()
    );
    let run = folder.join("run");
    let train = |out: &Path, more: &[&str]| {
        let mut program = pfgmpp();
        program
            .args(["train", "configs/digits.yaml", "--out"])
            .arg(out);
        for set in SMALL.iter().chain(more) {
            program.args(["--set", set]);
        }
        output(program)
    };
    let pairs = [
        "condition=paired",
        "training.score_every=256",
        "augment={geometric: 0.3}",
    ];
    let done = train(&run, &[&[data.as_str()], &pairs[..]].concat());
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("paired by name with inputs, 1x8x8"),
        "got {}",
        stderr(&done)
    );
    let unused = train(&folder.join("unused"), &[data.as_str()]);
    let got = stderr(&unused);
    assert_eq!(unused.status.code(), Some(2), "got {got}");
    let want = "data.paired: its input would not be used: set condition: paired";
    assert!(got.contains(want), "got {got}, want {want}");
    let alone = train(&folder.join("alone"), &pairs[..1]);
    let got = stderr(&alone);
    assert_eq!(alone.status.code(), Some(2), "got {got}");
    assert!(
        got.contains("condition paired needs data of pairs"),
        "got {got}"
    );
    let sample = |out: &str, input: &[&str]| {
        let mut program = pfgmpp();
        program
            .arg("sample")
            .arg("--checkpoint")
            .arg(run.join("checkpoint"));
        program
            .args(["--num", "3", "--out"])
            .arg(folder.join(out))
            .args(input);
        output(program)
    };
    let (inputs, targets) = (inputs.display().to_string(), targets.display().to_string());
    for (out, input) in [("a.npy", &inputs), ("b.npy", &inputs), ("c.npy", &targets)] {
        let done = sample(out, &["--input", input]);
        assert!(done.status.success(), "got {}", stderr(&done));
    }
    let [a, b, c] = ["a.npy", "b.npy", "c.npy"].map(|name| fs::read(folder.join(name)).unwrap());
    assert!(a == b && a != c, "samples follow what the network is shown");
    let got = stderr(&sample("d.npy", &[]));
    assert!(
        got.contains("pfgmpp sample --input shows it images"),
        "got {got}"
    );
    let one = format!("{inputs}/00.bmp");
    let done = sample(
        "one.npy",
        &["--input", &one, "--start-from-condition", "sigma: 0.5"],
    );
    assert!(done.status.success(), "got {}", stderr(&done));
    let noisy = folder.join("noisy");
    fs::create_dir(&noisy).unwrap();
    for i in 0..3u32 {
        // Numbers that look random, of 64 pixels each.
        let level = |x: u32, y: u32| (x * 8 + y + 64 * i + 1).wrapping_mul(2_654_435_761) >> 24;
        let image = GrayImage::from_fn(8, 8, |x, y| Luma([level(x, y) as u8]));
        image.save(noisy.join(format!("{i}.png"))).unwrap();
    }
    let measured = |out: &str, images: &str| {
        let start = "sigma: measured, one_step: true";
        sample(out, &["--input", images, "--start-from-condition", start])
    };
    let done = measured("noisy.npy", &noisy.display().to_string());
    let got = stderr(&done);
    assert!(done.status.success(), "got {got}");
    assert!(got.contains("samples start at sigma = 0."), "got {got}");
    // Stripes have no diagonal details: there is no noise to start at.
    let done = measured("striped.npy", &inputs);
    let got = stderr(&done);
    assert_eq!(done.status.code(), Some(2), "got {got}");
    assert!(
        got.contains("start_from_condition.sigma must be above"),
        "got {got}"
    );
    let array = folder.join("a.npy").display().to_string();
    let got = stderr(&sample("d.npy", &["--input", &array]));
    let want = "a.npy: is a NumPy array: images are a folder, a ZIP archive or a file of PNG";
    assert!(got.contains(want), "got {got}, want {want}");
    images(folder);
    let done = restore(
        folder,
        &run,
        "out",
        &["--task", "denoise", "--noise", "0.5"],
    );
    let got = stderr(&done);
    assert_eq!(done.status.code(), Some(2), "got {got}");
    assert!(got.contains("pfgmpp sample --input"), "got {got}");
}

#[test]
fn a_noisy_image_is_where_samples_of_a_denoiser_of_pairs_may_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    images(folder);
    let run = train(folder, "noise", "{noise: 0.5}");
    let task = [
        "--task",
        "denoise",
        "--noise",
        "0.5",
        "--start-from-condition",
    ];
    let drawn = |out: &str, start: &str| {
        let done = restore(folder, &run, out, &[&task[..], &[start]].concat());
        assert!(done.status.success(), "{start}: got {}", stderr(&done));
        fs::read(folder.join(out).join("1.png")).unwrap()
    };
    let one = drawn("one", "sigma: 0.5, one_step: true");
    let several = drawn("several", "sigma: 0.5");
    assert_ne!(one, several);
    assert_ne!(
        one,
        drawn("mixed", "{sigma: 0.5, one_step: true, weight: 0.5}")
    );
    for (start, want) in [
        (
            "sigma: 90",
            "--start-from-condition: start_from_condition.sigma",
        ),
        ("level: 1", "--start-from-condition"),
        (
            "sigma: measured",
            "--start-from-condition: sigma: measured is measured of the images of `pfgmpp sample --input`",
        ),
    ] {
        let done = restore(folder, &run, "out", &[&task[..], &[start]].concat());
        let got = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{start}: got {got}");
        assert!(got.contains(want), "{start}: got {got}, want {want}");
    }
    let mut alone = pfgmpp();
    alone
        .args(["train", "configs/digits.yaml", "--out"])
        .arg(folder.join("alone"));
    alone.args(["--set", "sampler.start_from_condition={sigma: 0.5}"]);
    let done = output(alone);
    let got = stderr(&done);
    assert_eq!(done.status.code(), Some(2), "got {got}");
    assert!(
        got.contains("absent for a model that is shown no image"),
        "got {got}"
    );
    let plain = folder.join("plain");
    let mut program = pfgmpp();
    program
        .args(["train", "configs/digits.yaml", "--out"])
        .arg(&plain);
    for set in SMALL {
        program.args(["--set", set]);
    }
    let done = output(program);
    assert!(done.status.success(), "got {}", stderr(&done));
    let mut drawn = pfgmpp();
    drawn.args([
        "sample",
        "--num",
        "2",
        "--start-from-condition",
        "sigma: 0.5",
    ]);
    drawn
        .arg("--checkpoint")
        .arg(&plain)
        .arg("--out")
        .arg(folder.join("plain.png"));
    let restored = restore(
        folder,
        &plain,
        "restored",
        &[&task[..], &["sigma: 0.5"]].concat(),
    );
    for done in [output(drawn), restored] {
        let got = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "got {got}");
        let want = "start_from_condition must be absent for a model that is shown no image";
        assert!(got.contains(want), "got {got}, want {want}");
    }
    // Nor can samples of a model that is shown nothing, whatever asks for it.
    let mut exact = pfgmpp();
    exact.args(["sample", "--config", "configs/exact.yaml", "--num", "2"]);
    exact.args(["--start-from-condition", "sigma: 0.5", "--out"]);
    exact.arg(folder.join("exact.png"));
    let done = output(exact);
    let got = stderr(&done);
    assert_eq!(done.status.code(), Some(2), "got {got}");
    let want = "start_from_condition must be absent for a model that is shown no image";
    assert!(got.contains(want), "got {got}, want {want}");
}
