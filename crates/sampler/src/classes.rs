//! Which classes the samples of a model with classes are of.

use std::fmt;
use std::str::FromStr;

use pfgmpp_kernel::{SampleRng, Stream};
use pfgmpp_transfer::ParameterError;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is accepted where classes are asked for.
const ACCEPTED: &str = "uniform, data, or classes such as 3, 0-9 or 0,3,5";
/// The largest class that a list may name: no network has more.
const MAX_CLASS: usize = (1 << 16) - 1;
/// The most entries of a list.
const MAX_ENTRIES: usize = 1 << 20;

/// The classes that samples are drawn of.
///
/// The class of a sample is a function of its seed and its place among the samples, whatever the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Classes {
    /// All classes alike, at random by the sample's seed.
    Uniform,
    /// As often as in the training data, at random by the sample's seed.
    Data,
    /// These in turn: sample `i` is of class `list[i % len]`.
    List(Vec<usize>),
}

impl Classes {
    /// Checks the choice for a model of `label_dim` classes, of which the training data hold `counts` images each;
    /// empty where that is not known.
    ///
    /// # Errors
    ///
    /// An empty list, a class that the model does not have, `data` without counts.
    pub fn check(&self, label_dim: usize, counts: &[usize]) -> Result<(), ParameterError> {
        let refuse = |value: String, accepted| Err(ParameterError::new("classes", value, accepted));
        match self {
            Self::Uniform => Ok(()),
            Self::Data if counts.len() == label_dim && counts.iter().any(|&count| count > 0) => {
                Ok(())
            }
            Self::Data => refuse(
                self.to_string(),
                "uniform or a list where the data do not have the classes of the model".to_string(),
            ),
            Self::List(list) => match list.iter().find(|&&class| class >= label_dim) {
                None if list.is_empty() => refuse("[]".to_string(), ACCEPTED.to_string()),
                None => Ok(()),
                Some(class) => {
                    let last = label_dim.saturating_sub(1);
                    let accepted =
                        format!("from 0 to {last}: the model has {label_dim} classes (label_dim)");
                    refuse(class.to_string(), accepted)
                }
            },
        }
    }

    /// The class of the sample of `seed` that is number `index` among the samples; the other arguments are as in
    /// [`Self::check`], which must have passed.
    #[must_use]
    pub fn of_sample(&self, seed: u64, index: u64, label_dim: usize, counts: &[usize]) -> usize {
        let below = |end: u64| SampleRng::new(seed, Stream::Class, 0).below(end);
        match self {
            Self::List(list) => list[(index % list.len() as u64) as usize],
            Self::Uniform => below(label_dim as u64) as usize,
            Self::Data => {
                let total = counts.iter().map(|&count| count as u64).sum();
                let mut left = below(total);
                let found = counts.iter().position(|&count| {
                    let inside = left < count as u64;
                    left = left.saturating_sub(count as u64);
                    inside
                });
                found.unwrap_or(0)
            }
        }
    }
}

impl FromStr for Classes {
    type Err = ParameterError;

    /// Reads `uniform`, `data`, or classes and ranges of them separated by commas: `3`, `0-9`, `0,3,5`, `0-2,7`.
    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let refuse = || {
            let shown: String = text.chars().take(40).collect();
            ParameterError::new("classes", shown, ACCEPTED)
        };
        match text.trim() {
            "uniform" => return Ok(Self::Uniform),
            "data" => return Ok(Self::Data),
            _ => {}
        }
        let number = |text: &str| {
            let value: Option<usize> = text.trim().parse().ok();
            value.filter(|&class| class <= MAX_CLASS).ok_or_else(refuse)
        };
        let mut list = Vec::new();
        for part in text.split(',') {
            match part.split_once('-') {
                None => list.push(number(part)?),
                Some((first, last)) => {
                    let (first, last) = (number(first)?, number(last)?);
                    if first > last {
                        return Err(refuse());
                    }
                    list.extend(first..=last);
                }
            }
            if list.len() > MAX_ENTRIES {
                return Err(refuse());
            }
        }
        Ok(Self::List(list))
    }
}

