//! The seeds of samples, as a flag lists them.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The most samples of one call.
pub const MOST: u64 = 10_000_000;

/// Seeds in rising order: `0-63,100`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(Vec<RangeInclusive<u64>>);

impl Seeds {
    /// `num` seeds from `first` on.
    ///
    /// # Errors
    ///
    /// No room for so many.
    pub fn following(first: u64, num: u64) -> Result<Self, String> {
        let last = first.checked_add(num - 1);
        let last = last.ok_or_else(|| format!("{first} leaves no room for {num} seeds"))?;
        Ok(Self(vec![first..=last]))
    }

    /// How many there are.
    pub fn num(&self) -> u64 {
        self.0
            .iter()
            .map(|range| range.end() - range.start() + 1)
            .sum()
    }

    /// All of them.
    pub fn list(&self) -> Vec<u64> {
        self.0.iter().cloned().flatten().collect()
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
        let mut num = 0u64;
        for part in text.split(',') {
            let range = range(part.trim())?;
            if let Some(before) = ranges.last()
                && range.start() <= before.end()
            {
                return Err(format!(
                    "must rise without repetition: {} does not come after {}",
                    range.start(),
                    before.end()
                ));
            }
            num = num.saturating_add((range.end() - range.start()).saturating_add(1));
            ranges.push(range);
        }
        match num {
            ..=MOST => Ok(Self(ranges)),
            _ => Err(format!("must be {MOST} seeds at most, got {num}")),
        }
    }
}

fn range(part: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str| {
        let text = text.trim();
        text.parse::<u64>()
            .map_err(|_| format!("must be seeds such as 0-63,100, got {part:?}"))
    };
    let (first, last) = match part.split_once('-') {
        None => (number(part)?, number(part)?),
        Some((first, last)) => (number(first)?, number(last)?),
    };
    match first <= last {
        true => Ok(first..=last),
        false => Err(format!("must rise: {part} runs backwards")),
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let (first, last) = (range.start(), range.end());
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Seeds;

    #[test]
    fn lists_are_read_and_shown_alike() {
        for (text, want, shown) in [
            ("0-3,100", vec![0, 1, 2, 3, 100], "0-3,100"),
            ("7", vec![7], "7"),
            (" 1 - 2 , 5-5", vec![1, 2, 5], "1-2,5"),
            (
                "18446744073709551615",
                vec![u64::MAX],
                "18446744073709551615",
            ),
        ] {
            let seeds: Seeds = text.parse().unwrap();
            assert_eq!(seeds.list(), want);
            assert_eq!(seeds.num(), want.len() as u64);
            assert_eq!(seeds.to_string(), shown);
        }
    }

    #[test]
    fn lists_that_overlap_or_run_backwards_are_refused() {
        for (text, want) in [
            (
                "0-5,5",
                "must rise without repetition: 5 does not come after 5",
            ),
            (
                "9,0-5",
                "must rise without repetition: 0 does not come after 9",
            ),
            ("5-3", "must rise: 5-3 runs backwards"),
            ("", "must be seeds such as 0-63,100, got \"\""),
            ("1,,2", "must be seeds such as 0-63,100, got \"\""),
            ("-3", "must be seeds such as 0-63,100, got \"-3\""),
            ("0-20000000", "must be 10000000 seeds at most, got 20000001"),
            (
                "0-18446744073709551615",
                "must be 10000000 seeds at most, got 18446744073709551615",
            ),
        ] {
            assert_eq!(text.parse::<Seeds>().unwrap_err(), want, "{text}");
        }
    }
}
