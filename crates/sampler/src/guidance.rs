//! Guidance: a model led away from a worse one.

use candle_core::{Result, Tensor};
use pfgmpp_kernel::{ConditionSpec, Denoiser, Pullback, Query};
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use pfgmpp_kernel::column;

/// How far samples are led, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guidance {
    /// The weight w: 1 for the model alone, 0 for the reference alone, above 1 away from the reference.
    pub scale: f64,
    /// The lowest and the highest noise level at which samples are led; everywhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// A checkpoint to be led away from, less trained or smaller than the model: autoguidance. Where absent, it is the
    /// model itself without its classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Guidance {
    /// Checks the parameters.
    ///
    /// # Errors
    ///
    /// A scale outside 0 to 100, or an interval of no length.
    pub fn check(&self) -> std::result::Result<(), ParameterError> {
        ParameterError::within("scale", self.scale, 0.0, 100.0)?;
        if let Some(reference) = &self.reference
            && (reference.is_empty() || reference.starts_with("hf://"))
        {
            let accepted =
                "a checkpoint on this machine (pfgmpp convert brings one of the Hub here)";
            return Err(ParameterError::new(
                "reference",
                format!("{reference:?}"),
                accepted,
            ));
        }
        let Some([low, high]) = self.interval else {
            return Ok(());
        };
        ParameterError::within("interval[0]", low, 0.0, 1e6)?;
        ParameterError::within("interval[1]", high, 0.0, 1e6)?;
        ParameterError::ordered("interval[0]", low, "interval[1]", high)
    }

    /// The weight at a noise level.
    fn weight(&self, sigma: f64) -> f64 {
        match self.interval {
            Some([low, high]) if !(low..=high).contains(&sigma) => 1.0,
            _ => self.scale,
        }
    }
}

/// A denoiser led away from a reference.
///
/// ```text
/// D_w = D_ref + w (D - D_ref)      at noise levels within the interval, D elsewhere
/// ```
///
/// Classifier-free guidance takes the same model without its classes for the reference ([`WithoutClasses`]; Ho and Salimans
/// 2022, arXiv:2207.12598), autoguidance a smaller or less trained model (Karras et al. 2024, arXiv:2406.02507); the
/// interval: Kynkäänniemi et al. 2024, arXiv:2404.07724. The slope is the same function of the estimate at every D, so
/// all of it is. What is led is no `E[y | x]` any more. Takes an evaluation of each inside the interval, of the model
/// alone outside.
#[derive(Clone, Debug)]
pub struct Guided<M, R> {
    model: M,
    reference: R,
    guidance: Guidance,
}

impl<M: Denoiser, R: Denoiser> Guided<M, R> {
    /// Leads `model` away from `reference`.
    ///
    /// # Errors
    ///
    /// What [`Guidance::check`] refuses.
    pub fn new(
        model: M,
        reference: R,
        guidance: Guidance,
    ) -> std::result::Result<Self, ParameterError> {
        guidance.check()?;
        Ok(Self {
            model,
            reference,
            guidance,
        })
    }

    /// The weight of each sample; `None` where it is 1 for all.
    fn weights(&self, sigma: &[f64]) -> Option<Vec<f64>> {
        let weights: Vec<f64> = sigma.iter().map(|&s| self.guidance.weight(s)).collect();
        weights.iter().any(|w| *w != 1.0).then_some(weights)
    }
}

impl<M: Denoiser, R: Denoiser> Denoiser for Guided<M, R> {
    fn takes(&self) -> ConditionSpec {
        self.model.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        let denoised = self.model.denoise(query)?;
        let Some(weights) = self.weights(query.sigma) else {
            return Ok(denoised);
        };
        let reference = self.reference.denoise(query)?;
        let lead = (denoised - &reference)?;
        &reference + lead.broadcast_mul(&column(&weights, query.x)?)?
    }

    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        let Some(weights) = self.weights(query.sigma) else {
            return self.model.pullback(query, v);
        };
        let rest: Vec<f64> = weights.iter().map(|w| 1.0 - w).collect();
        let of = |model: &dyn Denoiser, weights: &[f64]| {
            model.pullback(query, &v.broadcast_mul(&column(weights, v)?)?)
        };
        let (own, other) = (of(&self.model, &weights)?, of(&self.reference, &rest)?);
        let sigma = own.sigma.iter().zip(&other.sigma).map(|(a, b)| a + b);
        let led = own
            .denoised
            .broadcast_mul(&column(&weights, query.x)?)?
            .add(&other.denoised.broadcast_mul(&column(&rest, query.x)?)?)?;
        Ok(Pullback {
            denoised: led,
            x: (own.x + other.x)?,
            sigma: sigma.collect(),
        })
    }
}

/// A model asked without classes, whatever it is asked: the unconditional case that label dropout trains.
#[derive(Clone, Debug)]
pub struct WithoutClasses<M>(pub M);

