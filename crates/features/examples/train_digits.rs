//! Trains the classifier of digits whose features `pfgmpp score --network digits` takes, and writes its weights:
//!
//! ```text
//! cargo run --release -p pfgmpp-features --example train_digits -- crates/features/weights/digits.safetensors
//! ```
//!
//! It sees the training parts of the embedded sets, the 8x8 digits and MNIST at 28, 14 and 7 pixels a side, shifted by
//! up to two pixels, and is tried on their held-out parts after each epoch.

use std::collections::HashMap;
use std::error::Error;

use candle_core::{DType, Device, Tensor, Var, safetensors};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use pfgmpp_data::{DataSource, Dataset, Mnist5k, Mnist5kSide};
use pfgmpp_features::DigitClassifier;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const EPOCHS: usize = 12;
const BATCH: usize = 64;
const LR: f64 = 1e-3;
/// Rows and columns by which an image may be shifted.
const SHIFT: usize = 2;

/// Prepared images `[n, 1, 16, 16]` and their digits.
struct Part {
    images: Tensor,
    digits: Vec<u32>,
}

impl Part {
    fn of(set: &Dataset) -> Result<Self, Box<dyn Error>> {
        let all: Vec<usize> = (0..set.num_images()).collect();
        let images = DigitClassifier::prepare(&set.batch(&all, &Device::Cpu)?)?;
        let digits = set.labels(&all)?.ok_or("a set of digits has classes")?;
        Ok(Self { images, digits })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args().nth(1).ok_or("name the file of weights")?;
    let mnist = |side| DataSource::Mnist5k(Mnist5k { side });
    let sources = [
        ("digits", DataSource::Digits),
        ("MNIST at 28", mnist(Mnist5kSide::Whole)),
        ("14", mnist(Mnist5kSide::Half)),
        ("7", mnist(Mnist5kSide::Quarter)),
    ];
    let (mut seen, mut held_out) = (Vec::new(), Vec::new());
    for (source, set) in sources {
        let splits = set.load()?;
        seen.push(Part::of(&splits.train)?);
        held_out.push((source, Part::of(&splits.held_out)?));
    }
    let images: Vec<&Tensor> = seen.iter().map(|part| &part.images).collect();
    let images = Tensor::cat(&images, 0)?;
    let digits: Vec<u32> = seen.iter().flat_map(|part| part.digits.clone()).collect();

    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut vars: Vec<(String, Var)> = Vec::new();
    for (name, shape) in DigitClassifier::shapes() {
        // Uniform with the variance 2 / inputs, for rectified units (He et al. 2015); biases of 0.
        let inputs = shape[1..].iter().product::<usize>() as f32;
        let bound = if name.ends_with("bias") {
            0.0
        } else {
            (6.0 / inputs).sqrt()
        };
        let values = (0..shape.iter().product()).map(|_| bound * (2.0 * rng.random::<f32>() - 1.0));
        let values = Tensor::from_vec(values.collect::<Vec<f32>>(), shape, &Device::Cpu)?;
        vars.push((name, Var::from_tensor(&values)?));
    }
    let weights = vars
        .iter()
        .map(|(name, var)| (name.clone(), var.as_tensor().clone()));
    let classifier = DigitClassifier::new(weights.collect(), &Device::Cpu)?;
    let params = ParamsAdamW {
        lr: LR,
        weight_decay: 0.01,
        ..ParamsAdamW::default()
    };
    let mut adam = AdamW::new(vars.iter().map(|(_, var)| var.clone()).collect(), params)?;

    let mut order: Vec<usize> = (0..digits.len()).collect();
    for epoch in 0..EPOCHS {
        // The learning rate falls to a hundredth, so that the last weights are no matter of chance.
        adam.set_learning_rate(LR * 0.01f64.powf(epoch as f64 / (EPOCHS - 1) as f64));
        order.shuffle(&mut rng);
        let mut sum = 0.0;
        for batch in order.chunks(BATCH) {
            let indices: Vec<u32> = batch.iter().map(|&index| index as u32).collect();
            let x = images.index_select(&Tensor::new(indices, &Device::Cpu)?, 0)?;
            let x = shifted(
                &x,
                rng.random_range(0..=2 * SHIFT),
                rng.random_range(0..=2 * SHIFT),
            )?;
            let wanted: Vec<u32> = batch.iter().map(|&index| digits[index]).collect();
            let wanted = Tensor::new(wanted, &Device::Cpu)?;
            let loss = candle_nn::loss::cross_entropy(&classifier.logits(&x)?, &wanted)?;
            adam.backward_step(&loss)?;
            sum += f64::from(loss.to_scalar::<f32>()?) * batch.len() as f64;
        }
        let mut line = format!("epoch {}: loss {:.4}", epoch + 1, sum / digits.len() as f64);
        for (source, part) in &held_out {
            line += &format!(", {source} {:.1} %", 100.0 * accuracy(&classifier, part)?);
        }
        println!("{line}");
    }

    let mut half: HashMap<String, Tensor> = HashMap::new();
    for (name, var) in &vars {
        half.insert(name.clone(), var.as_tensor().to_dtype(DType::F16)?);
    }
    safetensors::save(&half, &out)?;
    println!("weights: {out}");
    Ok(())
}

/// Images moved by `down - SHIFT` rows and `right - SHIFT` columns, what comes in being dark.
fn shifted(x: &Tensor, down: usize, right: usize) -> candle_core::Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let light = (x + 1.0)?;
    let wide = light
        .pad_with_zeros(2, SHIFT, SHIFT)?
        .pad_with_zeros(3, SHIFT, SHIFT)?;
    wide.narrow(2, down, height)?.narrow(3, right, width)? - 1.0
}

/// The share of the images whose digit is found.
fn accuracy(classifier: &DigitClassifier, part: &Part) -> Result<f64, Box<dyn Error>> {
    let found = classifier
        .logits(&part.images)?
        .argmax(1)?
        .to_vec1::<u32>()?;
    let right = found
        .iter()
        .zip(&part.digits)
        .filter(|(a, b)| a == b)
        .count();
    Ok(right as f64 / found.len() as f64)
}
