//! What the program says: what it took, what it refuses, and that what it writes is read by others.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use serde_yaml::Value;

use crate::bad_input::assert_refused;
use crate::program::{SMALL, output, pfgmpp, repository, small_sweep, stderr, stdout};

/// `pfgmpp train configs/digits.yaml`, small, into `out`.
fn small_training(out: &Path, flags: &[&str]) -> Command {
    let mut command = pfgmpp();
    command
        .args(["train", "configs/digits.yaml", "--out"])
        .arg(out);
    for set in SMALL {
        command.args(["--set", set]);
    }
    command.args(flags);
    command
}

#[test]
fn the_first_lines_say_what_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("my run");
    let done = output(small_training(&out, &["--threads", "2"]));
    let text = stderr(&done);
    assert!(done.status.success(), "got {text}");
    let lines: Vec<&str> = text.lines().collect();
    let want = [
        &["data: digits", "images of 1x8x8", "held out", "10 classes"][..],
        &["model: ", "512 images", "D = 128", "no classes"],
        &["on cpu, 2 threads, into", "my run"],
    ];
    for (line, want) in lines.iter().zip(want) {
        for part in want {
            assert!(line.contains(part), "got `{line}`, want `{part}` in it");
        }
    }
    let logdir = format!("tensorboard --logdir '{}'", out.display());
    assert!(stdout(&done).contains(&logdir), "got {}", stdout(&done));

    let png = folder.path().join("x.png");
    let mut command = pfgmpp();
    command.args(["sample", "--num", "2", "--steps", "2", "--checkpoint"]);
    command.arg(&out).arg("--out").arg(&png);
    let done = output(command);
    let text = stderr(&done);
    for part in [
        "model: ",
        "D = 128",
        "no classes",
        "trained on digits",
        "1x8x8",
        "averaged over training",
        "on cpu",
        "x.png",
    ] {
        assert!(text.contains(part), "got `{text}`, want `{part}` in it");
    }
}

#[test]
fn quiet_and_json_are_for_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let done = output(small_training(&out, &["--quiet", "--json"]));
    assert_eq!(stderr(&done), "", "quiet");
    let found: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert!(found["result"]["seconds"].is_number(), "got {found}");
    assert!(
        Path::new(found["checkpoint"].as_str().unwrap()).is_dir(),
        "got {found}"
    );

    let json = |args: &[&str]| -> serde_json::Value {
        let mut command = pfgmpp();
        command.args(args).args(["--json", "-q"]);
        let done = output(command);
        assert_eq!(stderr(&done), "", "{args:?}");
        serde_json::from_str(&stdout(&done)).unwrap()
    };
    let run = out.display().to_string();
    let described = json(&["inspect", &run]);
    assert_eq!(described["D"], 128, "got {described}");
    assert!(
        described["network"].is_object() && described["parameters"].is_u64(),
        "got {described}"
    );
    let png = folder.path().join("x.png").display().to_string();
    let drawn = json(&[
        "sample",
        "--checkpoint",
        &run,
        "--num",
        "3",
        "--steps",
        "2",
        "--out",
        &png,
    ]);
    assert_eq!(
        (&drawn["num"], &drawn["d"]),
        (&3.into(), &128.into()),
        "got {drawn}"
    );

    let mut command = small_sweep(&folder.path().join("sweep"), &["axes.d=[8]"]);
    command.args(["--json", "--quiet"]);
    let done = output(command);
    assert_eq!(stderr(&done), "");
    let table: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(table["rows"][0]["name"], "d=8,seed=0", "got {table}");
}

#[test]
fn a_file_of_another_kind_is_refused_with_the_command_that_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (args, want) in [
        (
            &["train", "experiments/d_sweep.yaml"][..],
            "is a sweep file, not the configuration of one run: pfgmpp sweep experiments/d_sweep.yaml",
        ),
        (
            &["sample", "--config", "experiments/d_sweep.yaml"],
            "pfgmpp sweep experiments/d_sweep.yaml",
        ),
        (
            &["sweep", "configs/digits.yaml"],
            "is the configuration of one run, not a sweep file: pfgmpp train configs/digits.yaml",
        ),
    ] {
        let mut command = pfgmpp();
        command.args(args).arg("--out").arg(&out);
        assert_refused(&output(command), &out, &[want]);
    }
}

