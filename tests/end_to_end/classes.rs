//! Classes from a configuration to labelled pictures, and networks of other programs that have classes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::bad_input::assert_refused;
use crate::program::{output, pfgmpp, repository, stderr, stdout};

/// Overrides that bring `configs/digits_classes.yaml` from minutes to seconds.
const SHORT: [&str; 6] = [
    "network.ddpmpp.model_channels=16",
    "training.nimg=24_000",
    "optimizer.lr_ramp_up=3200",
    "scoring.num_samples=200",
    "scoring.num_projections=16",
    "sampler.schedule.edm.num_steps=12",
];

fn train(out: &Path, overrides: &[&str]) -> Output {
    let mut command = pfgmpp();
    command
        .args(["train", "configs/digits_classes.yaml", "--out"])
        .arg(out);
    for set in SHORT.iter().chain(overrides) {
        command.args(["--set", set]);
    }
    output(command)
}

fn sample(checkpoint: &Path, out: &Path, flags: &[&str]) -> Output {
    let mut command = pfgmpp();
    command
        .args(["sample", "--checkpoint"])
        .arg(checkpoint)
        .arg("--out")
        .arg(out)
        .args(flags);
    output(command)
}

fn succeeds(done: &Output) {
    assert!(done.status.success(), "got {}", stderr(done));
}

fn json(path: &Path) -> serde_json::Value {
    let text = fs::read_to_string(path).expect("a written file");
    serde_json::from_str(&text).expect("JSON")
}

fn pickle() -> PathBuf {
    repository().join("crates/checkpoint/tests/data/edm-classes.pkl")
}

/// The full figure is that of `pfgmpp train configs/digits_classes.yaml`: at least 0.95.
#[test]
fn digits_asked_for_by_class_look_like_that_class() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let done = train(&run, &[]);
    succeeds(&done);
    assert!(
        stdout(&done).contains("class_agreement "),
        "got {}",
        stdout(&done)
    );
    let scores = json(&run.join("class_scores.json"));
    let agreement = |key: &str| scores[key].as_f64().expect("a share");
    let (got, held_out) = (agreement("agreement"), agreement("held_out_agreement"));
    println!("{got} of the samples, {held_out} of the held-out digits");
    assert!(
        held_out > 0.97,
        "got {held_out}: the classifier is no judge"
    );
    let diversity = agreement("diversity");
    assert!(
        (0.6..1.2).contains(&diversity),
        "got {diversity}: the samples of a class are alike, or unlike the data"
    );
    // Chance gives a tenth.
    assert!(got > 0.8, "got {got}, want above 0.8");
    let classes = scores["classes"].as_array().expect("a list");
    let drawn = classes.iter().map(|class| class["num_samples"].as_u64());
    assert_eq!(drawn.map(Option::unwrap).sum::<u64>(), 200);

    // The samples of a folder are a labelled data set, which this program and EDM's tools read.
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    succeeds(&sample(&run, &a, &["--num", "6", "--class", "0,7"]));
    succeeds(&sample(
        &run,
        &b,
        &["--num", "2", "--class", "7", "--seed", "3"],
    ));
    let labels = |folder: &Path| json(&folder.join("dataset.json"))["labels"].clone();
    let want = [0, 7, 0, 7, 0, 7].into_iter().enumerate();
    let want = want.map(|(seed, class)| serde_json::json!([format!("{seed:06}.png"), class]));
    assert_eq!(labels(&a), serde_json::Value::from_iter(want));
    let png = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    assert_eq!(
        png(&a, "000003.png"),
        png(&b, "000003.png"),
        "seed 3, class 7"
    );
    assert_ne!(
        png(&a, "000004.png"),
        png(&b, "000004.png"),
        "seed 4, class 0 and 7"
    );
    // A further call adds to the list.
    succeeds(&sample(&run, &b, &["--num", "1", "--class", "2"]));
    let want = serde_json::json!([["000000.png", 2], ["000003.png", 7], ["000004.png", 7]]);
    assert_eq!(labels(&b), want);

    // From class to class: the way ends where the next sample is.
    let (way, ends) = (
        folder.path().join("way.png"),
        folder.path().join("ends.png"),
    );
    let mut command = pfgmpp();
    command.args([
        "interpolate",
        "--seeds",
        "0-1",
        "--frames",
        "2",
        "--class",
        "0,7",
        "--checkpoint",
    ]);
    command.arg(&run).arg("--out").arg(&way);
    succeeds(&output(command));
    succeeds(&sample(&run, &ends, &["--num", "2", "--class", "0,7"]));
    let bytes = |path: &Path| fs::read(path).unwrap();
    assert_eq!(
        bytes(&way),
        bytes(&ends),
        "the ends of the way, and the samples"
    );

    let x = folder.path().join("x.png");
    let refused =
        |flags: &[&str], want: &str| assert_refused(&sample(&run, &x, flags), &x, &[want]);
    refused(
        &["--class", "10"],
        "--class: classes must be from 0 to 9: the model has 10 classes",
    );
    let done = sample(&run, &x, &["--class", "1-x"]);
    assert_eq!(done.status.code(), Some(2));
    let want = "classes must be uniform, data, or classes such as 3, 0-9 or 0,3,5";
    assert!(stderr(&done).contains(want), "got {}", stderr(&done));
}

/// What was never said is a random class of each sample, and the program says so.
#[test]
fn a_conditional_pickle_is_sampled_by_class_and_no_line_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let draw = |name: &str, flags: &[&str], said: &str| {
        let out = folder.path().join(name);
        let done = sample(
            &pickle(),
            &out,
            &[&["--num", "9", "--steps", "4"], flags].concat(),
        );
        succeeds(&done);
        let lines = stderr(&done);
        assert!(lines.contains(said), "got `{lines}`, want `{said}` in it");
        (fs::read(&out).unwrap(), stdout(&done))
    };
    let (first, _) = draw("0.png", &["--class", "0"], "classes: 0, of 3");
    let (second, _) = draw("1.png", &["--class", "1"], "classes: 1, of 3");
    assert_ne!(first, second, "class 0 and class 1");
    let random = "classes: one of 3 at random, each as often, by the sample's seed (--class 0-2 asks for some)";
    let (any, shown) = draw("any.png", &[], random);
    assert_ne!(any, first);
    assert_eq!(shown.matches("classes of a row:").count(), 3, "got {shown}");
    let (again, _) = draw(
        "again.png",
        &["--batch", "1", "--class", "uniform"],
        "at random",
    );
    assert_eq!(
        any, again,
        "the same seeds are of the same classes in any batch"
    );
    let (_, turn) = draw(
        "turn.png",
        &["--class", "0-2"],
        "classes: 0-2 in turn, of 3",
    );
    assert!(
        turn.contains("classes of a row: 0 1 2\nclasses of a row: 0 1 2"),
        "got {turn}"
    );

    let x = folder.path().join("x.png");
    let refused = |checkpoint: &str, flags: &[&str], want: &str| {
        let checkpoint = pickle().with_file_name(checkpoint);
        assert_refused(&sample(&checkpoint, &x, flags), &x, &[want]);
    };
    refused(
        "edm-classes.pkl",
        &["--class", "3"],
        "classes must be from 0 to 2",
    );
    refused(
        "edm-classes.pkl",
        &["--class", "data"],
        "the data do not have the classes of the model",
    );
    refused(
        "edm.pkl",
        &["--class", "0"],
        "--class 0: the model has no classes",
    );
}
