//! What is drawn, what a network is told of it, and what becomes of images.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

const DRAWS: u64 = 20_000;

fn drawn(probability: f64) -> Vec<Transformation> {
    let draw = |seed| Transformation::draw(probability, &mut ChaCha8Rng::seed_from_u64(seed));
    (0..DRAWS).map(draw).collect()
}

#[test]
fn each_transformation_has_its_probability_and_its_law() {
    let all = drawn(0.12);
    let share = |what: &dyn Fn(&Transformation) -> bool| {
        all.iter().filter(|t| what(t)).count() as f64 / DRAWS as f64
    };
    for (name, got, want) in [
        ("x-flip", share(&|t| t.x_flip), 0.5),
        ("y-flip", share(&|t| t.y_flip), 0.06),
        ("scaling", share(&|t| t.scale != 0.0), 0.12),
        ("rotation", share(&|t| t.rotation != 0.0), 0.12),
        ("anisotropy", share(&|t| t.anisotropy[1] != 0.0), 0.12),
        ("translation", share(&|t| t.translation != [0.0; 2]), 0.12),
    ] {
        // Four deviations of a share.
        let bound = 4.0 * (want * (1.0 - want) / DRAWS as f64).sqrt();
        assert!((got - want).abs() < bound, "{name}: got {got}, want {want}");
    }
    let all = drawn(1.0);
    let mean = |f: &dyn Fn(&Transformation) -> f64| all.iter().map(f).sum::<f64>() / DRAWS as f64;
    for (name, got, want, bound) in [
        ("scale", mean(&|t| t.scale), 0.0, 0.03),
        ("scale²", mean(&|t| t.scale.powi(2)), 1.0, 0.05),
        ("shift²", mean(&|t| t.translation[1].powi(2)), 1.0, 0.05),
        // Uniform over a full turn.
        (
            "rotation²",
            mean(&|t| t.rotation.powi(2)),
            PI * PI / 3.0,
            0.1,
        ),
    ] {
        assert!((got - want).abs() < bound, "{name}: got {got}, want {want}");
    }
}

#[test]
fn labels_of_what_is_left_out_are_zero() {
    assert_eq!(Transformation::default().labels(), [0.0; AUGMENT_LABELS]);
    let all = drawn(0.0);
    assert!(
        all.iter().all(|t| t.labels()[1..] == [0.0; 8]),
        "only the x-flip is drawn"
    );
    let turned = Transformation {
        rotation: PI / 2.0,
        anisotropy: [PI / 2.0, 2.0],
        translation: [1.0, -1.0],
        x_flip: true,
        ..Transformation::default()
    };
    let want = [1.0, 0.0, 0.0, -1.0, 1.0, 0.0, 2.0, 1.0, -1.0];
    for (got, want) in turned.labels().into_iter().zip(want) {
        assert!((got - want).abs() < 1e-6, "got {:?}", turned.labels());
    }
}

#[test]
fn flips_mirror_rows_and_columns() {
    // Two channels of 3 rows and 2 columns.
    let image: Vec<f32> = (0..12u8).map(f32::from).collect();
    let flipped = |horizontally| {
        let mut image = image.clone();
        flip(&mut image, [2, 3, 2], horizontally);
        image
    };
    assert_eq!(flipped(true)[..6], [1.0, 0.0, 3.0, 2.0, 5.0, 4.0]);
    assert_eq!(flipped(false)[6..], [10.0, 11.0, 8.0, 9.0, 6.0, 7.0]);
}

#[test]
fn an_image_and_its_labels_depend_on_its_own_generator_alone() {
    let config = AugmentConfig {
        x_flip: false,
        geometric: Some(0.9),
    };
    let shape = [1, 8, 6];
    let apply = |seed| {
        let mut image: Vec<f32> = (0..48u8).map(|i| f32::from(i % 7)).collect();
        let mut labels = [0.0; AUGMENT_LABELS];
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        config.apply(&mut image, shape, &mut labels, &mut rng);
        assert!(image.iter().all(|value| value.is_finite()), "got {image:?}");
        (image, labels)
    };
    assert_eq!(apply(3), apply(3));
    assert_ne!(apply(3), apply(4));
}

#[test]
fn x_flip_alone_mirrors_half_of_the_images_and_tells_nothing() {
    let config = AugmentConfig {
        x_flip: true,
        geometric: None,
    };
    assert_eq!(config.label_dim(), 0);
    let mirrored = (0..1000).filter(|&seed| {
        let mut image = [0.0, 1.0];
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        config.apply(&mut image, [1, 1, 2], &mut [], &mut rng);
        image == [1.0, 0.0]
    });
    let got = mirrored.count();
    assert!((430..570).contains(&got), "got {got} of 1000");
}
