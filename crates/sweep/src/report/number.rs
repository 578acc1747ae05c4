//! Numbers as a reader wants them: few digits, aligned at their points.

/// Three digits in tables and captions: more than the scatter between seeds leaves.
const DIGITS: i32 = 3;

/// `value` with three significant digits; integers are whole, with commas between thousands.
pub(super) fn significant(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return signed(value, "∞");
    }
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        return signed(value, &format!("{size:.2e}"));
    }
    if size == 0.0 || size.fract() == 0.0 {
        return signed(value, &grouped(size));
    }
    let decimals = (DIGITS - 1 - size.log10().floor() as i32).max(0);
    if decimals == 0 {
        return signed(value, &grouped(size.round()));
    }
    signed(value, &format!("{size:.*}", decimals as usize))
}

/// A value with the decimals of the mean that it belongs to.
pub(super) fn deviation(value: f64, mean: &str) -> String {
    match mean.split_once('.') {
        Some((_, fraction)) if !mean.contains('e') => {
            signed(value, &format!("{:.*}", fraction.len(), value.abs()))
        }
        _ => significant(value),
    }
}

fn signed(value: f64, size: &str) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{size}")
}

/// An integer with commas between thousands.
fn grouped(integer: f64) -> String {
    let digits = format!("{integer:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Pads right-aligned numbers so that their decimal points stand in one column, for a font whose
/// digits have one width.
pub(super) fn align_points(column: &mut [String]) {
    let decimals = |text: &str| {
        let plain = !text.contains(['e', 'N', '∞']);
        plain.then(|| {
            text.split_once('.')
                .map_or(0, |(_, fraction)| fraction.len())
        })
    };
    let most = column
        .iter()
        .filter_map(|text| decimals(text))
        .max()
        .unwrap_or(0);
    for text in column.iter_mut().filter(|text| !text.is_empty()) {
        let Some(own) = decimals(text) else { continue };
        if own == 0 && most > 0 {
            // As wide as a point.
            text.push('\u{2008}');
        }
        // As wide as a digit.
        text.extend(std::iter::repeat_n('\u{2007}', most - own));
    }
}

/// The label of an axis tick: as many decimals as `step` needs, thousands and millions in short.
pub(super) fn tick(value: f64, step: f64) -> String {
    // 0.30000000000000004 and -0 come out of sums of steps.
    if value.abs() < step * 1e-9 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-4..1e10).contains(&size) {
        return signed(value, &format!("{size:e}"));
    }
    for (unit, letter) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if size >= 10.0 * unit || (size >= unit && letter != "k") {
            return signed(value, &(plain(size / unit, step / unit) + letter));
        }
    }
    signed(value, &plain(size, step))
}

fn plain(size: f64, step: f64) -> String {
    let decimals = (-(step * (1.0 + 1e-9)).log10().floor()).max(0.0);
    format!("{size:.*}", decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::{align_points, significant, tick};

    #[test]
    fn three_digits_are_kept() {
        let cases = [
            (0.004_412, "0.00441"),
            (0.0145, "0.0145"),
            (-0.000_213, "−0.000213"),
            (2.314_05, "2.31"),
            (184.27, "184"),
            (15_726.4, "15,726"),
            (200_000.0, "200,000"),
            (0.0, "0"),
            (1.5e-9, "1.50e-9"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "−∞"),
        ];
        for (value, want) in cases {
            let got = significant(value);
            assert_eq!(got, want, "of {value}");
        }
    }

    #[test]
    fn points_stand_in_one_column() {
        let mut column = ["0.00441", "2.31", "12", "NaN", ""].map(str::to_owned);
        align_points(&mut column);
        let want = [
            "0.00441",
            "2.31\u{2007}\u{2007}\u{2007}",
            "12\u{2008}\u{2007}\u{2007}\u{2007}\u{2007}\u{2007}",
            "NaN",
            "",
        ];
        assert_eq!(column, want);
    }

    #[test]
    fn ticks_have_the_decimals_of_their_step() {
        let cases = [
            (0.3 - 0.2 - 0.1, 0.1, "0"),
            (0.005, 0.005, "0.005"),
            (0.1 + 0.2, 0.1, "0.3"),
            (-2.0, 1.0, "−2"),
            (5000.0, 5000.0, "5000"),
            (20_000.0, 10_000.0, "20k"),
            (1_500_000.0, 500_000.0, "1.5M"),
            (1e-7, 1e-7, "1e-7"),
        ];
        for (value, step, want) in cases {
            let got = tick(value, step);
            assert_eq!(got, want, "of {value} with step {step}");
        }
    }
}
