//! Counts of images as people write them.

/// Reads a count: an integer, a float without fraction (`1e6`) or digits with `_` (`200_000`).
///
/// # Errors
///
/// Anything else, negative numbers included.
pub fn count<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct Visitor;
    impl serde::de::Visitor<'_> for Visitor {
        type Value = u64;

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("a whole number, such as 200000, 200_000 or 2e5")
        }

        fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<u64, E> {
            Ok(v)
        }

        fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<u64, E> {
            if v >= 0.0 && v.fract() == 0.0 && v < 2f64.powi(53) {
                return Ok(v as u64);
            }
            Err(E::invalid_value(serde::de::Unexpected::Float(v), &self))
        }

        fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<u64, E> {
            let digits = v.replace('_', "");
            let starts_with_digit = v.starts_with(|c: char| c.is_ascii_digit());
            match digits.parse() {
                Ok(count) if starts_with_digit => Ok(count),
                _ => match digits.parse::<f64>() {
                    Ok(float) if starts_with_digit => self.visit_f64(float),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(v), &self)),
                },
            }
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// Reads a number of images that need not be whole: a number, or digits with `_` (`200_000`).
///
/// # Errors
///
/// Anything else.
pub(crate) fn amount<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    struct Visitor;
    impl serde::de::Visitor<'_> for Visitor {
        type Value = f64;

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("a number, such as 200000, 200_000 or 2e5")
        }

        fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<f64, E> {
            Ok(v as f64)
        }

        fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<f64, E> {
            Ok(v as f64)
        }

        fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<f64, E> {
            Ok(v)
        }

        fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<f64, E> {
            let starts_with_digit = v.starts_with(|c: char| c.is_ascii_digit());
            match v.replace('_', "").parse() {
                Ok(number) if starts_with_digit => Ok(number),
                _ => Err(E::invalid_value(serde::de::Unexpected::Str(v), &self)),
            }
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// Reads a count that may be left out or `null`.
pub(crate) fn some_count<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Count(#[serde(deserialize_with = "count")] u64);
    let count: Option<Count> = serde::Deserialize::deserialize(deserializer)?;
    Ok(count.map(|Count(count)| count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Both {
        #[serde(deserialize_with = "count")]
        count: u64,
        #[serde(deserialize_with = "amount")]
        amount: f64,
    }

    #[test]
    fn images_are_counted_with_or_without_underscores() {
        for text in ["200000", "2e5", "200000.0", "\"200_000\""] {
            let json = format!("{{\"count\": {text}, \"amount\": {text}}}");
            let got: Both = serde_json::from_str(&json).unwrap();
            assert_eq!((got.count, got.amount), (200_000, 2e5), "{text}");
        }
        for text in ["\"_1\"", "\"1_000 images\"", "true", "\"\"", "[1]"] {
            let json = format!("{{\"count\": 1, \"amount\": {text}}}");
            assert!(serde_json::from_str::<Both>(&json).is_err(), "{text}");
        }
    }
}
