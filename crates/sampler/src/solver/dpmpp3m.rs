//! DPM-Solver++ with three steps.

use candle_core::{Result, Tensor};
use pfgmpp_transfer::Levels;

use super::{Midpoint, Solver, Step, fixed_evaluations};
use crate::Path;

/// DPM-Solver++ of third order with the estimates of three steps, one evaluation per step and one more in the first.
///
/// The estimate `E[y|x]` is followed as a parabola in `lambda = -ln sigma` through its last three values, and the
/// linear part of the ODE exactly:
///
/// ```text
/// x_next = e^-h x + h (phi_1 E + phi_2 h E' + phi_3 h² E''),   phi_k those of exponential integrators at -h
/// ```
///
/// The first step is the midpoint method's, the second follows a line: with an Euler step, as published, the whole
/// would be of second order. Source: Lu et al. 2022, arXiv:2211.01095, which holds at every D because the slope does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dpmpp3m;

impl Solver for Dpmpp3m {
    fn order(&self) -> usize {
        3
    }

    fn evaluations(&self, levels: &Levels) -> Option<usize> {
        Some(fixed_evaluations(1, levels) + usize::from(levels.steps_above_zero() > 0))
    }

    fn history(&self) -> usize {
        2
    }

    fn step(&self, step: &Step, path: &mut Path) -> Result<Tensor> {
        if path.past().is_empty() {
            let found = path.evaluate(&step.x, step.sigma)?;
            path.remember(step.sigma, found.clone());
            return Midpoint::from(step, &found, path);
        }
        let found = path.evaluate(&step.x, step.sigma)?;
        let h = (step.sigma / step.sigma_next).ln();
        let mut x = ((&step.x * (-h).exp())? - (&found.denoised * (-h).exp_m1())?)?;
        // How far back each earlier estimate lies, in steps, and its slope per step from there.
        let back: Vec<(f64, Tensor)> = path
            .past()
            .iter()
            .map(|past| {
                let r = (past.sigma / step.sigma).ln() / h;
                let rise = (&found.denoised - &past.evaluation.denoised)?;
                Ok((r, (rise / r)?))
            })
            .collect::<Result<_>>()?;
        // h phi_2(-h) and 2 h phi_3(-h): the integrals of e^(s-h) s / h and of e^(s-h) s² / h², up to h.
        let linear = (-h).exp_m1() / h + 1.0;
        let square = 1.0 - 2.0 * linear / h;
        match &back[..] {
            [(_, slope)] => x = (x + (slope * linear)?)?,
            [(near, slope), (far, chord), ..] => {
                // Newton's form: slope - bend (- near) at 0, where bend is half the second derivative.
                let bend = ((slope - chord)? / (far - near))?;
                let tangent = (slope + (&bend * *near)?)?;
                x = ((x + (tangent * linear)?)? + (bend * square)?)?;
            }
            [] => unreachable!("the first step is the midpoint method's"),
        }
        path.remember(step.sigma, found);
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::Dpmpp3m;

    #[test]
    fn dpmpp3m_keeps_what_it_declares() {
        crate::conformance::holds(&Dpmpp3m);
    }
}
