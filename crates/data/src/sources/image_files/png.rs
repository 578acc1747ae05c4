//! One PNG file as pixels in `[-1, 1]`.

use std::io::Cursor;
use std::path::Path;

use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder, ImageError, ImageResult, Limits};

use crate::file_error::FileError;
use crate::file_kind::FileKind;

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
pub(super) fn header(path: &Path, name: &str, bytes: &[u8]) -> Result<Header, FileError> {
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
) -> Result<(), FileError> {
    let (header, decoder) = open(path, name, bytes)?;
    if header != first {
        let (got, want) = (header.shape(), first.shape());
        let reason = format!("shape {got:?}, image {first_name} has {want:?}: all must be alike");
        return Err(FileError::entry(path, name, reason));
    }
    let plane = header.height * header.width;
    let mut levels = vec![0; header.channels * plane];
    let decoded = decoder.read_image(&mut levels);
    decoded.map_err(|error| FileError::entry(path, name, unreadable(bytes, &error)))?;
    for channel in 0..header.channels {
        let of_channel = levels.iter().skip(channel).step_by(header.channels);
        pixels.extend(of_channel.map(|&v| f32::from(v) / 127.5 - 1.0));
    }
    Ok(())
}

type Decoder<'b> = PngDecoder<Cursor<&'b [u8]>>;

fn open<'b>(path: &Path, name: &str, bytes: &'b [u8]) -> Result<(Header, Decoder<'b>), FileError> {
    let refuse = |reason: String| FileError::entry(path, name, reason);
    let (decoder, animated) = limited(bytes).map_err(|e| refuse(unreadable(bytes, &e)))?;
    if animated {
        return Err(refuse("is animated, still images are accepted".to_string()));
    }
    let channels = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::Rgb8 => 3,
        other => {
            let got = kind_of_pixels(other);
            return Err(refuse(format!(
                "has {got} pixels, 8-bit grey or RGB without transparency is accepted"
            )));
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

/// Pixels of a kind that is not accepted.
fn kind_of_pixels(colour: ColorType) -> &'static str {
    match colour {
        ColorType::La8 => "grey with transparency",
        ColorType::Rgba8 => "RGB with transparency",
        ColorType::L16 => "16-bit grey",
        ColorType::La16 => "16-bit grey with transparency",
        ColorType::Rgb16 => "16-bit RGB",
        ColorType::Rgba16 => "16-bit RGB with transparency",
        _ => "floating-point",
    }
}

/// Why a file that is named as a PNG image cannot be read as one.
fn unreadable(bytes: &[u8], error: &ImageError) -> String {
    let head = &bytes[..bytes.len().min(FileKind::HEAD)];
    match FileKind::of(head, bytes.len() as u64) {
        Some(FileKind::PNG) => {}
        Some(kind) => return format!("is not a PNG image but {kind}"),
        None => return "is not a PNG image".to_string(),
    }
    if let Some([width, height]) = sides(bytes)
        && width.max(height) > MAX_SIDE
    {
        return format!("has {width} x {height} pixels, sides of up to {MAX_SIDE} are accepted");
    }
    if matches!(error, ImageError::Limits(_)) {
        return "needs more memory to be decoded than is accepted".to_string();
    }
    // The last chunk of every PNG file.
    match bytes.windows(4).any(|chunk| chunk == b"IEND") {
        false => "is a PNG image that is cut off: fetch or copy it again".to_string(),
        true => "is a damaged PNG image: fetch or copy it again".to_string(),
    }
}

/// Width and height as the header says.
fn sides(bytes: &[u8]) -> Option<[u32; 2]> {
    let side = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some([side(16)?, side(20)?])
}
