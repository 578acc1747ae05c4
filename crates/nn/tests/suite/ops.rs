//! Fused operations in `f32` against the backend's own composition in `f64`: values, gradients, finite differences.

use crate::check::{self, agree, pattern};
use candle_core::{DType, Device, Result, Tensor, Var};
use pfgmpp_nn::ops::{self, Activation, Filter};

#[test]
fn group_norm_agrees_with_composition() {
    for (b, h, w, c, groups) in [
        (1, 2, 1, 4, 1),
        (3, 8, 8, 32, 8),
        (2, 3, 5, 12, 3),
        (2, 4, 4, 96, 24),
    ] {
        let inputs = [pattern(&[b, h, w, c]), pattern(&[c]), pattern(&[c])];
        for activation in [Activation::None, Activation::Silu] {
            let name = format!("group norm {b}x{h}x{w}x{c} in {groups}, {activation:?}");
            agree(&name, &inputs, |t| {
                ops::group_norm(&t[0], &t[1], &t[2], groups, 1e-6, activation)
            });
        }
    }
}

#[test]
fn group_norm_survives_a_large_mean() -> Result<()> {
    let x = (pattern(&[2, 4, 4, 8]).affine(0.01, 30.0))?;
    let (weight, bias) = (pattern(&[8]).ones_like()?, pattern(&[8]).zeros_like()?);
    let norm =
        |x: &Tensor, w: &Tensor, b: &Tensor| ops::group_norm(x, w, b, 2, 1e-6, Activation::None);
    let single = |t: &Tensor| t.to_dtype(DType::F32);
    let got = norm(&single(&x)?, &single(&weight)?, &single(&bias)?)?;
    // One rounding of values around 30 is 2e-6, and their spread is 0.01.
    let want = norm(&single(&x)?.to_dtype(DType::F64)?, &weight, &bias)?;
    let error = check::relative_error(&got, &want);
    assert!(
        error < 5e-4,
        "got relative error {error:e}, want below 5e-4"
    );
    Ok(())
}

#[test]
fn silu_agrees_with_composition() {
    agree(
        "silu",
        &[pattern(&[3, 1, 7]).affine(8.0, 0.0).expect("f64")],
        |t| ops::silu(&t[0]),
    );
}

#[test]
fn silu_is_exact_to_a_few_roundings_at_every_size_of_its_argument() -> Result<()> {
    let x: Vec<f32> = (-200_000..200_000).map(|i| i as f32 * 4e-4).collect();
    let silu = ops::silu(&Tensor::from_slice(&x, x.len(), &Device::Cpu)?)?.to_vec1::<f32>()?;
    for (&x, got) in x.iter().zip(silu) {
        let want = f64::from(x) / (1.0 + (-f64::from(x)).exp());
        let error = (f64::from(got) - want).abs();
        assert!(
            error <= 5e-7 * want.abs(),
            "silu({x}): got {got}, want {want}"
        );
    }
    Ok(())
}

#[test]
fn silu_saturates_at_extreme_arguments() -> Result<()> {
    let cases = [(-1e30f32, 0.0f32), (-1e3, 0.0), (1e3, 1e3), (1e30, 1e30)];
    for (x, want) in cases {
        let x = Var::new(&[x], &Device::Cpu)?;
        let out = ops::silu(x.as_tensor())?;
        let slope = out
            .backward()?
            .get(&x)
            .expect("a gradient")
            .to_vec1::<f32>()?[0];
        let got = out.to_vec1::<f32>()?[0];
        assert!(
            (got - want).abs() <= 1e-6 * want.abs() + 1e-6,
            "got {got}, want {want}"
        );
        let want = f32::from(want > 0.0);
        assert!(
            (slope - want).abs() < 1e-6,
            "slope: got {slope}, want {want}"
        );
    }
    Ok(())
}

#[test]
fn attention_agrees_with_composition() {
    for (b, h, w, c, heads) in [
        (1, 1, 1, 1, 1),
        (3, 4, 4, 64, 1),
        (2, 3, 5, 6, 3),
        (2, 2, 7, 10, 2),
    ] {
        let name = format!("attention {b}x{h}x{w}, {heads} heads of {}", c / heads);
        agree(&name, &[pattern(&[b, h, w, 3 * c])], |t| {
            ops::attention(&t[0], heads)
        });
    }
}

