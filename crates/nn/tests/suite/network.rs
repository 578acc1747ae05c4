//! What a network promises beside its values: independence of threads, of the batch and of the order of construction.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use pfgmpp_nn::{Condition, Mode, Network, Parameters, Signature, SongUNet, SongUNetConfig};

const SIGNATURE: Signature = Signature {
    resolution: [8, 8],
    in_channels: 3,
    out_channels: 3,
    label_dim: 4,
    augment_dim: 0,
};

fn config(dropout: f64) -> SongUNetConfig {
    SongUNetConfig {
        model_channels: 20,
        channel_mult: vec![1, 2],
        channel_mult_emb: 3,
        num_blocks: 1,
        attn_resolutions: vec![4],
        dropout,
        label_dropout: 0.0,
    }
}

/// Parameters of a network that is not almost zero anywhere.
fn lively(parameters: &Parameters) -> Result<()> {
    for (i, (_, var)) in parameters.vars().iter().enumerate() {
        let bump: Vec<f32> = (0..var.elem_count())
            .map(|j| 0.05 * ((i + 3 * j) as f32).sin())
            .collect();
        var.set(&(var.as_tensor().detach() + Tensor::from_vec(bump, var.shape(), &Device::Cpu)?)?)?;
    }
    Ok(())
}

fn image(b: usize) -> Result<Tensor> {
    let values: Vec<f32> = (0..b * 192).map(|i| (0.7 * i as f32).sin()).collect();
    Tensor::from_vec(values, (b, 3, 8, 8), &Device::Cpu)
}

fn noise(b: usize) -> Result<Tensor> {
    Tensor::from_vec(
        (0..b).map(|i| i as f32 * 0.1 - 0.5).collect::<Vec<_>>(),
        b,
        &Device::Cpu,
    )
}

fn bits(t: &Tensor) -> Result<Vec<u32>> {
    Ok(t.flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(f32::to_bits)
        .collect())
}

/// Bits of output and all gradients with a pool of so many threads.
fn run_with(threads: usize) -> Result<HashMap<String, Vec<u32>>> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads can be started");
    pool.install(|| {
        let parameters = Parameters::new(1, &Device::Cpu);
        let network = SongUNet::new(&config(0.1), SIGNATURE, &parameters.builder())?;
        lively(&parameters)?;
        let b = 19;
        let seeds: Vec<u64> = (0..b as u64).collect();
        let condition = Condition {
            mode: Mode::Train { seeds: &seeds },
            ..Condition::default()
        };
        let out = network.forward(&image(b)?, &noise(b)?, &condition)?;
        let grads = out.sqr()?.sum_all()?.backward()?;
        let mut all = HashMap::from([("output".to_owned(), bits(&out)?)]);
        for (name, var) in parameters.vars() {
            all.insert(
                name,
                bits(grads.get(&var).expect("every parameter has a gradient"))?,
            );
        }
        Ok(all)
    })
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() -> Result<()> {
    let want = run_with(1)?;
    for threads in [2, 3, 7] {
        for (name, got) in run_with(threads)? {
            assert!(
                got == want[&name],
                "{name} differs in its bits between 1 and {threads} threads"
            );
        }
    }
    Ok(())
}

#[test]
fn results_for_a_sample_do_not_depend_on_its_batch() -> Result<()> {
    let parameters = Parameters::new(2, &Device::Cpu);
    let network = SongUNet::new(&config(0.2), SIGNATURE, &parameters.builder())?;
    lively(&parameters)?;
    let b = 13;
    let seeds: Vec<u64> = (100..100 + b as u64).collect();
    let evaluate = |start: usize, len: usize| {
        let condition = Condition {
            mode: Mode::Train {
                seeds: &seeds[start..start + len],
            },
            ..Condition::default()
        };
        network.forward(
            &image(b)?.narrow(0, start, len)?,
            &noise(b)?.narrow(0, start, len)?,
            &condition,
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
            "samples {start} to {} differ in their bits when they stand alone",
            start + len
        );
    }
    Ok(())
}

#[test]
fn composition_in_f64_agrees_with_the_fused_network() -> Result<()> {
    let parameters = Parameters::new(3, &Device::Cpu);
    let network = SongUNet::new(&config(0.0), SIGNATURE, &parameters.builder())?;
    lively(&parameters)?;
    let double = |t: &Tensor| t.to_dtype(DType::F64);
    let tensors: HashMap<_, _> = parameters
        .tensors()
        .into_iter()
        .map(|(name, t)| Ok((name, double(&t)?)))
        .collect::<Result<_>>()?;
    let vb = VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu);
    let composed = SongUNet::new(&config(0.0), SIGNATURE, &vb)?;
    let got = double(&network.forward(&image(2)?, &noise(2)?, &Condition::default())?)?;
    let want = composed.forward(
        &double(&image(2)?)?,
        &double(&noise(2)?)?,
        &Condition::default(),
    )?;
    let largest = |t: &Tensor| t.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>();
    let error = largest(&(got - &want)?)? / largest(&want)?;
    assert!(
        error < 1e-5,
        "got relative error {error:e}, want below 1e-5"
    );
    Ok(())
}

#[test]
fn dropout_follows_the_seeds_and_leaves_evaluation_alone() -> Result<()> {
    let parameters = Parameters::new(4, &Device::Cpu);
    let network = SongUNet::new(&config(0.5), SIGNATURE, &parameters.builder())?;
    lively(&parameters)?;
    let run = |mode| {
        bits(&network.forward(
            &image(2)?,
            &noise(2)?,
            &Condition {
                mode,
                ..Condition::default()
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
    let parameters = Parameters::new(5, &Device::Cpu);
    let trained = SongUNet::new(&config(0.0), SIGNATURE, &parameters.builder())?;
    let mut tensors: HashMap<_, _> = parameters.tensors().into_iter().collect();
    tensors.retain(|name, _| !name.ends_with("resample_filter"));
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let plain = SongUNet::new(&config(0.0), SIGNATURE, &vb)?;
    let run = |network: &SongUNet| network.forward(&image(2)?, &noise(2)?, &Condition::default());
    assert!(
        bits(&run(&trained)?)? == bits(&run(&plain)?)?,
        "outputs differ"
    );
    assert!(
        !run(&plain)?.track_op(),
        "an evaluation of plain tensors keeps a graph"
    );
    Ok(())
}

#[test]
fn another_filter_is_refused() -> Result<()> {
    let parameters = Parameters::new(6, &Device::Cpu);
    SongUNet::new(&config(0.0), SIGNATURE, &parameters.builder())?;
    let mut tensors: HashMap<_, _> = parameters.tensors().into_iter().collect();
    let name = "enc.4x4_down.conv0.resample_filter";
    tensors.insert(
        name.into(),
        Tensor::from_vec(vec![0.1f32, 0.2, 0.3, 0.4], (1, 1, 2, 2), &Device::Cpu)?,
    );
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let error = SongUNet::new(&config(0.0), SIGNATURE, &vb)
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
    let parameters = Parameters::new(7, &Device::Cpu);
    let network = SongUNet::new(&config(0.0), SIGNATURE, &parameters.builder())?;
    lively(&parameters)?;
    let run = |labels: Option<&Tensor>| {
        bits(&network.forward(
            &image(1)?,
            &noise(1)?,
            &Condition {
                labels,
                ..Condition::default()
            },
        )?)
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
    let augmented = Condition {
        augment: Some(&label(0)?),
        ..Condition::default()
    };
    assert!(
        network.forward(&image(1)?, &noise(1)?, &augmented).is_err(),
        "augmentation was accepted"
    );
    Ok(())
}
