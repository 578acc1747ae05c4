//! Samples as 8-bit pictures.

use candle_core::{DType, Device, Tensor};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// What shows between the tiles of a grid and in its empty cells: neither ink nor paper.
const BACKGROUND: u8 = 96;
/// What a pixel that is not a number looks like: magenta, which no grey sample contains.
const NOT_FINITE: [u8; 3] = [255, 0, 255];
/// Larger pictures are a mistake in the layout.
const MAX_PIXELS: usize = 1 << 28;

/// How a batch is laid out as one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GridLayout {
    /// Tiles in a row, at least 1.
    pub columns: usize,
    /// Picture pixels between neighbouring tiles; there is no outer border.
    pub padding: usize,
    /// Picture pixels along each side of a sample's pixel, at least 1.
    pub scale: usize,
}

/// An 8-bit picture, grey or RGB, rows from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    /// Bytes a pixel: 1 (grey) or 3 (RGB).
    channels: usize,
    bytes: Vec<u8>,
}

/// What cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// A batch that is not a batch of grey or RGB images.
    #[error(
        "a grid needs images of shape [B, C, H, W] with C 1 or 3 and nothing empty, got {shape:?}"
    )]
    Shape {
        /// The shape given, with the batch axis.
        shape: Vec<usize>,
    },
    /// A batch that is not one of points in the plane.
    #[error("points in the plane have shape [B, 2, 1, 1], got {shape:?}")]
    Points {
        /// The shape given, with the batch axis.
        shape: Vec<usize>,
    },
    /// A layout without columns or with pixels of no size.
    #[error(
        "a grid needs columns and scale of at least 1, got columns {columns} and scale {scale}"
    )]
    Layout {
        /// The columns given.
        columns: usize,
        /// The scale given.
        scale: usize,
    },
    /// A layout that leads to a picture of more than 2^28 pixels.
    #[error(
        "a picture may have up to {MAX_PIXELS} pixels, {num} images of {shape:?} in {layout:?} need more"
    )]
    TooLarge {
        /// The number of images.
        num: usize,
        /// The shape of one.
        shape: [usize; 3],
        /// The layout given.
        layout: GridLayout,
    },
    /// A failure of the PNG encoder.
    #[error("png encoding failed: {0}")]
    Png(#[from] image::ImageError),
    /// A failure of the tensor backend.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Picture {
    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bytes a pixel: 1 (grey) or 3 (RGB).
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The pixels, `[height, width, channels]`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// Failures of the encoder.
    pub fn to_png(&self) -> Result<Vec<u8>, PictureError> {
        let colour = if self.channels == 1 {
            ExtendedColorType::L8
        } else {
            ExtendedColorType::Rgb8
        };
        let mut png = Vec::new();
        // MAX_PIXELS bounds both sides far below u32.
        PngEncoder::new(&mut png).write_image(
            &self.bytes,
            self.width as u32,
            self.height as u32,
            colour,
        )?;
        Ok(png)
    }

    /// An RGB picture of one colour.
    pub(crate) fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self {
            width,
            height,
            channels: 3,
            bytes: colour.repeat(width * height),
        }
    }

    /// Paints the square of `scale` pixels whose upper left corner is `(top, left)`.
    pub(crate) fn paint(&mut self, top: usize, left: usize, scale: usize, colour: [u8; 3]) {
        for row in top..top + scale {
            let start = (row * self.width + left) * self.channels;
            for pixel in
                self.bytes[start..start + scale * self.channels].chunks_exact_mut(self.channels)
            {
                pixel.copy_from_slice(&colour[..self.channels]);
            }
        }
    }
}

/// One image `[C, H, W]` in `[-1, 1]` as a picture of its own size; see [`grid()`].
///
/// # Errors
///
/// A shape that is not `[C, H, W]` with `C` 1 or 3, and failures of the tensor backend.
pub fn to_image(image: &Tensor) -> Result<Picture, PictureError> {
    grid(
        &image.unsqueeze(0)?,
        GridLayout {
            columns: 1,
            padding: 0,
            scale: 1,
        },
    )
}

/// A batch `[B, C, H, W]` in `[-1, 1]` side by side in one picture, in reading order.
///
/// Values are clamped to `[-1, 1]` and rounded to the nearest of 256 levels; enlarging repeats
/// pixels. Values that are not finite do not stop a run: they show in magenta, and a grey batch
/// that holds one becomes an RGB picture.
///
/// ```text
/// level = round(127.5 (x + 1))
/// ```
///
/// # Errors
///
/// Channels other than 1 or 3, an empty batch, columns or scale of 0, a picture of more than 2^28
/// pixels, and failures of the tensor backend.
pub fn grid(images: &Tensor, layout: GridLayout) -> Result<Picture, PictureError> {
    let GridLayout {
        columns,
        padding,
        scale,
    } = layout;
    let &[num, channels @ (1 | 3), height, width] = images.dims() else {
        return Err(PictureError::Shape {
            shape: images.dims().to_vec(),
        });
    };
    if images.elem_count() == 0 {
        return Err(PictureError::Shape {
            shape: images.dims().to_vec(),
        });
    }
    if columns == 0 || scale == 0 {
        return Err(PictureError::Layout { columns, scale });
    }
    let values = images
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;

    let columns = columns.min(num);
    let too_large = || PictureError::TooLarge {
        num,
        shape: [channels, height, width],
        layout,
    };
    let canvas_width = side(columns, width, layout).ok_or_else(too_large)?;
    let canvas_height = side(num.div_ceil(columns), height, layout).ok_or_else(too_large)?;
    let area = canvas_width
        .checked_mul(canvas_height)
        .filter(|&area| area <= MAX_PIXELS)
        .ok_or_else(too_large)?;
    let picture_channels = if values.iter().all(|v| v.is_finite()) {
        channels
    } else {
        3
    };
    let mut picture = Picture {
        width: canvas_width,
        height: canvas_height,
        channels: picture_channels,
        bytes: vec![BACKGROUND; area * picture_channels],
    };
    for (b, image) in values.chunks_exact(channels * height * width).enumerate() {
        let (tile_top, tile_left) = (
            b / columns * (height * scale + padding),
            b % columns * (width * scale + padding),
        );
        for i in 0..height * width {
            let (top, left) = (tile_top + i / width * scale, tile_left + i % width * scale);
            picture.paint(top, left, scale, colour(image, i, height * width));
        }
    }
    Ok(picture)
}

/// The length of `tiles` tiles of `pixels` sample pixels, or `None` beyond what can be counted.
fn side(tiles: usize, pixels: usize, layout: GridLayout) -> Option<usize> {
    let tile = pixels.checked_mul(layout.scale)?;
    tiles
        .checked_mul(tile)?
        .checked_add((tiles - 1).checked_mul(layout.padding)?)
}

/// The colour of pixel `i` of an image whose channels lie `plane` values apart.
fn colour(image: &[f32], i: usize, plane: usize) -> [u8; 3] {
    let channel = |c: usize| image.get(c * plane + i).copied().unwrap_or(image[i]);
    let values = [0, 1, 2].map(channel);
    if values.iter().all(|v| v.is_finite()) {
        values.map(level)
    } else {
        NOT_FINITE
    }
}

fn level(x: f32) -> u8 {
    // The cast saturates, which is the clamp.
    (127.5 * (x + 1.0)).round() as u8
}
