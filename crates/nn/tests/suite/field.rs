//! Predicted fields and the denoiser made of them.

use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Result, Tensor, Var};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Dimension, ExactPosterior, Query};
use pfgmpp_nn::{
    Context, FieldNetwork, Mlp, MlpConfig, Network, NoiseEmbedding, Parameters, Signature,
};
use pfgmpp_objective::PfgmField;
use pfgmpp_transfer::FieldPrediction;

use crate::check::{pattern, relative_error};

/// A network that gives what it was made with, and keeps what it was given.
struct Stub {
    output: Tensor,
    given: Arc<Mutex<Vec<Tensor>>>,
}

impl Network for Stub {
    fn takes(&self) -> ConditionSpec {
        ConditionSpec::NONE
    }

    fn forward(&self, x: &Tensor, c_noise: &Tensor, _: &Context) -> Result<Tensor> {
        let mut given = self.given.lock().expect("no test panics with the lock");
        *given = vec![x.clone(), c_noise.clone()];
        Ok(self.output.clone())
    }
}

fn stub(output: &Tensor, prediction: &FieldPrediction) -> (FieldNetwork, Arc<Mutex<Vec<Tensor>>>) {
    let given = Arc::default();
    let network = Stub {
        output: output.clone(),
        given: Arc::clone(&given),
    };
    (
        FieldNetwork::new(Box::new(network), prediction.clone()),
        given,
    )
}

const PREDICTION: FieldPrediction = FieldPrediction {
    sigma_data: 0.5,
    gamma: 5.0,
    z_exp: 5.0,
};

/// A field `[B, N + 1]` as the network lays it out: its z component varies over the last channel around its mean.
fn as_output(field: &Tensor, channels: usize, side: usize) -> Result<Tensor> {
    let (b, n) = (field.dim(0)?, channels * side * side);
    let v_x = field.narrow(1, 0, n)?.reshape((b, channels, side, side))?;
    let ripple = pattern(&[1, 1, side, side]);
    let ripple = ripple.broadcast_sub(&ripple.mean_all()?)?;
    let v_z = field.narrow(1, n, 1)?.reshape((b, 1, 1, 1))?;
    Tensor::cat(&[v_x, v_z.broadcast_add(&ripple)?], 1)
}

fn points() -> Result<(Tensor, Tensor)> {
    let data = (pattern(&[17, 2, 3, 3]) * 0.4)?;
    let x = (pattern(&[4, 2, 3, 3]) * 3.0)?;
    Ok((data, x))
}

#[test]
fn the_exact_field_gives_the_exact_posterior_mean() -> Result<()> {
    let (data, x) = points()?;
    let z = [5.0, 7.0, 20.0, 400.0];
    let field = PfgmField::new(&data, PREDICTION.gamma)?.target(&x, &z)?;
    let (network, _) = stub(&as_output(&field, 2, 3)?, &PREDICTION);
    let error = relative_error(&network.field(&x, &z, &Context::default())?, &field);
    assert!(error < 1e-12, "field: got relative error {error:e}, want 0");
    let got = network.denoise(&Query::new(&x, &z))?;
    let want = ExactPosterior::new(&data, Dimension::Finite(1.0))?.mean(&x, &z)?;
    let error = relative_error(&got, &want);
    assert!(error < 1e-10, "got relative error {error:e}, want 0");
    Ok(())
}

#[test]
fn below_z_exp_the_posterior_mean_follows_from_v_x_alone() -> Result<()> {
    let (data, x) = points()?;
    for (z, tolerance) in [(0.1, 2e-3), (1e-3, 1e-6)] {
        let z = [z; 4];
        let field = PfgmField::new(&data, PREDICTION.gamma)?.target(&x, &z)?;
        // The network knows nothing of v_z.
        let v_x = field.narrow(1, 0, 18)?;
        let field = Tensor::cat(&[&v_x, &Tensor::ones((4, 1), DType::F64, &Device::Cpu)?], 1)?;
        let (network, _) = stub(&as_output(&field, 2, 3)?, &PREDICTION);
        let got = network.denoise(&Query::new(&x, &z))?;
        let want = ExactPosterior::new(&data, Dimension::Finite(1.0))?.mean(&x, &z)?;
        let error = relative_error(&got, &want);
        assert!(
            error < tolerance,
            "z {z:?}: got relative error {error:e}, want below {tolerance:e}"
        );
    }
    Ok(())
}

