//! The two operations as which a recorded evaluation appears to the backend, on whatever device it ran.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp2, CustomOp3, Layout, MetalStorage, Result, Shape, Tensor,
    TensorId, bail,
};

use super::WATCHER;
use super::node::Node;
use crate::kernels::cpu::awake::awake;

/// Gradients on their way from a recorded evaluation to its leaves.
pub(super) type Slots = Arc<Mutex<HashMap<TensorId, Tensor>>>;

/// Scalar that stands for two leaves and for the carrier before it.
pub(super) struct Carrier {
    slots: Slots,
}

impl Carrier {
    pub(super) fn new(slots: Slots) -> Self {
        Self { slots }
    }
}

/// The recorded evaluation: its output, as a function of the last carrier.
pub(super) struct Record {
    nodes: Vec<Node>,
    slots: Slots,
}

impl Record {
    pub(super) fn new(nodes: Vec<Node>, slots: Slots) -> Self {
        Self { nodes, slots }
    }
}

/// A copy of the first argument, which is all that either operation computes.
///
/// The storage is copied whole, so the argument has to be all of it: outputs of operations are.
fn copy<S: BackendStorage>(storage: &S, layout: &Layout) -> Result<(S, Shape)> {
    if layout.start_offset() != 0 || !layout.is_contiguous() {
        bail!("a recorded evaluation returns contiguous values, got {layout:?}");
    }
    Ok((storage.try_clone(layout)?, layout.shape().clone()))
}

impl CustomOp3 for Carrier {
    fn name(&self) -> &'static str {
        "carrier"
    }

    fn cpu_fwd(
        &self,
        before: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        copy(before, layout)
    }

    fn cuda_fwd(
        &self,
        before: &CudaStorage,
        layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        copy(before, layout)
    }

    fn metal_fwd(
        &self,
        before: &MetalStorage,
        layout: &Layout,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        copy(before, layout)
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
        copy(out, layout)
    }

    fn cuda_fwd(
        &self,
        out: &CudaStorage,
        layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        copy(out, layout)
    }

    fn metal_fwd(
        &self,
        out: &MetalStorage,
        layout: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        copy(out, layout)
    }

    fn bwd(
        &self,
        _: &Tensor,
        carrier: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut grads = HashMap::new();
        // Taken, so that an evaluation which this thread takes up while it waits inside an operation is not watched.
        let mut watcher = WATCHER.take();
        let complete = match watcher {
            Some(_) => first_uses(&self.nodes),
            None => HashMap::new(),
        };
        if let Some(last) = self.nodes.last() {
            grads.insert(last.out.id(), grad.clone());
        }
        awake(|| {
            for (index, node) in self.nodes.iter().enumerate().rev() {
                // An output that nothing depends on has none.
                if let Some(grad) = grads.remove(&node.out.id()) {
                    node.add_gradients(&grad, &mut grads)?;
                }
                for leaf in complete.get(&index).into_iter().flatten() {
                    if let (Some(watcher), Some(grad)) = (&mut watcher, grads.get(leaf)) {
                        watcher(*leaf, grad);
                    }
                }
            }
            Ok::<(), candle_core::Error>(())
        })?;
        WATCHER.set(watcher);
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = grads;
        Ok((None, Some(carrier.zeros_like()?)))
    }
}

/// The leaves that each node uses as the first one: behind it, on the way back, their gradients are complete.
fn first_uses(nodes: &[Node]) -> HashMap<usize, Vec<TensorId>> {
    let mut seen: HashSet<TensorId> = nodes.iter().map(|node| node.out.id()).collect();
    let mut first: HashMap<usize, Vec<TensorId>> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for arg in &node.args {
            if arg.track_op() && seen.insert(arg.id()) {
                first.entry(index).or_default().push(arg.id());
            }
        }
    }
    first
}
