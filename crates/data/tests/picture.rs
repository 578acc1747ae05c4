//! Pictures of samples.

use candle_core::{DType, Device, Tensor};
use pfgmpp_data::{DataSource, GridLayout, Picture, grid, to_image};

fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

fn decoded(picture: &Picture) -> image::DynamicImage {
    image::load_from_memory(&picture.to_png().unwrap()).unwrap()
}

#[test]
fn every_level_survives_the_way_to_floats_and_back() {
    let values: Vec<f32> = (0..=255).map(|v| v as f32 / 127.5 - 1.0).collect();
    let picture = to_image(&tensor(&values, &[1, 16, 16])).unwrap();
    assert_eq!(picture.bytes(), (0..=255).collect::<Vec<u8>>());
    assert_eq!(decoded(&picture).to_luma8().into_raw(), picture.bytes());
}

#[test]
fn values_are_rounded_to_the_nearest_level_and_clamped() {
    let step = 1.0 / 127.5;
    let values = [
        -7.0,
        -1.0 + 0.49 * step,
        -1.0 + 0.51 * step,
        1.0 - 0.51 * step,
        1.0 - 0.49 * step,
        1e30,
    ];
    let got = to_image(&tensor(&values, &[1, 1, 6])).unwrap();
    assert_eq!(got.bytes(), [0, 0, 1, 254, 255, 255]);
}

#[test]
fn values_that_are_not_finite_show_in_magenta() {
    let got = to_image(&tensor(&[f32::NAN, 1.0, f32::INFINITY], &[1, 1, 3])).unwrap();
    assert_eq!(
        (got.channels(), got.bytes()),
        (3, [255, 0, 255, 255, 255, 255, 255, 0, 255].as_slice())
    );
}

#[test]
fn colour_planes_become_pixels() {
    let got = to_image(&tensor(&[1.0, -1.0, -1.0, 0.0, -1.0, 1.0], &[3, 1, 2])).unwrap();
    assert_eq!(
        (got.width(), got.height(), got.bytes()),
        (2, 1, [255, 0, 0, 0, 128, 255].as_slice())
    );
    assert_eq!(decoded(&got).to_rgb8().into_raw(), got.bytes());
}

#[test]
fn tiles_stand_in_reading_order_between_their_padding() {
    let batch = tensor(&[-1.0, 1.0, 0.0], &[3, 1, 1, 1]);
    let got = grid(
        &batch,
        GridLayout {
            columns: 2,
            padding: 1,
            scale: 2,
        },
    )
    .unwrap();
    assert_eq!((got.width(), got.height()), (5, 5));
    let (o, b, w, g) = (96, 0, 255, 128);
    #[rustfmt::skip]
    let want = [
        b, b, o, w, w,
        b, b, o, w, w,
        o, o, o, o, o,
        g, g, o, o, o,
        g, g, o, o, o,
    ];
    assert_eq!(got.bytes(), want);
}

#[test]
fn digits_fill_a_grid_of_the_size_asked_for() {
    let held_out = DataSource::Digits.load().unwrap().held_out;
    let batch = held_out
        .batch(&(0..20).collect::<Vec<_>>(), &Device::Cpu)
        .unwrap();
    let got = decoded(
        &grid(
            &batch,
            GridLayout {
                columns: 8,
                padding: 2,
                scale: 4,
            },
        )
        .unwrap(),
    );
    assert_eq!(
        (got.width(), got.height()),
        (8 * 32 + 7 * 2, 3 * 32 + 2 * 2)
    );
}

#[test]
fn layouts_that_make_no_picture_are_refused() {
    let batch = tensor(&[0.0; 8], &[2, 1, 2, 2]);
    let refused = |batch: &Tensor, columns, padding, scale| {
        grid(
            batch,
            GridLayout {
                columns,
                padding,
                scale,
            },
        )
        .unwrap_err()
        .to_string()
    };
    let want = "a grid needs columns and scale of at least 1, got columns 0 and scale 1";
    assert_eq!(refused(&batch, 0, 0, 1), want);
    assert!(
        refused(&batch, 1, 0, 1 << 20).starts_with("a picture may have up to 268435456 pixels")
    );
    assert!(
        refused(&batch, 2, usize::MAX, 1).starts_with("a picture may have up to 268435456 pixels")
    );
    let shapes: [&[usize]; 3] = [&[2, 2, 2, 2], &[2, 2], &[0, 1, 2, 2]];
    for shape in shapes {
        let got = refused(
            &Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap(),
            1,
            0,
            1,
        );
        assert!(got.ends_with(&format!("got {shape:?}")), "got {got}");
    }
}
