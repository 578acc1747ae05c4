//! Fused operations in `f32` against the backend's own composition in `f64`: values, gradients, finite differences.

use crate::check::{self, agree, pattern};
use candle_core::{Device, Result, Tensor, Var};
use pfgmpp_nn::ops::{self, Activation};

#[test]
fn conv2d_agrees_with_composition() {
    let sizes = [
        // batch, height, width, c_in, c_out, kernel
        (1, 1, 1, 1, 1, 3),
        (2, 8, 8, 32, 32, 3),
        (3, 4, 4, 48, 33, 3),
        (2, 3, 5, 7, 17, 3),
        (2, 5, 3, 3, 1, 5),
        (3, 7, 2, 1, 40, 3),
        (2, 6, 5, 19, 64, 1),
        (5, 1, 1, 6, 3, 1),
    ];
    for (b, h, w, c_in, c_out, kernel) in sizes {
        let name = format!("conv2d {b}x{h}x{w}, {c_in} to {c_out}, kernel {kernel}");
        let (x, weight) = (
            pattern(&[b, h, w, c_in]),
            pattern(&[c_out, c_in, kernel, kernel]),
        );
        agree(&name, &[x.clone(), weight.clone()], |t| {
            ops::conv2d(&t[0], &t[1], None)
        });
        for bias in [pattern(&[c_out]), pattern(&[b, c_out])] {
            agree(&name, &[x.clone(), weight.clone(), bias], |t| {
                ops::conv2d(&t[0], &t[1], Some(&t[2]))
            });
        }
    }
}

#[test]
fn linear_agrees_with_composition() {
    for (b, n_in, n_out) in [(1, 1, 1), (64, 32, 128), (5, 9, 17), (70, 3, 2)] {
        let inputs = [
            pattern(&[b, n_in]),
            pattern(&[n_out, n_in]),
            pattern(&[n_out]),
        ];
        agree("linear", &inputs, |t| {
            ops::linear(&t[0], &t[1], Some(&t[2]))
        });
    }
}

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
    let single = |t: &Tensor| t.to_dtype(candle_core::DType::F32);
    let got = norm(&single(&x)?, &single(&weight)?, &single(&bias)?)?;
    // One rounding of values around 30 is 2e-6, and their spread is 0.01.
    let want = norm(
        &single(&x)?.to_dtype(candle_core::DType::F64)?,
        &weight,
        &bias,
    )?;
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
    for dims in [[1, 2, 2, 1], [3, 8, 4, 32], [2, 6, 10, 5]] {
        agree("downsample", &[pattern(&dims)], |t| ops::downsample(&t[0]));
        agree("upsample", &[pattern(&dims)], |t| ops::upsample(&t[0]));
    }
}

#[test]
fn upsampling_adds_to_gradients_of_other_uses() {
    // The backend's own nearest upsampling overwrites them.
    agree(
        "upsample beside another use",
        &[pattern(&[2, 3, 3, 4])],
        |t| ops::upsample(&t[0])?.sum((1, 2))? + t[0].sqr()?.sum((1, 2))?,
    );
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
        ops::upsample(&swapped(&t[0])?)
    });
    agree("downsample", std::slice::from_ref(&x), |t| {
        ops::downsample(&t[0].transpose(2, 3)?)
    });
    agree("concat", &[x], |t| {
        ops::concat(&swapped(&t[0])?, &swapped(&t[0])?)
    });
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let x = pattern(&[2, 3, 5, 8]);
    let refused = [
        ("odd side", ops::downsample(&x)),
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
