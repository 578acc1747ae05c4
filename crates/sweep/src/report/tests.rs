//! The page as a reader gets it.

use pfgmpp_kernel::Dimension;

mod points;
mod verdicts;

use super::{Configuration, DataSet, Metric, Reference, Report, Row, Status, render};

fn row(d: Option<f64>, variant: &str, seed: u64, energy: f64) -> Row {
    let d = d.map(|d| Dimension::new(d).unwrap());
    let shown = d.map_or(String::new(), |d| format!("d={d},"));
    Row {
        data: "toy".to_owned(),
        name: format!("{shown}{variant}seed={seed}"),
        d,
        variant: variant.to_owned(),
        seed,
        status: Status::Finished,
        scores: vec![
            ("energy_distance".to_owned(), energy),
            ("sliced_wasserstein".to_owned(), 3.0 * energy.abs() + 0.02),
            ("seconds".to_owned(), 83.21),
        ],
        grid_png: Some(b"pixels".to_vec()),
        paths: None,
        loss_curve: (1..500)
            .map(|k| (f64::from(k) * 64.0, 0.3 + 1.0 / f64::from(k)))
            .collect(),
        evaluations: Vec::new(),
    }
}

/// The score of this name as a column.
fn metric(name: &str) -> Metric {
    Metric::of_scores(&pfgmpp_metrics::metric(name).unwrap().description())
}

fn failed(d: f64, reason: &str) -> Row {
    Row {
        status: Status::Failed {
            reason: reason.to_owned(),
        },
        scores: Vec::new(),
        grid_png: None,
        loss_curve: vec![(0.0, f64::NAN), (64.0, f64::INFINITY)],
        evaluations: Vec::new(),
        ..row(Some(d), "", 0, 0.0)
    }
}

fn reference(name: &str, energy: f64) -> Reference {
    Reference {
        data: "toy".to_owned(),
        name: name.to_owned(),
        meaning: format!("what {name} tells"),
        scores: vec![("energy_distance".to_owned(), energy)],
    }
}

fn report(rows: Vec<Row>) -> Report {
    Report {
        title: "A sweep".to_owned(),
        data: vec![DataSet {
            name: "toy".to_owned(),
            n: 64,
            found: "toy: 10 images of 1x8x8 and 2 held out".to_owned(),
        }],
        settings: vec![("data".to_owned(), "digits".to_owned())],
        metrics: vec![
            metric("energy_distance"),
            metric("sliced_wasserstein"),
            Metric::figure("seconds", "Seconds"),
        ],
        rows,
        references: vec![
            reference("held-out vs training", -0.0001),
            reference("fitted Gaussian", 0.0193),
        ],
        ..Report::default()
    }
}

/// D from 0.5 to infinity with three seeds each; the lowest mean is at 64.
fn sweep() -> Vec<Row> {
    let means = [
        (0.5, 0.019),
        (1.0, 0.0108),
        (8.0, 0.0047),
        (64.0, 0.0042),
        (2048.0, 0.0112),
        (f64::INFINITY, 0.0142),
    ];
    let seeds = |(d, mean)| {
        (0..3).map(move |seed| row(Some(d), "", seed, mean + 0.0003 * (seed as f64 - 1.0)))
    };
    means.into_iter().flat_map(seeds).collect()
}

/// Reports of every kind that a sweep may leave.
fn reports() -> Vec<(&'static str, Report)> {
    let nan = row(Some(8.0), "", 0, f64::NAN);
    let unfinished = Row {
        status: Status::Unfinished,
        scores: Vec::new(),
        ..row(Some(2.0), "", 0, 0.0)
    };
    let rates = ["lr=0.001", "lr=0.01"].map(|rate| row(None, rate, 0, 0.01));
    let one_d = ["lr=0.001", "lr=0.01"].map(|rate| row(Some(128.0), rate, 0, 0.01));
    let noises = ["noise=nominal", "noise=effective"].into_iter();
    let noises =
        noises.flat_map(|noise| [1.0, f64::INFINITY].map(|d| row(Some(d), noise, 0, 0.01)));
    let bare = Row {
        loss_curve: Vec::new(),
        evaluations: Vec::new(),
        grid_png: None,
        ..row(Some(1.0), "", 0, 0.01)
    };
    vec![
        ("empty", report(Vec::new())),
        ("whole", report(sweep())),
        (
            "one run",
            report(vec![row(Some(f64::INFINITY), "", 0, 0.01)]),
        ),
        (
            "one D",
            report(
                (0..3)
                    .map(|seed| row(Some(128.0), "", seed, 0.01))
                    .collect(),
            ),
        ),
        (
            "zeros",
            report(vec![row(Some(1.0), "", 0, 0.0), row(Some(2.0), "", 0, 0.0)]),
        ),
        (
            "below zero",
            report(vec![
                row(Some(1.0), "", 0, -0.001),
                row(Some(2.0), "", 0, 0.2),
            ]),
        ),
        (
            "huge",
            report(vec![
                row(Some(1e-3), "", 0, 1e-300),
                row(Some(1e30), "", 0, 1e300),
            ]),
        ),
        (
            "failed only",
            report(vec![failed(1.0, "no memory"), failed(2.0, "no disk")]),
        ),
        (
            "mixed",
            report(vec![
                failed(0.5, "loss is not finite"),
                nan,
                unfinished,
                row(Some(64.0), "", 0, 0.004),
            ]),
        ),
        ("no D", report(rates.to_vec())),
        ("one D, two rates", report(one_d.to_vec())),
        ("variants", report(noises.collect())),
        ("bare", report(vec![bare])),
        (
            "no metric",
            Report {
                metrics: Vec::new(),
                ..report(sweep())
            },
        ),
    ]
}