impl<M: Denoiser> WithoutClasses<M> {
    fn asked<T>(&self, query: &Query, ask: impl Fn(&Query) -> Result<T>) -> Result<T> {
        ask(&query.under(&query.condition.without_labels()))
    }
}

impl<M: Denoiser> Denoiser for WithoutClasses<M> {
    fn takes(&self) -> ConditionSpec {
        self.0.takes()
    }

    fn denoise(&self, query: &Query) -> Result<Tensor> {
        self.asked(query, |query| self.0.denoise(query))
    }

    fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
        self.asked(query, |query| self.0.pullback(query, v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use pfgmpp_kernel::Condition;

    /// `E[y | x, class] = class + x / (1 + sigma²)`, and a half of that without classes.
    #[derive(Clone)]
    struct Shifted;

    impl Denoiser for Shifted {
        fn takes(&self) -> ConditionSpec {
            ConditionSpec::classes(3)
        }

        fn denoise(&self, query: &Query) -> Result<Tensor> {
            let shrink: Vec<f64> = query.sigma.iter().map(|s| 1.0 / (1.0 + s * s)).collect();
            let own = query.x.broadcast_mul(&column(&shrink, query.x)?)?;
            match query.condition.labels() {
                None => own * 0.5,
                Some(labels) => {
                    let class =
                        labels.matmul(&Tensor::new(&[[0.0f32], [1.0], [2.0]], &Device::Cpu)?)?;
                    own.broadcast_add(&class.to_dtype(query.x.dtype())?)
                }
            }
        }

        fn pullback(&self, query: &Query, v: &Tensor) -> Result<Pullback> {
            let half = if query.condition.labels().is_none() {
                0.5
            } else {
                1.0
            };
            let shrink: Vec<f64> = query.sigma.iter().map(|s| half / (1.0 + s * s)).collect();
            Ok(Pullback {
                denoised: self.denoise(query)?,
                x: v.broadcast_mul(&column(&shrink, v)?)?,
                sigma: vec![0.0; query.sigma.len()],
            })
        }
    }

    fn guided(scale: f64, interval: Option<[f64; 2]>) -> Guided<Shifted, WithoutClasses<Shifted>> {
        let guidance = Guidance {
            scale,
            interval,
            reference: None,
        };
        Guided::new(Shifted, WithoutClasses(Shifted), guidance).unwrap()
    }

    fn values(x: &Tensor) -> Vec<f64> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn samples_within_the_interval_are_led_and_the_others_are_not() {
        let x = Tensor::new(&[[4.0f64], [4.0]], &Device::Cpu).unwrap();
        let classes = Condition::of_classes(&[2, 2], 3, &Device::Cpu).unwrap();
        let query = Query::new(&x, &[1.0, 3.0]).under(&classes);
        // At sigma 1: the model 2 + 2, the reference 1. At sigma 3: 2 + 0.4 and 0.2.
        let everywhere = values(&guided(3.0, None).denoise(&query).unwrap());
        assert_eq!(everywhere, [1.0 + 3.0 * 3.0, 0.2 + 3.0 * (2.4 - 0.2)]);
        let within = values(&guided(3.0, Some([0.5, 2.0])).denoise(&query).unwrap());
        assert_eq!(within[0], 10.0);
        assert!((within[1] - 2.4).abs() < 1e-12, "got {}", within[1]);
        let alone = values(&guided(1.0, None).denoise(&query).unwrap());
        assert_eq!(alone, values(&Shifted.denoise(&query).unwrap()));
    }

    #[test]
    fn the_pullback_is_led_as_the_estimate_is() {
        let x = Tensor::new(&[[4.0f64], [-1.0]], &Device::Cpu).unwrap();
        let v = Tensor::new(&[[1.0f64], [2.0]], &Device::Cpu).unwrap();
        let classes = Condition::of_classes(&[0, 1], 3, &Device::Cpu).unwrap();
        let query = Query::new(&x, &[1.0, 3.0]).under(&classes);
        let model = guided(2.5, Some([0.5, 2.0]));
        let (denoised, got) = model.vjp(&query, &v).unwrap();
        assert_eq!(values(&denoised), values(&model.denoise(&query).unwrap()));
        // d/dx of 0.25 x + 2.5 (0.5 - 0.25) x, and of the model alone.
        let got = values(&got);
        assert!(
            (got[0] - 0.875).abs() < 1e-12 && (got[1] - 0.2).abs() < 1e-12,
            "got {got:?}"
        );
    }

    #[test]
    fn guidance_that_leads_nowhere_is_refused() {
        for (scale, interval, want) in [
            (-1.0, None, "scale must be from 0 to 100, got -1"),
            (
                2.0,
                Some([5.0, 0.2]),
                "interval[0] must be below interval[1] = 0.2, got 5",
            ),
        ] {
            let got = Guidance {
                scale,
                interval,
                reference: None,
            }
            .check()
            .unwrap_err()
            .to_string();
            assert_eq!(got, want);
        }
    }
}
