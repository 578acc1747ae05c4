//! Gradients on their way to the sum over all ranks, a few MiB at a time.

use std::collections::HashMap;

use candle_core::{Device, Result, Tensor, TensorId};

use crate::gradients::Gradients;
use crate::ranks::{RankError, Reducer, Reduction};

/// Values of a bucket: 4 MiB of them, which go over memory and network at full speed.
const BUCKET: usize = 1 << 20;

/// Where the gradient of each parameter lies in the buckets: the same on every rank.
pub(crate) struct Layout {
    /// The parameters of each bucket.
    buckets: Vec<Vec<usize>>,
    /// The bucket of each parameter, and where it begins there.
    places: Vec<(usize, usize)>,
    sizes: Vec<usize>,
}

impl Layout {
    /// Of parameters of `sizes`, in the `order` in which their gradients are complete.
    pub(crate) fn new(sizes: &[usize], order: &[usize]) -> Self {
        Self::of_buckets(sizes, order, BUCKET)
    }

    fn of_buckets(sizes: &[usize], order: &[usize], bucket: usize) -> Self {
        let mut layout = Self {
            buckets: Vec::new(),
            places: vec![(0, 0); sizes.len()],
            sizes: sizes.to_vec(),
        };
        let mut filled = bucket;
        for &parameter in order {
            if filled >= bucket {
                layout.buckets.push(Vec::new());
                filled = 0;
            }
            layout.places[parameter] = (layout.buckets.len() - 1, filled);
            if let Some(parameters) = layout.buckets.last_mut() {
                parameters.push(parameter);
            }
            filled += sizes[parameter];
        }
        layout
    }

    fn length(&self, bucket: usize) -> usize {
        let parameters = self.buckets[bucket].iter();
        parameters.map(|&parameter| self.sizes[parameter]).sum()
    }
}

/// The buckets of one step, which leave as soon as they are full.
pub(crate) struct Buckets {
    layout: Layout,
    ids: HashMap<TensorId, usize>,
    /// What the gradients of the last piece are added to, each from the left.
    branches: Vec<Gradients>,
    reducer: Reducer,
    /// Buckets that have not left, with how many gradients they wait for.
    filling: Vec<(Vec<f32>, usize)>,
    reductions: Vec<Reduction>,
    /// Parameters in the order in which their gradients came.
    came: Vec<usize>,
    /// Which parameters have a gradient on this rank.
    present: Vec<bool>,
    done: Vec<bool>,
    failed: Option<candle_core::Error>,
}

impl Buckets {
    /// Empty ones.
    ///
    /// - `ids`: the tensor of each parameter.
    /// - `branches`: the sums of the pieces before the last one, those of the fewest pieces first.
    pub(crate) fn new(
        layout: Layout,
        ids: &[TensorId],
        branches: Vec<Gradients>,
        reducer: Reducer,
    ) -> Self {
        let filling = (0..layout.buckets.len()).map(|bucket| {
            (
                vec![0.0; layout.length(bucket)],
                layout.buckets[bucket].len(),
            )
        });
        Self {
            filling: filling.collect(),
            ids: ids.iter().copied().zip(0..).collect(),
            branches,
            reducer,
            reductions: Vec::new(),
            came: Vec::new(),
            present: vec![false; layout.sizes.len()],
            done: vec![false; layout.sizes.len()],
            failed: None,
            layout,
        }
    }

    /// Takes the gradient of the last piece by `tensor`, if that is a parameter; a failure is told at the end.
    pub(crate) fn take(&mut self, tensor: TensorId, gradient: &Tensor) {
        if let Some(&parameter) = self.ids.get(&tensor)
            && let Err(error) = self.fill(parameter, Some(gradient))
        {
            self.failed = Some(error);
        }
    }

    /// Fills in what did not come by [`Self::take`], `rest` of it with a gradient.
    ///
    /// # Errors
    ///
    /// Failures of the tensor backend.
    pub(crate) fn finish(mut self, rest: &Gradients) -> Result<Summing> {
        let mut rest = rest.iter();
        for parameter in 0..self.layout.sizes.len() {
            let gradient = rest.next().flatten();
            if !self.done[parameter] {
                self.fill(parameter, gradient)?;
            }
        }
        match self.failed {
            Some(error) => Err(error),
            None => Ok(Summing {
                layout: self.layout,
                reductions: self.reductions,
                came: self.came,
                present: self.present,
            }),
        }
    }

    fn fill(&mut self, parameter: usize, gradient: Option<&Tensor>) -> Result<()> {
        if std::mem::replace(&mut self.done[parameter], true) {
            candle_core::bail!("a parameter is used by two evaluations of one step");
        }
        let (bucket, start) = self.layout.places[parameter];
        let end = start + self.layout.sizes[parameter];
        let values = &mut self.filling[bucket].0[start..end];
        let mut any = false;
        if let Some(gradient) = gradient {
            let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
            // The backend adds each gradient to zeros, which makes 0 of -0.
            let pairs = values.iter_mut().zip(&gradient);
            pairs.for_each(|(value, gradient)| *value = gradient + 0.0);
            any = true;
        }
        for branch in &self.branches {
            let Some(left) = branch.iter().nth(parameter).flatten() else {
                continue;
            };
            let left = left.flatten_all()?.to_vec1::<f32>()?;
            let pairs = values.iter_mut().zip(&left);
            match any {
                true => pairs.for_each(|(value, left)| *value += left),
                false => pairs.for_each(|(value, left)| *value = *left),
            }
            any = true;
        }
        self.present[parameter] = any;
        self.came.push(parameter);
        self.filling[bucket].1 -= 1;
        self.send();
        Ok(())
    }

