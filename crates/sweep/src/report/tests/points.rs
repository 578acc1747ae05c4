//! How runs are taken together, and where they stand along D.

use pfgmpp_metrics::Better;

use super::row;
use crate::report::dimension_axis::PointAxis;
use crate::report::judgement::{Judgement, judge};
use crate::report::point::{Point, points};
use crate::report::{Metric, MetricKind, Report, render};

/// The judgement on all points by one metric.
fn judged(points: &[Point<'_>], metric: &Metric) -> Option<Judgement> {
    judge("toy", points, std::slice::from_ref(metric), &[]).pop()
}

/// The label of the point of the best mean.
fn best<'p>(points: &'p [Point<'_>], found: &Judgement) -> &'p str {
    &points[found.places[found.verdict.best]].label
}

#[test]
fn the_best_point_has_the_lowest_mean_not_the_lowest_run() {
    let rows = [
        row(Some(1.0), "", 0, 0.001),
        row(Some(1.0), "", 1, 0.009),
        row(Some(8.0), "", 0, 0.004),
    ];
    let points = points(rows.iter());
    let found = judged(&points, &super::metric("energy_distance")).unwrap();
    assert_eq!(best(&points, &found), "D = 8", "{}", found.verdict.sentence);
}

#[test]
fn the_best_point_is_the_one_that_its_metric_calls_so() {
    let rows = [(1.0, 0.2), (8.0, 0.9), (64.0, 3.0)].map(|(d, v)| row(Some(d), "", 0, v));
    let points = points(rows.iter());
    for (better, want) in [
        (Better::Lower, "D = 1"),
        (Better::Near(1.0), "D = 8"),
        (Better::Higher, "D = 64"),
    ] {
        let metric = Metric {
            kind: MetricKind::Compared(better),
            ..super::metric("energy_distance")
        };
        let found = judged(&points, &metric).unwrap();
        assert_eq!(best(&points, &found), want, "{}", better.in_words());
        let report = super::report(rows.to_vec());
        let html = render(&Report {
            metrics: vec![metric],
            ..report
        });
        for text in [
            better.in_words(),
            format!("{} mean: {want}", better.superlative()),
        ] {
            assert!(html.contains(&text), "got no `{text}`");
        }
    }
    let figure = Metric::figure("energy_distance", "Energy");
    assert!(judged(&points, &figure).is_none(), "a figure has no best");
}

#[test]
fn means_and_deviations_are_over_seeds() {
    let rows = [1.0, 2.0, 6.0].map(|energy| row(Some(1.0), "", energy as u64, energy));
    let mean = points(rows.iter())[0].mean("energy_distance").unwrap();
    // Squares of deviations -2, -1, 3 over two degrees of freedom.
    let want = 7f64.sqrt();
    assert_eq!((mean.mean, mean.seeds), (3.0, 3));
    let got = mean.deviation.unwrap();
    assert!((got - want).abs() < 1e-12, "got {got}, want {want}");
}

#[test]
fn equal_ratios_of_d_are_equally_far_apart() {
    let rows = [0.5, 1.0, 2.0, 8.0].map(|d| row(Some(d), "", 0, 0.1));
    let points = points(rows.iter());
    let axis = PointAxis::of(&points);
    let at: Vec<f64> = points.iter().map(|point| axis.at(point)).collect();
    let octave = at[1] - at[0];
    for (got, want) in [(at[2] - at[1], octave), (at[3] - at[2], 2.0 * octave)] {
        assert!((got - want).abs() < 1e-12, "got {got}, want {want}");
    }
    assert_eq!(
        axis.break_at(),
        None,
        "without infinity there is nothing to break for"
    );
}

#[test]
fn points_of_one_d_are_told_apart_by_their_variants() {
    let rows = ["lr=0.001", "lr=0.01"].map(|rate| row(Some(128.0), rate, 0, 0.01));
    let points = points(rows.iter());
    let axis = PointAxis::of(&points);
    let ticks = axis.ticks(&points);
    let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
    assert_eq!(labels, ["lr=0.001", "lr=0.01"]);
    assert!(ticks[0].at < ticks[1].at, "got {ticks:?}, want two places");
}

#[test]
fn infinity_stands_last_behind_a_break() {
    let rows = [f64::INFINITY, 2048.0, 0.5].map(|d| row(Some(d), "", 0, 0.1));
    let points = points(rows.iter());
    let axis = PointAxis::of(&points);
    let ticks = axis.ticks(&points);
    let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
    assert_eq!(labels, ["0.5", "2048", "∞"]);
    let gap = axis.break_at().unwrap();
    assert!(
        ticks[1].at < gap && gap < ticks[2].at,
        "got a break at {gap} in {ticks:?}"
    );
}
