//! Features of random weights agree with PyTorch's, and weights that do not belong to a network are refused by name.
//!
//! `data/make.py` computes the features by torchvision and transformers, of weights that it makes of their names as
//! [`draw`] does here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor, safetensors};
use pfgmpp_features::{Extractor, FeatureError, FeatureNetwork};

/// Numbers in [0, 1): SplitMix64 of the name's FNV-1a hash plus the place.
fn uniform(name: &str, num: usize) -> Vec<f64> {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let number = |place: u64| {
        let z = seed.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    (1..=num as u64).map(number).collect()
}

/// A weight by its name and shape.
fn draw(name: &str, shape: &[usize]) -> Tensor {
    let is_gain = shape.len() == 1 && name.ends_with("weight");
    let (centre, scale) = if name.ends_with("running_var") {
        (1.0, 0.5)
    } else if name.ends_with("bias") || name.ends_with("running_mean") {
        (0.0, 0.1)
    } else if name.ends_with("gamma") || name.ends_with("lambda1") || is_gain {
        (1.0, 0.3)
    } else {
        let inputs = shape[1..].iter().product::<usize>() as f64;
        match shape.len() {
            4 => (0.0, (6.0 / inputs).sqrt()),
            2 if name.ends_with("weight") => (0.0, (3.0 / inputs).sqrt()),
            _ => (0.0, 0.5),
        }
    };
    let values = uniform(name, shape.iter().product()).into_iter();
    let values = values.map(|u| (centre + scale * (2.0 * u - 1.0)) as f32);
    Tensor::from_vec(values.collect(), shape, &Device::Cpu).unwrap()
}

/// The weights of one of the networks in `data/weights.txt`.
fn weights(network: &str) -> HashMap<String, Tensor> {
    let lines = include_str!("data/weights.txt").lines();
    let own = lines.filter_map(|line| line.strip_prefix(network)?.strip_prefix(' '));
    let own = own.map(|line| {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let shape: Vec<usize> = words.map(|size| size.parse().unwrap()).collect();
        (name.to_string(), draw(name, &shape))
    });
    own.collect()
}

/// Random bytes as an image in [-1, 1].
fn picture(name: &str) -> Tensor {
    let shape = match name {
        "small" => (1, 3, 32, 32),
        "large" => (1, 3, 320, 310),
        _ => (1, 1, 8, 8),
    };
    let values = uniform(name, shape.1 * shape.2 * shape.3).into_iter();
    let values = values.map(|u| ((256.0 * u).floor() / 127.5 - 1.0) as f32);
    Tensor::from_vec(values.collect(), shape, &Device::Cpu).unwrap()
}

fn extractor(network: &str) -> Result<Extractor, FeatureError> {
    let kind = network.split('.').next().unwrap().parse().unwrap();
    Extractor::new(kind, weights(network), &Device::Cpu)
}

fn go_on(_: usize) -> bool {
    true
}

/// Compares the features of every picture that there are some of, relative to the root of their mean square.
fn agrees(network: &str, pictures: usize) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/features.safetensors"
    );
    let all = safetensors::load(path, &Device::Cpu).unwrap();
    let extractor = extractor(network).unwrap();
    let mut checked = 0;
    for (name, want) in &all {
        let Some(of) = name
            .strip_prefix(network)
            .and_then(|of| of.strip_prefix('.'))
        else {
            continue;
        };
        let got = extractor.features(&picture(of), &go_on).unwrap();
        assert_eq!(got.dims(), [1, extractor.num_features()], "{name}");
        let scalar = |x: Tensor| f64::from(x.to_scalar::<f32>().unwrap());
        let most = scalar((&got - want).unwrap().abs().unwrap().max_all().unwrap());
        let scale = scalar(want.sqr().unwrap().mean_all().unwrap()).sqrt();
        println!(
            "{name}: largest difference {:.2e} of their scale",
            most / scale
        );
        assert!(
            most < 1e-4 * scale,
            "{name}: got {:.2e}, want 1e-4",
            most / scale
        );
        checked += 1;
    }
    assert_eq!(checked, pictures, "got {checked} pictures, want {pictures}");
}

#[test]
fn inception_of_2015_agrees_with_pytorch() {
    agrees("inception.2015", 2);
}

#[test]
fn inception_of_torchvision_agrees_with_it() {
    agrees("inception.torchvision", 2);
}

#[test]
fn dinov2_under_the_names_of_the_hub_agrees_with_transformers() {
    agrees("dinov2.hub.gelu", 3);
}

#[test]
fn dinov2_of_the_largest_size_agrees_with_transformers() {
    agrees("dinov2.hub.gated", 3);
}

#[test]
fn dinov2_under_its_authors_names_agrees_with_positions_interpolated() {
    agrees("dinov2.authors.gelu", 3);
    agrees("dinov2.authors.gated", 3);
}

