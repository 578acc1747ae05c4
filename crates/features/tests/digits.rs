//! The classifier of digits that is built in: what it finds, and what distances by its features tell.

use candle_core::{Device, Tensor};
use pfgmpp_data::{DataSource, Dataset, Mnist5k, Mnist5kSide};
use pfgmpp_features::{DigitClassifier, Extractor};

fn images(set: &Dataset) -> Tensor {
    let all: Vec<usize> = (0..set.num_images()).collect();
    set.batch(&all, &Device::Cpu).unwrap()
}

#[test]
fn digits_that_it_has_not_seen_are_found() {
    let classifier = DigitClassifier::built_in(&Device::Cpu).unwrap();
    let mnist = |side| DataSource::Mnist5k(Mnist5k { side });
    for (name, source, want) in [
        ("digits", DataSource::Digits, 0.93),
        ("MNIST at 28", mnist(Mnist5kSide::Whole), 0.95),
        ("MNIST at 14", mnist(Mnist5kSide::Half), 0.95),
        ("MNIST at 7", mnist(Mnist5kSide::Quarter), 0.9),
    ] {
        let held_out = source.load().unwrap().held_out;
        let seen = DigitClassifier::prepare(&images(&held_out)).unwrap();
        let found = classifier.logits(&seen).unwrap().argmax(1).unwrap();
        let found = found.to_vec1::<u32>().unwrap();
        let all: Vec<usize> = (0..found.len()).collect();
        let digits = held_out.labels(&all).unwrap().unwrap();
        let right = found.iter().zip(&digits).filter(|(a, b)| a == b).count();
        let share = right as f64 / found.len() as f64;
        println!("{name}: {:.1} % found", 100.0 * share);
        assert!(share > want, "{name}: got {share}, want more than {want}");
    }
}

#[test]
fn features_lie_further_from_those_of_data_the_more_of_the_images_is_noise() {
    let network = Extractor::digits(&Device::Cpu).unwrap();
    assert_eq!(network.num_features(), 64);
    let splits = DataSource::Digits.load().unwrap();
    let (train, held_out) = (images(&splits.train), images(&splits.held_out));
    let mean = |images: &Tensor| {
        let features = network.features(images, &|_| true).unwrap();
        features.mean(0).unwrap()
    };
    let of_data = mean(&train);
    let mut last = 0.0;
    for noise in [0.0, 0.3, 0.6, 1.2] {
        let values = held_out.elem_count();
        // Fixed values that look random: the fractional parts of multiples of an irrational number.
        let drawn = (0..values).map(|i| (i as f64 * 0.754_877_666).fract() as f32 * 2.0 - 1.0);
        let drawn = Tensor::from_vec(drawn.collect::<Vec<f32>>(), held_out.shape(), &Device::Cpu);
        let noisy = (&held_out + (drawn.unwrap() * noise).unwrap()).unwrap();
        let distance = (mean(&noisy) - &of_data)
            .unwrap()
            .sqr()
            .unwrap()
            .sum_all()
            .unwrap();
        let distance = distance.to_scalar::<f32>().unwrap();
        println!("noise {noise}: {distance}");
        assert!(
            distance > last,
            "noise {noise}: got {distance}, want more than {last}"
        );
        last = distance;
    }
}
