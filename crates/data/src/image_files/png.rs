//! One PNG file as pixels in `[-1, 1]`.

use std::io::Cursor;
use std::path::Path;

use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder, ImageResult, Limits};

use super::error::ImageFilesError;

/// Pixels along a side of an image.
const MAX_SIDE: u32 = 4096;
/// Bytes that decoding may take beside the image itself.
const MAX_SCRATCH: u64 = 64 << 20;

/// What the header of a PNG file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    channels: usize,
    height: usize,
    width: usize,
}

impl Header {
    /// `[C, H, W]`.
    pub(super) fn shape(self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }
}

/// Reads the header alone.
///
/// # Errors
///
/// No PNG file, and images that are not 8-bit grey or RGB, are animated or have a side of more than
/// 4,096 pixels.
pub(super) fn header(path: &Path, name: &str, bytes: &[u8]) -> Result<Header, ImageFilesError> {
    open(path, name, bytes).map(|(header, _)| header)
}

/// Decodes one image and appends its planes to `pixels`; level `v` becomes `v / 127.5 - 1`.
///
/// # Errors
///
/// As [`header()`], an image unlike the `first` of its set, and damaged data.
pub(super) fn decode(
    path: &Path,
    name: &str,
    bytes: &[u8],
    (first_name, first): (&str, Header),
    pixels: &mut Vec<f32>,
) -> Result<(), ImageFilesError> {
    let (header, decoder) = open(path, name, bytes)?;
    if header != first {
        let (got, want) = (header.shape(), first.shape());
        let reason = format!("shape {got:?}, image {first_name} has {want:?}: all must be alike");
        return Err(ImageFilesError::entry(path, name, reason));
    }
    let plane = header.height * header.width;
    let mut levels = vec![0; header.channels * plane];
    let decoded = decoder.read_image(&mut levels);
    decoded.map_err(|e| ImageFilesError::entry(path, name, e.to_string()))?;
    for channel in 0..header.channels {
        let of_channel = levels.iter().skip(channel).step_by(header.channels);
        pixels.extend(of_channel.map(|&v| f32::from(v) / 127.5 - 1.0));
    }
    Ok(())
}

type Decoder<'b> = PngDecoder<Cursor<&'b [u8]>>;

fn open<'b>(
    path: &Path,
    name: &str,
    bytes: &'b [u8],
) -> Result<(Header, Decoder<'b>), ImageFilesError> {
    let refuse = |reason: String| ImageFilesError::entry(path, name, reason);
    let (decoder, animated) = limited(bytes).map_err(|e| refuse(e.to_string()))?;
    if animated {
        return Err(refuse("is animated, still images are accepted".to_string()));
    }
    let channels = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::Rgb8 => 3,
        other => {
            let accepted = "8-bit grey or RGB without transparency is accepted";
            return Err(refuse(format!("has pixels of kind {other:?}, {accepted}")));
        }
    };
    let (width, height) = decoder.dimensions();
    let header = Header {
        channels,
        height: height as usize,
        width: width as usize,
    };
    Ok((header, decoder))
}

/// A decoder that takes bounded memory, whatever the file says of itself.
fn limited(bytes: &[u8]) -> ImageResult<(Decoder<'_>, bool)> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_SCRATCH + 4 * u64::from(MAX_SIDE).pow(2));
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits)?;
    let animated = decoder.is_apng()?;
    Ok((decoder, animated))
}
