//! Sweeps whose setups do not fit each other: one line and exit code 2.

use std::fs;

use crate::bad_input::assert_refused;
use crate::program::{output, pfgmpp, repository};
use crate::setups::run;

/// A sweep of the setup `first` and one that samples `checkpoint_of`.
pub fn setups(first: &str, checkpoint_of: &str, axes: &str) -> String {
    let configs = repository().join("configs").canonicalize().unwrap();
    let zero_shot = format!(
        "  zero_shot: {{config: LIFTED, axes: {{sampler.d: [1, 8]}}, checkpoint_of: {checkpoint_of}}}"
    );
    let text = format!("name: t\ndescription: x\njobs: 1\nbase:\n  {first}\n{zero_shot}\n{axes}");
    let path = |name: &str| configs.join(name).display().to_string();
    text.replace("DIGITS", &path("digits.yaml"))
        .replace("LIFTED", &path("zero_shot.yaml"))
}

#[test]
fn models_that_no_run_trains_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("s.yaml"), folder.path().join("out"));
    let trained = "trained: {config: DIGITS, axes: {d: [8, inf]}}";
    let another = "trained: {config: LIFTED, axes: {sampler.d: [2]}, checkpoint_of: {setup: zero_shot, sampler.d: 1}}";
    let network = "trained: {config: DIGITS, axes: {d: [8]}, checkpoint_of: {setup: trained}}";
    for (first, checkpoint_of, axes, want) in [
        (
            trained,
            "{setup: trained, d: 7}",
            "",
            &[
                "s.yaml",
                "base.zero_shot.checkpoint_of",
                "no run with",
                "d=7",
            ][..],
        ),
        (
            trained,
            "{setup: trained}",
            "",
            &["2 runs have", "name a value on each axis"],
        ),
        (
            trained,
            "{d: inf}",
            "",
            &["setup: is missing", "trained, zero_shot"],
        ),
        (
            trained,
            "{setup: other}",
            "",
            &["no setup `other`", "trained, zero_shot"],
        ),
        (
            trained,
            "{setup: trained, lr: 1}",
            "",
            &["no axis `lr` of setup trained", "are d"],
        ),
        (
            trained,
            "{setup: zero_shot, sampler.d: 8}",
            "",
            &["setup=zero_shot,sampler.d=8", "trains nothing"],
        ),
        (
            another,
            "{setup: trained}",
            "",
            &["trains nothing, so it has no checkpoint"],
        ),
        (
            network,
            "{setup: trained}",
            "",
            &["base.trained.checkpoint_of", "model: {checkpoint"],
        ),
        (
            trained,
            "inf",
            "",
            &["base.zero_shot.checkpoint_of: ", "a YAML mapping"],
        ),
        (
            "trained: {axes: {d: [8]}}",
            "{setup: trained}",
            "",
            &["base.trained.config: is missing", "must be a text"],
        ),
        (
            "trained: {config: DIGITS, axis: {}}",
            "{setup: trained}",
            "",
            &["no key `axis`", "accepted are config"],
        ),
        (
            "trained: [DIGITS]",
            "{setup: trained}",
            "",
            &["trained: must be a file"],
        ),
        (
            trained,
            "{setup: trained, d: inf}",
            "axes: {d: [1]}",
            &["base.trained.axes.d", "one of every setup"],
        ),
        (
            "trained: {config: DIGITS, axes: {d: 8}}",
            "{setup: trained}",
            "",
            &["base.trained.axes.d", "must be a list"],
        ),
        (
            "trained: {config: DIGITS, axes: {d: [8, 0]}}",
            "{setup: trained}",
            "",
            &["base.trained.axes.d[1]", "positive number"],
        ),
    ] {
        fs::write(&file, setups(first, checkpoint_of, axes)).unwrap();
        let mut command = pfgmpp();
        command.arg("sweep").arg(&file).arg("--out").arg(&out);
        assert_refused(&output(command), &out, want);
    }
}

#[test]
fn bad_overrides_of_setups_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (sets, want) in [
        (
            &["base.nobody.axes.d=[1]"][..],
            &[
                "--set base.nobody.axes.d=[1]",
                "no setup `nobody`",
                "trained, zero_shot",
            ][..],
        ),
        (&["sampler.d=8"], &["is an axis", "axes.sampler.d=[...]"]),
        (
            &["axes.d=[8]"],
            &[
                "base.zero_shot.checkpoint_of",
                "no run with",
                "d=inf",
                "seed=0",
            ],
        ),
    ] {
        assert_refused(&run(&out, sets), &out, want);
    }
    let run = ["sweep", "experiments/zero_shot_d.yaml", "--out"];
    let mut command = pfgmpp();
    command.args(run).arg(&out);
    command.args(["--set", "model.checkpoint={run: 'd=inf,seed=0'}"]);
    assert_refused(
        &output(command),
        &out,
        &["d=inf,seed=0 is no run of this sweep"],
    );
    let mut command = pfgmpp();
    command.args(run).arg(&out);
    command.args(["--set", "model.checkpoint={run: ../elsewhere}"]);
    assert_refused(
        &output(command),
        &out,
        &["model.checkpoint.run", "name of a run"],
    );
}
