//! Convolutions and linear maps in `f32` against the backend's own composition in `f64`, and their bits
//! against themselves.

use candle_core::{DType, Result, Tensor, Var};
use pfgmpp_nn::ops::{self, Conv2dConfig};

use crate::check::{agree, agree_within, pattern, relative_error};

/// Tiles of Winograd take fewer multiplications at the price of rounding: relative to the largest output, a few 1e-6.
const TILE_ERROR: f64 = 1e-5;

#[test]
fn conv2d_agrees_with_composition() {
    let sizes = [
        // batch, height, width, c_in, c_out, kernel
        (1, 1, 1, 1, 1, 3),
        (2, 8, 8, 15, 32, 3),
        (3, 3, 4, 48, 33, 3),
        (2, 3, 5, 7, 17, 3),
        (2, 5, 3, 3, 1, 5),
        (3, 7, 2, 1, 40, 3),
        (2, 6, 5, 19, 64, 1),
        (5, 1, 1, 6, 3, 1),
        // Several blocks of the weights, and several shares of their gradient.
        (7, 12, 13, 130, 140, 1),
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
fn conv2d_with_stride_padding_and_groups_agrees_with_composition() {
    let sizes = [
        // (batch, height, width), (c_in, c_out), kernel, stride, padding, groups
        ((2, 8, 8), (20, 24), 3, 2, (1, 1), 1),
        ((2, 8, 6), (5, 17), 3, 2, (0, 1), 1),
        ((1, 9, 7), (16, 32), 3, 2, (1, 0), 1),
        ((3, 5, 8), (3, 4), 3, 3, (2, 1), 1),
        ((2, 7, 5), (6, 3), 1, 2, (0, 0), 1),
        ((2, 6, 5), (4, 9), 2, 1, (1, 0), 1),
        ((1, 9, 8), (2, 3), 4, 3, (3, 2), 1),
        ((2, 5, 6), (18, 16), 3, 1, (2, 2), 1),
        ((2, 7, 9), (16, 33), 3, 1, (0, 0), 1),
        ((1, 8, 5), (17, 16), 3, 1, (2, 0), 1),
        ((2, 5, 4), (12, 8), 3, 1, (1, 1), 4),
        ((2, 6, 7), (32, 66), 3, 1, (1, 1), 2),
        ((2, 6, 7), (9, 9), 3, 2, (1, 1), 9),
        ((3, 4, 4), (6, 10), 1, 1, (0, 0), 2),
    ];
    for ((b, h, w), (c_in, c_out), kernel, stride, (before, after), groups) in sizes {
        let config = Conv2dConfig {
            stride,
            padding_before: before,
            padding_after: after,
            groups,
        };
        let name = format!("conv2d {b}x{h}x{w}, {c_in} to {c_out}, {kernel}, {config:?}");
        let x = pattern(&[b, h, w, c_in]);
        let weight = pattern(&[c_out, c_in / groups, kernel, kernel]);
        for bias in [pattern(&[c_out]), pattern(&[b, c_out])] {
            let inputs = [x.clone(), weight.clone(), bias];
            agree_within(&name, TILE_ERROR, &inputs, |t| {
                ops::conv2d_with(&t[0], &t[1], Some(&t[2]), config)
            });
        }
    }
}

#[test]
fn gradients_of_conv2d_alone_agree_with_those_of_the_operation() -> Result<()> {
    let config = Conv2dConfig {
        stride: 2,
        padding_before: 1,
        padding_after: 0,
        groups: 2,
    };
    for dtype in [DType::F32, DType::F64] {
        let var = |dims: &[usize]| Var::from_tensor(&pattern(dims).to_dtype(dtype)?);
        let (x, weight) = (var(&[2, 6, 7, 8])?, var(&[6, 4, 3, 3])?);
        let out = ops::conv2d_with(&x, &weight, None, config)?;
        let grad = pattern(out.dims()).to_dtype(dtype)?;
        let grads = (out * &grad)?.sum_all()?.backward()?;
        let dx = ops::conv2d_input_gradient(x.shape(), &weight, &grad, config)?;
        let d_weight = ops::conv2d_weight_gradient(&x, weight.shape(), &grad, config)?;
        for (got, var) in [(dx, &x), (d_weight, &weight)] {
            let want = grads.get(var).expect("a gradient").to_dtype(DType::F64)?;
            assert!(relative_error(&got, &want) < 1e-6, "{dtype:?}");
        }
    }
    Ok(())
}

#[test]
fn conv2d_by_tiles_agrees_with_composition() {
    let sizes = [
        // batch, height, width, c_in, c_out
        (2, 8, 8, 32, 32),
        (3, 4, 4, 48, 33),
        (2, 5, 7, 17, 40),
        (1, 9, 4, 16, 70),
        (5, 6, 11, 66, 16),
        (9, 12, 12, 16, 16),
        // Channels enough for the weights to be transformed in turn, not the inputs.
        (2, 8, 8, 40, 128),
        // Tiles enough for several shares of the weight gradient, the last of them shorter.
        (33, 8, 8, 17, 40),
        (40, 9, 9, 66, 70),
    ];
    for (b, h, w, c_in, c_out) in sizes {
        let name = format!("conv2d {b}x{h}x{w}, {c_in} to {c_out}");
        let x = pattern(&[b, h, w, c_in]);
        let weight = pattern(&[c_out, c_in, 3, 3]);
        agree_within(&name, TILE_ERROR, &[x.clone(), weight.clone()], |t| {
            ops::conv2d(&t[0], &t[1], None)
        });
        for bias in [pattern(&[c_out]), pattern(&[b, c_out])] {
            let inputs = [x.clone(), weight.clone(), bias];
            agree_within(&name, TILE_ERROR, &inputs, |t| {
                ops::conv2d(&t[0], &t[1], Some(&t[2]))
            });
        }
    }
}

#[test]
fn conv2d_by_tiles_takes_operands_that_are_not_contiguous() {
    let x = pattern(&[2, 8, 6, 24]);
    let weight = pattern(&[20, 3, 24, 3]);
    agree_within("transposed", TILE_ERROR, &[x, weight], |t| {
        ops::conv2d(&t[0].transpose(1, 2)?, &t[1].transpose(1, 2)?, None)
    });
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

fn single(dims: &[usize]) -> Result<Tensor> {
    pattern(dims).to_dtype(DType::F32)
}

fn bits(x: &Tensor) -> Result<Vec<u32>> {
    let values = x.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f32::to_bits).collect())
}

/// Batch, side, input and output channels, and kernel.
type Case = (usize, usize, usize, usize, usize);

/// In the first, a batch goes by blocks of tiles and a sample by panels of weights; then come tiles of either
/// kind, the direct kernel, and one pixel under one.
const LARGE: [Case; 4] = [
    (80, 8, 40, 128, 3),
    (70, 9, 20, 72, 3),
    (30, 3, 80, 70, 3),
    (40, 9, 130, 70, 1),
];

/// Input, weights and gradient of the output.
fn operands((b, side, c_in, c_out, kernel): Case) -> Result<(Tensor, Tensor, Tensor)> {
    Ok((
        single(&[b, side, side, c_in])?,
        single(&[c_out, c_in, kernel, kernel])?,
        single(&[b, side, side, c_out])?,
    ))
}

#[test]
fn a_samples_convolution_does_not_depend_on_its_batch() -> Result<()> {
    for case in LARGE {
        let config = Conv2dConfig::same(case.4);
        let (x, weight, grad) = operands(case)?;
        let out = ops::conv2d(&x, &weight, None)?;
        let dx = ops::conv2d_input_gradient(x.shape(), &weight, &grad, config)?;
        for (first, len) in [(0, 1), (case.0 - 1, 1), (3, 17)] {
            let (x, grad) = (x.narrow(0, first, len)?, grad.narrow(0, first, len)?);
            let alone = ops::conv2d(&x, &weight, None)?;
            assert!(bits(&alone)? == bits(&out.narrow(0, first, len)?)?);
            let alone = ops::conv2d_input_gradient(x.shape(), &weight, &grad, config)?;
            assert!(bits(&alone)? == bits(&dx.narrow(0, first, len)?)?);
        }
    }
    Ok(())
}

#[test]
fn convolutions_do_not_depend_on_the_number_of_threads() -> Result<()> {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().expect("threads can be started").install(|| {
            let mut all = Vec::new();
            for case in LARGE {
                let config = Conv2dConfig::same(case.4);
                let (x, weight, grad) = operands(case)?;
                all.push(bits(&ops::conv2d(&x, &weight, None)?)?);
                let dx = ops::conv2d_input_gradient(x.shape(), &weight, &grad, config)?;
                let d_weight = ops::conv2d_weight_gradient(&x, weight.shape(), &grad, config)?;
                all.extend([bits(&dx)?, bits(&d_weight)?]);
            }
            Ok::<_, candle_core::Error>(all)
        })
    };
    let want = run(1)?;
    for threads in [2, 3, 7] {
        assert!(run(threads)? == want, "{threads} threads");
    }
    Ok(())
}

