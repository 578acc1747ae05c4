//! Values as YAML that every reader takes for the same.
//!
//! Readers of YAML 1.1, PyYAML among them, take `1e-8` for a text, `no` for false and `2024-01-01` for a date; a
//! number is written with a dot and a signed exponent, and a text stands in quotes unless it is a plain word.

use serde::Serialize;
use serde_yaml::with::singleton_map_recursive;
use serde_yaml::{Mapping, Value};

use super::phrase::cut;
use crate::error::ConfigError;

/// Words that some reader takes for something else than a text, in lower case.
const RESERVED: [&str; 10] = [
    "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan",
];

/// Writes `value` as YAML.
///
/// # Errors
///
/// A value that YAML cannot hold, which no configuration is.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, ConfigError> {
    let mut text = String::new();
    match with_infinity(tree(value)?) {
        Value::Mapping(map) if !map.is_empty() => entries(&map, 0, &mut text),
        Value::Sequence(list) if !list.is_empty() => items(&list, 0, &mut text),
        other => text = scalar(&other) + "\n",
    }
    Ok(text)
}

/// The tree with an infinite D as YAML's number in place of the word `inf`, which other readers take for a text.
fn with_infinity(value: Value) -> Value {
    let infinite = |value: Value| match value {
        Value::String(text) if text == "inf" => f64::INFINITY.into(),
        other => other,
    };
    // Not the lists of `evaluations` (`sampler.d`), which are kept as they were written: their values name the evaluations.
    let of_d = |key: &str| ["d", "d_list"].contains(&key);
    let entries = match value {
        Value::Mapping(map) => map.into_iter(),
        Value::Sequence(list) => return list.into_iter().map(with_infinity).collect(),
        other => return other,
    };
    let entries = entries.map(|(key, value)| {
        let value = match value {
            Value::Sequence(list) if key.as_str().is_some_and(of_d) => {
                list.into_iter().map(infinite).collect()
            }
            value @ Value::String(_) if key.as_str().is_some_and(of_d) => infinite(value),
            value => with_infinity(value),
        };
        (key, value)
    });
    Value::Mapping(entries.collect())
}

/// `value` as YAML on one line: `lr: 0.002, betas: [0.9, 0.999]`.
pub fn to_line<T: Serialize>(value: &T) -> String {
    match tree(value) {
        Ok(Value::Mapping(map)) => flow_entries(&map),
        Ok(value) => flow(&value),
        Err(error) => error.message,
    }
}

/// Every value of `value` that has no keys of its own, on one line, under its dotted key: `sampler.schedule.edm.num_steps`.
pub fn leaves<T: Serialize>(value: &T) -> Vec<(String, String)> {
    fn gather(above: &str, value: &Value, all: &mut Vec<(String, String)>) {
        match value {
            Value::Mapping(map) if !map.is_empty() => {
                for (key, value) in map {
                    let key = scalar(key);
                    let key = match above {
                        "" => key,
                        above => format!("{above}.{key}"),
                    };
                    gather(&key, value, all);
                }
            }
            other => all.push((above.to_string(), flow(other))),
        }
    }
    let mut all = Vec::new();
    if let Ok(tree) = tree(value) {
        gather("", &tree, &mut all);
    }
    all
}

/// `value` as YAML on one line, cut in the middle if it is long: what an error shows of a value.
pub fn shown<T: Serialize>(value: &T) -> String {
    cut(&to_line(value))
}

fn tree<T: Serialize>(value: &T) -> Result<Value, ConfigError> {
    singleton_map_recursive::serialize(value, serde_yaml::value::Serializer)
        .map_err(|e| ConfigError::new("configuration", e))
}

/// The lines of a mapping, the first at the place where `text` ends.
fn entries(map: &Mapping, indent: usize, text: &mut String) {
    for (number, (key, value)) in map.iter().enumerate() {
        if number > 0 {
            *text += &" ".repeat(indent);
        }
        *text += &scalar(key);
        match value {
            Value::Mapping(inner) if !inner.is_empty() => {
                *text += &format!(":\n{}", " ".repeat(indent + 2));
                entries(inner, indent + 2, text);
            }
            Value::Sequence(list) if !list.is_empty() => {
                *text += &format!(":\n{}", " ".repeat(indent));
                items(list, indent, text);
            }
            other => *text += &format!(": {}\n", scalar(other)),
        }
    }
}

/// The lines of a list, the first at the place where `text` ends.
fn items(list: &[Value], indent: usize, text: &mut String) {
    for (number, value) in list.iter().enumerate() {
        if number > 0 {
            *text += &" ".repeat(indent);
        }
        *text += "- ";
        match value {
            Value::Mapping(inner) if !inner.is_empty() => entries(inner, indent + 2, text),
            Value::Sequence(inner) if !inner.is_empty() => items(inner, indent + 2, text),
            other => *text += &format!("{}\n", scalar(other)),
        }
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Mapping(map) => format!("{{{}}}", flow_entries(map)),
        Value::Sequence(list) => {
            let items: Vec<String> = list.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        // A comma ends a word here.
        Value::String(text) if text.contains(',') => in_quotes(text),
        other => scalar(other),
    }
}

fn flow_entries(map: &Mapping) -> String {
    let entry = |(key, value): (&Value, &Value)| format!("{}: {}", scalar(key), flow(value));
    let entries: Vec<String> = map.iter().map(entry).collect();
    entries.join(", ")
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "null".to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => float_text(float),
            _ => number.to_string(),
        },
        Value::String(text) => quoted(text),
        Value::Sequence(_) => "[]".to_string(),
        Value::Mapping(_) => "{}".to_string(),
        Value::Tagged(tagged) => flow(&tagged.value),
    }
}

