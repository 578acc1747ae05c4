//! The horizontal axis of the sweep: D, spaced by its logarithm, with ∞ behind a break; or the
//! points' names.

use pfgmpp_kernel::Dimension;

use super::point::{Point, along_d, dimension_label, variants};
use super::scale::Tick;

/// Where the axis' first and last place stand.
const FIRST: f64 = 0.05;
const LAST: f64 = 0.95;

/// Where finite D end if ∞ follows.
const LAST_FINITE: f64 = 0.80;

/// Where the points of a sweep stand side by side.
pub(super) enum PointAxis {
    /// Points are told apart by D.
    Dimensions {
        /// log2 of the lowest and the highest finite D.
        finite: Option<(f64, f64)>,
        /// Whether ∞ is among them.
        infinite: bool,
    },
    /// Points are told apart by D, and stand where D counts beside the N values of a sample.
    Weights {
        /// N.
        n: f64,
    },
    /// Points that D does not tell apart stand in their order.
    Names(Vec<String>),
}

impl PointAxis {
    pub fn of(points: &[Point<'_>]) -> Self {
        if !along_d(points) {
            return Self::Names(points.iter().map(|point| point.label.clone()).collect());
        }
        let dimensions: Vec<Dimension> = points.iter().filter_map(|point| point.d).collect();
        let finite = dimensions
            .iter()
            .filter(|d| !d.is_infinite())
            .map(|d| d.value().log2());
        let finite = finite.fold(None, |range, d| {
            let (low, high) = range.unwrap_or((d, d));
            Some((d.min(low), d.max(high)))
        });
        Self::Dimensions {
            finite,
            infinite: dimensions.iter().any(|d| d.is_infinite()),
        }
    }

    /// The axis of `D/(N + D)`, the weight that a model of D gives its schedule beside the sample; `None` for
    /// points that are not told apart by D.
    pub fn by_weight(points: &[Point<'_>], n: usize) -> Option<Self> {
        let varies = points.windows(2).any(|pair| pair[0].d != pair[1].d);
        (along_d(points) && varies).then_some(Self::Weights { n: n as f64 })
    }

    /// Where `point` stands, 0 at the axis' beginning and 1 at its end.
    pub fn at(&self, point: &Point<'_>) -> f64 {
        match (self, point.d) {
            (Self::Names(names), _) => {
                let index = names
                    .iter()
                    .position(|name| *name == point.label)
                    .unwrap_or(0);
                (index as f64 + 0.5) / names.len().max(1) as f64
            }
            (Self::Weights { .. }, Some(Dimension::Infinite)) => weight_at(1.0),
            (Self::Weights { n }, Some(d)) => weight_at(d.value() / (n + d.value())),
            (
                Self::Dimensions {
                    finite: Some(_), ..
                },
                Some(Dimension::Infinite),
            ) => LAST,
            (
                Self::Dimensions {
                    finite: Some((low, high)),
                    infinite,
                },
                Some(d),
            ) => {
                let last = if *infinite { LAST_FINITE } else { LAST };
                let along = if high > low {
                    (d.value().log2() - low) / (high - low)
                } else {
                    0.5
                };
                FIRST + along * (last - FIRST)
            }
            _ => 0.5,
        }
    }

    /// Where the axis is broken, between the last finite D and ∞.
    pub fn break_at(&self) -> Option<f64> {
        let broken = matches!(
            self,
            Self::Dimensions {
                finite: Some(_),
                infinite: true
            }
        );
        broken.then_some((LAST_FINITE + LAST) / 2.0)
    }

    /// One tick for each D, or for each point.
    pub fn ticks(&self, points: &[Point<'_>]) -> Vec<Tick> {
        if let Self::Weights { .. } = self {
            return (0..=5)
                .map(|fifth| f64::from(fifth) / 5.0)
                .map(weight_tick)
                .collect();
        }
        let mut ticks: Vec<Tick> = Vec::new();
        for point in points {
            let at = self.at(point);
            let label = match (self, point.d) {
                (Self::Dimensions { .. }, Some(d)) => dimension_label(d),
                _ => point.label.clone(),
            };
            if ticks.iter().all(|tick| tick.label != label) {
                ticks.push(Tick { at, label });
            }
        }
        ticks.sort_by(|a, b| a.at.total_cmp(&b.at));
        ticks
    }

    /// What stands along the axis.
    pub fn caption(&self) -> String {
        if let Self::Weights { n } = self {
            return format!("D/(N + D), N = {n}: how far the schedule is trusted");
        }
        let caption = match self {
            Self::Dimensions {
                finite: Some((low, high)),
                ..
            } if high > low => "D (logarithmic)",
            Self::Dimensions { .. } => "D",
            Self::Weights { .. } | Self::Names(_) => "",
        };
        caption.to_owned()
    }

    /// The points that a line joins: those of one variant along D; none on an axis of names, which
    /// has no between.
    pub fn lines<'p, 'a>(&self, points: &'p [Point<'a>]) -> Vec<Vec<&'p Point<'a>>> {
        match self {
            Self::Names(_) => points.iter().map(|point| vec![point]).collect(),
            Self::Dimensions { .. } | Self::Weights { .. } => {
                let of = |variant: &&str| {
                    points
                        .iter()
                        .filter(|point| point.variant == *variant)
                        .collect()
                };
                variants(points).iter().map(of).collect()
            }
        }
    }
}

fn weight_at(weight: f64) -> f64 {
    FIRST + weight * (LAST - FIRST)
}

fn weight_tick(weight: f64) -> Tick {
    Tick {
        at: weight_at(weight),
        label: match weight {
            0.0 | 1.0 => format!("{weight}"),
            _ => format!("{weight:.1}"),
        },
    }
}
