//! Reading and writing D.

use pfgmpp_kernel::Dimension;

#[test]
fn numbers_and_inf_are_read_from_text() {
    let cases = [
        ("128", Dimension::Finite(128.0)),
        ("0.5", Dimension::Finite(0.5)),
        ("1e6", Dimension::Finite(1e6)),
        (" 3.7 ", Dimension::Finite(3.7)),
        ("inf", Dimension::Infinite),
        ("Infinity", Dimension::Infinite),
        (".inf", Dimension::Infinite),
        (".Inf", Dimension::Infinite),
    ];
    for (text, want) in cases {
        let got: Dimension = text.parse().expect("an accepted dimension");
        assert_eq!(got, want, "reading {text:?}");
    }
}

#[test]
fn what_is_not_positive_is_refused_with_the_accepted_range() {
    for text in ["0", "-1", "nan", "-inf", "", "many", "..inf", "1e999"] {
        let error = text.parse::<Dimension>().expect_err("a refused dimension");
        let want = format!("d must be a positive number or inf, got {text}");
        assert_eq!(error.to_string(), want);
    }
    let got = Dimension::new(0.0).expect_err("zero").to_string();
    assert_eq!(got, "d must be a positive number or inf, got 0");
}

#[test]
fn text_reads_back_as_the_same_dimension() {
    for d in [
        0.1,
        0.5,
        1.0,
        3.7,
        1e12,
        1e15 + 1.0,
        1e300,
        1e-300,
        1.0 / 3.0,
    ] {
        let want = Dimension::Finite(d);
        let got: Dimension = want.to_string().parse().expect("its own text");
        assert_eq!(got, want, "through {want}");
    }
    assert_eq!(Dimension::Finite(128.0).to_string(), "128");
    assert_eq!(Dimension::Finite(1e12).to_string(), "1000000000000");
    assert_eq!(Dimension::Infinite.to_string(), "inf");
    assert_eq!(format!("{:>6}|", Dimension::Finite(0.5)), "   0.5|");
}

#[test]
fn yaml_numbers_strings_and_dot_inf_are_read() {
    let got: Vec<Dimension> =
        serde_yaml::from_str("[1, 0.5, 1e6, inf, \"inf\", .inf, infinity, '128']").expect("a list");
    let want = [
        1.0,
        0.5,
        1e6,
        f64::INFINITY,
        f64::INFINITY,
        f64::INFINITY,
        f64::INFINITY,
        128.0,
    ]
    .map(|d| Dimension::new(d).expect("positive"));
    assert_eq!(got, want);
}

#[test]
fn yaml_errors_name_the_value_and_what_is_accepted() {
    for (text, got) in [("0", "0"), ("-1", "-1"), (".nan", "NaN"), ("'x'", "x")] {
        let error = serde_yaml::from_str::<Dimension>(text).expect_err("refused");
        let message = error.to_string();
        let want = format!("d must be a positive number or inf, got {got}");
        assert!(message.contains(&want), "got {message:?}, want {want:?}");
    }
    let message = serde_yaml::from_str::<Dimension>("[1]")
        .expect_err("a list")
        .to_string();
    assert!(
        message.contains("expected a positive number or inf"),
        "got {message:?}"
    );
}

#[test]
fn json_has_integers_floats_and_the_string_inf() {
    let dimensions = [128.0, 0.5, f64::INFINITY].map(|d| Dimension::new(d).expect("positive"));
    let got = serde_json::to_string(&dimensions).expect("json");
    assert_eq!(got, r#"[128,0.5,"inf"]"#);
    let back: Vec<Dimension> = serde_json::from_str(&got).expect("its own json");
    assert_eq!(back, dimensions);
}

#[test]
fn dimensions_order_with_infinity_last() {
    let mut got = [
        Dimension::Infinite,
        Dimension::Finite(8.0),
        Dimension::Finite(0.5),
    ];
    got.sort_by(|a, b| a.partial_cmp(b).expect("no NaN inside"));
    let want = [
        Dimension::Finite(0.5),
        Dimension::Finite(8.0),
        Dimension::Infinite,
    ];
    assert_eq!(got, want);
}