#[test]
fn the_network_sees_bounded_inputs_and_a_quarter_of_ln_z() -> Result<()> {
    let x = (pattern(&[3, 2, 3, 3]) * 5e4)?;
    let z = [1e-3, 1.0, 40.0];
    let output = Tensor::zeros((3, 3, 3, 3), DType::F64, &Device::Cpu)?;
    let (network, given) = stub(&output, &PREDICTION);
    let denoised = network.denoise(&Query::new(&x, &z))?;
    assert_eq!(denoised.dtype(), DType::F64);
    let given = given.lock().expect("no test panics with the lock").clone();
    let norm_sq = x.sqr()?.flatten_from(1)?.sum(1)?.to_vec1::<f64>()?;
    for i in 0..3 {
        let c_in = 1.0 / (0.25 + (norm_sq[i] + z[i] * z[i]) / 19.0).sqrt();
        let error = relative_error(&given[0].get(i)?, &(x.get(i)? * c_in)?);
        assert!(error < 1e-6, "input {i}: got relative error {error:e}");
        let got = f64::from(given[1].get(i)?.to_scalar::<f32>()?);
        let want = z[i].ln() / 4.0;
        assert!((got - want).abs() < 1e-6, "c_noise: got {got}, want {want}");
    }
    Ok(())
}

#[test]
fn denoised_images_stay_finite_whatever_the_network_predicts() -> Result<()> {
    let x = pattern(&[6, 2, 3, 3]);
    let z = [1e-3, 1e-3, 1e-3, 10.0, 10.0, 10.0];
    for scale in [0.0, 1.0, 1e6, -1e6] {
        let (network, _) = stub(&(pattern(&[6, 3, 3, 3]) * scale)?, &PREDICTION);
        let got = network
            .denoise(&Query::new(&x, &z))?
            .flatten_all()?
            .to_vec1::<f64>()?;
        assert!(
            got.iter().all(|v| v.is_finite()),
            "outputs of scale {scale} give {got:?}"
        );
    }
    Ok(())
}

#[test]
fn gradients_of_the_field_reach_every_parameter() -> Result<()> {
    let config = MlpConfig {
        hidden_dim: 8,
        num_layers: 1,
        embedding_type: NoiseEmbedding::Positional,
        label_dropout: 0.0,
    };
    let signature = Signature {
        out_channels: 3,
        ..Signature::unconditional([2, 2, 2])
    };
    let parameters = Parameters::new(0, &Device::Cpu);
    let network = Mlp::new(&config, signature, &parameters.builder())?;
    for (_, var) in parameters.vars() {
        var.set(&(pattern(var.dims()) * 0.3)?.to_dtype(DType::F32)?)?;
    }
    let network = FieldNetwork::new(Box::new(network), PREDICTION);
    let (x, z) = (
        pattern(&[3, 2, 2, 2]).to_dtype(DType::F32)?,
        [0.1, 1.0, 9.0],
    );
    let loss = || {
        network
            .field(&x, &z, &Context::default())?
            .sqr()?
            .mean_all()
    };
    let field = network.field(&x, &z, &Context::default())?;
    assert_eq!(field.dims(), [3, 9]);
    let grads = loss()?.backward()?;
    for (name, var) in parameters.vars() {
        let grad = grads
            .get(&var)
            .unwrap_or_else(|| panic!("{name} has no gradient"));
        slope_agrees(&name, &var, grad, loss)?;
    }
    Ok(())
}

/// Checks the gradient along a pattern against a finite difference in single precision.
fn slope_agrees(
    name: &str,
    var: &Var,
    grad: &Tensor,
    loss: impl Fn() -> Result<Tensor>,
) -> Result<()> {
    const STEP: f64 = 3e-3;
    let direction = pattern(var.dims()).to_dtype(DType::F32)?;
    let got = (grad * &direction)?.sum_all()?.to_scalar::<f32>()?;
    let start = var.as_tensor().copy()?;
    let at = |step: f64| {
        var.set(&(&start + (&direction * step)?)?)?;
        loss()?.to_scalar::<f32>()
    };
    let want = (at(STEP)? - at(-STEP)?) / (2.0 * STEP as f32);
    var.set(&start)?;
    let error = (got - want).abs() / (want.abs() + 0.02);
    assert!(
        error < 0.02,
        "{name}: got slope {got}, finite difference {want}"
    );
    Ok(())
}

#[test]
fn a_network_without_a_channel_for_z_is_refused() -> Result<()> {
    let (network, _) = stub(&pattern(&[2, 2, 3, 3]), &PREDICTION);
    let x = pattern(&[2, 2, 3, 3]);
    let error = network
        .denoise(&Query::new(&x, &[1.0, 1.0]))
        .expect_err("no v_z")
        .to_string();
    assert!(error.contains("3 output channels"), "got {error:?}");
    let error = network
        .denoise(&Query::new(&x, &[1.0]))
        .expect_err("one z for two")
        .to_string();
    assert!(error.contains("z must have one entry"), "got {error:?}");
    Ok(())
}
