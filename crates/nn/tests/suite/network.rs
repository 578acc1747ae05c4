//! What a network promises beside its values: independence of threads, of the batch and of the order of construction.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use pfgmpp_nn::{Context, Mode, Network, NetworkConfig, Parameters, Signature};

use crate::check::{labelled, relative_error};
use crate::kinds::{SIGNATURE, bits, build, config, image, kinds, noise};

/// Bits of output and all gradients with a pool of so many threads.
fn run_with(config: &NetworkConfig, threads: usize) -> Result<HashMap<String, Vec<u32>>> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads can be started");
    pool.install(|| {
        let (parameters, network) = build(config, 1)?;
        let b = 19;
        let seeds: Vec<u64> = (0..b as u64).collect();
        let context = Context {
            mode: Mode::Train { seeds: &seeds },
            ..Context::default()
        };
        let out = network.forward(&image(b)?, &noise(b)?, &context)?;
        let grads = out.sqr()?.sum_all()?.backward()?;
        let mut all = HashMap::from([("output".to_owned(), bits(&out)?)]);
        for (name, var) in parameters.vars() {
            match grads.get(&var) {
                Some(grad) => drop(all.insert(name, bits(grad)?)),
                None => assert!(untrained(&name), "{name} has no gradient"),
            }
        }
        Ok(all)
    })
}