#[test]
fn samples_are_not_written_under_a_name_of_another_kind_nor_over_others() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("exact.yaml");
    let text = fs::read_to_string(repository().join("configs/exact.yaml")).unwrap();
    let text = text.replace("data: eight_gaussians", "data: digits");
    fs::write(&config, text).unwrap();
    let sample = |out: &Path, flags: &[&str]| {
        let mut command = pfgmpp();
        command.args(["sample", "--num", "3", "--steps", "2", "--config"]);
        command.arg(&config).arg("--out");
        command.arg(out).args(flags);
        output(command)
    };
    for name in ["x.jpg", "x.zip", "x.pt", "x.gif", "x.MP4"] {
        let out = folder.path().join(name);
        assert_refused(
            &sample(&out, &[]),
            &out,
            &[name, "written as .png, .npz", "a folder"],
        );
    }
    let out = folder.path().join("s");
    assert!(sample(&out, &[]).status.success());
    let before = fs::read(out.join("000002.png")).unwrap();
    let done = sample(&out, &["--seed", "2", "--d", "1"]);
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
    for part in ["holds 1 of these samples", "000002.png", "--overwrite"] {
        assert!(stderr(&done).contains(part), "got {}", stderr(&done));
    }
    assert_eq!(fs::read(out.join("000002.png")).unwrap(), before);
    assert!(
        sample(&out, &["--seed", "3"]).status.success(),
        "other seeds"
    );
    let done = sample(&out, &["--seed", "2", "--d", "1", "--overwrite"]);
    assert!(done.status.success(), "got {}", stderr(&done));
    assert_ne!(fs::read(out.join("000002.png")).unwrap(), before);
}

#[test]
fn results_that_cannot_be_written_are_a_failure() {
    if !Path::new("/dev/full").exists() {
        eprintln!("no /dev/full here: the full disk was not tried");
        return;
    }
    for args in [
        &["transfer", "--n", "3072", "--d", "1,inf", "--json"][..],
        &["transfer", "--n", "3072", "--d", "1,inf"],
        &["inspect", "crates/nn/tests/data", "--json"],
        &["sweep", "experiments/d_sweep.yaml", "--dry-run", "-q"],
    ] {
        let mut command = pfgmpp();
        command
            .args(args)
            .stdout(File::create("/dev/full").unwrap());
        let done = output(command);
        let text = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{args:?}: got {text}");
        assert_eq!(text.lines().count(), 1, "{args:?}: got {text}");
        if args[0] != "inspect" {
            assert!(text.contains("standard output: "), "{args:?}: got {text}");
        }
    }
}

/// What PyYAML, and YAML 1.1, take for a number with an exponent.
fn is_a_number_of_yaml_1_1(text: &str) -> bool {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "+0"));
    digits.contains('.') && exponent.starts_with(['+', '-'])
}

#[test]
fn the_numbers_of_config_yaml_are_numbers_to_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let sets = [
        "--set",
        "optimizer.lr=0.00001",
        "--set",
        "sampler.schedule.edm.sigma_min=0.00002",
    ];
    let done = output(small_training(&out, &sets));
    assert!(done.status.success(), "got {}", stderr(&done));
    let text = fs::read_to_string(out.join("config.yaml")).unwrap();
    let (mut floats, mut found) = (0, Vec::new());
    for line in text.lines() {
        let value = line.rsplit(' ').next().unwrap_or_default();
        let number = serde_yaml::from_str::<Value>(value)
            .ok()
            .filter(Value::is_f64);
        if number.is_some() {
            floats += 1;
            found.extend((!is_a_number_of_yaml_1_1(value)).then(|| line.to_string()));
        }
    }
    assert!(
        floats > 10 && found.is_empty(),
        "of {floats} numbers: {found:?}"
    );
    for want in ["lr: 1.0e-5", "eps: 1.0e-8", "sigma_min: 2.0e-5"] {
        assert!(text.contains(want), "got {text}");
    }
}

#[test]
fn help_fits_eighty_columns() {
    for command in [
        "",
        "sweep",
        "train",
        "sample",
        "encode",
        "decode",
        "interpolate",
        "restore",
        "schedule",
        "likelihood",
        "bench",
        "convert",
        "inspect",
        "transfer",
        "data info",
        "data pack",
        "ema",
        "score",
        "features",
        "advise",
        "doctor",
        "completions",
        "man",
    ] {
        let mut help = pfgmpp();
        help.args(command.split_whitespace()).arg("--help");
        let text = stdout(&output(help));
        let long: Vec<&str> = text
            .lines()
            .filter(|line| line.chars().count() > 80)
            .collect();
        assert!(
            text.contains("--quiet") && long.is_empty(),
            "{command}: got {long:?}"
        );
    }
}