/// A number with a dot, and a sign in its exponent: `1.0e-8`.
pub(super) fn float_text(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_string();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_string();
    }
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let dot = if digits.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            format!("{digits}{dot}e{sign}{exponent}")
        }
    }
}

/// A text, in quotes unless every reader takes it for a text without them.
pub(super) fn quoted(text: &str) -> String {
    let begins_as_a_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || "/_".contains(c));
    let of_a_word = |c: char| c.is_ascii_alphanumeric() || "/_.-=+@,".contains(c);
    let reserved = RESERVED.contains(&text.to_ascii_lowercase().as_str());
    if begins_as_a_word && text.chars().all(of_a_word) && !reserved {
        return text.to_string();
    }
    in_quotes(text)
}

fn in_quotes(text: &str) -> String {
    if text.chars().any(char::is_control) {
        let escape = |c: char| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
            c => c.to_string(),
        };
        let escaped: String = text.chars().map(escape).collect();
        return format!("\"{escaped}\"");
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PyYAML's own pattern takes for a number: a dot, and a sign in the exponent.
    fn is_a_float_to_pyyaml(text: &str) -> bool {
        let text = text.trim_start_matches(['-', '+']);
        if [".inf", ".nan"].contains(&text) {
            return true;
        }
        let (digits, exponent) = text.split_once('e').unwrap_or((text, "+0"));
        let digit = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let whole = digits.split_once('.');
        let signed = exponent.strip_prefix(['-', '+']).is_some_and(digit);
        signed && whole.is_some_and(|(whole, rest)| digit(whole) && digit(rest))
    }

    #[test]
    fn an_infinite_d_is_a_number_to_every_reader() {
        let text = "{d: inf, data: {folder: inf}, training: {d_list: [8, inf]}, \
                    evaluations: {sampler.d: [8, inf]}, all: [{d: inf}]}";
        let got = to_string(&serde_yaml::from_str::<Value>(text).unwrap()).unwrap();
        let want = "d: .inf\ndata:\n  folder: inf\ntraining:\n  d_list:\n  - 8\n  - .inf\n\
                    evaluations:\n  sampler.d:\n  - 8\n  - inf\nall:\n- d: .inf\n";
        assert_eq!(got, want);
    }

    #[test]
    fn leaves_stand_under_their_dotted_keys_in_order() {
        let text = "{d: 8, data: {zip: {path: a.zip}}, scoring: {metrics: [nll, recall]}, evaluations: {}}";
        let got = leaves(&serde_yaml::from_str::<Value>(text).unwrap());
        let got: Vec<String> = got
            .iter()
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        let want = [
            "d = 8",
            "data.zip.path = a.zip",
            "scoring.metrics = [nll, recall]",
            "evaluations = {}",
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn every_reader_takes_a_number_for_a_number() {
        let values = [
            1e-8,
            1e16,
            -2.5e-300,
            0.002,
            80.0,
            0.0,
            1.0 / 3.0,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::INFINITY,
            -f64::INFINITY,
            f64::NAN,
        ];
        for value in values {
            let got = to_string(&value).unwrap();
            let got = got.trim();
            assert!(is_a_float_to_pyyaml(got), "got {got} for {value:e}");
            let again: f64 = serde_yaml::from_str(got).unwrap();
            assert_eq!(again.to_bits(), value.to_bits(), "got {got} for {value:e}");
        }
        assert!(
            !is_a_float_to_pyyaml("1e-8"),
            "the pattern finds what is not"
        );
    }

    #[test]
    fn every_reader_takes_a_text_for_the_same_text() {
        for text in [
            "digits",
            "no",
            "Off",
            "1e-8",
            "2024-01-01",
            "5:20",
            "1_000",
            "a: b",
            "it's",
            "# x",
            "",
            " x ",
            "~",
            "null",
            "a\nb\t\"q\" \\ \u{85}",
            "größe",
            "- a",
            "[a",
            "*a",
            "!a",
            "/data/a b.zip",
            ".5",
        ] {
            let got = to_string(&text).unwrap();
            let again: String = serde_yaml::from_str(&got).unwrap();
            assert_eq!(again, text, "written as {got}");
            let bare = got.trim() == text;
            let wrong_bare = bare && !["digits"].contains(&text);
            assert!(!wrong_bare, "{got} stands without quotes");
        }
    }

    #[test]
    fn nested_values_read_back_the_same() {
        let text = "a:\n  b: [[1, 2], [], {c: [x, {d: 1.5}], e: {}}]\n  f: {}\ng: null\n";
        let value: Value = serde_yaml::from_str(text).unwrap();
        let written = to_string(&value).unwrap();
        let again: Value = serde_yaml::from_str(&written).unwrap();
        assert_eq!(again, value, "written as {written}");
        let line = to_line(&value);
        let want = "a: {b: [[1, 2], [], {c: [x, {d: 1.5}], e: {}}], f: {}}, g: null";
        assert_eq!(line, want);
    }
}
