//! Whatever is wrong with a configuration is said on one line, with file, key and what is accepted, in the words of
//! whoever wrote it.

use std::fs;
use std::path::Path;

use pfgmpp_config::{Document, RunConfig, yaml};
use serde_yaml::{Mapping, Value};

/// Configurations to try.
const TRIALS: u64 = 300;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// The keys that lead to each value of a document.
fn paths(value: &Value, above: &[String], all: &mut Vec<Vec<String>>) {
    if let Value::Mapping(map) = value {
        for (key, value) in map {
            let path = [above, &[key.as_str().unwrap().to_string()]].concat();
            all.push(path.clone());
            paths(value, &path, all);
        }
    }
}

fn parent<'v>(value: &'v mut Value, path: &[String]) -> &'v mut Mapping {
    let parents = &path[..path.len() - 1];
    let step = |value: &'v mut Value, key: &String| value.get_mut(key.as_str()).unwrap();
    parents.iter().fold(value, step).as_mapping_mut().unwrap()
}

fn wrong_values() -> Vec<Value> {
    let long = format!("\"{}\"", "long".repeat(100));
    let texts = [
        "x",
        "-1",
        "0",
        "1e300",
        ".nan",
        ".inf",
        "-.inf",
        "[]",
        "{}",
        "null",
        "true",
        "'1,5'",
        "1.5",
        "''",
        "18446744073709551615",
        "[1, [2]]",
        "{a: 1, b: 2}",
        "{a: null}",
        "[x, y, z]",
        "2024-01-01",
        "'a\nb'",
        "!tag 3",
        "{log_normal: 3}",
        "{edm: []}",
        "[{}]",
        &long,
    ];
    texts
        .map(|text| serde_yaml::from_str(text).unwrap())
        .to_vec()
}

/// Makes one thing wrong in a document, or unusual; gives the keys that an error may name.
fn spoil(document: &mut Value, random: &mut Random) -> Vec<String> {
    let mut all = Vec::new();
    paths(document, &[], &mut all);
    let path = all.swap_remove(random.below(all.len()));
    let map = parent(document, &path);
    let key = path[path.len() - 1].as_str();
    let mut named = path.clone();
    match random.below(10) {
        0 => drop(map.remove(key)),
        1 => {
            let value = map.remove(key).unwrap();
            let misspelt = format!("{key}s");
            map.insert(misspelt.as_str().into(), value);
            named.push(misspelt);
        }
        2 => {
            map.insert("colour".into(), "red".into());
            named.push("colour".to_string());
        }
        _ => {
            let values = wrong_values();
            map.insert(key.into(), values[random.below(values.len())].clone());
        }
    }
    named
}

fn refusal(path: &Path) -> Option<String> {
    let read = Document::read::<RunConfig>(path).and_then(|(d, _)| RunConfig::read(&d, &[]));
    read.err().map(|error| error.to_string())
}

/// What is wrong with a message about `keys`, if anything.
fn fault(message: &str, file: &Path, keys: &[String]) -> Option<&'static str> {
    let rust = [
        "struct",
        "enum ",
        "variant",
        "expected",
        "::",
        "f64",
        "u64",
        "usize",
        "i64",
        "invalid type",
        "invalid value",
        "unit value",
        "newtype",
        "tuple",
        "Mapping",
        "Some(",
        "`null`",
    ];
    let accepted = [
        "must be",
        "must hold",
        "accepted are",
        "needs it",
        "remove this section",
        "is needed by",
    ];
    let about = message.strip_prefix(&format!("{}: ", file.display()));
    let Some(about) = about else {
        return Some("the file is not named");
    };
    if message.contains('\n') || message.chars().count() > 500 {
        return Some("it is not one line of readable length");
    }
    if rust.iter().any(|name| about.contains(name)) {
        return Some("it has a name of Rust");
    }
    if !accepted.iter().any(|words| about.contains(words)) {
        return Some("what is accepted is not said");
    }
    let named = keys.iter().any(|key| about.contains(key.as_str()));
    (!named).then_some("the key is not named")
}

#[test]
fn every_refusal_is_one_line_with_file_key_and_what_is_accepted() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut files: Vec<_> = fs::read_dir(configs)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    let mut random = Random(7);
    let mut refused = 0;
    let mut faults = Vec::new();
    for trial in 0..TRIALS {
        let text = fs::read_to_string(&files[random.below(files.len())]).unwrap();
        let mut document: Value = serde_yaml::from_str(&text).unwrap();
        let keys = spoil(&mut document, &mut random);
        fs::write(&file, yaml::to_string(&document).unwrap()).unwrap();
        if let Some(message) = refusal(&file) {
            refused += 1;
            if let Some(fault) = fault(&message, &file, &keys) {
                faults.push(format!("{trial}: {}: {fault}: {message}", keys.join(".")));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {refused}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(
        refused >= TRIALS * 2 / 3,
        "got {refused} refusals of {TRIALS}"
    );
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
