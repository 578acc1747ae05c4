//! Points in the plane as a picture.

use candle_core::{DType, Device, Tensor};

use crate::picture::{Picture, PictureError};

/// Pixels along each side.
const SIDE: usize = 512;
/// Half the width of the shown part of the plane, in units of the data.
const REACH: f64 = 1.25;
const PAPER: [u8; 3] = [255, 255, 255];
/// Points behind.
const SOFT: [u8; 3] = [205, 209, 214];
/// Points in front, and those of them that lie outside, which are drawn at the border.
const INK: [u8; 3] = [0, 104, 168];
const OUTSIDE: [u8; 3] = [198, 82, 0];

/// Draws `points` `[B, 2, 1, 1]` over the points `behind`, in the part of the plane within 1.25 of the origin along
/// each axis; x to the right, y upwards.
///
/// A point outside shows at the border in orange; one that is not a number does not show.
///
/// # Errors
///
/// Samples that are not points in the plane, and failures of the tensor backend.
pub fn scatter(points: &Tensor, behind: Option<&Tensor>) -> Result<Picture, PictureError> {
    let mut picture = Picture::filled(SIDE, SIDE, PAPER);
    if let Some(behind) = behind {
        for point in pairs(behind)? {
            dot(&mut picture, point, 2, SOFT, SOFT);
        }
    }
    for point in pairs(points)? {
        dot(&mut picture, point, 3, INK, OUTSIDE);
    }
    Ok(picture)
}

fn pairs(points: &Tensor) -> Result<Vec<[f64; 2]>, PictureError> {
    let &[_, 2, 1, 1] = points.dims() else {
        return Err(PictureError::Points {
            shape: points.dims().to_vec(),
        });
    };
    let points = points.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let flat = points.flatten_all()?.to_vec1::<f64>()?;
    Ok(flat.chunks_exact(2).map(|p| [p[0], p[1]]).collect())
}

fn dot(picture: &mut Picture, [x, y]: [f64; 2], size: usize, inside: [u8; 3], outside: [u8; 3]) {
    if x.is_nan() || y.is_nan() {
        return;
    }
    let colour = if x.abs().max(y.abs()) <= REACH {
        inside
    } else {
        outside
    };
    let last = (SIDE - size) as f64;
    let pixel = |v: f64| (0.5 * (v / REACH + 1.0) * last).clamp(0.0, last).round() as usize;
    picture.paint(pixel(-y), pixel(x), size, colour);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: &[[f32; 2]]) -> Picture {
        let flat: Vec<f32> = points.concat();
        let points = Tensor::from_vec(flat, (points.len(), 2, 1, 1), &Device::Cpu).unwrap();
        scatter(&points, None).unwrap()
    }

    fn colour_at(picture: &Picture, row: usize, column: usize) -> [u8; 3] {
        let at = 3 * (row * picture.width() + column);
        picture.bytes()[at..at + 3].try_into().unwrap()
    }

    #[test]
    fn points_stand_where_they_belong() {
        let picture = drawn(&[[0.0, 0.0], [1.25, 1.25], [-1.25, -1.25]]);
        assert_eq!((picture.width(), picture.height()), (SIDE, SIDE));
        for (row, column) in [(SIDE / 2, SIDE / 2), (0, SIDE - 1), (SIDE - 1, 0)] {
            assert_eq!(colour_at(&picture, row, column), INK, "{row}, {column}");
        }
        assert_eq!(colour_at(&picture, 0, 0), PAPER);
    }

    #[test]
    fn what_lies_outside_shows_at_the_border_and_what_is_no_number_does_not() {
        let picture = drawn(&[[1e30, 0.0], [f32::NAN, 0.0], [f32::NEG_INFINITY, 0.0]]);
        assert_eq!(colour_at(&picture, SIDE / 2, SIDE - 1), OUTSIDE);
        assert_eq!(colour_at(&picture, SIDE / 2, 0), OUTSIDE);
        let inked = picture
            .bytes()
            .chunks_exact(3)
            .filter(|p| **p != PAPER)
            .count();
        assert_eq!(inked, 18, "two dots of nine pixels");
    }

    #[test]
    fn images_are_refused() {
        let images = Tensor::zeros((1, 1, 8, 8), DType::F32, &Device::Cpu).unwrap();
        let got = scatter(&images, None).unwrap_err().to_string();
        assert!(got.contains("[B, 2, 1, 1]"), "got {got}");
    }
}
