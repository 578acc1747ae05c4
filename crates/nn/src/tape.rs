//! A record of the fused operations of one evaluation, from which its gradients are computed in one go.
//!
//! The backend's own backward pass allocates zeros and adds for every use of every tensor. A recorded
//! evaluation appears to it as one operation instead: gradients inside move from operation to operation, are
//! added only where a tensor has several uses, and reach the backend at the leaves (parameters, and whatever
//! else came in tracked).
//!
//! Recording changes no result and asks for no discipline: an operation that is not recorded makes its output a leaf,
//! behind which the backend's own pass goes on.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, TensorId,
};

use crate::kernels::elementwise::map_pairs;
use crate::ops::host;

thread_local! {
    /// Operations recorded on this thread, where an evaluation is being recorded.
    static RECORD: RefCell<Option<Vec<Node>>> = const { RefCell::new(None) };
}

/// One recorded operation.
struct Node {
    op: Op,
    args: Vec<Tensor>,
    out: Tensor,
}

enum Op {
    One(Arc<Box<dyn CustomOp1 + Send + Sync>>),
    Two(Arc<Box<dyn CustomOp2 + Send + Sync>>),
    Three(Arc<Box<dyn CustomOp3 + Send + Sync>>),
}

/// Applies an operation of one argument, recording it.
pub(crate) fn apply1(a: &Tensor, op: impl CustomOp1 + Send + Sync + 'static) -> Result<Tensor> {
    let op: Arc<Box<dyn CustomOp1 + Send + Sync>> = Arc::new(Box::new(op));
    let out = a.apply_op1_arc(op.clone())?;
    push(|| Node {
        op: Op::One(op),
        args: vec![a.clone()],
        out: out.clone(),
    });
    Ok(out)
}

/// Applies an operation of two arguments, recording it.
pub(crate) fn apply2(
    a: &Tensor,
    b: &Tensor,
    op: impl CustomOp2 + Send + Sync + 'static,
) -> Result<Tensor> {
    let op: Arc<Box<dyn CustomOp2 + Send + Sync>> = Arc::new(Box::new(op));
    let out = a.apply_op2_arc(b, op.clone())?;
    push(|| Node {
        op: Op::Two(op),
        args: vec![a.clone(), b.clone()],
        out: out.clone(),
    });
    Ok(out)
}

/// Applies an operation of three arguments, recording it.
pub(crate) fn apply3(
    a: &Tensor,
    b: &Tensor,
    c: &Tensor,
    op: impl CustomOp3 + Send + Sync + 'static,
) -> Result<Tensor> {
    let op: Arc<Box<dyn CustomOp3 + Send + Sync>> = Arc::new(Box::new(op));
    let out = a.apply_op3_arc(b, c, op.clone())?;
    push(|| Node {
        op: Op::Three(op),
        args: vec![a.clone(), b.clone(), c.clone()],
        out: out.clone(),
    });
    Ok(out)
}

fn push(node: impl FnOnce() -> Node) {
    RECORD.with_borrow_mut(|record| {
        if let Some(nodes) = record {
            let node = node();
            if node.out.track_op() {
                nodes.push(node);
            }
        }
    });
}

/// Evaluates `f` and makes one operation of all that it records.
///
/// # Errors
///
/// Those of `f`.
pub(crate) fn recorded(f: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    // A thread that waits inside an operation may take up another evaluation: records nest like calls.
    let outer = RECORD.replace(Some(Vec::new()));
    let out = f();
    let nodes = RECORD.replace(outer).unwrap_or_default();
    let out = out?;
    if nodes.last().is_some_and(|node| node.out.id() == out.id()) {
        attach(nodes, &out)
    } else {
        Ok(out)
    }
}

/// Gradients on their way from a recorded evaluation to its leaves.
type Slots = Arc<Mutex<HashMap<TensorId, Tensor>>>;

/// The output as an operation of its leaves.
///
/// Operations have three arguments at most. So a chain of scalars, the carriers, stands for the leaves: each
/// takes the one before and two leaves, and hands these their gradients in the backward pass.
fn attach(nodes: Vec<Node>, out: &Tensor) -> Result<Tensor> {
    let slots = Slots::default();
    let nothing = Tensor::zeros(1, out.dtype(), out.device())?;
    let leaves = leaves(&nodes);
    let mut carrier = nothing.clone();
    for pair in leaves.chunks(2) {
        carrier = carrier.apply_op3(
            &pair[0],
            pair.get(1).unwrap_or(&nothing),
            Carrier {
                slots: slots.clone(),
            },
        )?;
    }
    let record = Record { nodes, slots };
    out.detach().apply_op2(&carrier, record)
}

/// Tracked arguments that no recorded operation gave, each once.
fn leaves(nodes: &[Node]) -> Vec<Tensor> {
    let mut seen: HashSet<TensorId> = nodes.iter().map(|node| node.out.id()).collect();
    let args = nodes.iter().flat_map(|node| &node.args);
    args.filter(|arg| arg.track_op() && seen.insert(arg.id()))
        .cloned()
        .collect()
}

/// Scalar that stands for two leaves and for the carrier before it.
struct Carrier {
    slots: Slots,
}

impl CustomOp3 for Carrier {
    fn name(&self) -> &'static str {
        "carrier"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok(host::output(vec![0.0], 1))
    }

    fn bwd(
        &self,
        before: &Tensor,
        first: &Tensor,
        second: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut take = |leaf: &Tensor| match slots.remove(&leaf.id()) {
            Some(grad) => Ok(Some(grad)),
            // The backend expects a gradient for whatever it tracks.
            None if leaf.track_op() => leaf.zeros_like().map(Some),
            None => Ok(None),
        };
        Ok((
            before.track_op().then(|| grad.clone()),
            take(first)?,
            take(second)?,
        ))
    }
}

/// The recorded evaluation: its output, as a function of the last carrier.
struct Record {
    nodes: Vec<Node>,
    slots: Slots,
}

impl CustomOp2 for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn cpu_fwd(
        &self,
        out: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok(host::output(
            host::slice(out, layout)?.to_vec(),
            layout.shape().clone(),
        ))
    }

    fn bwd(
        &self,
        _: &Tensor,
        carrier: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut grads = HashMap::new();
        if let Some(last) = self.nodes.last() {
            grads.insert(last.out.id(), grad.clone());
        }
        for node in self.nodes.iter().rev() {
            // An output that nothing depends on has none.
            if let Some(grad) = grads.remove(&node.out.id()) {
                node.add_gradients(&grad, &mut grads)?;
            }
        }
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = grads;
        Ok((None, Some(carrier.zeros_like()?)))
    }
}

impl Node {
    /// Adds the gradients of the arguments to `grads`.
    fn add_gradients(&self, grad: &Tensor, grads: &mut HashMap<TensorId, Tensor>) -> Result<()> {
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
    let sum = map_pairs(&host::values(a)?, &host::values(b)?, |a, b| a + b);
    host::tensor(sum, a.shape())
}
