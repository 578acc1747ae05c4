//! The sum of the gradients of the pieces of a batch, in an order that does not depend on who computes which piece.

use candle_core::Result;

use crate::gradients::Gradients;

/// A sum of pieces that come one after the other, by a binary tree over their numbers.
///
/// ```text
/// 7 pieces: ((g0 + g1) + (g2 + g3)) + ((g4 + g5) + g6)
/// ```
///
/// Ranks that have `2^k` pieces each have a branch of the tree each, and what is left is the same tree over the ranks.
#[derive(Default)]
pub(crate) struct TreeSum {
    /// Branches that wait for their neighbour, the larger ones first; each is of `2^level` pieces.
    branches: Vec<(u32, Gradients)>,
}

impl TreeSum {
    /// Takes in the next piece.
    pub(crate) fn push(&mut self, gradients: Gradients) -> Result<()> {
        let (mut level, mut sum) = (0, gradients);
        while let Some((_, left)) = self.branches.pop_if(|(other, _)| *other == level) {
            sum = left.plus(sum)?;
            level += 1;
        }
        self.branches.push((level, sum));
        Ok(())
    }

    /// The sum of all pieces; none of no pieces.
    pub(crate) fn finish(self) -> Result<Gradients> {
        let mut branches = self.into_branches().into_iter();
        let last = branches.next().unwrap_or_default();
        branches.try_fold(last, |sum, left| left.plus(sum))
    }

    /// What the last piece is to be added to, one branch after the other, each from the left.
    pub(crate) fn into_branches(self) -> Vec<Gradients> {
        self.branches
            .into_iter()
            .rev()
            .map(|(_, sum)| sum)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn piece(index: usize) -> Gradients {
        // Of sizes so far apart that every order gives another sum.
        let value = (index as f32 + 1.0).powi(5) * 1.000_1 + 1e-3;
        Gradients::from(vec![Some(Tensor::new(&[value], &Device::Cpu).unwrap())])
    }

    fn value(gradients: &Gradients) -> f32 {
        let tensor = gradients.iter().next().flatten().unwrap();
        tensor.to_vec1::<f32>().unwrap()[0]
    }

    #[test]
    fn seven_pieces_are_summed_by_the_tree() {
        let mut sum = TreeSum::default();
        (0..7).for_each(|index| sum.push(piece(index)).unwrap());
        let [a, b, c, d, e, f, g] = std::array::from_fn(|index| value(&piece(index)));
        let (got, want) = (
            value(&sum.finish().unwrap()),
            ((a + b) + (c + d)) + ((e + f) + g),
        );
        assert_eq!(got.to_bits(), want.to_bits(), "got {got}, want {want}");
    }

    #[test]
    fn up_to_three_pieces_are_summed_from_left_to_right() {
        for pieces in 1..=3 {
            let mut sum = TreeSum::default();
            (0..pieces).for_each(|index| sum.push(piece(index)).unwrap());
            let values = (0..pieces).map(|index| value(&piece(index)));
            let (got, want) = (
                value(&sum.finish().unwrap()),
                values.reduce(|a, b| a + b).unwrap(),
            );
            assert_eq!(
                got.to_bits(),
                want.to_bits(),
                "{pieces} pieces: got {got}, want {want}"
            );
        }
    }
}
