//! How long a network is trained and how often that is reported.

use pfgmpp_kernel::Dimension;
use pfgmpp_transfer::ParameterError;
use serde::{Deserialize, Serialize};

use crate::count::{count, some_count};
use crate::ranks::RankError;
use crate::sharing::Sharing;

/// The most D of one network.
const MOST_D: usize = 64;

/// Length of training and how often it reports, all counted in images seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Images to train on in all, repetitions counted.
    #[serde(deserialize_with = "count")]
    pub nimg: u64,
    /// Images in one step.
    #[serde(deserialize_with = "count")]
    pub batch_size: u64,
    /// Images between two lines of the log.
    #[serde(deserialize_with = "count")]
    pub log_every: u64,
    /// Images between two saved states, from which an interrupted run resumes.
    #[serde(deserialize_with = "count")]
    pub state_every: u64,
    /// Images between two sample grids in TensorBoard; 0 for none.
    #[serde(deserialize_with = "count")]
    pub grid_every: u64,
    /// Images between two measurements of the averaged weights' error on held-out data, of which the best are kept
    /// beside the last; none if left out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some_count"
    )]
    pub score_every: Option<u64>,
    /// Images that the network is differentiated for at a time; the gradients of a batch are added up, so that it changes
    /// the result by rounding alone. The whole batch if left out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some_count"
    )]
    pub micro_batch: Option<u64>,
    /// The checkpoint whose network and weights training starts from, a path or `hf://owner/name`; random weights if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from: Option<String>,
    /// Several D that training samples are of, each of one at random, which the network is told: it may then be sampled at
    /// any D. All are of the D of the configuration if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub d_list: Option<Vec<Dimension>>,
    /// What becomes of a step whose loss or gradient is infinite or not a number; it ends training if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_finite: Option<NonFinite>,
}

/// What becomes of a step whose loss or gradient is infinite or not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinite {
    /// It ends training, and nothing is changed by it.
    Stop,
    /// It is counted and left out: the weights stay as they are, and the next batch follows. A hundred in a row end
    /// training.
    Skip,
}

impl TrainingConfig {
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        ParameterError::counted("nimg", self.nimg, 1, 1 << 50)?;
        ParameterError::counted("batch_size", self.batch_size, 1, 1 << 20)?;
        ParameterError::counted("log_every", self.log_every, 1, u64::MAX)?;
        ParameterError::counted("state_every", self.state_every, 1, u64::MAX)?;
        if let Some(every) = self.score_every {
            ParameterError::counted("score_every", every, 1, u64::MAX)?;
        }
        if let Some(list) = &self.d_list {
            check_list(list)?;
        }
        match self.micro_batch {
            Some(micro) => ParameterError::counted("micro_batch", micro, 1, self.batch_size),
            None => Ok(()),
        }
    }

    /// Checks that `size` ranks can share the pieces of a batch.
    ///
    /// # Errors
    ///
    /// [`RankError::Shares`], with the numbers of ranks that can.
    pub fn check_ranks(&self, size: usize) -> Result<(), RankError> {
        Sharing::of(self, size).map(drop)
    }

    /// Sums of gradients that wait while a piece of a batch is differentiated, at most: branches of the tree by which they are
    /// summed.
    pub fn sums_at_once(&self) -> u64 {
        let pieces = self.batch_size.div_ceil(self.at_a_time());
        u64::from(self.micro_batch.is_some()).max(pieces.next_power_of_two().ilog2().into())
    }

    /// The D that the network is trained at and told, none for one that is trained at the D of the configuration alone.
    pub fn d_list(&self) -> &[Dimension] {
        self.d_list.as_deref().unwrap_or_default()
    }

    /// Images that the network is differentiated for at a time.
    pub fn at_a_time(&self) -> u64 {
        self.micro_batch.unwrap_or(self.batch_size)
    }
}

/// Two D at least, each once.
fn check_list(list: &[Dimension]) -> Result<(), ParameterError> {
    for &d in list {
        ParameterError::dimension("d_list", d)?;
    }
    let again = (1..list.len()).find(|&i| list[..i].contains(&list[i]));
    let text = || {
        let all: Vec<String> = list.iter().map(Dimension::to_string).collect();
        format!("[{}]", all.join(", "))
    };
    match again {
        None if (2..=MOST_D).contains(&list.len()) => Ok(()),
        _ => {
            let accepted =
                format!("from 2 to {MOST_D} values of D, each once, such as [1, 8, 128, inf]");
            Err(ParameterError::new("d_list", text(), accepted))
        }
    }
}
