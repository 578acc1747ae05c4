//! What tests of several sources ask of a data set.

use pfgmpp_data::Dataset;

/// All values, image after image.
pub fn values(dataset: &Dataset) -> Vec<f32> {
    let images = dataset.images().unwrap().flatten_all().unwrap();
    images.to_vec1().unwrap()
}
