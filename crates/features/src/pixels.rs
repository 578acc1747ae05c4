//! Images as the bytes that pictures have.

use candle_core::{DType, Device, Tensor};

use crate::error::FeatureError;

/// The largest level of a byte.
const WHITE: f32 = 255.0;

/// Images of three channels, with levels from 0 to 1 in steps of 1/255.
pub(crate) struct Pixels {
    values: Vec<f32>,
    num: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Pixels {
    /// The nearest bytes of `images` `[n, C, H, W]` in `[-1, 1]`, as a picture of them would have; a single channel stands
    /// for all three.
    ///
    /// # Errors
    ///
    /// Another shape, and pixels that are not finite.
    pub(crate) fn of(images: &Tensor) -> Result<Self, FeatureError> {
        let &[num, channels @ (1 | 3), height, width] = images.dims() else {
            return Err(FeatureError::Images {
                got: images.dims().to_vec(),
            });
        };
        let values = images.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        let values = values.flatten_all()?.to_vec1::<f32>()?;
        let one = channels * height * width;
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(FeatureError::Pixel {
                value: values[place],
                image: place / one,
            });
        }
        let level = |value: &f32| ((value + 1.0) * (WHITE / 2.0)).round().clamp(0.0, WHITE) / WHITE;
        let levels: Vec<f32> = values.iter().map(level).collect();
        let values = match channels {
            1 => levels
                .chunks(one.max(1))
                .flat_map(|grey| grey.repeat(3))
                .collect(),
            _ => levels,
        };
        Ok(Self {
            values,
            num,
            height,
            width,
        })
    }

    /// The number of images.
    pub(crate) fn num(&self) -> usize {
        self.num
    }

    /// The planes of red, green and blue of one image.
    pub(crate) fn planes(&self, image: usize) -> impl Iterator<Item = &[f32]> {
        let plane = self.height * self.width;
        self.values[3 * image * plane..][..3 * plane].chunks(plane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grey_image_has_three_equal_channels_of_the_nearest_bytes() {
        let grey = [-1.5f32, -1.0, 0.001, 1.0, -0.999, 2.0];
        let images = Tensor::new(&grey, &Device::Cpu).unwrap();
        let pixels = Pixels::of(&images.reshape((1, 1, 2, 3)).unwrap()).unwrap();
        let want = [0.0, 0.0, 128.0 / 255.0, 1.0, 0.0, 1.0];
        let planes: Vec<&[f32]> = pixels.planes(0).collect();
        assert_eq!(planes.len(), 3, "got {planes:?}");
        for plane in planes {
            assert_eq!(plane, want, "got {plane:?}, want {want:?}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused_by_its_shape() {
        let rows = Tensor::zeros((4, 6), DType::F32, &Device::Cpu).unwrap();
        let got = Pixels::of(&rows).err().unwrap().to_string();
        assert!(got.contains("1 or 3 channels, got [4, 6]"), "got {got}");
        let bad = Tensor::new(&[[[[0.0f32, f32::NAN]]]], &Device::Cpu).unwrap();
        let got = Pixels::of(&bad).err().unwrap().to_string();
        assert!(got.contains("NaN in image 0"), "got {got}");
    }
}
