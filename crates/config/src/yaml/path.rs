//! Values by the keys that lead to them.

use serde_yaml::{Mapping, Value};

use super::phrase::cut;

/// `network.ddpmpp.channel_mult[1]`
pub(super) fn dotted(path: &[String]) -> String {
    let mut text = String::new();
    for key in path {
        let index = !text.is_empty() && key.bytes().all(|b| b.is_ascii_digit());
        match (index, text.is_empty()) {
            (true, _) => text += &format!("[{key}]"),
            (false, true) => text += &cut(key),
            (false, false) => text += &format!(".{}", cut(key)),
        }
    }
    text
}

/// The value at `path`.
pub(super) fn at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Mapping(map) => map.get(key.as_str()),
        Value::Sequence(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Puts `new` at `path`, whose last key may be new; whether there is such a place.
pub(super) fn put(value: &mut Value, path: &[String], new: Value) -> bool {
    let Some((last, parents)) = path.split_last() else {
        *value = new;
        return true;
    };
    if value.is_null() {
        // An empty document lacks every key.
        *value = Value::Mapping(Mapping::new());
    }
    let mut node = value;
    for key in parents {
        let inner = match node {
            Value::Mapping(map) => map.get_mut(key.as_str()),
            Value::Sequence(list) => key.parse::<usize>().ok().and_then(|at| list.get_mut(at)),
            _ => None,
        };
        let Some(inner) = inner else { return false };
        node = inner;
    }
    match node {
        Value::Mapping(map) => {
            map.insert(last.as_str().into(), new);
            true
        }
        Value::Sequence(list) => match last.parse::<usize>().ok().and_then(|at| list.get_mut(at)) {
            Some(place) => {
                *place = new;
                true
            }
            None => false,
        },
        _ => false,
    }
}
