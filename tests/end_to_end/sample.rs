//! `pfgmpp sample`: seeds, batches and places.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{output, pfgmpp, small_sweep, stderr};

fn trained(folder: &Path) -> PathBuf {
    let out = folder.join("out");
    let done = output(small_sweep(&out, &["axes.d=[1]"]));
    assert!(done.status.success(), "got {}", stderr(&done));
    out.join("d=1,seed=0")
}

fn sample(run: &Path, out: &Path, flags: &[&str]) -> std::process::Output {
    let mut command = pfgmpp();
    command
        .args(["sample", "--checkpoint"])
        .arg(run)
        .arg("--out")
        .arg(out)
        .args(flags);
    output(command)
}

#[test]
fn a_seed_gives_the_same_image_in_any_batch() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let done = sample(&run, &a, &["--num", "6", "--seed", "5", "--batch", "6"]);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert!(
        sample(&run, &b, &["--num", "3", "--seed", "7", "--batch", "2"])
            .status
            .success()
    );
    for seed in ["000007", "000008", "000009"] {
        let name = format!("{seed}.png");
        assert_eq!(
            fs::read(a.join(&name)).unwrap(),
            fs::read(b.join(&name)).unwrap(),
            "{name}"
        );
    }
    assert_eq!(fs::read_dir(&a).unwrap().count(), 6);
}

#[test]
fn ranges_of_seeds_that_are_drawn_apart_are_those_drawn_together() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let draw = |name: &str, seeds: &str| {
        let out = folder.path().join(name);
        let done = sample(&run, &out, &["--seeds", seeds, "--batch", "3"]);
        assert!(done.status.success(), "got {}", stderr(&done));
        out
    };
    let all = candle_core::Tensor::read_npy(draw("all.npy", "0-4,9,12-13")).unwrap();
    assert_eq!(all.dims(), [8, 1, 8, 8]);
    let parts = [
        draw("a.npy", "0-2"),
        draw("b.npy", "3-4,9"),
        draw("c.npy", "12-13"),
    ];
    let parts = parts.map(|path| candle_core::Tensor::read_npy(path).unwrap());
    let together = candle_core::Tensor::cat(&parts, 0).unwrap();
    let values = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(values(&all), values(&together));

    // The bytes that evaluators read are those of the pictures.
    let npz = candle_core::npy::NpzTensors::new(draw("all.npz", "0-4,9,12-13")).unwrap();
    let bytes = npz.get("arr_0").unwrap().unwrap();
    assert_eq!(bytes.dims(), [8, 8, 8, 1]);
    let picture = image::open(draw("pictures", "9").join("000009.png")).unwrap();
    let got = bytes.get(5).unwrap().flatten_all().unwrap();
    assert_eq!(got.to_vec1::<u8>().unwrap(), picture.to_luma8().into_raw());
}

#[test]
fn a_file_of_samples_is_not_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.safetensors");
    let draw = |flags: &[&str]| {
        let mut command = pfgmpp();
        command.args(["sample", "--config", "configs/exact.yaml", "--seeds", "3,5"]);
        command.arg("--out").arg(&out).args(flags);
        output(command)
    };
    assert!(draw(&[]).status.success());
    let refused = draw(&[]);
    assert_eq!(refused.status.code(), Some(2));
    let got = stderr(&refused);
    let want = "is there already: give another name, or --overwrite";
    assert!(got.contains(want), "got {got}, want {want}");
    assert!(draw(&["--overwrite"]).status.success());
    let all = candle_core::safetensors::load(&out, &candle_core::Device::Cpu).unwrap();
    assert_eq!(all["samples"].dims(), [2, 2]);
}

#[test]
fn seeds_that_overlap_or_run_backwards_are_refused_in_one_line() {
    for (seeds, want) in [
        ("5-3", "must rise: 5-3 runs backwards"),
        (
            "0-5,5",
            "must rise without repetition: 5 does not come after 5",
        ),
        ("a", "must be seeds such as 0-63,100"),
    ] {
        let mut command = pfgmpp();
        command.args(["sample", "--config", "configs/exact.yaml", "--out", "x.npy"]);
        command.args(["--seeds", seeds]);
        let refused = output(command);
        assert_eq!(refused.status.code(), Some(2));
        let got = stderr(&refused);
        assert!(
            got.contains(want) && got.trim().lines().count() == 1,
            "got {got}"
        );
    }
}

#[test]
fn a_model_is_led_away_from_another_and_from_itself_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = folder.path().join("out");
    let done = output(small_sweep(&sweep, &["axes.d=[1,inf]"]));
    assert!(done.status.success(), "got {}", stderr(&done));
    let model = sweep.join("d=inf,seed=0");
    let draw = |name: &str, flags: &[&str]| {
        let out = folder.path().join(name);
        let flags = [&["--num", "4"], flags].concat();
        let done = sample(&model, &out, &flags);
        assert!(done.status.success(), "got {}", stderr(&done));
        let all = candle_core::Tensor::read_npy(out).unwrap();
        all.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let own = model.to_str().unwrap();
    let plain = draw("plain.npy", &[]);
    let led = draw("own.npy", &["--guidance", "3", "--autoguidance", own]);
    let off = plain.iter().zip(&led).map(|(a, b)| (a - b).abs());
    assert!(off.fold(0.0, f32::max) < 1e-3);
    let out = folder.path().join("x.npy");
    let beyond = sample(&model, &out, &["--schedule", "levels: [1000, 10, 0]"]);
    assert_eq!(beyond.status.code(), Some(2));
    let got = stderr(&beyond);
    assert!(got.contains("above 80, the highest level"), "got {got}");
    // The schedule alone is what kappa = inf means, at another D as well.
    let lifted = draw("lifted.npy", &["--d", "8"]);
    assert_eq!(
        lifted,
        draw("inf.npy", &["--d", "8", "--self-timed", "inf"])
    );
    assert_ne!(lifted, draw("four.npy", &["--d", "8", "--self-timed", "4"]));
    // One of D = inf leads at every D, by its effective noise level there.
    let inf = model.to_str().unwrap();
    let at_one = sweep.join("d=1,seed=0");
    let out = folder.path().join("led.npy");
    let flags = ["--num", "4", "--guidance", "2", "--autoguidance", inf];
    let done = sample(&at_one, &out, &flags);
    assert!(done.status.success(), "got {}", stderr(&done));
    // One of D = 1 does not sample at D = inf.
    let other = sweep.join("d=1,seed=0");
    let out = folder.path().join("x.npy");
    let flags = ["--guidance", "2", "--autoguidance", other.to_str().unwrap()];
    let refused = sample(&model, &out, &flags);
    assert_eq!(refused.status.code(), Some(2));
    let got = stderr(&refused);
    assert!(
        got.contains("guidance.reference") && got.contains("only a model of D = inf"),
        "got {got}"
    );
}