#[test]
fn resampling_agrees_with_composition() {
    for filter in [Filter::Box, Filter::Binomial] {
        for dims in [[1, 2, 2, 1], [3, 8, 4, 32], [2, 6, 10, 5]] {
            let x = [pattern(&dims)];
            let name = |op: &str| format!("{op} {filter:?} {dims:?}");
            agree(&name("downsample"), &x, |t| ops::downsample(&t[0], filter));
            agree(&name("upsample"), &x, |t| ops::upsample(&t[0], filter));
        }
    }
}

/// The sums that the filters are defined by, image by image in `f64`.
#[test]
fn the_binomial_filter_is_that_of_its_definition() -> Result<()> {
    const TAPS: [f64; 4] = [1.0, 3.0, 3.0, 1.0];
    let (h, w, c) = (6, 4, 3);
    let x = pattern(&[2, h, w, c]);
    let values = x.flatten_all()?.to_vec1::<f64>()?;
    let at = |b: usize, y: isize, x: isize, i: usize| {
        let inside = (0..h as isize).contains(&y) && (0..w as isize).contains(&x);
        let index = ((b * h + y as usize) * w + x as usize) * c + i;
        if inside { values[index] } else { 0.0 }
    };
    let x = x.to_dtype(DType::F32)?;
    let down = ops::downsample(&x, Filter::Binomial)?;
    let up = ops::upsample(&x, Filter::Binomial)?;
    let got = |t: &Tensor, at: [usize; 4]| -> Result<f64> {
        let [b, y, x, i] = at;
        Ok(f64::from(
            t.get(b)?.get(y)?.get(x)?.get(i)?.to_scalar::<f32>()?,
        ))
    };
    for (b, i) in [(0, 0), (1, 2)] {
        for (y, x) in (0..h / 2).flat_map(|y| (0..w / 2).map(move |x| (y, x))) {
            let taps = (0..16).map(|k| {
                let (u, v) = (k / 4, k % 4);
                let (y, x) = (2 * y + u, 2 * x + v);
                TAPS[u] * TAPS[v] / 64.0 * at(b, y as isize - 1, x as isize - 1, i)
            });
            let (got, want) = (got(&down, [b, y, x, i])?, taps.sum::<f64>());
            assert!(
                (got - want).abs() < 1e-6,
                "down at {y}, {x}: got {got}, want {want}"
            );
        }
        for (y, x) in (0..2 * h).flat_map(|y| (0..2 * w).map(move |x| (y, x))) {
            // Each pixel spreads over four by four, from one before its double.
            let taps = (0..h * w).filter_map(|k| {
                let (from_y, from_x) = (k / w, k % w);
                let (u, v) = (
                    (y + 1).checked_sub(2 * from_y)?,
                    (x + 1).checked_sub(2 * from_x)?,
                );
                let weight = TAPS.get(u)? * TAPS.get(v)? / 16.0;
                Some(weight * at(b, from_y as isize, from_x as isize, i))
            });
            let (got, want) = (got(&up, [b, y, x, i])?, taps.sum::<f64>());
            assert!(
                (got - want).abs() < 1e-6,
                "up at {y}, {x}: got {got}, want {want}"
            );
        }
    }
    Ok(())
}

#[test]
fn modulated_group_norm_agrees_with_composition() {
    for (b, h, w, c, groups) in [(1, 2, 1, 4, 1), (3, 8, 8, 32, 8), (2, 3, 5, 12, 3)] {
        let inputs = [
            pattern(&[b, h, w, c]),
            pattern(&[c]),
            pattern(&[c]),
            pattern(&[b, 2 * c]),
        ];
        for activation in [Activation::None, Activation::Silu] {
            agree("modulated group norm", &inputs, |t| {
                let rows = ops::modulate(&t[1], &t[2], &t[3])?;
                ops::modulated_group_norm(&t[0], &rows, groups, 1e-5, activation)
            });
        }
    }
}

