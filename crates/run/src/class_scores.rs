//! Samples that were asked for by class, compared with the data of each class.

use candle_core::{Device, Tensor};
use pfgmpp_data::{Dataset, Splits};
use pfgmpp_metrics::{energy_distance, mean_distance, nearest};
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
    /// Mean distance between two samples of a class over that between two held-out images of it, in the mean over
    /// classes: 1 for samples as varied as the data, less for samples that are alike. Absent where no class has two of both.
    #[serde(default)]
    pub diversity: Option<f64>,
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
    /// Mean distance between two of those over that between two of the images; absent likewise.
    #[serde(default)]
    pub diversity: Option<f64>,
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
        let (known, wanted) = (classes_of(train)?, classes_of(held_out)?);
        let learnt = train.reference_images()?;
        let share = |images: &Tensor, classes: &[usize]| -> Result<f64, RunError> {
            let count = classes.len().min(MOST);
            let found = nearest(&images.narrow(0, 0, count)?, &learnt)?;
            let right = found.iter().zip(classes);
            let right = right.filter(|(place, class)| known[**place] == **class);
            Ok(right.count() as f64 / count as f64)
        };
        let seen = held_out.reference_images()?;
        let classes_alone = (0..model.label_dim()).map(|class| {
            let (drawn, real) = (places(classes, class), places(&wanted, class));
            let mut score = ClassScore {
                class,
                num_samples: drawn.len(),
                energy_distance: None,
                diversity: None,
            };
            if drawn.len().min(real.len()) >= 2 {
                let (drawn, real) = (rows(samples, &drawn)?, rows(&seen, &real)?);
                score.energy_distance = Some(energy_distance(&drawn, &real)?);
                score.diversity = Some(mean_distance(&drawn)? / mean_distance(&real)?);
            }
            Ok(score)
        });
        let classes_alone = classes_alone.collect::<Result<Vec<_>, RunError>>()?;
        let diversities: Vec<f64> = classes_alone
            .iter()
            .filter_map(|score| score.diversity)
            .collect();
        let mean = diversities.iter().sum::<f64>() / diversities.len() as f64;
        Ok(Some(Self {
            agreement: share(samples, classes)?,
            held_out_agreement: share(&seen, &wanted)?,
            diversity: (!diversities.is_empty()).then_some(mean),
            classes: classes_alone,
        }))
    }
}

/// The class of each image of `data`, which has classes, that samples are compared with.
fn classes_of(data: &Dataset) -> Result<Vec<usize>, RunError> {
    let labels = data.labels(&data.reference_indices())?.unwrap_or_default();
    Ok(labels.into_iter().map(|class| class as usize).collect())
}

/// Where `class` stands in `classes`.
fn places(classes: &[usize], class: usize) -> Vec<i64> {
    let places = classes.iter().enumerate().filter(|(_, c)| **c == class);
    places.map(|(place, _)| place as i64).collect()
}

fn rows(images: &Tensor, places: &[i64]) -> candle_core::Result<Tensor> {
    images.index_select(&Tensor::new(places, &Device::Cpu)?, 0)
}
