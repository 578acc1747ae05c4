//! The number D of extra coordinates: any positive real number, or infinity.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// The number of extra coordinates D: 1 is PFGM, infinity is diffusion.
///
/// Read from `128`, `0.5` or `inf`. Finite dimensions order before [`Dimension::Infinite`].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Dimension {
    /// A positive, finite D; it need not be an integer. Prefer [`Dimension::new`], which checks it.
    Finite(f64),
    /// The diffusion limit: the kernel is Gaussian.
    Infinite,
}

/// A value of D that is not a positive number or `inf`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("d must be a positive number or inf, got {got}")]
pub struct DimensionError {
    /// The refused value as it was given.
    pub got: String,
}

impl Dimension {
    /// Checks `d` and takes `f64::INFINITY` as [`Dimension::Infinite`].
    ///
    /// # Errors
    ///
    /// [`DimensionError`] for zero, negative numbers and NaN.
    pub fn new(d: f64) -> Result<Self, DimensionError> {
        if d == f64::INFINITY {
            Ok(Self::Infinite)
        } else if d > 0.0 {
            Ok(Self::Finite(d))
        } else {
            Err(DimensionError { got: d.to_string() })
        }
    }

    /// D as a number, `f64::INFINITY` in the diffusion limit.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::Finite(d) => d,
            Self::Infinite => f64::INFINITY,
        }
    }

    /// Whether this is the diffusion limit.
    #[must_use]
    pub fn is_infinite(self) -> bool {
        self == Self::Infinite
    }
}

impl fmt::Display for Dimension {
    /// Writes the shortest text that reads back as the same D: `128`, `0.5`, `1e30`, `inf`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Infinite => f.pad("inf"),
            Self::Finite(d) if (1e-5..1e16).contains(&d) => f.pad(&d.to_string()),
            Self::Finite(d) => f.pad(&format!("{d:e}")),
        }
    }
}

impl FromStr for Dimension {
    type Err = DimensionError;

    fn from_str(text: &str) -> Result<Self, DimensionError> {
        let refused = || DimensionError {
            got: text.to_owned(),
        };
        let trimmed = text.trim();
        // `.inf` is YAML's spelling; f64 itself reads `inf` and `infinity` in any case.
        let number = match trimmed.strip_prefix('.') {
            Some(rest) if rest.eq_ignore_ascii_case("inf") => rest,
            _ => trimmed,
        };
        let d: f64 = number.parse().map_err(|_| refused())?;
        // A number too large for f64 does not mean infinity.
        if d.is_infinite() && trimmed.contains(|c: char| c.is_ascii_digit()) {
            return Err(refused());
        }
        Self::new(d).map_err(|_| refused())
    }
}

impl TryFrom<f64> for Dimension {
    type Error = DimensionError;

    fn try_from(d: f64) -> Result<Self, DimensionError> {
        Self::new(d)
    }
}

impl Serialize for Dimension {
    /// Writes an integral D as an integer, other finite D as a float, infinity as the string `inf`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Every integer up to here is exact in f64.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match *self {
            Self::Infinite => serializer.serialize_str("inf"),
            Self::Finite(d) if d.fract() == 0.0 && d <= EXACT => serializer.serialize_u64(d as u64),
            Self::Finite(d) => serializer.serialize_f64(d),
        }
    }
}

impl<'de> Deserialize<'de> for Dimension {
    /// Reads a number (YAML's `.inf` included) or a string such as `inf`.
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        deserializer.deserialize_any(DimensionVisitor)
    }
}

struct DimensionVisitor;

impl Visitor<'_> for DimensionVisitor {
    type Value = Dimension;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a positive number or inf")
    }

    fn visit_f64<E: serde::de::Error>(self, d: f64) -> Result<Dimension, E> {
        Dimension::new(d).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, d: u64) -> Result<Dimension, E> {
        self.visit_f64(d as f64)
    }

    fn visit_i64<E: serde::de::Error>(self, d: i64) -> Result<Dimension, E> {
        self.visit_f64(d as f64)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Dimension, E> {
        text.parse().map_err(E::custom)
    }
}
