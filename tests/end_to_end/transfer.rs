//! `pfgmpp transfer`: tables of 80 columns, complete JSON, and one line where it cannot be.

use pfgmpp_objective::PfgmPerturbation;
use pfgmpp_transfer::GeometricSchedule;
use serde_json::Value;

use crate::program::{output, pfgmpp, results, small_sweep, stderr, stdout};

fn transfer(flags: &str) -> std::process::Output {
    let mut command = pfgmpp();
    command.arg("transfer").args(flags.split_whitespace());
    output(command)
}

fn json(flags: &str) -> Value {
    let done = transfer(flags);
    assert!(done.status.success(), "{flags}: got {}", stderr(&done));
    serde_json::from_str(&stdout(&done)).expect("JSON")
}

#[test]
fn the_tables_fit_a_terminal_and_show_infinity() {
    for flags in [
        "--n 3072 --d 1,128,2048,inf",
        "--n 196608 --d 0.5,1,2,4,8,16,32,64,1e15,inf --sigma-max 100000",
        "--config configs/digits.yaml --d 1,inf",
        "pfgm --data digits",
        "error --data digits --d 8 --sigma 2 --num 8",
    ] {
        let done = transfer(flags);
        assert!(done.status.success(), "{flags}: got {}", stderr(&done));
        let text = stdout(&done);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(
            widest <= Some(80),
            "{flags}: got {widest:?} columns:\n{text}"
        );
        assert!(!text.contains("NaN"), "{flags}: got {text}");
        assert_eq!(text.contains("inf"), flags.contains("inf"), "{flags}");
    }
}

#[test]
fn the_json_holds_the_schedule_in_r_at_every_d() {
    let got = json("--n 3072 --d 1,128,inf --sigma-min 0.01 --sigma-max 50 --num-steps 4 --json");
    assert_eq!(got["n"], 3072);
    let sigma: Vec<f64> = serde_json::from_value(got["sigma"].clone()).unwrap();
    assert_eq!(
        (sigma.len(), sigma[0], sigma[3], sigma[4]),
        (5, 50.0, 0.01, 0.0)
    );
    let dimensions = got["dimensions"].as_array().unwrap();
    let d: Vec<&Value> = dimensions.iter().map(|at| &at["d"]).collect();
    assert_eq!(d, [&Value::from(1), &Value::from(128), &Value::from("inf")]);
    for (i, sigma) in sigma.iter().enumerate() {
        let r = dimensions[1]["r"][i].as_f64().unwrap();
        let want = sigma * 128.0_f64.sqrt();
        assert!(
            (r - want).abs() <= 1e-12 * want,
            "level {i}: got {r}, want {want}"
        );
    }
    assert_eq!(dimensions[2]["r_max"], "inf");
    assert_eq!(dimensions[2]["mixture_scale"]["q99"], 1.0);
}

#[test]
fn a_configuration_gives_what_its_flags_would() {
    let got = json("--config configs/digits.yaml --json");
    assert_eq!(
        (&got["n"], got["sigma"].as_array().unwrap().len()),
        (&Value::from(64), 17)
    );
    assert_eq!(got["dimensions"][0]["d"], 128, "the configuration's own D");
    let scale = &got["data"];
    let same = format!(
        "--n 64 --d 128 --num-steps 16 --sigma-data {} --n-eff {} --json",
        scale["second_moment"].as_f64().unwrap().sqrt(),
        scale["n_eff"]
    );
    let want = json(&same);
    assert_eq!(got["dimensions"][0]["r"], want["dimensions"][0]["r"]);
    assert_eq!(
        got["dimensions"][0]["radius"],
        want["dimensions"][0]["radius"]
    );
}

#[test]
fn the_yaml_for_original_pfgm_reads_back() {
    let text = stdout(&transfer("pfgm --data digits"));
    let yaml = &text[text.find("objective:").expect("YAML")..];
    let read: serde_yaml::Value = serde_yaml::from_str(yaml).unwrap();
    let perturbation = read["objective"]["pfgm"]["perturbation"].clone();
    let got: PfgmPerturbation = serde_yaml::from_value(perturbation).unwrap();
    got.check().unwrap();
    let geometric = read["sampler"]["schedule"]["geometric"].clone();
    let schedule: GeometricSchedule = serde_yaml::from_value(geometric).unwrap();
    schedule.check().unwrap();
    let want = json("pfgm --data digits --json");
    assert_eq!(want["max_m"].as_f64(), Some(got.max_m));
    // z_max and upper_norm are the means of z and |x - y| at m = max_m.
    let reach = 0.01 * 1.03_f64.powf(got.max_m);
    let upper_norm = read["sampler"]["prior_radius"][1].as_f64().unwrap();
    for (name, got, want) in [
        (
            "z_max",
            schedule.sigma_max,
            (2.0 / std::f64::consts::PI).sqrt() * reach,
        ),
        ("upper_norm", upper_norm, 8.0 * reach),
    ] {
        assert!(
            (got / want - 1.0).abs() < 1e-4,
            "{name}: got {got}, want {want}"
        );
    }
}

#[test]
fn a_norm_may_stand_in_for_the_data() {
    let got = json("pfgm --n 3072 --norm 32 --json");
    // 0.75 ln(32² / (2 sqrt(3072) 1e-4)) / ln 1.03 = 290.1, and M is the next whole number.
    assert_eq!(got["max_m"], 291.0);
}