#[test]
fn every_run_stands_in_the_page() {
    let report = report(sweep());
    let html = render(&report);
    for row in &report.rows {
        let want = format!("title=\"{}\"", row.name);
        assert!(html.contains(&want), "got no {want}");
    }
    for label in ["D = 0.5", "D = 2048", "D = ∞", "fitted Gaussian", "digits"] {
        assert!(html.contains(label), "got no {label:?}");
    }
}

#[test]
fn drawings_are_well_formed_with_finite_coordinates() {
    const COORDINATES: [&str; 8] = ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy"];
    for (name, report) in reports() {
        let html = render(&report);
        let drawings = html
            .split("<svg")
            .skip(1)
            .map(|rest| rest.split_once("</svg>").unwrap().0);
        for drawing in drawings {
            let drawing = format!("<svg{drawing}</svg>");
            let document = roxmltree::Document::parse(&drawing);
            let document = document.unwrap_or_else(|error| panic!("{name}: {error} in {drawing}"));
            for node in document.descendants().filter(roxmltree::Node::is_element) {
                for value in COORDINATES.iter().filter_map(|key| node.attribute(*key)) {
                    let got: f64 = value.parse().unwrap();
                    assert!(
                        got.is_finite() && got.abs() < 1e4,
                        "{name}: got {value} in {node:?}"
                    );
                }
                let places = node.attribute("points").unwrap_or("");
                assert!(!places.contains(['N', 'i']), "{name}: got points {places}");
            }
        }
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    for (name, report) in reports() {
        let html = render(&report);
        for word in ["http", "<script", "<link", "url(", "@import"] {
            assert!(!html.contains(word), "{name}: got {word}, want none");
        }
        for source in html.split("src=\"").skip(1) {
            assert!(
                source.starts_with("data:image/png;base64,"),
                "{name}: got {source:.40}"
            );
        }
    }
}

#[test]
fn text_from_outside_is_escaped() {
    const TAG: &str = "<b onclick=\"x\">&</b>";
    let text = || TAG.to_owned();
    let mut broken = failed(1.0, TAG);
    broken.name = text();
    let named = Row {
        name: text(),
        grid_png: Some(Vec::new()),
        ..row(None, TAG, 0, 0.1)
    };
    let html = render(&Report {
        title: text(),
        description: text(),
        data: vec![DataSet {
            name: text(),
            n: 4,
            found: text(),
        }],
        settings: vec![(text(), text())],
        configurations: vec![Configuration {
            run: text(),
            values: vec![(text(), text())],
            command: Some(text()),
        }],
        metrics: vec![Metric {
            label: text(),
            short: text(),
            meaning: text(),
            ..metric("energy_distance")
        }],
        rows: vec![
            row(Some(1.0), TAG, 1, 0.1),
            row(Some(2.0), TAG, 1, 0.1),
            broken,
            named,
        ],
        references: vec![Reference {
            meaning: text(),
            ..reference(TAG, 0.1)
        }],
    });
    assert!(!html.contains("<b "), "got an unescaped tag");
    assert!(html.contains("&lt;b onclick=&quot;x&quot;&gt;&amp;&lt;/b&gt;"));
}

#[test]
fn failed_runs_are_listed_with_their_reasons() {
    let html = render(&report(vec![
        failed(0.5, "loss is not finite at nimg 12800"),
        row(Some(8.0), "", 0, f64::NAN),
    ]));
    assert!(html.contains("1 run failed"));
    assert!(html.contains("loss is not finite at nimg 12800"));
    assert!(
        html.contains("No finished run has a finite value."),
        "energy distance has nothing to plot"
    );
    assert!(
        html.contains("NaN"),
        "the value that is not finite is not listed"
    );
}
