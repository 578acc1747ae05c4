//! `pfgmpp bench`: one line of JSON.

use crate::program::{output, pfgmpp, repository, stderr, stdout};

fn bench(args: &[&str]) -> std::process::Output {
    let mut command = pfgmpp();
    command.arg("bench").args(args);
    output(command)
}

#[test]
fn a_configuration_is_timed_in_one_line_of_json() {
    let small = "network.ddpmpp.model_channels=8";
    let args = ["configs/bench_a.yaml", "--set", small];
    let done = bench(&[&args[..], &["--batch", "3", "--runs", "2"]].concat());
    assert!(done.status.success(), "got {}", stderr(&done));
    assert_eq!(stderr(&done), "", "nobody watches");
    let text = stdout(&done);
    assert_eq!(text.lines().count(), 1, "got {text}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    for field in ["params", "train_ms", "eval_ms", "images_per_second"] {
        assert!(line[field].as_f64().unwrap() > 0.0, "{field}: got {text}");
    }
    assert_eq!(line["batch"], 3);
    assert_eq!(line["device"], "cpu");
    if cfg!(target_os = "linux") {
        let [eval, train] =
            ["eval_peak_rss_mib", "train_peak_rss_mib"].map(|field| line[field].as_f64().unwrap());
        assert!(0.0 < eval && eval <= train, "got {text}");
        assert_eq!(line["peak_rss_mib"], line["train_peak_rss_mib"]);
    }
}

#[test]
fn the_number_of_threads_is_that_of_the_flag_or_of_the_environment() {
    let args = [
        "bench",
        "configs/bench_a.yaml",
        "--batch",
        "1",
        "--runs",
        "1",
    ];
    let threads = |flags: &[&str], variable: &str| {
        let mut command = pfgmpp();
        command.env("RAYON_NUM_THREADS", variable);
        command.args(args).args(flags);
        let done = output(command);
        assert!(done.status.success(), "got {}", stderr(&done));
        let line: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
        line["threads"].clone()
    };
    assert_eq!(threads(&[], "3"), 3);
    assert_eq!(threads(&["--threads", "1"], "3"), 1);
    assert!(threads(&[], "0").as_u64().unwrap() >= 1);
    assert_eq!(
        threads(&[], ""),
        threads(&[], "0"),
        "an empty variable is none"
    );

    let mut command = pfgmpp();
    command.env("RAYON_NUM_THREADS", "all").args(args);
    let done = output(command);
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
    let want = "error: RAYON_NUM_THREADS: must be from 1 to 1024, or 0 for one for each core, got \"all\"\n";
    assert_eq!(stderr(&done), want);
    let done = bench(&["configs/bench_a.yaml", "--threads", "0"]);
    assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
    assert!(
        stderr(&done).contains("from 1 to 1024"),
        "got {}",
        stderr(&done)
    );
}

#[test]
fn a_device_that_is_not_there_is_refused_by_every_command_that_computes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.png");
    let commands = [
        &["bench", "configs/bench_a.yaml"][..],
        &["train", "configs/digits.yaml", "--out"],
        &["sweep", "experiments/d_sweep.yaml", "--out"],
        &["sample", "--config", "configs/exact.yaml", "--out"],
    ];
    for command in commands {
        for (name, feature) in [("cuda", "cuda"), ("cuda:3", "cuda"), ("metal", "metal")] {
            let mut program = pfgmpp();
            program.args(command);
            if command.contains(&"--out") {
                program.arg(&out);
            }
            program.args(["--device", name]);
            let done = output(program);
            let text = stderr(&done);
            assert_eq!(done.status.code(), Some(2), "{command:?}: got {text}");
            assert_eq!(text.lines().count(), 1, "got {text}");
            assert!(text.contains(&format!("--device {name}: ")), "got {text}");
            let (cuda, metal) = (cfg!(feature = "cuda"), cfg!(feature = "metal"));
            if !(cuda || metal) {
                let want = format!("--features {feature}");
                assert!(text.contains(&want), "got {text}, want {want}");
            }
            assert!(!out.exists());
        }
    }
    let done = bench(&["configs/bench_a.yaml", "--device", "tpu"]);
    assert_eq!(done.status.code(), Some(2));
    let want = "must be cpu, cuda, cuda:N or metal";
    assert!(stderr(&done).contains(want), "got {}", stderr(&done));
}