#[test]
fn the_effective_level_is_measured_against_exact_posteriors() {
    let got = json("error --data digits --d 1,inf --sigma 0.5,2 --num 64 --json");
    for around in ["held_out", "train"] {
        let rows = got[around].as_array().unwrap();
        assert_eq!(rows.len(), 4);
        for (row, d) in rows.iter().zip(["1", "1", "inf", "inf"]) {
            let error = |name: &str| row[name].as_f64().unwrap();
            let guesses = [
                "data_mean",
                "fixed_point",
                "fixed_point_with_error",
                "previous",
            ];
            let worst = guesses.map(error).into_iter().fold(0.0, f64::max);
            if d == "inf" {
                assert_eq!((error("nominal"), worst), (0.0, 0.0), "{around}: {row}");
            } else {
                // In standard deviations of the data: no better than the mean against a few per cent.
                assert!(error("nominal") > 0.3, "{around}: {row}");
                assert!(worst < 0.08, "{around}: {row}");
                assert!(error("fixed_point_with_error") < 0.02, "{around}: {row}");
            }
        }
    }
}

#[test]
fn what_cannot_be_translated_is_refused_in_a_line() {
    for (flags, want) in [
        ("--n 3072 --d 0", &["--d", "positive number or inf"][..]),
        ("--n 0 --d 1", &["--n", "from 1 to"]),
        ("--d 1", &["--n"]),
        ("--n 64", &["--d"]),
        (
            "--n 64 --d 1 --sigma-min 100",
            &["--sigma-min", "below sigma_max = 80"],
        ),
        ("--n 64 --d 1 --rho 0", &["--rho", "from 0.1 to 1000"]),
        ("--n 64 --d 1 --num-steps 1", &["--num-steps", "from 2"]),
        ("--n 64 --d 1 --sigma-data 0", &["--sigma-data", "from"]),
        ("--n 64 --d 1 --n-eff 0", &["--n-eff", "positive"]),
        ("--config configs/digits.yaml --n 3", &["--config", "--n"]),
        ("--config no.yaml", &["no.yaml", "no such file"]),
        ("pfgm", &["--data"]),
        ("pfgm --data cats", &["--data cats", "digits"]),
        (
            "pfgm --data digits --sigma-end 100",
            &["--data", "norm", "at least"],
        ),
        ("pfgm --data digits --tau 0", &["--tau", "positive"]),
        ("pfgm --n 64", &["--norm"]),
        ("error", &["--data"]),
        (
            "error --data digits --d x",
            &["--d", "positive number or inf"],
        ),
        ("error --data digits --sigma 0", &["--sigma", "got 0"]),
    ] {
        let done = transfer(flags);
        let text = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{flags}: got {text}");
        assert_eq!(stdout(&done), "", "{flags}");
        for part in want {
            assert!(text.contains(part), "{flags}: got `{text}`, want `{part}`");
        }
    }
}

#[test]
fn every_family_of_diffusion_trains_and_samples_at_finite_d() {
    let families = [
        [
            "preconditioning={vp: {beta_d: 19.9, beta_min: 0.1, m: 1000, noise: effective}}",
            "objective.unbiased.noise_law={vp: {beta_d: 19.9, beta_min: 0.1, eps_t: 1.0e-5}}",
            "sampler.schedule={vp: {num_steps: 4, beta_d: 19.9, beta_min: 0.1, eps_s: 1.0e-3}}",
        ],
        [
            "preconditioning={ve: {noise: nominal}}",
            "objective.unbiased.noise_law={log_uniform: {sigma_min: 0.02, sigma_max: 100}}",
            "sampler.schedule={ve: {num_steps: 4, sigma_min: 0.02, sigma_max: 100}}",
        ],
        [
            "preconditioning={iddpm: {c_1: 0.001, c_2: 0.008, m: 1000, noise: effective}}",
            "objective.unbiased.noise_law={iddpm: {c_1: 0.001, c_2: 0.008, m: 1000}}",
            "sampler.schedule={iddpm: {num_steps: 4, c_1: 0.001, c_2: 0.008, m: 1000, j_0: 8}}",
        ],
    ];
    for family in families {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let mut overrides = vec!["axes.d=[128]", "training.nimg=64"];
        overrides.extend(family);
        let done = output(small_sweep(&out, &overrides));
        assert!(done.status.success(), "{family:?}: got {}", stderr(&done));
        let rows = results(&out);
        for column in ["train_loss", "energy_distance"] {
            let value: f64 = rows[0][column].parse().unwrap();
            assert!(value.is_finite(), "{family:?}: {column} is {value}");
        }
    }
}

#[test]
fn a_parameter_of_a_family_is_refused_under_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (set, want) in [
        (
            "preconditioning={vp: {beta_d: 0, beta_min: 0.1, m: 1000, noise: nominal}}",
            "preconditioning.vp.beta_d must be",
        ),
        (
            "objective.unbiased.noise_law={log_uniform: {sigma_min: 2, sigma_max: 1}}",
            "objective.unbiased.noise_law.log_uniform.sigma_min must be below",
        ),
        (
            "sampler.schedule={iddpm: {num_steps: 993, c_1: 0.001, c_2: 0.008, m: 1000, j_0: 8}}",
            "sampler.schedule.iddpm.num_steps must be",
        ),
    ] {
        let done = output(small_sweep(&out, &["axes.d=[128]", set]));
        let text = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{set}: got {text}");
        assert!(text.contains(want), "got `{text}`, want `{want}`");
    }
}