#[test]
fn a_modulation_scales_and_shifts_a_norm() -> Result<()> {
    let (x, weight, bias) = (pattern(&[2, 3, 3, 8]), pattern(&[8]), pattern(&[8]));
    let m = pattern(&[2, 16]);
    let rows = ops::modulate(&weight, &bias, &m)?;
    let got = ops::modulated_group_norm(&x, &rows, 2, 1e-5, Activation::None)?;
    let norm = ops::group_norm(&x, &weight, &bias, 2, 1e-5, Activation::None)?;
    let part = |start: usize| m.narrow(1, start, 8)?.reshape((2, 1, 1, 8));
    let want = norm
        .broadcast_mul(&(part(0)? + 1.0)?)?
        .broadcast_add(&part(8)?)?;
    let error = check::relative_error(&got, &want);
    assert!(error < 1e-12, "got relative error {error:e}, want 0");
    Ok(())
}

#[test]
fn upsampling_adds_to_gradients_of_other_uses() {
    // The backend's own nearest upsampling overwrites them.
    for filter in [Filter::Box, Filter::Binomial] {
        agree(
            "upsample beside another use",
            &[pattern(&[2, 3, 3, 4])],
            |t| ops::upsample(&t[0], filter)?.sum((1, 2))? + t[0].sqr()?.sum((1, 2))?,
        );
    }
}

#[test]
fn sums_and_concatenations_agree_with_composition() {
    let (a, b) = (
        pattern(&[2, 3, 5, 7]),
        pattern(&[2, 3, 5, 7]).affine(-0.5, 0.3).expect("f64"),
    );
    agree("add_scaled", &[a.clone(), b], |t| {
        ops::add_scaled(&t[0], &t[1], 0.7)
    });
    agree("concat", &[a, pattern(&[2, 3, 5, 2])], |t| {
        ops::concat(&t[0], &t[1])
    });
}

#[test]
fn inputs_need_not_be_contiguous() {
    let swapped = |t: &Tensor| t.transpose(1, 3);
    let (x, weight) = (pattern(&[2, 12, 5, 4]), pattern(&[6, 12, 3, 3]));
    agree("conv2d", &[x.clone(), weight], |t| {
        let weight = t[1].transpose(2, 3)?;
        ops::conv2d(&swapped(&t[0])?, &weight, None)?.transpose(1, 2)
    });
    let scale = pattern(&[24]);
    agree("group norm", &[x.clone(), scale], |t| {
        let (weight, bias) = (t[1].narrow(0, 3, 12)?, t[1].narrow(0, 9, 12)?);
        ops::group_norm(&swapped(&t[0])?, &weight, &bias, 3, 1e-6, Activation::Silu)
    });
    agree("attention", std::slice::from_ref(&x), |t| {
        ops::attention(&swapped(&t[0])?, 2)
    });
    agree("upsample", std::slice::from_ref(&x), |t| {
        ops::upsample(&swapped(&t[0])?, Filter::Binomial)
    });
    agree("downsample", std::slice::from_ref(&x), |t| {
        ops::downsample(&t[0].transpose(2, 3)?, Filter::Binomial)
    });
    agree("concat", &[x], |t| {
        ops::concat(&swapped(&t[0])?, &swapped(&t[0])?)
    });
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let x = pattern(&[2, 3, 5, 8]);
    let refused = [
        ("odd side", ops::downsample(&x, Filter::Box)),
        (
            "even kernel",
            ops::conv2d(&x, &pattern(&[4, 8, 2, 2]), None),
        ),
        (
            "other channels",
            ops::conv2d(&x, &pattern(&[4, 7, 3, 3]), None),
        ),
        (
            "other bias",
            ops::conv2d(&x, &pattern(&[4, 8, 3, 3]), Some(&pattern(&[5]))),
        ),
        (
            "groups",
            ops::group_norm(
                &x,
                &pattern(&[8]),
                &pattern(&[8]),
                3,
                1e-6,
                Activation::None,
            ),
        ),
        ("heads", ops::attention(&x, 1)),
    ];
    for (case, result) in refused {
        assert!(result.is_err(), "{case}: got a result, want an error");
    }
}
