//! Where the data of a run lie and how far they spread.

use candle_core::Error;
use pfgmpp_data::Dataset;
use pfgmpp_transfer::DataMoments;

/// The moments of `data`, of a set that is too large by the images that stand for all.
pub(crate) fn moments_of(data: &Dataset) -> candle_core::Result<DataMoments> {
    DataMoments::measure(&data.reference_images().map_err(Error::wrap)?)
}
