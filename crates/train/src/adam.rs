//! Adam with moments that can be saved.

use candle_core::backprop::GradStore;
use candle_core::{Result, Var};
use pfgmpp_nn::Parameters;
use pfgmpp_nn::ops::{AdamState, AdamStep, move_averages};
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::averages::Moves;
use crate::count::amount;
use crate::gradients::Gradients;
use crate::learning_rate::LrSchedule;

/// Adam and its learning rate (Kingma and Ba 2015, arXiv:1412.6980).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// Learning rate after the ramp.
    pub lr: f64,
    /// Decay of the mean of the gradients.
    pub beta1: f64,
    /// Decay of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Images over which the learning rate rises from 0 to `lr`; 0 for no ramp.
    #[serde(deserialize_with = "amount")]
    pub lr_ramp_up: f64,
    /// How the learning rate falls; it stays if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<LrSchedule>,
    /// Decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101): each step takes this share of the learning
    /// rate off every parameter; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// The norm that a gradient, of all parameters together, is scaled down to if it is larger; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

impl AdamConfig {
    /// The decays and the epsilon of the paper (0.9, 0.999, 1e-8), and no ramp.
    #[must_use]
    pub fn with_lr(lr: f64) -> Self {
        Self {
            lr,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            lr_ramp_up: 0.0,
            schedule: None,
            weight_decay: None,
            clip_norm: None,
        }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// A rate or an epsilon with which nothing is learned in `f32`, a decay outside [0, 1), a negative ramp.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::within("lr", self.lr, 1e-12, 1e4)?;
        ParameterError::within("eps", self.eps, 1e-30, 1e3)?;
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(ParameterError::new(name, beta, "at least 0 and below 1"));
            }
        }
        if let Some(schedule) = &self.schedule {
            schedule.check(self.lr)?;
        }
        if let Some(decay) = self.weight_decay {
            // A step of rate 1 / decay or more would leave nothing of the weights.
            ParameterError::within("weight_decay", decay, 0.0, 0.5 / self.lr)?;
        }
        if let Some(norm) = self.clip_norm {
            ParameterError::positive("clip_norm", norm)?;
        }
        ParameterError::within("lr_ramp_up", self.lr_ramp_up, 0.0, 1e12)
    }

    /// The learning rate of the step that ends at `nimg` images.
    pub fn lr_at(&self, nimg: u64) -> f64 {
        let ramp = (nimg as f64 / self.lr_ramp_up.max(f64::MIN_POSITIVE)).min(1.0);
        match &self.schedule {
            None => self.lr * ramp,
            Some(schedule) => schedule.lr_at(self.lr, nimg) * ramp,
        }
    }

    /// The factor on a gradient of norm `norm`: 1 unless it is clipped.
    ///
    /// ```text
    /// scale = min(1, clip_norm / norm)
    /// ```
    pub fn scale_of(&self, norm: f64) -> f64 {
        match self.clip_norm {
            Some(most) if norm > most => most / norm,
            _ => 1.0,
        }
    }
}

/// The optimizer's state: two moments for each parameter and the number of steps taken.
pub struct Adam {
    config: AdamConfig,
    moments: Vec<(String, Var, Var)>,
    steps: u64,
}

impl Adam {
    /// An optimizer that has taken no step.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn new(config: AdamConfig, parameters: &Parameters) -> Result<Self> {
        let zeros = |var: &Var| Var::from_tensor(&var.as_tensor().zeros_like()?);
        let moments = parameters
            .vars()
            .iter()
            .map(|(name, var)| Ok((name.clone(), zeros(var)?, zeros(var)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            config,
            moments,
            steps: 0,
        })
    }

