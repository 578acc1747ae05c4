//! What the data crate promises to training and to reports.

use candle_core::{DType, Device, Tensor};
use pfgmpp_data::{ClassLabels, DataSource, Dataset, Noise, Shuffle, Statistics};

fn ramp(num: usize) -> Dataset {
    let pixels: Vec<f32> = (0..num * 4).map(|i| i as f32 / (num * 4) as f32).collect();
    let images = Tensor::from_vec(pixels, (num, 1, 2, 2), &Device::Cpu).unwrap();
    let labels = ClassLabels::new((0..num as u32).collect(), num);
    Dataset::new("ramp", &images, Some(labels)).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn batches_keep_the_order_of_their_indices() {
    let dataset = ramp(8);
    let (got, want) = (
        dataset.batch(&[5, 0, 5], &Device::Cpu).unwrap(),
        [20., 21., 22., 23., 0., 1., 2., 3.],
    );
    assert_eq!(got.dims(), [3, 1, 2, 2]);
    assert_eq!(got.dtype(), DType::F32);
    assert_eq!(values(&got)[..8], want.map(|v: f32| v / 32.0));
    assert_eq!(dataset.labels(&[5, 0, 5]).unwrap(), Some(vec![5, 0, 5]));
}

#[test]
fn errors_name_the_image_and_its_value() {
    let images = Tensor::new(&[[[[0.0_f32, 0.5]]], [[[0.25, 1.5]]]], &Device::Cpu).unwrap();
    let got = Dataset::new("toy", &images, None).unwrap_err().to_string();
    assert_eq!(
        got,
        "toy: pixel 1 of image 1 must be within [-1, 1], got 1.5"
    );
    let images = Tensor::new(&[[[[f32::NAN]]]], &Device::Cpu).unwrap();
    let got = Dataset::new("toy", &images, None).unwrap_err().to_string();
    assert_eq!(
        got,
        "toy: pixel 0 of image 0 must be within [-1, 1], got NaN"
    );

    let images = Tensor::zeros((2, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let labels = |values: &[u32]| Some(ClassLabels::new(values.to_vec(), 3));
    let got = Dataset::new("toy", &images, labels(&[0, 3]))
        .unwrap_err()
        .to_string();
    assert_eq!(got, "toy: label of image 1 must be in 0..3, got 3");
    let got = Dataset::new("toy", &images, labels(&[0]))
        .unwrap_err()
        .to_string();
    assert_eq!(got, "toy: 2 images need as many labels, got 1");
    let got = Dataset::new("toy", &images.flatten_all().unwrap(), None)
        .unwrap_err()
        .to_string();
    assert_eq!(got, "toy: images must have shape [n, C, H, W], got [2]");
    let got = ramp(8)
        .batch(&[1, 8], &Device::Cpu)
        .unwrap_err()
        .to_string();
    assert_eq!(got, "ramp: image index must be in 0..8, got 8");
}

#[test]
fn an_unlabelled_set_has_no_classes() {
    let images = Tensor::zeros((2, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let dataset = Dataset::new("toy", &images, None).unwrap();
    assert_eq!(
        (dataset.num_classes(), dataset.labels(&[0]).unwrap()),
        (0, None)
    );
}

#[test]
fn a_subset_keeps_each_image_with_its_class() {
    let part = ramp(8).subset("part", &[6, 1, 1]).unwrap();
    assert_eq!(values(&part.batch(&[0], &Device::Cpu).unwrap())[0], 0.75);
    assert_eq!(part.labels(&[0, 1, 2]).unwrap(), Some(vec![6, 1, 1]));
    assert_eq!(part.class_counts(), [0, 2, 0, 0, 0, 0, 1, 0]);
    assert_eq!(part.num_classes(), 8, "classes of the whole set");
}

#[test]
fn every_source_with_classes_gives_them_for_both_parts() {
    for (source, classes) in [
        (DataSource::Digits, 10),
        (DataSource::EightGaussians, 8),
        (DataSource::SwissRoll, 1),
        (DataSource::Checkerboard, 8),
        (DataSource::TwoMoons, 2),
    ] {
        let parts = source.load().unwrap();
        assert_eq!(parts.found.classes, classes, "{}", parts.found);
        for part in [&parts.train, &parts.held_out] {
            let labels = part.class_labels().unwrap().expect("labels");
            assert_eq!(labels.num_classes(), classes, "{}", part.name());
            assert_eq!(labels.values().len(), part.num_images());
            let counts = part.class_counts();
            assert_eq!(counts.iter().sum::<usize>(), part.num_images());
            assert!(counts.iter().all(|&count| count > 0), "got {counts:?}");
        }
    }
}

#[test]
fn what_was_found_is_said_in_a_line() {
    let found = |source: DataSource| source.load().unwrap().found.to_string();
    let got = found(DataSource::Digits);
    let want = "digits: 1438 images of 1x8x8 and 359 held out, 10 classes";
    assert_eq!(got, want);
    let (shape, num) = ([3, 2, 4], 12);
    let got = found(DataSource::Noise(Noise { shape, num }));
    assert_eq!(got, "noise: 10 images of 3x2x4 and 2 held out, no classes");
}

#[test]
fn a_source_is_read_and_written_by_its_name() {
    let source: DataSource = serde_json::from_str("\"digits\"").unwrap();
    assert_eq!(source, DataSource::Digits);
    assert_eq!(serde_json::to_string(&source).unwrap(), "\"digits\"");
    let got = serde_json::from_str::<DataSource>("\"digit\"")
        .unwrap_err()
        .to_string();
    assert!(
        got.contains("unknown variant `digit`, expected one of `digits`"),
        "got {got}"
    );
}

// (y ** 2).mean(), y.mean(), y.std() and 2 * q.mean() ** 2 / q.var() with q = (y ** 2).sum(1), by numpy on the
// same file and split.
#[test]
fn statistics_of_the_digits_agree_with_numpy() {
    let parts = DataSource::Digits.load().unwrap();
    let want = [
        (
            parts.train,
            [
                0.7176793805415508,
                -0.3883866481223922,
                0.7528845808633644,
                434.7533803499281,
            ],
        ),
        (
            parts.held_out,
            [
                0.7160120887012534,
                -0.39385663300835655,
                0.7489252575101031,
                485.3851602681767,
            ],
        ),
    ];
    for (dataset, want) in want {
        let s = Statistics::measure(&dataset).unwrap();
        for (got, want) in [s.second_moment, s.mean, s.std, s.n_eff]
            .into_iter()
            .zip(want)
        {
            assert!(
                (got / want - 1.0).abs() < 1e-12,
                "{}: got {got}, want {want}",
                dataset.name()
            );
        }
    }
}

#[test]
fn images_of_one_norm_have_infinite_effective_dimension() {
    let images = Tensor::new(&[[[[0.5_f32, -0.5]]], [[[0.5, 0.5]]]], &Device::Cpu).unwrap();
    let got = Statistics::measure(&Dataset::new("toy", &images, None).unwrap()).unwrap();
    assert_eq!(
        got,
        Statistics {
            second_moment: 0.25,
            mean: 0.25,
            std: 0.1875_f64.sqrt(),
            n_eff: f64::INFINITY
        }
    );
}

#[test]
fn every_image_is_seen_once_an_epoch() {
    let mut shuffle = Shuffle::new(&ramp(10), 3);
    let run = shuffle.indices(0, 50);
    for (epoch, order) in run.chunks(10).enumerate() {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            (0..10).collect::<Vec<_>>(),
            "epoch {epoch} was {order:?}"
        );
    }
    assert_ne!(run[..10], run[10..20], "two epochs in one order");
}

#[test]
fn the_order_does_not_depend_on_how_it_is_cut_into_batches() {
    let want = Shuffle::new(&ramp(10), 3).indices(0, 64);
    for batch_size in [1, 7, 10, 23] {
        let mut shuffle = Shuffle::new(&ramp(10), 3);
        let batches = (0..64)
            .step_by(batch_size)
            .flat_map(|nimg| shuffle.indices(nimg as u64, batch_size));
        assert_eq!(
            batches.take(64).collect::<Vec<_>>(),
            want,
            "batch size {batch_size}"
        );
    }
}

#[test]
fn a_resumed_run_sees_what_the_first_would_have_seen() {
    let (dataset, mut first) = (ramp(10), Shuffle::new(&ramp(10), 3));
    first.indices(0, 37);
    let (got, want) = (
        Shuffle::new(&dataset, 3).indices(37, 16),
        first.indices(37, 16),
    );
    assert_eq!(got, want);
    assert_eq!(
        first.indices(0, 16),
        Shuffle::new(&dataset, 3).indices(0, 16),
        "going back"
    );
    assert_ne!(
        Shuffle::new(&dataset, 4).indices(37, 16),
        want,
        "another seed"
    );
}

// A change here means that runs begun before it do not resume to the same trajectory.
#[test]
fn the_order_of_seed_0_stays_what_it_was() {
    let mut shuffle = Shuffle::new(&ramp(10), 0);
    let got = [shuffle.indices(0, 10), shuffle.indices(10, 10)];
    assert_eq!(
        got,
        [
            [0, 6, 7, 9, 3, 4, 2, 5, 1, 8],
            [7, 4, 6, 9, 2, 5, 0, 1, 8, 3]
        ]
    );
}
