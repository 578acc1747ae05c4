//! Results as they are written, damaged, and of other versions.

use std::fs;

use pfgmpp_config::Document;

use super::*;
use crate::sealed::SEAL;

/// As the version before scores were a list wrote it.
const BEFORE: &str = r#"{
  "d": 8.0,
  "seed": 0,
  "nimg": 3200,
  "train_loss": 0.7081,
  "scores": {
    "energy_distance": 0.3597,
    "sliced_wasserstein": 0.2366
  },
  "denoising_error": 0.25,
  "num_samples": 128,
  "params": 4000,
  "seconds": 104.5
}"#;

fn config(changes: &[(&str, &str)]) -> RunConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
    let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
    for (key, value) in changes {
        let (key, value) = yaml::parse_assignment(&format!("{key}={value}")).unwrap();
        document.set::<RunConfig>(&key, value, "a test").unwrap();
    }
    RunConfig::read(&document, &[]).unwrap()
}

#[test]
fn a_result_of_the_version_before_is_read() {
    let result: RunResult = serde_json::from_str(BEFORE).unwrap();
    let got: Vec<(String, f64)> = result.scores.columns().collect();
    let want = [
        ("energy_distance", 0.3597),
        ("sliced_wasserstein", 0.2366),
        ("denoising_error", 0.25),
    ];
    assert_eq!(got, want.map(|(name, value)| (name.to_string(), value)));
    assert_eq!(
        (result.nimg, result.params, result.seconds),
        (3200, 4000, 104.5)
    );
}

#[test]
fn a_written_result_reads_back_the_same() {
    let mut result: RunResult = serde_json::from_str(BEFORE).unwrap();
    let estimate = pfgmpp_metrics::Estimate {
        value: 0.98,
        standard_error: Some(0.02),
    };
    result.scores.push("nearest", estimate);
    result.scores.push("a_last_one", -0.0001);
    let json = serde_json::to_string(&result).unwrap();
    assert!(
        json.contains(r#""nearest":0.98,"nearest_standard_error":0.02"#),
        "got {json}"
    );
    let again: RunResult = serde_json::from_str(&json).unwrap();
    assert_eq!(again, result, "from {json}");
}

#[test]
fn a_score_that_is_not_finite_does_not_spoil_the_file() {
    let mut result: RunResult = serde_json::from_str(BEFORE).unwrap();
    result.scores.push("ratio", f64::INFINITY);
    let json = serde_json::to_string(&result).unwrap();
    let again: RunResult = serde_json::from_str(&json).unwrap();
    let got = again.scores.get("ratio").map(|found| found.value);
    assert!(got.is_some_and(f64::is_nan), "got {got:?} from {json}");
}

#[test]
fn a_folder_of_the_version_before_goes_on_and_one_with_other_metrics_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[
        ("training.nimg", "3200"),
        ("scoring.num_samples", "128"),
        ("d", "8"),
    ]);
    let text = yaml::to_string(&config).unwrap();
    let (start, end) = (text.find("  metrics:").unwrap(), text.len());
    let before = text[..start].to_string();
    assert!(
        text[start..end]
            .lines()
            .skip(1)
            .all(|line| line.trim_start().starts_with("- "))
    );
    fs::write(folder.path().join("config.yaml"), before).unwrap();
    fs::write(folder.path().join("metrics.json"), BEFORE).unwrap();
    check_config(&config, folder.path()).unwrap();
    // Every version has left its lock beside what it wrote.
    fs::write(folder.path().join(".lock"), "").unwrap();
    let locked = RunFolder::open(folder.path()).unwrap();
    let result = read_result(&config, locked.path()).unwrap().unwrap();
    assert_eq!(result.scores.get("denoising_error").unwrap().value, 0.25);

    let other = RunConfig {
        scoring: pfgmpp_config::ScoringConfig {
            metrics: vec!["energy_distance".to_string()].try_into().unwrap(),
            ..config.scoring.clone()
        },
        ..config
    };
    let error = check_config(&other, folder.path()).unwrap_err().to_string();
    for part in ["scoring.metrics", "denoising_error", "asked for"] {
        assert!(error.contains(part), "got `{error}`, want `{part}` in it");
    }
    assert_eq!(error.lines().count(), 1, "got {error}");
}

/// A folder with a finished run of this configuration in it.
fn finished(config: &RunConfig) -> (tempfile::TempDir, RunFolder, RunResult) {
    let folder = tempfile::tempdir().unwrap();
    let locked = RunFolder::open(folder.path()).unwrap();
    let result: RunResult = serde_json::from_str(BEFORE).unwrap();
    fs::write(locked.config(), yaml::to_string(config).unwrap()).unwrap();
    fs::write(locked.metrics(), result.to_json()).unwrap();
    (folder, locked, result)
}

const OF_BEFORE: [(&str, &str); 3] = [
    ("training.nimg", "3200"),
    ("scoring.num_samples", "128"),
    ("d", "8"),
];

#[test]
fn every_flipped_bit_of_a_result_is_noticed_or_harmless() {
    let mut config = config(&OF_BEFORE);
    let metrics = ["energy_distance", "sliced_wasserstein", "denoising_error"];
    config.scoring.metrics = metrics.map(str::to_string).to_vec().try_into().unwrap();
    let (_folder, locked, want) = finished(&config);
    assert_eq!(
        read_result(&config, locked.path()).unwrap().as_ref(),
        Some(&want)
    );
    let whole = fs::read(locked.metrics()).unwrap();
    let (mut noticed, mut harmless) = (0, 0);
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(locked.metrics(), bytes).unwrap();
        match find_result(&config, locked.path()).unwrap() {
            FoundResult::Finished(got) => {
                assert_eq!(got, want, "with bit {bit} flipped");
                harmless += 1;
            }
            FoundResult::Damaged(why) => {
                assert_eq!(why.lines().count(), 1, "bit {bit}: got {why}");
                noticed += 1;
            }
            FoundResult::None | FoundResult::Shorter(_) => {
                panic!("bit {bit}: the run is not finished")
            }
        }
    }
    // What is harmless is the name of the checksum, which nothing else has.
    assert!(
        noticed > 2400 && harmless <= 8 * SEAL.len(),
        "got {noticed} noticed, {harmless} harmless"
    );
}

#[test]
fn a_run_may_become_longer_and_report_at_other_times() {
    let before = config(&OF_BEFORE);
    let (folder, locked, _) = finished(&before);
    let longer = [
        ("training.nimg", "6400"),
        ("training.log_every", "100"),
        ("training.state_every", "200"),
        ("training.grid_every", "0"),
    ];
    for change in longer {
        let config = config(&[&OF_BEFORE[..], &[change]].concat());
        check_config(&config, folder.path()).unwrap();
        let finished = read_result(&config, locked.path()).unwrap().is_some();
        assert_eq!(finished, change.0 != "training.nimg", "with {change:?}");
    }
    for change in [("training.nimg", "1600"), ("training.batch_size", "32")] {
        let config = config(&[&OF_BEFORE[..], &[change]].concat());
        let error = check_config(&config, folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains(change.0), "got {error}, want {change:?}");
        assert!(!error.contains("remove"), "got {error}");
    }
}