#[test]
fn features_do_not_depend_on_what_stands_beside_an_image() {
    let extractor = extractor("dinov2.hub.gelu").unwrap();
    let values: Vec<f32> = uniform("several", 5 * 64)
        .iter()
        .map(|u| (2.0 * u - 1.0) as f32)
        .collect();
    let images = Tensor::from_vec(values, (5, 1, 8, 8), &Device::Cpu).unwrap();
    let rows = |images: &Tensor| -> Vec<Vec<f32>> {
        extractor
            .features(images, &go_on)
            .unwrap()
            .to_vec2()
            .unwrap()
    };
    let want = rows(&images);
    for (image, want) in want.iter().enumerate() {
        let got = rows(&images.narrow(0, image, 1).unwrap());
        assert_eq!(&got[0], want, "image {image}");
    }
}

#[test]
fn a_stop_is_heard_between_images() {
    let extractor = extractor("dinov2.hub.gelu").unwrap();
    let images = Tensor::zeros((64, 1, 8, 8), DType::F32, &Device::Cpu).unwrap();
    let seen = AtomicUsize::new(0);
    let until_3 = |done: usize| seen.fetch_add(done, Ordering::SeqCst) + done < 3;
    let got = extractor.features(&images, &until_3);
    assert!(matches!(got, Err(FeatureError::Stopped)), "want a stop");
    let seen = seen.into_inner();
    assert!(seen < 32, "got {seen} images of 64, want a few more than 3");
}

#[test]
fn weights_that_do_not_belong_to_a_network_are_refused_by_name() {
    let [gelu, inception] = ["dinov2.hub.gelu", "inception.2015"].map(weights);
    let refused = |network, weights: &HashMap<String, Tensor>| {
        let built = Extractor::new(network, weights.clone(), &Device::Cpu);
        built.err().expect("a refusal").to_string()
    };
    let (dino, fid) = (FeatureNetwork::DinoV2, FeatureNetwork::Inception);
    let mut without = gelu.clone();
    without.remove("encoder.layer.1.layer_scale2.lambda1");
    let mut cut = inception.clone();
    cut.remove("Mixed_6c.branch7x7dbl_4.bn.running_mean");
    let mut registers = gelu.clone();
    registers.insert("register_tokens".into(), draw("x", &[1, 4, 128]));
    let mut whole = gelu.clone();
    whole.insert(
        "layernorm.weight".into(),
        Tensor::zeros(128, DType::U32, &Device::Cpu).unwrap(),
    );
    let mut infinite = inception.clone();
    let nan = (draw("x", &[32]) * f64::NAN).unwrap();
    infinite.insert("Conv2d_1a_3x3.bn.bias".into(), nan);
    let mut headless = inception.clone();
    headless.insert("fc.weight".into(), draw("x", &[10, 2048]));
    let mut narrow = gelu.clone();
    narrow.insert("embeddings.cls_token".into(), draw("x", &[1, 1, 100]));
    for (got, want) in [
        (
            refused(dino, &inception),
            "weight cls_token is missing, which DINOv2 has; there are Conv2d_1a_3x3.bn.bias",
        ),
        (
            refused(fid, &gelu),
            "weight fc.weight is missing, which Inception-v3 has; there are embeddings.cls_token",
        ),
        (
            refused(dino, &without),
            "weight blocks.1.ls2.gamma is missing",
        ),
        (
            refused(fid, &cut),
            "weight Mixed_6c.branch7x7dbl_4.bn.running_mean is missing",
        ),
        (
            refused(dino, &registers),
            "weight register_tokens is not one of DINOv2",
        ),
        (
            refused(dino, &whole),
            "weight norm.weight must be of floating-point numbers",
        ),
        (
            refused(fid, &infinite),
            "weight Conv2d_1a_3x3.bn.bias must be finite",
        ),
        (
            refused(fid, &headless),
            "weight fc.weight must be of shape [1008, 2048], or [1000, 2048] of torchvision, got [10, 2048]",
        ),
        (
            refused(dino, &narrow),
            "weight cls_token must be of shape [1, 1, a multiple of 64], got [1, 1, 100]",
        ),
    ] {
        assert!(got.contains(want), "got {got}, want {want}");
    }
}

#[test]
fn what_inception_does_not_need_may_be_there() {
    let mut all = weights("inception.torchvision");
    let step = Tensor::zeros((), DType::I64, &Device::Cpu).unwrap();
    all.insert("Mixed_5b.branch1x1.bn.num_batches_tracked".into(), step);
    all.insert("AuxLogits.fc.bias".into(), draw("bias", &[1000]));
    let built = Extractor::new(FeatureNetwork::Inception, all, &Device::Cpu).unwrap();
    let caution = built.caution().expect("a caution");
    assert!(caution.contains("are not FID"), "got {caution}");
    let about = built.about();
    assert!(
        about.contains("bilinear to 299x299, 2048 features"),
        "got {about}"
    );
}
