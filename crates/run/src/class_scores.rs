//! Samples that were asked for by class, compared with the data of each class.

use candle_core::{Device, Tensor};
use pfgmpp_data::{Dataset, Splits};
use pfgmpp_metrics::{energy_distance, nearest};
use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::held_out::has_classes_of;
use crate::sampling_model::SamplingModel;

/// The most samples, and the most held-out images, that are classified.
const MOST: usize = 1024;

/// What a run with classes leaves in `class_scores.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Share of samples whose nearest neighbour among the training images is of the class that was asked for.
    pub agreement: f64,
    /// The same share of held-out images and their own classes: how good that classifier is on data.
    pub held_out_agreement: f64,
    /// Each class by itself.
    pub classes: Vec<ClassScore>,
}

/// The scores of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// The class.
    pub class: usize,
    /// Samples that were asked to be of it.
    pub num_samples: usize,
    /// Energy distance between those and the held-out images of the class; absent with fewer than two of either.
    pub energy_distance: Option<f64>,
}

impl ClassScores {
    /// Scores `samples` `[num, C, H, W]` of `model`, asked to be of `classes` `[num]`; `None` where the data do not have
    /// the classes of the model, or there is too little of anything.
    ///
    /// # Errors
    ///
    /// Samples that are not finite, and failures of the tensor backend.
    pub(crate) fn measure(
        model: &SamplingModel,
        samples: &Tensor,
        classes: &[usize],
        splits: &Splits,
    ) -> Result<Option<Self>, RunError> {
        let (train, held_out) = (&splits.train, &splits.held_out);
        let enough = train
            .num_images()
            .min(held_out.num_images())
            .min(classes.len())
            >= 2;
        if !enough || !has_classes_of(train, model) {
            return Ok(None);
        }
        let (known, wanted) = (classes_of(train), classes_of(held_out));
        let share = |images: &Tensor, classes: &[usize]| -> Result<f64, RunError> {
            let count = classes.len().min(MOST);
            let found = nearest(&images.narrow(0, 0, count)?, train.images())?;
            let right = found.iter().zip(classes);
            let right = right.filter(|(place, class)| known[**place] == **class);
            Ok(right.count() as f64 / count as f64)
        };
        let classes_alone = (0..model.label_dim()).map(|class| {
            let (drawn, real) = (places(classes, class), places(&wanted, class));
            Ok(ClassScore {
                class,
                num_samples: drawn.len(),
                energy_distance: match drawn.len().min(real.len()) {
                    0 | 1 => None,
                    _ => Some(energy_distance(
                        &rows(samples, &drawn)?,
                        &rows(held_out.images(), &real)?,
                    )?),
                },
            })
        });
        let classes_alone = classes_alone.collect::<Result<Vec<_>, RunError>>()?;
        Ok(Some(Self {
            agreement: share(samples, classes)?,
            held_out_agreement: share(held_out.images(), &wanted)?,
            classes: classes_alone,
        }))
    }
}

/// The class of each image of a data set that has classes.
fn classes_of(data: &Dataset) -> Vec<usize> {
    let labels = data.class_labels().ok().flatten();
    let values = labels.map_or(&[][..], |labels| labels.values());
    values.iter().map(|&class| class as usize).collect()
}

/// Where `class` stands in `classes`.
fn places(classes: &[usize], class: usize) -> Vec<i64> {
    let places = classes.iter().enumerate().filter(|(_, c)| **c == class);
    places.map(|(place, _)| place as i64).collect()
}

fn rows(images: &Tensor, places: &[i64]) -> candle_core::Result<Tensor> {
    images.index_select(&Tensor::new(places, &Device::Cpu)?, 0)
}
