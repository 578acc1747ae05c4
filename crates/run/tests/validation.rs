//! The error on held-out data while training, and the best weights beside the last.

use std::path::Path;

use candle_core::Device;
use pfgmpp_config::{Document, RunConfig, yaml};
use pfgmpp_hub::Hub;
use pfgmpp_run::{
    Lookup, Observer, Outcome, Progress, ResolvedRun, RunFolder, StopFlag, read_log, run,
};

/// The digits' training, small, measured every 64 images.
fn config(sets: &[&str]) -> RunConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replacen("training:", "training:\n  score_every: 64\n  #", 1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.yaml");
    std::fs::write(&path, text).unwrap();
    let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
    let small = [
        "network.ddpmpp.model_channels=8",
        "training.nimg=320",
        "training.batch_size=32",
        "training.log_every=128",
        "training.state_every=64",
        "training.grid_every=0",
        "optimizer.lr_ramp_up=64",
        "scoring.num_samples=8",
        "scoring.num_projections=4",
        "sampler.schedule.edm.num_steps=3",
    ];
    for text in small.iter().chain(sets) {
        let (key, value) = yaml::parse_assignment(text).unwrap();
        document.set::<RunConfig>(&key, value, text).unwrap();
    }
    RunConfig::read(&document, &[]).unwrap()
}

/// Asks to stop once `nimg` images were seen.
struct StopAt<'a>(u64, &'a StopFlag);

impl Observer for StopAt<'_> {
    fn progress(&mut self, progress: &Progress) {
        if progress.done >= self.0 {
            self.1.raise();
        }
    }

    fn note(&mut self, _: &str) {}
}

fn run_until(config: &RunConfig, folder: &Path, nimg: u64) -> Outcome {
    let splits = config.data.load().unwrap();
    let folder = RunFolder::open(folder).unwrap();
    let stop = StopFlag::default();
    let mut observer = StopAt(nimg, &stop);
    let resolved =
        ResolvedRun::resolve(config.clone(), None, &Lookup::new(&Hub::from_env(), &[])).unwrap();
    run(
        &resolved,
        &splits,
        &folder,
        &Device::Cpu,
        &mut observer,
        &stop,
    )
    .unwrap()
}

/// Images seen and error of each measurement in the log.
fn measured(folder: &Path) -> Vec<(u64, f64)> {
    let log = read_log(&folder.join("log.jsonl")).unwrap();
    let lines = log.iter();
    lines
        .filter_map(|line| Some((line.nimg, line.denoising_error?)))
        .collect()
}

fn best(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("best/model.safetensors")).unwrap()
}

/// Images seen by the best weights, as their checkpoint says.
fn best_nimg(folder: &Path) -> u64 {
    let text = std::fs::read_to_string(folder.join("best/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["training"]["nimg"].as_u64().unwrap()
}

#[test]
fn the_best_weights_are_those_of_the_lowest_error_stopped_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = config(&[]);
    assert!(matches!(
        run_until(&config, &at("alone"), u64::MAX),
        Outcome::Finished(_)
    ));
    let alone = measured(&at("alone"));
    let seen: Vec<u64> = alone.iter().map(|(nimg, _)| *nimg).collect();
    assert_eq!(seen, [64, 128, 192, 256, 320]);
    let lowest = alone.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(best_nimg(&at("alone")), lowest.0, "{alone:?}");

    for stop in [64, 160] {
        let cut = at(&format!("cut{stop}"));
        let outcome = run_until(&config, &cut, stop);
        assert!(matches!(outcome, Outcome::Interrupted { .. }), "at {stop}");
        assert!(matches!(
            run_until(&config, &cut, u64::MAX),
            Outcome::Finished(_)
        ));
        assert_eq!(measured(&cut), alone, "stopped at {stop}");
        assert!(
            best(&cut) == best(&at("alone")),
            "stopped at {stop}: other weights"
        );
    }
}

#[test]
fn the_last_measurement_is_the_score_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[]);
    let Outcome::Finished(result) = run_until(&config, folder.path(), u64::MAX) else {
        panic!("it ends");
    };
    let score = result
        .scores
        .iter()
        .find(|score| score.name == "denoising_error");
    let (got, want) = (
        measured(folder.path()).pop().unwrap().1,
        score.unwrap().estimate.value,
    );
    // The sampled model may read levels by its own error, which is not measured on the way; at the D of training
    // it does not.
    assert!((got / want - 1.0).abs() < 1e-9, "got {got}, want {want}");
}
