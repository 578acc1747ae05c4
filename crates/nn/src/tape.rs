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
use std::collections::HashSet;
use std::sync::Arc;

use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result, Tensor, TensorId};

mod node;
mod record;

use crate::kernels::cpu::awake::awake;
use node::{Node, Op};
use record::{Carrier, Record, Slots};

/// What is told of gradients that are complete.
type Watcher = Box<dyn FnMut(TensorId, &Tensor)>;

thread_local! {
    /// Operations recorded on this thread, where an evaluation is being recorded.
    static RECORD: RefCell<Option<Vec<Node>>> = const { RefCell::new(None) };
    /// Who watches the backward passes of this thread.
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

/// Computes `f`, a backward pass on this thread, and calls `watcher` with each leaf of a recorded evaluation and its
/// gradient as soon as that is complete, the network's last layers first.
///
/// A gradient that the evaluation alone does not complete, or that belongs to an operation outside it, is not told: it is
/// in what `f` returns, as all others are.
pub fn watch_gradients<T>(
    watcher: impl FnMut(TensorId, &Tensor) + 'static,
    f: impl FnOnce() -> T,
) -> T {
    let _outer = OuterWatcher(WATCHER.replace(Some(Box::new(watcher))));
    f()
}

/// Puts the watcher before this one back, also after a panic.
struct OuterWatcher(Option<Watcher>);

impl Drop for OuterWatcher {
    fn drop(&mut self) {
        WATCHER.replace(self.0.take());
    }
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
    let out = awake(f);
    let nodes = RECORD.replace(outer).unwrap_or_default();
    let out = out?;
    if nodes.last().is_some_and(|node| node.out.id() == out.id()) {
        attach(nodes, &out)
    } else {
        Ok(out)
    }
}

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
            Carrier::new(slots.clone()),
        )?;
    }
    out.detach().apply_op2(&carrier, Record::new(nodes, slots))
}

/// Tracked arguments that no recorded operation gave, each once.
fn leaves(nodes: &[Node]) -> Vec<Tensor> {
    let mut seen: HashSet<TensorId> = nodes.iter().map(|node| node.out.id()).collect();
    let args = nodes.iter().flat_map(|node| &node.args);
    args.filter(|arg| arg.track_op() && seen.insert(arg.id()))
        .cloned()
        .collect()
}
