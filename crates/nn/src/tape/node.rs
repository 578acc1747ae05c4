//! One recorded operation and its gradients.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result, Tensor, TensorId};

use crate::host;
use crate::kernels::cpu::elementwise::map_pairs;
use crate::kernels::is_fused;

/// One recorded operation.
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) args: Vec<Tensor>,
    pub(super) out: Tensor,
}

pub(super) enum Op {
    One(Arc<Box<dyn CustomOp1 + Send + Sync>>),
    Two(Arc<Box<dyn CustomOp2 + Send + Sync>>),
    Three(Arc<Box<dyn CustomOp3 + Send + Sync>>),
}

impl Node {
    /// Adds the gradients of the arguments to `grads`.
    pub(super) fn add_gradients(
        &self,
        grad: &Tensor,
        grads: &mut HashMap<TensorId, Tensor>,
    ) -> Result<()> {
        let [a, rest @ ..] = self.args.as_slice() else {
            return Ok(());
        };
        let gradients = match (&self.op, rest) {
            (Op::One(op), []) => vec![op.bwd(a, &self.out, grad)?],
            (Op::Two(op), [b]) => {
                let (da, db) = op.bwd(a, b, &self.out, grad)?;
                vec![da, db]
            }
            (Op::Three(op), [b, c]) => {
                let (da, db, dc) = op.bwd(a, b, c, &self.out, grad)?;
                vec![da, db, dc]
            }
            _ => unreachable!("an operation is recorded with as many arguments as it has"),
        };
        for (arg, gradient) in self.args.iter().zip(gradients) {
            let Some(gradient) = gradient.filter(|_| arg.track_op()) else {
                continue;
            };
            let sum = match grads.remove(&arg.id()) {
                Some(other) => add(&other, &gradient)?,
                None => gradient,
            };
            grads.insert(arg.id(), sum);
        }
        Ok(())
    }
}

fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if !is_fused(a) || !is_fused(b) {
        return a + b;
    }
    let sum = map_pairs(&host::values(a)?, &host::values(b)?, |a, b| a + b);
    host::tensor(sum, a.shape())
}
