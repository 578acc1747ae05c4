//! A number that may stand as `measured` in a configuration: not a number until it was.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

const MEASURED: &str = "measured";

pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match value.is_nan() {
        true => serializer.serialize_str(MEASURED),
        false => serializer.serialize_f64(*value),
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_any(NumberOrMeasured)
}

struct NumberOrMeasured;

impl Visitor<'_> for NumberOrMeasured {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or measured")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        match text {
            MEASURED => Ok(f64::NAN),
            other => Err(E::invalid_type(serde::de::Unexpected::Str(other), &self)),
        }
    }
}
