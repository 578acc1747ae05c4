//! Several averages of the weights of one training.

use candle_core::Result;
use pfgmpp_nn::Parameters;
use pfgmpp_nn::ops::{MovingAverage, move_averages};

use crate::ema::{Ema, Profile};

/// Moving averages of the weights, at least one, which move together in one pass over memory.
pub struct Averages {
    averages: Vec<Ema>,
}

/// How far averages move at a step; none by default.
#[derive(Default)]
pub(crate) struct Moves<'a> {
    averages: &'a [Ema],
    /// Of each.
    shares: Vec<f64>,
}

impl<'a> Moves<'a> {
    /// The averages of parameter `i` and their shares.
    pub(crate) fn of(&self, i: usize) -> Vec<MovingAverage<'a>> {
        let vars = self.averages.iter().map(|ema| ema.var(i));
        vars.zip(self.shares.iter().copied()).collect()
    }
}

impl Averages {
    /// One average that starts at the weights as they are.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn new(profile: impl Into<Profile>, parameters: &Parameters) -> Result<Self> {
        Ok(Self {
            averages: vec![Ema::new(profile, parameters)?],
        })
    }

    /// Adds an average that starts at the weights as they are; one that is there already stays as it is.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub fn track(&mut self, profile: impl Into<Profile>, parameters: &Parameters) -> Result<()> {
        let profile = profile.into();
        if self.averages.iter().any(|ema| *ema.profile() == profile) {
            return Ok(());
        }
        self.averages.push(Ema::new(profile, parameters)?);
        Ok(())
    }

    /// How far every average moves at a step of `batch_size` images after `nimg` images.
    pub(crate) fn moves(&self, nimg: u64, batch_size: u64) -> Moves<'_> {
        let share = |ema: &Ema| 1.0 - ema.profile().beta(nimg, batch_size);
        Moves {
            averages: &self.averages,
            shares: self.averages.iter().map(share).collect(),
        }
    }

    /// Moves every average by a step of `batch_size` images after `nimg` images.
    ///
    /// # Errors
    ///
    /// Parameters that the averages were not made for, and failures of the tensor backend.
    pub fn update(&self, parameters: &Parameters, nimg: u64, batch_size: u64) -> Result<()> {
        let moves = self.moves(nimg, batch_size);
        for (i, (_, weight)) in parameters.vars().iter().enumerate() {
            move_averages(weight, &moves.of(i))?;
        }
        Ok(())
    }

    /// Puts every average at the weights as they are.
    ///
    /// # Errors
    ///
    /// Parameters that the averages were not made for, and failures of the tensor backend.
    pub fn restart(&self, parameters: &Parameters) -> Result<()> {
        for (i, (_, weight)) in parameters.vars().iter().enumerate() {
            for ema in &self.averages {
                ema.var(i).set(&weight.as_tensor().copy()?)?;
            }
        }
        Ok(())
    }

    /// The average that was there from the beginning.
    pub fn first(&self) -> &Ema {
        &self.averages[0]
    }

    /// All averages in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Ema> {
        self.averages.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ema::EmaConfig;
    use crate::power::PowerProfile;
    use candle_core::{Device, Tensor};
    use candle_nn::Init;

    fn ema(half_life: f64) -> EmaConfig {
        EmaConfig {
            half_life,
            ramp_up: 0.5,
        }
    }

    /// Two parameters, one longer than what a task handles.
    fn parameters() -> Parameters {
        let parameters = Parameters::new(7, &Device::Cpu);
        let init = Init::Randn {
            mean: 0.0,
            stdev: 1.0,
        };
        let builder = parameters.builder();
        builder.get_with_hints((130, 101), "a", init).unwrap();
        builder.get_with_hints(3, "b", init).unwrap();
        parameters
    }

    /// Every average's weights, as they follow the same changing parameters.
    fn followed(configs: &[EmaConfig]) -> Vec<Vec<f32>> {
        let parameters = parameters();
        let mut averages = Averages::new(configs[0].clone(), &parameters).unwrap();
        for config in &configs[1..] {
            averages.track(config.clone(), &parameters).unwrap();
        }
        for step in 0..5 {
            for (_, var) in parameters.vars() {
                let moved = (var.as_detached_tensor().sin().unwrap() * 1.3).unwrap();
                var.set(&moved).unwrap();
            }
            averages.update(&parameters, step * 64, 64).unwrap();
        }
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let of = |ema: &Ema| {
            let tensors = ema.tensors();
            [values(&tensors["a"]), values(&tensors["b"])].concat()
        };
        averages.iter().map(of).collect()
    }

    #[test]
    fn each_of_several_averages_is_the_one_tracked_alone_to_the_bit() {
        let configs = [ema(1000.0), ema(50.0), ema(7.0)];
        let together = followed(&configs);
        assert_ne!(together[0], together[1]);
        assert_ne!(together[1], together[2]);
        for (config, together) in configs.iter().zip(&together) {
            let alone = followed(std::slice::from_ref(config));
            assert!(
                alone[0] == *together,
                "half-life {}: another average than alone",
                config.half_life
            );
        }
    }

    #[test]
    fn an_average_follows_the_formula() {
        let got = &followed(&[ema(50.0)])[0];
        let start: Vec<f64> = parameters()
            .vars()
            .iter()
            .flat_map(|(_, var)| var.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .map(f64::from)
            .collect();
        for (i, (&got, start)) in got.iter().zip(start).enumerate() {
            let (mut weight, mut want) = (start, start);
            for step in 0..5 {
                weight = weight.sin() * 1.3;
                let beta = ema(50.0).beta(step * 64, 64);
                want = beta * want + (1.0 - beta) * weight;
            }
            let gap = (f64::from(got) - want).abs();
            assert!(gap < 1e-6, "value {i}: got {got}, want {want}");
        }
    }

    #[test]
    fn an_average_that_is_there_is_not_tracked_twice() {
        let parameters = parameters();
        let mut averages = Averages::new(ema(50.0), &parameters).unwrap();
        averages.track(ema(50.0), &parameters).unwrap();
        averages.track(ema(7.0), &parameters).unwrap();
        let power = PowerProfile::new(0.1).unwrap();
        averages.track(power, &parameters).unwrap();
        averages.track(power, &parameters).unwrap();
        let got: Vec<&Profile> = averages.iter().map(Ema::profile).collect();
        assert_eq!(got, [&ema(50.0).into(), &ema(7.0).into(), &power.into()]);
    }
}
