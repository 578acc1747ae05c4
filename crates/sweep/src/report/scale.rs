//! A value axis: linear or logarithmic, chosen so that differences show.

use super::number;

/// Values spread over more than this factor are read better on a logarithmic axis.
const LOGARITHMIC_FROM: f64 = 10.0;

/// The part of the axis left free at either end.
const MARGIN: f64 = 0.08;

/// Where values stand on an axis, and its ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    logarithmic: bool,
    /// The axis' ends, as logarithms to base 10 on a logarithmic axis.
    low: f64,
    high: f64,
}

/// A labelled place on an axis, 0 at its beginning and 1 at its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

impl Scale {
    /// A scale that shows all finite `values`, logarithmic if they are positive and span more than
    /// a factor of ten.
    ///
    /// Of the `references` it shows those that leave the values room: at most twice the values' own
    /// span away.
    pub fn choose(values: &[f64], references: &[f64]) -> Option<Self> {
        let scale = Self::from_to(values)?;
        let single = scale.low == scale.high;
        let span = if single {
            2.5 * scale.low.abs()
        } else {
            scale.high - scale.low
        };
        let reach = scale.low - 2.0 * span..=scale.high + 2.0 * span;
        let near = references
            .iter()
            .map(|&value| scale.onto(value))
            .filter(|value| reach.contains(value));
        let (low, high) = extent(near.chain([scale.low, scale.high]))?;
        let margin = (high - low) * MARGIN;
        // No room below 0 for values that have none there.
        let floor = if !scale.logarithmic && low >= 0.0 {
            0.0
        } else {
            f64::NEG_INFINITY
        };
        Some(
            Self {
                low: (low - margin).max(floor),
                high: high + margin,
                ..scale
            }
            .with_width(),
        )
    }

    /// A scale from the lowest to the highest of the finite `values` with no margin.
    pub fn tight(values: &[f64]) -> Option<Self> {
        Some(Self::from_to(values)?.with_width())
    }

    /// From the lowest to the highest value: no width yet, if they are one.
    fn from_to(values: &[f64]) -> Option<Self> {
        let (low, high) = extent(values.iter().copied())?;
        let logarithmic = low > 0.0 && high / low > LOGARITHMIC_FROM;
        let scale = Self {
            logarithmic,
            low,
            high,
        };
        Some(Self {
            low: scale.onto(low),
            high: scale.onto(high),
            ..scale
        })
    }

    /// Widens a scale around a single value, which then stands in the middle.
    fn with_width(self) -> Self {
        if self.high > self.low {
            return self;
        }
        let half = if self.low == 0.0 {
            1.0
        } else {
            self.low.abs() * 0.1
        };
        Self {
            low: self.low - half,
            high: self.high + half,
            ..self
        }
    }

    fn onto(&self, value: f64) -> f64 {
        if self.logarithmic {
            value.log10()
        } else {
            value
        }
    }

    /// Whether equal distances are equal ratios.
    pub fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }

    /// Where `value` stands, 0 at the axis' beginning and 1 at its end; `None` if it is off the
    /// axis.
    pub fn at(&self, value: f64) -> Option<f64> {
        let at = (self.onto(value) - self.low) / (self.high - self.low);
        (-1e-9..=1.0 + 1e-9).contains(&at).then_some(at)
    }

    /// Four to eight round values.
    pub fn ticks(&self) -> Vec<Tick> {
        if self.logarithmic {
            self.ratio_ticks()
        } else {
            self.step_ticks()
        }
    }

    fn step_ticks(&self) -> Vec<Tick> {
        let raw = (self.high - self.low) / 4.5;
        let decade = 10f64.powf(raw.log10().floor());
        let factor = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|factor| factor * decade >= raw);
        let step = factor.unwrap_or(10.0) * decade;
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        let values = (first..=last).map(|index| index as f64 * step);
        values.filter_map(|value| self.tick(value, step)).collect()
    }

    fn ratio_ticks(&self) -> Vec<Tick> {
        let decades = self.high - self.low;
        let factors: &[f64] = match decades {
            ..1.6 => &[1.0, 2.0, 5.0],
            ..3.2 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let stride = (decades / 7.0).ceil().max(1.0) as usize;
        let exponents = (self.low.floor() as i32..=self.high.floor() as i32).step_by(stride);
        let values =
            exponents.flat_map(|exponent| factors.iter().map(move |factor| (*factor, exponent)));
        let ticks = values.filter_map(|(factor, exponent)| {
            let decade = 10f64.powi(exponent);
            self.tick(factor * decade, decade)
        });
        ticks.collect()
    }

    fn tick(&self, value: f64, step: f64) -> Option<Tick> {
        Some(Tick {
            at: self.at(value)?,
            label: number::tick(value, step),
        })
    }
}

/// The lowest and the highest finite value.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite());
    finite.fold(None, |extent, value| {
        let (low, high) = extent.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

#[cfg(test)]
mod tests {
    use super::Scale;

    #[test]
    fn values_that_span_a_decade_get_a_logarithmic_axis() {
        for (values, want) in [
            ([0.01, 0.09], false),
            ([0.01, 0.11], true),
            ([-0.01, 0.11], false),
            ([0.0, 1.0], false),
        ] {
            let got = Scale::choose(&values, &[]).unwrap().is_logarithmic();
            assert_eq!(got, want, "for {values:?}");
        }
    }

    #[test]
    fn far_references_leave_the_axis_alone() {
        let scale = Scale::choose(&[0.010, 0.014], &[0.018, -0.2, 3.0, f64::NAN]).unwrap();
        assert!(
            scale.at(0.018).is_some(),
            "a near reference is off the axis"
        );
        assert_eq!(scale.at(3.0), None);
        assert_eq!(scale.at(-0.2), None);
    }

    #[test]
    fn ticks_are_round_and_few() {
        let cases: [&[f64]; 7] = [
            &[0.004, 0.0145],
            &[0.004, 0.3],
            &[-0.001, 0.02],
            &[5.0],
            &[0.0],
            &[1e-3, 1e12],
            &[1e9, 1.5e9],
        ];
        for values in cases {
            let ticks = Scale::choose(values, &[]).unwrap().ticks();
            assert!(
                (2..=9).contains(&ticks.len()),
                "got {ticks:?} for {values:?}, want 2 to 9"
            );
            assert!(
                ticks.iter().all(|tick| (0.0..=1.0).contains(&tick.at)),
                "got {ticks:?}, want all on the axis"
            );
        }
    }

    #[test]
    fn no_finite_value_gives_no_scale() {
        assert_eq!(Scale::choose(&[f64::NAN, f64::INFINITY], &[1.0]), None);
        assert_eq!(Scale::tight(&[]), None);
    }
}
