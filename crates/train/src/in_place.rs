//! Updates that write into a variable's own storage: no allocation, no copy.
//!
//! Each has one formula, one CPU loop, and the same formula in tensors for other devices.

use candle_core::{CpuStorage, Device, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var, bail};

/// `a = a + weight (b - a)`.
pub(crate) struct Lerp {
    pub weight: f64,
}

/// `a = beta a + (1 - beta) b²`.
pub(crate) struct LerpSquare {
    pub beta: f64,
}

/// `p = p - rate m / (sqrt(v) + eps)`, `rate` and `eps` corrected for bias by the caller.
pub(crate) struct AdamStep {
    pub rate: f64,
    pub eps: f64,
}

/// An update of one variable by one tensor.
pub(crate) trait Update: InplaceOp2 {
    /// The same formula in tensors.
    fn composed(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;
}

impl Update for Lerp {
    fn composed(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a + ((b - a)? * self.weight)?
    }
}

impl Update for LerpSquare {
    fn composed(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        (a * self.beta)? + (b.sqr()? * (1.0 - self.beta))?
    }
}

/// Applies `op` to `var` with `b`, in place on the CPU.
pub(crate) fn update(var: &Var, op: &impl Update, b: &Tensor) -> Result<()> {
    let b = b.contiguous()?;
    match var.device() {
        Device::Cpu => var.as_tensor().inplace_op2(&b, op),
        _ => var.set(&op.composed(&var.as_detached_tensor(), &b)?),
    }
}

/// Applies the Adam step to `var`, in place on the CPU.
pub(crate) fn adam_step(var: &Var, op: &AdamStep, m: &Tensor, v: &Tensor) -> Result<()> {
    match var.device() {
        Device::Cpu => var.as_tensor().inplace_op3(m, v, op),
        _ => {
            let step = ((m * op.rate)? / (v.sqrt()? + op.eps)?)?;
            var.set(&(var.as_detached_tensor() - step)?)
        }
    }
}

impl InplaceOp2 for Lerp {
    fn name(&self) -> &'static str {
        "lerp"
    }

    fn cpu_fwd(
        &self,
        a: &mut CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<()> {
        let (a, b) = (slice_mut(a, a_layout)?, slice(b, b_layout)?);
        let weight = self.weight as f32;
        for (a, b) in a.iter_mut().zip(b) {
            *a += weight * (b - *a);
        }
        Ok(())
    }
}

impl InplaceOp2 for LerpSquare {
    fn name(&self) -> &'static str {
        "lerp-square"
    }

    fn cpu_fwd(
        &self,
        a: &mut CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<()> {
        let (a, b) = (slice_mut(a, a_layout)?, slice(b, b_layout)?);
        let (beta, rest) = (self.beta as f32, (1.0 - self.beta) as f32);
        for (a, b) in a.iter_mut().zip(b) {
            *a = beta * *a + rest * b * b;
        }
        Ok(())
    }
}

impl InplaceOp3 for AdamStep {
    fn name(&self) -> &'static str {
        "adam-step"
    }

    fn cpu_fwd(
        &self,
        p: &mut CpuStorage,
        p_layout: &Layout,
        m: &CpuStorage,
        m_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<()> {
        let p = slice_mut(p, p_layout)?;
        let (m, v) = (slice(m, m_layout)?, slice(v, v_layout)?);
        let (rate, eps) = (self.rate as f32, self.eps as f32);
        for ((p, m), v) in p.iter_mut().zip(m).zip(v) {
            *p -= rate * m / (v.sqrt() + eps);
        }
        Ok(())
    }
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&storage.as_slice::<f32>()?[from..to]),
        None => bail!("in-place updates need contiguous tensors, got {layout:?}"),
    }
}

fn slice_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((from, to))) => Ok(&mut values[from..to]),
        _ => bail!("in-place updates need contiguous f32 tensors, got {layout:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_place_updates_agree_with_their_formulas_in_tensors() {
        let random = || Tensor::randn(0f32, 1., (3, 5), &Device::Cpu).unwrap();
        let (a, b) = (random(), random());
        let gap = |got: &Tensor, want: &Tensor| {
            let gap = (got - want).unwrap().abs().unwrap().max_all().unwrap();
            gap.to_scalar::<f32>().unwrap()
        };
        let lerp = Lerp { weight: 0.3 };
        let var = Var::from_tensor(&a.copy().unwrap()).unwrap();
        update(&var, &lerp, &b).unwrap();
        assert!(gap(var.as_tensor(), &lerp.composed(&a, &b).unwrap()) < 1e-6);

        let square = LerpSquare { beta: 0.9 };
        let var = Var::from_tensor(&a.copy().unwrap()).unwrap();
        // A transposed operand: the update makes it contiguous.
        let t = Tensor::randn(0f32, 1., (5, 3), &Device::Cpu)
            .unwrap()
            .t()
            .unwrap();
        update(&var, &square, &t).unwrap();
        assert!(gap(var.as_tensor(), &square.composed(&a, &t).unwrap()) < 1e-6);
    }
}