#[test]
fn runs_are_named_so_that_a_reader_knows_them() {
    let folder = tempfile::tempdir().unwrap();
    let base = repository()
        .join("configs/digits.yaml")
        .canonicalize()
        .unwrap();
    let plan = |axes: &str, flags: &[&str]| {
        let head = format!(
            "name: t\ndescription: x\nbase: {}\njobs: 1\n",
            base.display()
        );
        let file = folder.path().join("s.yaml");
        fs::write(&file, format!("{head}axes:\n{axes}\n")).unwrap();
        let mut command = pfgmpp();
        command.current_dir(folder.path());
        command
            .arg("sweep")
            .arg(&file)
            .args(["--dry-run", "--out", "out"])
            .args(flags);
        let done = output(command);
        assert!(done.status.success(), "got {}", stderr(&done));
        stdout(&done)
    };
    let lists = plan(
        "  network.ddpmpp.channel_mult: [[1, 2], [1, 2, 2]]",
        &["--jobs", "2"],
    );
    for want in [
        "network.ddpmpp.channel_mult=1-2 ",
        "network.ddpmpp.channel_mult=1-2-2 ",
        "jobs: 2",
    ] {
        assert!(lists.contains(want), "got {lists}, want {want}");
    }
    for name in ["a", "b"] {
        let images = folder.path().join(name).join("imgs");
        fs::create_dir_all(&images).unwrap();
        for i in 0..10u8 {
            let picture = image::GrayImage::from_pixel(8, 8, image::Luma([i]));
            picture.save(images.join(format!("{i}.png"))).unwrap();
        }
    }
    let folders = plan(
        "  data: [{folder: {path: a/imgs}}, {folder: {path: b/imgs}}]",
        &[],
    );
    for want in ["data=a_imgs", "data=b_imgs"] {
        assert!(folders.contains(want), "got {folders}, want {want}");
    }
}

#[test]
fn merge_keys_and_a_byte_order_mark_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(repository().join("experiments/d_sweep.yaml")).unwrap();
    let base = repository()
        .join("configs/digits.yaml")
        .canonicalize()
        .unwrap();
    let base = fs::read_to_string(base).unwrap();
    let mut config: Value = serde_yaml::from_str(&base).unwrap();
    let shared = config["optimizer"].as_mapping_mut().unwrap();
    let lr = shared.remove("lr").unwrap();
    let merged =
        serde_yaml::from_str(&format!("{{<<: {{lr: {}}}}}", lr.as_f64().unwrap())).unwrap();
    let Value::Mapping(merged) = merged else {
        unreachable!()
    };
    shared.extend(merged);
    let written = format!("\u{feff}{}", serde_yaml::to_string(&config).unwrap());
    fs::write(folder.path().join("digits.yaml"), written).unwrap();
    let sweep = text.replace("../configs/digits.yaml", "digits.yaml");
    assert_ne!(sweep, text, "the sweep starts from the file");
    fs::write(folder.path().join("s.yaml"), sweep).unwrap();
    let mut command = pfgmpp();
    command.arg("sweep").arg(folder.path().join("s.yaml"));
    command
        .args(["--dry-run", "--out"])
        .arg(folder.path().join("out"));
    let done = output(command);
    assert!(done.status.success(), "got {}", stderr(&done));
}

#[test]
fn completions_manual_pages_and_the_doctor_know_every_command() {
    let run = |args: &[&str]| {
        let mut command = pfgmpp();
        command.args(args);
        let done = output(command);
        assert!(done.status.success(), "{args:?}: got {}", stderr(&done));
        stdout(&done)
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        for word in ["interpolate", "likelihood", "self-timed"] {
            assert!(script.contains(word), "{shell}: no {word}");
        }
        // A shell that is here reads its own.
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &script).unwrap();
        if let Ok(read) = Command::new(shell).arg("-n").arg(file.path()).output() {
            assert!(read.status.success(), "{shell}: got {}", stderr(&read));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    run(&["man", folder.path().to_str().unwrap()]);
    for page in ["pfgmpp.1", "pfgmpp-sample.1", "pfgmpp-data-pack.1"] {
        let text = fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}: got {text}");
    }
    let found: serde_json::Value = serde_json::from_str(&run(&["doctor", "--json"])).unwrap();
    assert!(found["cores"].as_u64().unwrap() > 0);
    let lines = run(&["doctor"]);
    assert!(lines.lines().count() <= 10, "got {lines}");
    assert!(lines.contains("memory"), "got {lines}");

    let short = format!("pfgmpp {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["-V"]), short);
    let long = run(&["--version"]);
    assert!(long.starts_with(&short), "got {long}");
    let told = |name: &str| {
        let line = long.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
            .unwrap_or_else(|| panic!("got {long}, want {name}"))
            .to_owned()
    };
    let mut git = Command::new("git");
    git.current_dir(repository())
        .args(["rev-parse", "--short=12", "HEAD"]);
    // Outside of a checkout, as in an archive of the sources, nobody knows the commit.
    let head = git.output().ok().filter(|done| done.status.success());
    match head.filter(|_| repository().join(".git").exists()) {
        Some(done) => assert_eq!(told("commit"), stdout(&done).trim()),
        None => assert_eq!(told("commit"), "unknown"),
    }
    assert_eq!(found["commit"], told("commit").as_str());
    assert_eq!(
        told("features").contains("datasets"),
        cfg!(feature = "datasets")
    );
    assert!(told("devices").starts_with("cpu"), "got {long}");
}
