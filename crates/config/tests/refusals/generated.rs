//! Configurations that are wrong, by the thousand: the shipped ones and others, each with something spoiled.

use std::fs;
use std::path::{Path, PathBuf};

use pfgmpp_config::yaml;
use serde_yaml::{Mapping, Value};

use crate::refusal;

/// Configurations to try.
const TRIALS: usize = 2000;

/// Sections that no shipped file has, or few, put into the digits' configuration.
const SECTIONS: [&str; 8] = [
    "evaluations: {sampler.schedule.edm.num_steps: [6, 4], weights.bits: [32, 3]}",
    "evaluations: [{sampler.d: [8, inf]}, {sampler.solver: [euler, heun]}]",
    "augment: {x_flip: true, geometric: 0.5}",
    "post_hoc_ema: {sigma_rel: [0.05, 0.1], snapshot_every: 2048, keep: 8}",
    "condition: {corrupted: {mask: 0.5}}",
    "data: {csv: {path: t.csv, columns: [a, b], label: c, standardise: {sigma_data: 0.5, by: quartiles}}}",
    "data: {npz: {path: a.npz, images: x, labels: y, range: [0.0, 1.0], layout: hwc}}",
    "data: {student_t: {nu: 3.0, columns: 2, num: 1000, correlation: 0.5}}",
];

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

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
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
        "[1, 2, 3, 4]",
        "{a: 1, b: 2}",
        "{a: null}",
        "[x, y, z]",
        "2024-01-01",
        "'a\nb'",
        "!tag 3",
        "{log_normal: 3}",
        "{edm: []}",
        "{zip: {path: a}, folder: {path: a}}",
        "[{}]",
        &long,
    ];
    texts
        .map(|text| serde_yaml::from_str(text).unwrap())
        .to_vec()
}

/// One or two letters of a key exchanged, doubled or left out.
fn misspelt(key: &str, random: &mut Random) -> String {
    let at = random.below(key.len());
    match random.below(4) {
        0 => format!("{key}s"),
        1 => key.to_uppercase(),
        2 => format!("{}{}", &key[..at], &key[at + 1..]),
        _ => format!("{}-{}", &key[..at], &key[at..]),
    }
}

/// Makes one thing wrong in a document, or unusual; gives the keys that an error may name.
fn spoil(document: &mut Value, random: &mut Random) -> Vec<String> {
    let mut all = Vec::new();
    paths(document, &[], &mut all);
    let path = random.of(&all).clone();
    let map = parent(document, &path);
    let key = path[path.len() - 1].as_str();
    let mut named = path.clone();
    match random.below(12) {
        0 => drop(map.remove(key)),
        1 | 2 => {
            let value = map.remove(key).unwrap();
            let misspelt = misspelt(key, random);
            map.insert(misspelt.as_str().into(), value);
            named.push(misspelt);
        }
        3 => {
            map.insert("colour".into(), "red".into());
            named.push("colour".to_string());
        }
        4 => {
            let value = map[key].clone();
            map.insert(key.into(), Value::Sequence(vec![value.clone(), value]));
        }
        _ => {
            map.insert(key.into(), random.of(&wrong_values()).clone());
        }
    }
    named
}

/// The text of a document in which a line that sets a key stands twice, and that key.
fn doubled(text: &str, random: &mut Random) -> (String, Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    let sets = |line: &&&str| !line.trim_start().starts_with('-') && !line.ends_with(':');
    let setting: Vec<&&str> = lines.iter().filter(sets).collect();
    let line = **random.of(&setting);
    let key = line.trim_start().split(':').next().unwrap_or_default();
    let text = text.replacen(&format!("{line}\n"), &format!("{line}\n{line}\n"), 1);
    (text, vec![key.to_string()])
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
        "invalid length",
        "unit value",
        "newtype",
        "tuple",
        "Mapping",
        "elements in",
        "Some(",
        "`null`",
    ];
    let accepted = [
        "must be",
        "must hold",
        "must stand",
        "must have",
        "accepted are",
        "needs it",
        "remove this section",
        "is needed by",
    ];
    // What a message without the value is about: a key that is not there, or not known, or there twice.
    let of_keys = [
        "no key",
        "is missing",
        "twice",
        "needs it",
        "remove this section",
        "is needed by",
        "is another run",
    ];
    let has = |words: &[&str]| words.iter().any(|words| message.contains(words));
    let Some(about) = message.strip_prefix(&format!("{}: ", file.display())) else {
        return Some("the file is not named");
    };
    if message.contains('\n') || message.chars().count() > 500 {
        return Some("it is not one line of readable length");
    }
    if rust.iter().any(|name| about.contains(name)) {
        return Some("it has a name of Rust");
    }
    if !has(&accepted) {
        return Some("what is accepted is not said");
    }
    if !has(&of_keys) && !has(&["got "]) {
        return Some("the value is not shown");
    }
    let named = keys.iter().any(|key| about.contains(key.as_str()));
    (!named).then_some("the key is not named")
}

/// The shipped configurations, and the digits' with each of [`SECTIONS`].
fn documents() -> Vec<Value> {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let files = fs::read_dir(&configs).unwrap();
    let mut files: Vec<PathBuf> = files.map(|f| f.unwrap().path()).collect();
    files.sort();
    let read = |path: &PathBuf| serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut all: Vec<Value> = files.iter().map(read).collect();
    for section in SECTIONS {
        let mut document = read(&configs.join("digits.yaml"));
        let section: Mapping = serde_yaml::from_str(section).unwrap();
        document.as_mapping_mut().unwrap().extend(section);
        all.push(document);
    }
    all
}

#[test]
fn every_refusal_is_one_line_with_file_key_value_and_what_is_accepted() {
    let documents = documents();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    for (at, document) in documents.iter().enumerate() {
        fs::write(&file, yaml::to_string(document).unwrap()).unwrap();
        assert_eq!(refusal(&file), None, "document {at}, nothing spoiled");
    }
    let mut random = Random(7);
    let mut refused = 0;
    let mut faults = Vec::new();
    for trial in 0..TRIALS {
        let mut document = random.of(&documents).clone();
        let (text, keys) = match random.below(20) {
            0 => doubled(&yaml::to_string(&document).unwrap(), &mut random),
            _ => {
                let keys = spoil(&mut document, &mut random);
                (yaml::to_string(&document).unwrap(), keys)
            }
        };
        fs::write(&file, text).unwrap();
        if let Some(message) = refusal(&file) {
            refused += 1;
            if let Some(fault) = fault(&message, &file, &keys) {
                faults.push(format!("{trial}: {}: {fault}: {message}", keys.join(".")));
            }
        }
    }
    println!("{refused} of {TRIALS} refused");
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
