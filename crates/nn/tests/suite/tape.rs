//! Gradients of recorded evaluations among operations of the backend.

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::VarBuilder;
use pfgmpp_nn::{Context, Network, Parameters, Signature, SongUNet, SongUNetConfig, UNetConfig};

use crate::check::{labelled, pattern, relative_error};

const SIGNATURE: Signature = Signature {
    resolution: [4, 4],
    in_channels: 2,
    out_channels: 2,
    label_dim: 3,
    augment_dim: 0,
};

fn network() -> Result<(Parameters, SongUNet)> {
    let config = UNetConfig {
        model_channels: 8,
        channel_mult: vec![1, 1],
        channel_mult_emb: 2,
        num_blocks: 1,
        attn_resolutions: vec![],
        dropout: 0.0,
        label_dropout: 0.0,
    };
    let parameters = Parameters::new(0, &Device::Cpu);
    let network = SongUNet::new(
        &SongUNetConfig::ddpmpp(config),
        SIGNATURE,
        &parameters.builder(),
    )?;
    for (_, var) in parameters.vars() {
        var.set(&(pattern(var.dims()).to_dtype(var.dtype())? * 0.2)?)?;
    }
    Ok((parameters, network))
}

fn single(dims: &[usize]) -> Result<Tensor> {
    pattern(dims).to_dtype(DType::F32)
}

#[test]
fn an_evaluation_can_be_differentiated_twice() -> Result<()> {
    let (parameters, network) = network()?;
    let out = network.forward(&single(&[3, 2, 4, 4])?, &single(&[3])?, &Context::default())?;
    let loss = out.sqr()?.sum_all()?;
    let (first, second) = (loss.backward()?, loss.backward()?);
    for (name, var) in parameters.vars() {
        let [first, second] = [&first, &second].map(|grads| grads.get(&var).expect("a gradient"));
        let (first, second) = (
            first.flatten_all()?.to_vec1::<f32>()?,
            second.flatten_all()?.to_vec1::<f32>()?,
        );
        assert_eq!(first, second, "{name}");
    }
    Ok(())
}

#[test]
fn gradients_of_two_evaluations_add_up() -> Result<()> {
    let (parameters, network) = network()?;
    let (x, c_noise) = (single(&[3, 2, 4, 4])?, single(&[3])?);
    let loss = |x: &Tensor| {
        network
            .forward(x, &c_noise, &Context::default())?
            .sqr()?
            .sum_all()
    };
    let moved = (&x * 0.5)?;
    let both = (loss(&x)? + loss(&moved)?)?.backward()?;
    let (one, other) = (loss(&x)?.backward()?, loss(&moved)?.backward()?);
    for (name, var) in parameters.vars() {
        let [both, one, other] =
            [&both, &one, &other].map(|grads| grads.get(&var).expect("a gradient"));
        let error = relative_error(both, &(one + other)?.to_dtype(DType::F64)?);
        assert!(
            error < 1e-6,
            "{name}: got relative error {error:e}, want below 1e-6"
        );
    }
    Ok(())
}

#[test]
fn gradients_reach_whatever_the_inputs_were_made_from() -> Result<()> {
    let (parameters, network) = network()?;
    let composed = in_double(&parameters, &network)?;
    let inputs = [pattern(&[3, 2, 4, 4]), pattern(&[3]), pattern(&[3, 3])];
    let loss = |network: &SongUNet, t: &[Tensor]| {
        let condition = labelled(Some(&t[2]))?;
        network
            .forward(
                &(&t[0] * 2.0)?,
                &(&t[1] * 3.0)?,
                &Context::under(&condition),
            )?
            .sum_all()
    };
    let vars = inputs
        .iter()
        .map(|t| Var::from_tensor(&t.to_dtype(DType::F32)?))
        .collect::<Result<Vec<_>>>()?;
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let grads = loss(&network, &tracked)?.backward()?;
    for (i, var) in vars.iter().enumerate() {
        let grad = grads
            .get(var)
            .expect("every input has a gradient")
            .to_dtype(DType::F64)?;
        let got = (&grad * pattern(grad.dims()))?
            .sum_all()?
            .to_scalar::<f64>()?;
        let at = |step: f64| {
            let mut moved = inputs.to_vec();
            moved[i] = (&moved[i] + (pattern(grad.dims()) * step)?)?;
            loss(&composed, &moved)?.to_scalar::<f64>()
        };
        let want = (at(1e-5)? - at(-1e-5)?) / 2e-5;
        let error = (got - want).abs() / want.abs();
        assert!(
            error < 1e-4,
            "input {i}: got slope {got}, finite difference {want}"
        );
    }
    Ok(())
}

/// The same network in `f64`, which runs composed.
fn in_double(parameters: &Parameters, network: &SongUNet) -> Result<SongUNet> {
    let tensors = parameters.tensors().into_iter();
    let tensors = tensors.map(|(name, t)| Ok((name, t.to_dtype(DType::F64)?)));
    let vb = VarBuilder::from_tensors(tensors.collect::<Result<_>>()?, DType::F64, &Device::Cpu);
    SongUNet::new(network.config(), network.signature(), &vb)
}
