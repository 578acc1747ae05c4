//! The network for data of few dimensions.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use pfgmpp_nn::{
    Context, Mlp, MlpConfig, Mode, Network, NetworkConfig, NoiseEmbedding, Parameters, Signature,
};

use crate::check::{agree, labelled, pattern};

const SIGNATURE: Signature = Signature {
    resolution: [1, 1],
    in_channels: 2,
    out_channels: 3,
    label_dim: 4,
    augment_dim: 5,
};

fn config() -> MlpConfig {
    MlpConfig {
        hidden_dim: 12,
        num_layers: 2,
        embedding_type: NoiseEmbedding::Positional,
        label_dropout: 0.0,
    }
}

/// Names and shapes of the parameters.
fn shapes(config: &MlpConfig) -> Result<Vec<(String, Vec<usize>)>> {
    let parameters = Parameters::new(0, &Device::Cpu);
    Mlp::new(config, SIGNATURE, &parameters.builder())?;
    let vars = parameters.vars().into_iter();
    Ok(vars
        .map(|(name, var)| (name, var.dims().to_vec()))
        .collect())
}

/// A network whose weights are anything but almost zero.
fn lively(config: &MlpConfig, signature: Signature) -> Result<(Parameters, Mlp)> {
    let parameters = Parameters::new(0, &Device::Cpu);
    let network = Mlp::new(config, signature, &parameters.builder())?;
    for (name, var) in parameters.vars() {
        if !name.ends_with("freqs") {
            var.set(&(pattern(var.dims()) * 0.3)?.to_dtype(DType::F32)?)?;
        }
    }
    Ok((parameters, network))
}

fn single(dims: &[usize]) -> Result<Tensor> {
    pattern(dims).to_dtype(DType::F32)
}

#[test]
fn gradients_of_the_mlp_agree_with_finite_differences() -> Result<()> {
    let shapes = shapes(&config())?;
    let mut inputs = vec![
        pattern(&[3, 2, 1, 1]),
        pattern(&[3]),
        pattern(&[3, 4]),
        pattern(&[3, 5]),
    ];
    inputs.extend(
        shapes
            .iter()
            .map(|(_, dims)| (pattern(dims) * 0.3).expect("a product")),
    );
    agree("mlp", &inputs, |t| {
        let names = shapes.iter().map(|(name, _)| name.clone());
        let weights: HashMap<String, Tensor> = names.zip(t[4..].iter().cloned()).collect();
        let vb = VarBuilder::from_tensors(weights, t[0].dtype(), &Device::Cpu);
        let condition = labelled(Some(&t[2]))?;
        let context = Context {
            condition: &condition,
            augment: Some(&t[3]),
            ..Context::default()
        };
        Mlp::new(&config(), SIGNATURE, &vb)?.forward(&t[0], &t[1], &context)
    });
    Ok(())
}

#[test]
fn a_sample_of_the_mlp_does_not_depend_on_its_batch() -> Result<()> {
    for embedding_type in [NoiseEmbedding::Positional, NoiseEmbedding::Fourier] {
        let config = MlpConfig {
            embedding_type,
            label_dropout: 0.5,
            ..config()
        };
        let (_, network) = lively(&config, SIGNATURE)?;
        let (x, c_noise, labels) = (single(&[21, 2, 1, 1])?, single(&[21])?, single(&[21, 4])?);
        let seeds: Vec<u64> = (0..21).collect();
        let evaluate = |start: usize, len: usize| -> Result<Vec<f32>> {
            let condition = labelled(Some(&labels.narrow(0, start, len)?))?;
            let context = Context {
                condition: &condition,
                augment: None,
                mode: Mode::Train {
                    seeds: &seeds[start..start + len],
                },
            };
            let (x, c_noise) = (x.narrow(0, start, len)?, c_noise.narrow(0, start, len)?);
            let out = network.forward(&x, &c_noise, &context)?;
            assert_eq!(out.dims(), [len, 3, 1, 1]);
            out.flatten_all()?.to_vec1()
        };
        let whole = evaluate(0, 21)?;
        for (start, len) in [(0, 1), (7, 9), (20, 1)] {
            let got = evaluate(start, len)?;
            let want = &whole[3 * start..3 * (start + len)];
            assert_eq!(got, want, "samples {start} to {}", start + len);
        }
    }
    Ok(())
}