    /// Begins to sum the buckets that are full, in their order, which is that of all ranks.
    fn send(&mut self) {
        while let Some((values, 0)) = self.filling.get_mut(self.reductions.len()) {
            let values = std::mem::take(values);
            self.reductions.push(self.reducer.begin(values));
        }
    }
}

/// Gradients that are being summed over all ranks.
pub(crate) struct Summing {
    layout: Layout,
    reductions: Vec<Reduction>,
    /// Parameters in the order in which their gradients came.
    pub(crate) came: Vec<usize>,
    /// Which parameters have a gradient on this rank.
    pub(crate) present: Vec<bool>,
}

impl Summing {
    /// The sums, each of its parameter's shape in `like`; none of parameters that are not `present` on any rank.
    ///
    /// # Errors
    ///
    /// A rank that is gone, and failures of the tensor backend.
    pub(crate) fn wait(
        self,
        like: &[Tensor],
        present: &[bool],
        device: &Device,
    ) -> std::result::Result<Gradients, SummingError> {
        let mut gradients: Vec<Option<Tensor>> = vec![None; like.len()];
        for (parameters, reduction) in self.layout.buckets.iter().zip(self.reductions) {
            let sums = reduction.wait()?;
            for &parameter in parameters.iter().filter(|&&parameter| present[parameter]) {
                let (_, start) = self.layout.places[parameter];
                let values = &sums[start..start + self.layout.sizes[parameter]];
                let sum = Tensor::from_slice(values, like[parameter].shape(), device)?;
                gradients[parameter] = Some(sum);
            }
        }
        Ok(Gradients::from(gradients))
    }
}

/// Why gradients could not be summed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SummingError {
    #[error(transparent)]
    Rank(#[from] RankError),
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use candle_core::Var;
    use candle_core::backprop::GradStore;
    use pfgmpp_nn::watch_gradients;

    use super::*;
    use crate::ranks::{ProcessGroup, in_threads};

    #[test]
    fn buckets_are_filled_in_the_order_in_which_gradients_come() {
        let layout = Layout::of_buckets(&[3, 5, 2, 9, 1], &[4, 3, 2, 1, 0], 4);
        assert_eq!(layout.buckets, [vec![4, 3], vec![2, 1], vec![0]]);
        assert_eq!(layout.places, [(2, 0), (1, 2), (1, 0), (0, 1), (0, 0)]);
        let lengths: Vec<usize> = (0..3).map(|bucket| layout.length(bucket)).collect();
        assert_eq!(lengths, [10, 7, 3]);
    }

    fn three_parameters() -> Vec<Var> {
        let var = |values: &[f32]| Var::new(values, &Device::Cpu).unwrap();
        vec![var(&[0.3, -1.7, 2.9]), var(&[1.1]), var(&[0.7, 0.1])]
    }

    /// The gradients of a function of three parameters by rank, whose operations no evaluation records: on a GPU all are so.
    fn differentiate(rank: usize, vars: &[Var]) -> GradStore {
        let scale = [0.1, 3.3e4][rank % 2];
        let loss = (vars[0].sqr().unwrap().sum_all().unwrap() * scale).unwrap();
        // The second has a gradient on the second rank only, the third on none.
        let loss = match rank {
            1 => (loss + vars[1].exp().unwrap().sum_all().unwrap()).unwrap(),
            _ => loss,
        };
        loss.backward().unwrap()
    }

    #[test]
    fn gradients_that_no_recorded_evaluation_tells_are_summed_at_the_end() {
        let ranks = in_threads(2).into_iter().map(|comm| {
            std::thread::spawn(move || {
                let group = ProcessGroup::start(|| Ok(comm)).unwrap();
                let vars = three_parameters();
                let sizes: Vec<usize> = vars.iter().map(|var| var.elem_count()).collect();
                let ids: Vec<TensorId> = vars.iter().map(|var| var.id()).collect();
                let layout = Layout::of_buckets(&sizes, &[2, 1, 0], 2);
                let buckets = Buckets::new(layout, &ids, Vec::new(), group.reducer());
                let buckets = Rc::new(RefCell::new(buckets));
                let watched = buckets.clone();
                let gradients = watch_gradients(
                    move |leaf, gradient| watched.borrow_mut().take(leaf, gradient),
                    || differentiate(group.rank(), &vars),
                );
                let buckets = Rc::into_inner(buckets).unwrap().into_inner();
                assert!(buckets.came.is_empty(), "a gradient came early");
                let of = |var: &Var| gradients.get(var).cloned();
                let rest = Gradients::from(vars.iter().map(of).collect::<Vec<_>>());
                let summing = buckets.finish(&rest).unwrap();
                let like: Vec<Tensor> = vars.iter().map(|var| var.as_detached_tensor()).collect();
                let sums = summing.wait(&like, &[true, true, false], &Device::Cpu);
                let sums = sums.unwrap();
                let sums = sums
                    .iter()
                    .map(|sum| sum.map(|sum| sum.flatten_all().unwrap().to_vec1::<f32>().unwrap()));
                sums.collect::<Vec<_>>()
            })
        });
        let ranks: Vec<_> = ranks.collect();
        let of_rank = |rank: usize, parameter: usize| {
            let vars = three_parameters();
            let gradients = differentiate(rank, &vars);
            let gradient = gradients.get(&vars[parameter]);
            gradient.unwrap().to_vec1::<f32>().unwrap()
        };
        let (first, second) = (of_rank(0, 0), of_rank(1, 0));
        let sum: Vec<f32> = first.iter().zip(&second).map(|(a, b)| a + b).collect();
        let want = [Some(sum), Some(of_rank(1, 1)), None];
        for (number, rank) in ranks.into_iter().enumerate() {
            let got = rank.join().unwrap();
            assert_eq!(got, want, "rank {number}");
        }
    }
}
