//! Whatever is wrong with a configuration is said on one line, with file, key and what is accepted, in the words of
//! whoever wrote it.

use std::path::Path;

use pfgmpp_config::{Document, RunConfig, yaml};

mod generated;

fn refusal(path: &Path) -> Option<String> {
    let read = Document::read::<RunConfig>(path).and_then(|(d, _)| RunConfig::read(&d, &[]));
    read.err().map(|error| error.to_string())
}

#[test]
fn a_file_of_another_kind_is_called_what_it_is() {
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let got = refusal(&experiments.join("d_sweep.yaml")).unwrap();
    assert!(
        got.ends_with("d_sweep.yaml: is a sweep file, not the configuration of one run"),
        "got {got}"
    );
}

#[test]
fn every_number_of_a_written_configuration_has_a_dot() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
    let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
    for (key, value) in [
        ("optimizer.eps", "1e-8"),
        ("optimizer.lr", "1e-5"),
        ("sampler.schedule.edm.sigma_max", "1e5"),
    ] {
        document
            .set::<RunConfig>(key, serde_yaml::from_str(value).unwrap(), "test")
            .unwrap();
    }
    let config = RunConfig::read(&document, &[]).unwrap();
    let text = yaml::to_string(&config).unwrap();
    let mut floats = 0;
    for line in text.lines() {
        let value = line.rsplit([' ']).next().unwrap();
        let is_float =
            value.parse::<f64>().is_ok_and(|v| v.is_finite()) && value.parse::<i64>().is_err();
        if is_float {
            floats += 1;
            assert!(value.contains('.'), "got `{line}`");
        }
    }
    assert!(floats > 10, "got {floats} numbers in {text}");
    assert!(text.contains("eps: 1.0e-8\n"), "got {text}");
}

#[test]
fn a_key_that_a_file_may_leave_out_can_be_set_and_an_unknown_one_cannot() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
    let set = |text: &str| {
        let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
        let (key, value) = yaml::parse_assignment(text).unwrap();
        document.set::<RunConfig>(&key, value, text)?;
        RunConfig::read(&document, &[(key, text.to_string())])
    };
    let config = set("training.micro_batch=16").unwrap();
    assert_eq!(config.trained().unwrap().training.micro_batch, Some(16));
    let config = set("augment={x_flip: true}").unwrap();
    assert!(config.trained().unwrap().augment.unwrap().x_flip);
    for (text, want) in [
        ("training.micro_batches=16", "no key `micro_batches`"),
        ("trainings.micro_batch=16", "no key `trainings`"),
        (
            "training.micro_batch=0",
            "training.micro_batch must be from 1 to 64, got 0",
        ),
        ("training.micro_batch=few", "training.micro_batch"),
    ] {
        let got = set(text).unwrap_err().to_string();
        assert!(got.contains(want), "{text}: got {got}, want {want}");
    }
}

#[test]
fn two_choices_where_one_is_made_are_both_named() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/digits.yaml");
    for (key, value, want) in [
        (
            "network.adm.model_channels",
            "16",
            "several keys (ddpmpp, adm): keep one",
        ),
        (
            "sampler.schedule.levels",
            "[80, 1, 0]",
            "several keys (edm, levels): keep one",
        ),
    ] {
        let (mut document, _) = Document::read::<RunConfig>(&path).unwrap();
        let value = serde_yaml::from_str(value).unwrap();
        let set = document.set::<RunConfig>(key, value, "--set");
        let error = set.and_then(|()| RunConfig::read(&document, &[]).map(|_| ()));
        let got = error.unwrap_err().to_string();
        assert!(got.contains(want), "{key}: got {got}, want {want}");
    }
}
