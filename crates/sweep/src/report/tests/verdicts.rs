//! What a report claims, and the files that say the same.

use super::{DataSet, Report, Row, reference, report, row, sweep};
use crate::report::{figures, judgements, latex, markdown, render, summary_csv, to_png};

/// D = 8 and infinity with five seeds, whose scores scatter more than they differ.
fn undecided() -> Vec<Row> {
    let scores = [
        (8.0, [0.0040, 0.0052, 0.0061, 0.0047, 0.0050]),
        (f64::INFINITY, [0.0055, 0.0046, 0.0049, 0.0060, 0.0051]),
    ];
    let rows = scores.into_iter().flat_map(|(d, scores)| {
        (0..)
            .zip(scores)
            .map(move |(seed, score)| row(Some(d), "", seed, score))
    });
    rows.collect()
}

#[test]
fn a_best_is_marked_where_chance_does_not_explain_it() {
    let html = render(&report(sweep()));
    assert!(html.contains("Energy distance: D = 64 is best and beyond chance, with 3 seeds."));
    assert!(html.contains("circle class=\"best\""), "got no ring");
    assert!(
        html.contains("lowest beyond chance"),
        "got no mark in the table"
    );
}

#[test]
fn nothing_is_marked_without_evidence() {
    let one_seed = sweep().into_iter().filter(|row| row.seed == 0).collect();
    for (rows, want) in [
        (
            one_seed,
            "with 1 seed nothing can be told apart: at least 3 are needed",
        ),
        (
            undecided(),
            "no D can be told apart from D = ∞ with 5 seeds",
        ),
    ] {
        let html = render(&report(rows));
        assert!(html.contains(want), "got no `{want}`");
        assert!(!html.contains("class=\"best\""), "got a ring, {want}");
        assert!(!html.contains("beyond chance"), "got a claim, {want}");
    }
}

#[test]
fn nothing_is_marked_where_every_run_lost_to_the_gaussian() {
    let html = render(&Report {
        references: vec![reference("fitted Gaussian", 0.0001)],
        metrics: vec![super::metric("energy_distance")],
        ..report(sweep())
    });
    assert!(html.contains("no D is better than the fitted Gaussian"));
    assert!(!html.contains("class=\"best\""), "got a ring");
}

#[test]
fn the_title_and_lead_name_the_data_that_were_used() {
    let own = DataSet {
        name: "cells.npy".to_owned(),
        n: 784,
        found: "cells.npy: 900 images of 1x28x28 and 100 held out".to_owned(),
    };
    let html = render(&Report {
        data: vec![own],
        ..report(sweep())
    });
    for want in [
        "<h1>A sweep on cells.npy</h1>",
        "900 images of 1x28x28 and 100 held out.",
    ] {
        assert!(html.contains(want), "got no `{want}`");
    }
}

#[test]
fn each_metric_is_drawn_against_d_and_against_its_weight() {
    let html = render(&report(sweep()));
    for want in [
        "D (logarithmic)",
        "D/(N + D), N = 64",
        "95 % interval of the mean",
    ] {
        assert!(html.contains(want), "got no `{want}`");
    }
    // The weights of D = 64 and infinity at N = 64 are 1/2 and 1.
    let unknown = Report {
        data: Vec::new(),
        ..report(sweep())
    };
    assert!(
        !render(&unknown).contains("D/(N + D)"),
        "got an axis of a weight that is not known"
    );
}

#[test]
fn figures_stand_alone() {
    for (name, report) in super::reports() {
        let all = figures(&report);
        let nothing_to_draw = ["empty", "failed only"].contains(&name);
        assert_eq!(all.is_empty(), nothing_to_draw, "{name}");
        for (file, svg) in all {
            let document = roxmltree::Document::parse(&svg);
            let document = document.unwrap_or_else(|error| panic!("{name}, {file}: {error}"));
            assert_eq!(document.root_element().tag_name().name(), "svg");
            assert!(
                !svg.contains("var(") && !svg.contains("--k"),
                "{name}, {file}: a variable is left"
            );
            let png = to_png(&svg);
            assert!(
                png.is_ok_and(|png| png.starts_with(b"\x89PNG")),
                "{name}, {file}"
            );
        }
    }
    let names: Vec<String> = figures(&report(sweep()))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let want = [
        "energy_distance",
        "energy_distance_by_weight",
        "sliced_wasserstein",
        "sliced_wasserstein_by_weight",
        "training_loss",
    ];
    assert_eq!(names, want);
}

#[test]
fn tables_as_text_hold_means_intervals_and_the_verdict() {
    let report = report(sweep());
    let (text, tex) = (markdown(&report), latex(&report));
    // Seeds 0.0039, 0.0042, 0.0045: half the interval is 4.3027 * 0.0003 / sqrt(3) = 0.00075.
    for want in [
        "D = 64 is best and beyond chance",
        "| D = 64 | 3 | 0.00420 [0.00345, 0.00495] |",
        "| fitted Gaussian |",
    ] {
        assert!(text.contains(want), "got no `{want}` in {text}");
    }
    for want in [
        "D = $\\infty$ & 3 & 0.0142 [0.0135, 0.0149]",
        "\\begin{tabular}{lrrr}",
    ] {
        assert!(tex.contains(want), "got no `{want}` in {tex}");
    }
    let csv = summary_csv(&judgements(
        &report.rows,
        &report.metrics,
        &report.references,
    ));
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 12, "six D by two metrics: {csv}");
    let best: Vec<&str> = rows
        .iter()
        .filter(|row| &row[14] == "true")
        .map(|row| &row[3])
        .collect();
    assert_eq!(best.first(), Some(&"64"), "got {csv}");
    let low: f64 = rows[3][8].parse().unwrap();
    assert!((low - 0.003_454_8).abs() < 1e-6, "got {low}");
}