#[test]
fn labels_are_dropped_at_their_rate_in_training_only() -> Result<()> {
    let config = MlpConfig {
        label_dropout: 0.3,
        ..config()
    };
    let (_, network) = lively(&config, SIGNATURE)?;
    let b = 4000;
    let seeds: Vec<u64> = (0..b as u64).collect();
    let (x, c_noise) = (single(&[1, 2, 1, 1])?, single(&[1])?);
    let (x, c_noise) = (x.repeat((b, 1, 1, 1))?, c_noise.repeat(b)?);
    let labels = single(&[1, 4])?.repeat((b, 1))?;
    let run = |labels: Option<&Tensor>, mode: Mode| -> Result<Vec<f32>> {
        let condition = labelled(labels)?;
        let context = Context {
            condition: &condition,
            augment: None,
            mode,
        };
        let out = network.forward(&x, &c_noise, &context)?;
        out.narrow(1, 0, 1)?.flatten_all()?.to_vec1()
    };
    let (with, without) = (run(Some(&labels), Mode::Eval)?, run(None, Mode::Eval)?);
    assert_ne!(with[0], without[0], "labels change nothing");
    let trained = run(Some(&labels), Mode::Train { seeds: &seeds })?;
    let dropped = trained.iter().filter(|&&out| out == without[0]).count();
    let kept = trained.iter().filter(|&&out| out == with[0]).count();
    assert_eq!(dropped + kept, b, "a label is neither kept nor dropped");
    // Five standard deviations.
    let (got, slack) = (dropped as f64 / b as f64, 5.0 * (0.21 / b as f64).sqrt());
    assert!(
        (got - 0.3).abs() < slack,
        "got {got}, want 0.3 within {slack}"
    );
    Ok(())
}

#[test]
fn fourier_frequencies_are_saved_but_not_trained() -> Result<()> {
    let config = MlpConfig {
        embedding_type: NoiseEmbedding::Fourier,
        hidden_dim: 2000,
        num_layers: 1,
        ..config()
    };
    let (parameters, network) = lively(&config, SIGNATURE)?;
    let name = "map_noise.freqs";
    let freqs = parameters.get(name).expect("frequencies are saved");
    let out = network.forward(&single(&[2, 2, 1, 1])?, &single(&[2])?, &Context::default())?;
    let grads = out.sum_all()?.backward()?;
    assert!(grads.get(&freqs).is_none(), "frequencies have a gradient");
    let values = freqs.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
    assert!(
        mean.abs() < 5.0 * 16.0 / n.sqrt(),
        "got mean {mean}, want 0"
    );
    assert!(
        (deviation / 16.0 - 1.0).abs() < 5.0 / (2.0 * n).sqrt(),
        "got deviation {deviation}, want 16"
    );
    Ok(())
}

#[test]
fn configurations_name_the_mlp_and_its_faults() {
    let text = r#"{"mlp": {"hidden_dim": 64, "num_layers": 3, "embedding_type": "positional"}}"#;
    let network: NetworkConfig = serde_json::from_str(text).expect("a valid configuration");
    let parameters = Parameters::new(0, &Device::Cpu);
    network
        .build(Signature::unconditional([2, 1, 1]), &parameters.builder())
        .expect("a network for points in the plane");
    assert!(parameters.get("model.layer2.linear1.weight").is_some());
    for (name, config) in [
        (
            "hidden_dim",
            MlpConfig {
                hidden_dim: 7,
                ..config()
            },
        ),
        (
            "num_layers",
            MlpConfig {
                num_layers: 0,
                ..config()
            },
        ),
        (
            "label_dropout",
            MlpConfig {
                label_dropout: 1.0,
                ..config()
            },
        ),
    ] {
        let error = config.check(&SIGNATURE).expect_err(name).to_string();
        assert!(
            error.contains(name),
            "got {error:?}, want one that names {name}"
        );
    }
}