impl fmt::Display for Classes {
    /// As it is read: a run of classes as a range.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = match self {
            Self::Uniform => return f.write_str("uniform"),
            Self::Data => return f.write_str("data"),
            Self::List(list) => list,
        };
        for (part, run) in list.chunk_by(|a, b| a + 1 == *b).enumerate() {
            let comma = if part == 0 { "" } else { "," };
            match run {
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [only] => write!(f, "{comma}{only}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

impl Serialize for Classes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Uniform | Self::Data => serializer.collect_str(self),
            Self::List(list) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Classes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Reads a word, a text of classes, one class, or a list of them.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Classes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ACCEPTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Classes, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, class: u64) -> Result<Classes, E> {
        class.to_string().parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Classes, A::Error> {
        let mut list = Vec::new();
        while let Some(class) = entries.next_element()? {
            if class > MAX_CLASS || list.len() == MAX_ENTRIES {
                let accepted = format!("whole numbers from 0 to {MAX_CLASS}");
                return Err(A::Error::custom(ParameterError::new(
                    "classes", class, accepted,
                )));
            }
            list.push(class);
        }
        Ok(Classes::List(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<usize> {
        match text.parse() {
            Ok(Classes::List(list)) => list,
            other => panic!("{text}: got {other:?}, want a list"),
        }
    }

    #[test]
    fn classes_are_read_one_by_one_and_as_ranges() {
        assert_eq!(list("3"), [3]);
        assert_eq!(list("0-9"), (0..10).collect::<Vec<_>>());
        assert_eq!(list("0,3,5"), [0, 3, 5]);
        assert_eq!(list("7, 0-2"), [7, 0, 1, 2]);
        assert_eq!("uniform".parse(), Ok(Classes::Uniform));
        assert_eq!("data".parse(), Ok(Classes::Data));
        for text in [
            "", "-1", "3-", "9-0", "a", "1,,2", "1.5", "65536", "0-99999",
        ] {
            let got = text.parse::<Classes>().expect_err(text).to_string();
            assert!(got.contains(ACCEPTED), "{text}: got {got}");
        }
    }

    #[test]
    fn classes_are_written_as_they_are_read() {
        for text in ["uniform", "data", "3", "0-9", "0,3,5", "7,0-2"] {
            let read: Classes = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn a_list_is_taken_in_turn_and_what_the_model_does_not_have_is_refused() {
        let classes = Classes::List(vec![0, 3, 5]);
        let got: Vec<usize> = (0..7)
            .map(|i| classes.of_sample(99 + i, i, 6, &[]))
            .collect();
        assert_eq!(got, [0, 3, 5, 0, 3, 5, 0]);
        assert!(classes.check(6, &[]).is_ok());
        let got = classes.check(5, &[]).unwrap_err().to_string();
        let want = "classes must be from 0 to 4: the model has 5 classes (label_dim), got 5";
        assert_eq!(got, want);
        assert!(Classes::List(Vec::new()).check(5, &[]).is_err());
        assert!(Classes::Data.check(3, &[1, 1]).is_err());
    }

    #[test]
    fn random_classes_follow_their_shares_and_the_seed_alone() {
        let counts = [10, 0, 30];
        for (classes, want) in [
            (Classes::Uniform, [1.0 / 3.0; 3]),
            (Classes::Data, [0.25, 0.0, 0.75]),
        ] {
            let class = |seed| classes.of_sample(seed, seed ^ 5, 3, &counts);
            assert_eq!(class(7), classes.of_sample(7, 0, 3, &counts));
            let mut got = [0.0; 3];
            (0..6000).for_each(|seed| got[class(seed)] += 1.0 / 6000.0);
            for (got, want) in got.iter().zip(want) {
                // Four standard deviations of a share of 6,000.
                let bound = 4.0 * (want * (1.0 - want) / 6000.0_f64).sqrt();
                assert!(
                    (got - want).abs() <= bound,
                    "{classes}: got {got}, want {want}"
                );
            }
        }
    }
}