#[test]
fn a_window_that_does_not_fit_is_refused() -> Result<()> {
    let (x, weight) = (pattern(&[1, 4, 2, 6]), pattern(&[4, 3, 3, 3]));
    let fits = Conv2dConfig {
        stride: 2,
        padding_before: 1,
        padding_after: 1,
        groups: 2,
    };
    let with = |change: fn(&mut Conv2dConfig)| {
        let mut config = fits;
        change(&mut config);
        config
    };
    let cases = [
        (with(|c| c.stride = 0), "stride must be at least 1, got 0"),
        (
            with(|c| c.padding_before = 3),
            "less than the kernel's 3, got 3 and 1",
        ),
        (
            with(|c| (c.padding_before, c.padding_after) = (0, 0)),
            "smaller than a kernel of 3",
        ),
        (
            with(|c| c.groups = 0),
            "divide the channels, 6 and 4, got 0",
        ),
        (
            with(|c| c.groups = 1),
            "in 1 group(s) needs weights [c_out, 6, k, k]",
        ),
    ];
    for dtype in [DType::F32, DType::F64] {
        let (x, weight) = (x.to_dtype(dtype)?, weight.to_dtype(dtype)?);
        let grad = pattern(&[1, 2, 1, 4]).to_dtype(dtype)?;
        ops::conv2d_with(&x, &weight, None, fits)?;
        ops::conv2d_input_gradient(x.shape(), &weight, &grad, fits)?;
        for (config, want) in cases {
            let error = ops::conv2d_with(&x, &weight, None, config).expect_err("it is refused");
            assert!(error.to_string().contains(want), "{config:?}: got {error}");
        }
        for other in [grad.transpose(1, 2)?, grad.reshape((2, 4))?] {
            let error = ops::conv2d_input_gradient(x.shape(), &weight, &other, fits);
            let error = error.expect_err("it is refused").to_string();
            assert!(
                error.contains("shape of its output, [1, 2, 1, 4]"),
                "got {error}"
            );
        }
        let flat = x.reshape((8, 6))?;
        assert!(ops::conv2d_with(&flat, &weight, None, fits).is_err());
        let nothing = x.narrow(1, 0, 0)?;
        assert!(ops::conv2d_with(&nothing, &weight, None, fits).is_err());
    }
    Ok(())
}

#[test]
fn an_empty_batch_gives_an_empty_batch() -> Result<()> {
    let weight = single(&[32, 16, 3, 3])?;
    let x = single(&[1, 8, 8, 16])?.narrow(0, 0, 0)?;
    let config = Conv2dConfig::same(3);
    let out = ops::conv2d(&x, &weight, None)?;
    assert_eq!(out.dims(), [0, 8, 8, 32]);
    let d_weight = ops::conv2d_weight_gradient(&x, weight.shape(), &out, config)?;
    assert!(
        d_weight
            .flatten_all()?
            .to_vec1::<f32>()?
            .iter()
            .all(|&w| w == 0.0)
    );
    Ok(())
}