#[test]
fn neither_threads_nor_batch_change_a_sample() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let mut drawn = Vec::new();
    for (threads, batch) in [("1", "1"), ("2", "1"), ("3", "4"), ("2", "64"), ("1", "64")] {
        let out = folder.path().join(format!("{threads}-{batch}.png"));
        let flags = ["--num", "7", "--threads", threads, "--batch", batch];
        let done = sample(&run, &out, &flags);
        assert!(done.status.success(), "got {}", stderr(&done));
        drawn.push(fs::read(&out).unwrap());
    }
    assert!(drawn.iter().all(|png| png == &drawn[0]));
}

#[test]
fn the_grid_of_a_run_can_be_drawn_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let grid = folder.path().join("grid.png");
    let done = sample(&run.join("checkpoint"), &grid, &["--num", "32"]);
    assert!(done.status.success(), "got {}", stderr(&done));
    let want = fs::read(run.join("samples/grid.png")).unwrap();
    assert_eq!(
        fs::read(&grid).unwrap(),
        want,
        "the same seeds give the same grid"
    );
}

#[test]
fn what_cannot_be_sampled_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path());
    let weights = run.join("checkpoint/model.safetensors");
    let none = folder.path().join("nothing");
    let out = folder.path().join("x.png");
    let refused = |run: &Path, out: &Path, flags: &[&str], want: &str| {
        let done = sample(run, out, flags);
        let text = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{flags:?}: got {text}");
        assert!(text.contains(want), "got `{text}`, want `{want}` in it");
        assert!(!out.is_file());
    };
    refused(&none, &out, &[], "no checkpoint here");
    refused(&run, &folder.path().join("no/x.png"), &[], "no such folder");
    refused(&run, &out, &["--steps", "1"], "num_steps must be from 2");
    refused(&run, &out, &["--num", "0"], "--num");

    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    refused(&run, &out, &[], "checksum");
    fs::write(run.join("checkpoint/config.json"), "{\"format\": 99}").unwrap();
    refused(&run, &out, &[], "format is 99");
}

#[test]
fn a_diffusion_checkpoint_samples_at_any_d_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let done = output(small_sweep(&out, &["axes.d=[8,inf]"]));
    assert!(done.status.success(), "got {}", stderr(&done));
    let (own, lifted) = (
        folder.path().join("own.png"),
        folder.path().join("lifted.png"),
    );
    let run = out.join("d=inf,seed=0");
    assert!(sample(&run, &own, &["--num", "4"]).status.success());
    for guess in ["previous", "data-mean", "fixed-point"] {
        let flags = ["--num", "4", "--d", "8", "--guess", guess, "--overwrite"];
        let done = sample(&run, &lifted, &flags);
        assert!(done.status.success(), "{guess}: got {}", stderr(&done));
        let said = stderr(&done);
        assert!(
            said.contains("trained at D = inf, sampled at D = 8"),
            "got {said}"
        );
        assert_ne!(fs::read(&own).unwrap(), fs::read(&lifted).unwrap());
    }
    let done = sample(
        &out.join("d=8,seed=0"),
        &lifted,
        &["--d", "1", "--overwrite"],
    );
    assert_eq!(done.status.code(), Some(2));
    let said = stderr(&done);
    assert!(
        said.contains("only a model of D = inf samples at another"),
        "got {said}"
    );
}

#[test]
fn an_exact_model_is_sampled_from_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("points.png");
    let mut command = pfgmpp();
    command.args([
        "sample",
        "--config",
        "configs/exact.yaml",
        "--num",
        "64",
        "--out",
    ]);
    let done = output(command_with(command, &out));
    assert!(done.status.success(), "got {}", stderr(&done));
    let at_128 = fs::read(&out).unwrap();
    assert_eq!(&at_128[1..4], b"PNG");
    let mut command = pfgmpp();
    command.args([
        "sample",
        "--config",
        "configs/exact.yaml",
        "--d",
        "1",
        "--overwrite",
        "--out",
    ]);
    let done = output(command_with(command, &out));
    assert!(done.status.success(), "got {}", stderr(&done));
    assert_ne!(fs::read(&out).unwrap(), at_128);
    let mut command = pfgmpp();
    command.args([
        "sample",
        "--config",
        "configs/digits.yaml",
        "--overwrite",
        "--out",
    ]);
    let done = output(command_with(command, &out));
    assert_eq!(done.status.code(), Some(2));
    assert!(
        stderr(&done).contains("pfgmpp train"),
        "got {}",
        stderr(&done)
    );
}

fn command_with(mut command: std::process::Command, out: &Path) -> std::process::Command {
    command.arg(out);
    command
}