#[test]
fn the_shipped_cases_are_the_published_sizes() {
    // 56 million weights take a while to draw and train: only read here.
    for (case, params) in [("a", 748_737), ("b", 1_259_393)] {
        let file = format!("configs/bench_{case}.yaml");
        let done = bench(&[&file, "--batch", "1", "--runs", "1"]);
        assert!(done.status.success(), "got {}", stderr(&done));
        let line: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
        assert_eq!(line["params"], params, "case {case}");
    }
}

#[test]
fn what_cannot_be_timed_is_refused_in_one_line() {
    for (args, want) in [
        (&["configs/exact.yaml"][..], "model: must be network"),
        (
            &["configs/bench_a.yaml", "--set", "data.noise.num=2"],
            "num at least 10",
        ),
        (
            &["configs/bench_a.yaml", "--set", "data.noise.shape=[1,9,9]"],
            "resolution is 9",
        ),
    ] {
        let done = bench(args);
        let text = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "got {text}");
        assert_eq!(text.trim_end().lines().count(), 1, "got {text}");
        assert!(text.contains(want), "got `{text}`, want `{want}` in it");
    }
}

#[test]
fn bench_and_inspect_count_the_same_weights_of_a_network_with_constants() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(repository().join("configs/bench_a.yaml")).unwrap();
    // NCSN++ has constants beside its weights: frequencies and filters.
    let config = folder.path().join("ncsnpp.yaml");
    std::fs::write(&config, text.replace("ddpmpp:", "ncsnpp:")).unwrap();
    let (config, out) = (config.to_str().unwrap(), folder.path().join("out"));
    let small = ["--set", "network.ncsnpp.model_channels=8"];
    let done = bench(&[&[config, "--batch", "1", "--runs", "1"], &small[..]].concat());
    assert!(done.status.success(), "got {}", stderr(&done));
    let line: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();

    let mut train = pfgmpp();
    train
        .args(["train", config])
        .args(small)
        .arg("--out")
        .arg(&out);
    for set in [
        "training.nimg=64",
        "scoring.num_samples=4",
        "sampler.schedule.edm.num_steps=2",
    ] {
        train.args(["--set", set]);
    }
    let done = output(train);
    assert!(done.status.success(), "got {}", stderr(&done));
    let mut inspect = pfgmpp();
    inspect.arg("inspect").arg(&out);
    let done = output(inspect);
    assert!(done.status.success(), "got {}", stderr(&done));
    let text = stdout(&done);
    let shown = text
        .lines()
        .find_map(|line| line.strip_prefix("parameters"));
    let want = line["params"].to_string();
    assert_eq!(shown.map(str::trim), Some(want.as_str()), "got {text}");
}

#[test]
fn an_unknown_way_of_computing_convolutions_is_refused_before_work_starts() {
    for (value, works) in [
        ("direct", true),
        ("tiles", true),
        ("winograd", false),
        // An empty variable is none.
        ("", true),
    ] {
        let mut command = pfgmpp();
        command.env("PFGMPP_CONV", value);
        command.args([
            "bench",
            "configs/bench_a.yaml",
            "--batch",
            "1",
            "--runs",
            "1",
        ]);
        let done = output(command);
        if works {
            assert!(done.status.success(), "{value}: got {}", stderr(&done));
            continue;
        }
        assert_eq!(done.status.code(), Some(2), "got {}", stderr(&done));
        let want = format!("error: PFGMPP_CONV: must be tiles or direct, got {value:?}\n");
        assert_eq!(stderr(&done), want);
    }
}

#[test]
fn attention_at_a_resolution_that_the_network_does_not_have_is_refused() {
    let set = "network.ddpmpp.attn_resolutions=[16]";
    let done = bench(&["configs/bench_a.yaml", "--set", set]);
    let text = stderr(&done);
    assert_eq!(done.status.code(), Some(2), "got {text}");
    assert_eq!(text.lines().count(), 1, "got {text}");
    let want =
        "an entry of attn_resolutions is 16, it must be one of the network's resolutions, 8, 4";
    assert!(text.contains(want), "got {text}, want {want} in it");
}