/// Whether a parameter is saved but not trained.
fn untrained(name: &str) -> bool {
    name.ends_with("map_noise.freqs")
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() -> Result<()> {
    for config in kinds(0.1) {
        let want = run_with(&config, 1)?;
        for threads in [2, 3, 7] {
            for (name, got) in run_with(&config, threads)? {
                assert!(
                    got == want[&name],
                    "{config:?}: {name} differs in its bits between 1 and {threads} threads"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn results_for_a_sample_do_not_depend_on_its_batch() -> Result<()> {
    for config in kinds(0.2) {
        let (_, network) = build(&config, 2)?;
        let b = 13;
        let seeds: Vec<u64> = (100..100 + b as u64).collect();
        let labels = Tensor::eye(b, DType::F32, &Device::Cpu)?.narrow(1, 0, 4)?;
        let evaluate = |start: usize, len: usize| {
            let condition = labelled(Some(&labels.narrow(0, start, len)?))?;
            let context = Context {
                condition: &condition,
                mode: Mode::Train {
                    seeds: &seeds[start..start + len],
                },
                ..Context::default()
            };
            network.forward(
                &image(b)?.narrow(0, start, len)?,
                &noise(b)?.narrow(0, start, len)?,
                &context,
            )
        };
        let whole = evaluate(0, b)?;
        for (start, len) in [(0, 1), (5, 1), (3, 7), (12, 1)] {
            let (got, want) = (
                bits(&evaluate(start, len)?)?,
                bits(&whole.narrow(0, start, len)?)?,
            );
            assert!(
                got == want,
                "{config:?}: samples {start} to {} differ in their bits when they stand alone",
                start + len
            );
        }
    }
    Ok(())
}

#[test]
fn composition_in_f64_agrees_with_the_fused_network() -> Result<()> {
    for config in kinds(0.0) {
        let (parameters, network) = build(&config, 3)?;
        let double = |t: &Tensor| t.to_dtype(DType::F64);
        let tensors: HashMap<_, _> = parameters
            .tensors()
            .into_iter()
            .map(|(name, t)| Ok((name, double(&t)?)))
            .collect::<Result<_>>()?;
        let vb = VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu);
        let composed = config.build(SIGNATURE, &vb)?;
        let got = double(&network.forward(&image(2)?, &noise(2)?, &Context::default())?)?;
        let want = composed.forward(
            &double(&image(2)?)?,
            &double(&noise(2)?)?,
            &Context::default(),
        )?;
        let error = relative_error(&got, &want);
        // Convolutions by tiles add a few 1e-6 each.
        assert!(
            error < 3e-5,
            "{config:?}: got relative error {error:e}, want below 3e-5"
        );
    }
    Ok(())
}

#[test]
fn dropout_follows_the_seeds_and_leaves_evaluation_alone() -> Result<()> {
    let (_, network) = build(&config(0.5), 4)?;
    let run = |mode| {
        bits(&network.forward(
            &image(2)?,
            &noise(2)?,
            &Context {
                mode,
                ..Context::default()
            },
        )?)
    };
    let eval = run(Mode::Eval)?;
    let first = run(Mode::Train { seeds: &[1, 2] })?;
    assert!(eval == run(Mode::Eval)?, "evaluation is not deterministic");
    assert!(
        first == run(Mode::Train { seeds: &[1, 2] })?,
        "equal seeds give different results"
    );
    assert!(
        first != run(Mode::Train { seeds: &[1, 3] })?,
        "different seeds give equal results"
    );
    assert!(first != eval, "dropout changes nothing");
    assert!(
        run(Mode::Train { seeds: &[1] }).is_err(),
        "a seed is missing and no error comes"
    );
    Ok(())
}

#[test]
fn plain_tensors_give_the_same_network() -> Result<()> {
    let (parameters, trained) = build(&config(0.0), 5)?;
    let mut tensors: HashMap<_, _> = parameters.tensors().into_iter().collect();
    tensors.retain(|name, _| !name.ends_with("resample_filter"));
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let plain = config(0.0).build(SIGNATURE, &vb)?;
    let run = |network: &dyn Network| network.forward(&image(2)?, &noise(2)?, &Context::default());
    assert!(
        bits(&run(trained.as_ref())?)? == bits(&run(plain.as_ref())?)?,
        "outputs differ"
    );
    assert!(
        !run(plain.as_ref())?.track_op(),
        "an evaluation of plain tensors keeps a graph"
    );
    Ok(())
}

#[test]
fn another_filter_is_refused() -> Result<()> {
    let (parameters, _) = build(&config(0.0), 6)?;
    let mut tensors: HashMap<_, _> = parameters.tensors().into_iter().collect();
    let name = "model.enc.4x4_down.conv0.resample_filter";
    tensors.insert(
        name.into(),
        Tensor::from_vec(vec![0.1f32, 0.2, 0.3, 0.4], (1, 1, 2, 2), &Device::Cpu)?,
    );
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let error = config(0.0)
        .build(SIGNATURE, &vb)
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(
        error.contains(name),
        "got {error:?}, want an error that names {name}"
    );
    Ok(())
}

#[test]
fn labels_are_one_hot_and_optional() -> Result<()> {
    kinds(0.0).iter().try_for_each(labels_matter)
}

fn labels_matter(config: &NetworkConfig) -> Result<()> {
    let (_, network) = build(config, 7)?;
    let run = |labels: Option<&Tensor>| {
        let condition = labelled(labels)?;
        bits(&network.forward(&image(1)?, &noise(1)?, &Context::under(&condition))?)
    };
    let label = |i: usize| Tensor::eye(4, DType::F32, &Device::Cpu)?.narrow(0, i, 1);
    assert!(
        run(Some(&label(0)?))? != run(Some(&label(1)?))?,
        "the label changes nothing"
    );
    assert!(
        run(None)? == run(Some(&label(0)?.zeros_like()?))?,
        "no label is not the zero label"
    );
    let augmented = Context {
        augment: Some(&label(0)?),
        ..Context::default()
    };
    assert!(
        network.forward(&image(1)?, &noise(1)?, &augmented).is_err(),
        "augmentation was accepted"
    );
    Ok(())
}

#[test]
fn a_network_gives_as_many_channels_as_it_is_asked_for() -> Result<()> {
    for config in kinds(0.0) {
        let parameters = Parameters::new(8, &Device::Cpu);
        let signature = Signature {
            out_channels: 4,
            ..SIGNATURE
        };
        let network = config.build(signature, &parameters.builder())?;
        let out = network.forward(&image(2)?, &noise(2)?, &Context::default())?;
        assert_eq!(out.dims(), [2, 4, 8, 8], "{config:?}");
    }
    Ok(())
}

#[test]
fn images_that_are_not_square_are_refused_by_u_nets() -> Result<()> {
    let signature = Signature {
        resolution: [8, 4],
        ..SIGNATURE
    };
    let parameters = Parameters::new(9, &Device::Cpu);
    let error = config(0.0)
        .build(signature, &parameters.builder())
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(error.contains("8x4"), "got {error:?}");
    Ok(())
}

#[test]
fn filters_are_written_as_their_taps() {
    let read = |taps: &str| {
        let text = format!(
            r#"{{"song_unet": {{"model_channels": 8, "channel_mult": [1], "channel_mult_emb": 4, "num_blocks": 1,
            "attn_resolutions": [], "dropout": 0.1, "embedding_type": "fourier", "channel_mult_noise": 2,
            "encoder_type": "residual", "decoder_type": "standard", "resample_filter": {taps}}}}}"#
        );
        serde_json::from_str::<NetworkConfig>(&text)
    };
    for taps in ["[1,1]", "[1,3,3,1]"] {
        let config = read(taps).expect("a filter that the network has");
        let text = serde_json::to_string(&config).expect("a configuration");
        assert!(text.contains(taps), "got {text}, want {taps} in it");
    }
    let error = read("[1,2,1]").expect_err("no such filter").to_string();
    assert!(
        error.contains("resample_filter") && error.contains("[1, 2, 1]"),
        "got {error:?}"
    );
}