    /// Takes one step with learning rate `lr`, its gradient clipped as the configuration says.
    ///
    /// ```text
    /// g = g min(1, clip_norm / |g|)
    /// m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g²
    /// p = (1 - lr weight_decay) p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
    /// ```
    ///
    /// A parameter without a gradient stays as it is.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn step(&mut self, parameters: &Parameters, grads: &GradStore, lr: f64) -> Result<()> {
        let gradients = Gradients::of(parameters, grads);
        let scale = match self.config.clip_norm {
            None => 1.0,
            Some(_) => self.config.scale_of(gradients.norm()?),
        };
        self.step_along(parameters, &gradients, lr, scale, &Moves::default())
    }

    /// As [`Self::step`], along `gradients` times `scale`; `averages` of the parameters follow.
    pub(crate) fn step_along(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        lr: f64,
        scale: f64,
        averages: &Moves,
    ) -> Result<()> {
        self.steps += 1;
        let t = self.steps as f64;
        let root = (1.0 - self.config.beta2.powf(t)).sqrt();
        let step = AdamStep {
            beta1: self.config.beta1,
            beta2: self.config.beta2,
            rate: lr * root / (1.0 - self.config.beta1.powf(t)),
            eps: self.config.eps * root,
            scale,
            keep: 1.0 - lr * self.config.weight_decay.unwrap_or(0.0),
        };
        let vars = parameters.vars();
        let states = vars.iter().zip(&self.moments);
        for (i, (((_, weight), (_, m, v)), grad)) in states.zip(gradients.iter()).enumerate() {
            let averages = averages.of(i);
            match grad {
                Some(grad) => step.apply(AdamState { weight, m, v }, grad, &averages)?,
                None => move_averages(weight, &averages)?,
            }
        }
        Ok(())
    }

    /// Steps taken so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Sets the number of steps taken, after the moments were restored.
    pub(crate) fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Each parameter's name and its first and second moment.
    pub(crate) fn moments(&self) -> impl Iterator<Item = (&str, &Var, &Var)> {
        self.moments
            .iter()
            .map(|(name, m, v)| (name.as_str(), m, v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};
    use candle_nn::Init;

    const CONFIG: AdamConfig = AdamConfig {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        eps: 1e-3,
        lr_ramp_up: 100.0,
        schedule: None,
        weight_decay: None,
        clip_norm: None,
    };

    /// The weights, of 1 each, after five steps of `config` along given gradients, and what the formulas make of them.
    fn after_five_steps(config: &AdamConfig) -> ([f32; 2], [f64; 2]) {
        let parameters = Parameters::new(0, &Device::Cpu);
        let init = Init::Const(1.0);
        let weight = parameters
            .builder()
            .get_with_hints(2, "weight", init)
            .unwrap();
        let mut adam = Adam::new(config.clone(), &parameters).unwrap();
        let keep = 1.0 - 0.1 * config.weight_decay.unwrap_or(0.0);
        let (mut m, mut v, mut p) = ([0.0f64; 2], [0.0f64; 2], [1.0f64; 2]);
        for t in 1..=5 {
            // The gradient of sum(c w) is c.
            let mut g = [0.3 * f64::from(t), -2.0];
            let c = Tensor::new(&[g[0] as f32, g[1] as f32], &Device::Cpu).unwrap();
            let product = (&weight * c).unwrap();
            let grads = product.sum_all().unwrap().backward().unwrap();
            adam.step(&parameters, &grads, 0.1).unwrap();
            let norm = (g[0] * g[0] + g[1] * g[1]).sqrt();
            let most = config.clip_norm.unwrap_or(f64::INFINITY);
            g = g.map(|g| g * (most / norm).min(1.0));
            for i in 0..2 {
                m[i] = 0.9 * m[i] + 0.1 * g[i];
                v[i] = 0.99 * v[i] + 0.01 * g[i] * g[i];
                let (m_hat, v_hat) = (
                    m[i] / (1.0 - 0.9f64.powi(t)),
                    v[i] / (1.0 - 0.99f64.powi(t)),
                );
                p[i] = keep * p[i] - 0.1 * m_hat / (v_hat.sqrt() + 1e-3);
            }
        }
        let got = weight.to_vec1::<f32>().unwrap();
        ([got[0], got[1]], p)
    }

    #[test]
    fn steps_agree_with_the_formulas_with_decay_and_clipped() {
        let (plain, _) = after_five_steps(&CONFIG);
        for (weight_decay, clip_norm) in [
            (None, None),
            (Some(0.5), None),
            // The third gradient's norm is 2.19.
            (None, Some(2.1)),
            (Some(0.5), Some(1.0)),
        ] {
            let config = AdamConfig {
                weight_decay,
                clip_norm,
                ..CONFIG
            };
            let (got, want) = after_five_steps(&config);
            let case = format!("decay {weight_decay:?}, clip {clip_norm:?}");
            for i in 0..2 {
                let gap = (f64::from(got[i]) - want[i]).abs();
                assert!(gap < 1e-6, "{case}: got {got:?}, want {want:?}");
            }
            let changed = weight_decay.is_some() || clip_norm.is_some();
            assert_eq!(got != plain, changed, "{case}: got {got:?}");
        }
    }

    #[test]
    fn the_learning_rate_rises_to_its_value() {
        let got = [0, 50, 100, 1000].map(|nimg| CONFIG.lr_at(nimg));
        assert_eq!(got, [0.0, 0.05, 0.1, 0.1]);
    }
}
