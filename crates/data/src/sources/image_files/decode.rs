//! One image file as levels of 8 or 16 bits, and what had to be done to it.

use std::path::Path;

use image::error::LimitErrorKind;
use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageResult, Limits,
};

use super::format::{CMYK, Decoder, Format, NAMES, Refusal};
use crate::file_error::FileError;

/// Pixels along a side of an image.
const MAX_SIDE: u32 = 4096;
/// Bytes that decoding may take beside the image itself.
const MAX_SCRATCH: u64 = 64 << 20;

/// What the header of an image file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    channels: usize,
    height: usize,
    width: usize,
}

impl Header {
    /// `[C, H, W]`, upright and without transparency.
    pub(super) fn shape(self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }
}

/// What was done to the images of a set to make them alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Handled {
    /// Images with transparent pixels.
    transparent: usize,
    /// Images that were turned or mirrored.
    turned: usize,
    /// Grey images among coloured ones.
    grey: usize,
    /// Images of 16 bits a channel.
    sixteen_bits: usize,
}

impl Handled {
    /// A clause on each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let clause = |count: usize, what: &str| {
            let are = if count == 1 { "image" } else { "images" };
            (count > 0).then(|| format!("{count} {are} {what}"))
        };
        let clauses = [
            clause(self.transparent, "with transparency laid on white"),
            clause(self.turned, "turned as their EXIF orientation says"),
            clause(self.grey, "of grey made coloured like the first"),
            clause(self.sixteen_bits, "of 16 bits"),
        ];
        clauses.into_iter().flatten().collect()
    }
}

/// Reads the header alone.
///
/// # Errors
///
/// No image file of the formats that are read, and images that are not grey or RGB of 8 or 16 bits, are animated or
/// have a side of more than 4,096 pixels.
pub(super) fn header(path: &Path, name: &str, bytes: &[u8]) -> Result<Header, FileError> {
    open(path, name, bytes).map(|opened| opened.header)
}

/// Decodes one image and appends its planes to `pixels`; level `v` of 8 bits becomes `v / 127.5 - 1`, of 16 bits
/// `v / 32767.5 - 1`.
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
    handled: &mut Handled,
) -> Result<(), FileError> {
    let opened = open(path, name, bytes)?;
    let grey = opened.header.channels == 1 && first.channels == 3;
    let mut header = opened.header;
    if grey {
        header.channels = 3;
    }
    if header != first {
        let (got, want) = (opened.header.shape(), first.shape());
        let reason = format!("shape {got:?}, image {first_name} has {want:?}: all must be alike");
        return Err(FileError::entry(path, name, reason));
    }
    let Opened {
        format,
        decoder,
        orientation,
        ..
    } = opened;
    let refuse =
        |error: &ImageError| FileError::entry(path, name, unreadable(format, bytes, error));
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| refuse(&e))?;
    // Its decoder fills in what is missing.
    if format == Format::Jpeg && format.is_cut(bytes) {
        return Err(FileError::entry(path, name, cut(format)));
    }
    if format.has_grey_palette(bytes) {
        image = DynamicImage::ImageLuma8(image.to_luma8());
    }
    image.apply_orientation(orientation);
    let copies = if grey { 3 } else { 1 };
    let planes = Planes {
        channels: opened.header.channels,
        copies,
    };
    let (transparent, sixteen) = planes.of(&image, pixels);
    handled.transparent += usize::from(transparent);
    handled.turned += usize::from(orientation != Orientation::NoTransforms);
    handled.grey += usize::from(grey);
    handled.sixteen_bits += usize::from(sixteen);
    Ok(())
}

/// How the planes of an image are laid out.
struct Planes {
    /// Of the image itself, without its transparency.
    channels: usize,
    /// Of each plane.
    copies: usize,
}

impl Planes {
    /// Appends the planes of `image` in `[-1, 1]`; whether any pixel is transparent, and whether levels have 16 bits.
    fn of(&self, image: &DynamicImage, pixels: &mut Vec<f32>) -> (bool, bool) {
        let area = image.width() as usize * image.height() as usize;
        match (
            image.as_bytes(),
            image.color().bytes_per_pixel() / image.color().channel_count(),
        ) {
            (levels, 1) => (self.append(levels, area, pixels), false),
            (bytes, _) => {
                let levels = bytes.chunks_exact(2);
                let levels: Vec<u16> = levels
                    .map(|two| u16::from_ne_bytes([two[0], two[1]]))
                    .collect();
                (self.append(&levels, area, pixels), true)
            }
        }
    }

    fn append<L: Level>(&self, levels: &[L], area: usize, pixels: &mut Vec<f32>) -> bool {
        let stride = levels.len() / area;
        let opaque = |pixel: &[L]| stride == self.channels || pixel[self.channels].into() == L::MAX;
        let transparent = !levels.chunks_exact(stride).all(opaque);
        for channel in 0..self.channels {
            let start = pixels.len();
            pixels.extend(levels.chunks_exact(stride).map(|pixel| {
                let level: u32 = pixel[channel].into();
                match transparent {
                    false => L::value(level),
                    true => L::value(on_white(level, pixel[self.channels].into(), L::MAX)),
                }
            }));
            for _ in 1..self.copies {
                pixels.extend_from_within(start..start + area);
            }
        }
        transparent
    }
}

/// A level of 8 or 16 bits.
trait Level: Copy + Into<u32> {
    /// White.
    const MAX: u32;

    /// A level as a value in `[-1, 1]`.
    fn value(level: u32) -> f32 {
        level as f32 / (Self::MAX as f32 / 2.0) - 1.0
    }
}

impl Level for u8 {
    const MAX: u32 = u8::MAX as u32;
}

impl Level for u16 {
    const MAX: u32 = u16::MAX as u32;
}

/// A pixel of opacity `alpha` before a white ground, rounded to a level: `(v a + max (max - a)) / max`.
fn on_white(level: u32, alpha: u32, max: u32) -> u32 {
    let sum = u64::from(level) * u64::from(alpha) + u64::from(max) * u64::from(max - alpha);
    ((sum + u64::from(max) / 2) / u64::from(max)) as u32
}

/// A file of which the header is read.
struct Opened<'b> {
    format: Format,
    decoder: Decoder<'b>,
    orientation: Orientation,
    header: Header,
}

fn open<'b>(path: &Path, name: &str, bytes: &'b [u8]) -> Result<Opened<'b>, FileError> {
    let refuse = |reason: String| FileError::entry(path, name, reason);
    let format = Format::of(bytes).map_err(|kind| {
        refuse(match kind {
            Some(kind) => format!("is not an image ({NAMES}) but {kind}"),
            None => format!("is not an image ({NAMES})"),
        })
    })?;
    let mut decoder = format.decoder(bytes, limits()).map_err(|why| {
        refuse(match why {
            Refusal::Said(reason) => reason,
            Refusal::Decoder(error) => unreadable(format, bytes, &error),
        })
    })?;
    let orientation = orientation(decoder.as_mut());
    let orientation = orientation.map_err(|e| refuse(unreadable(format, bytes, &e)))?;
    let channels = match decoder.color_type() {
        _ if format.has_grey_palette(bytes) => 1,
        ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16 => 1,
        ColorType::Rgb8 | ColorType::Rgba8 | ColorType::Rgb16 | ColorType::Rgba16 => 3,
        _ => {
            let reason = "has floating-point pixels, 8 or 16 bits of grey or RGB are accepted";
            return Err(refuse(reason.to_string()));
        }
    };
    if matches!(
        decoder.original_color_type(),
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16
    ) {
        return Err(refuse(CMYK.to_string()));
    }
    let (mut width, mut height) = decoder.dimensions();
    if lies(orientation) {
        (width, height) = (height, width);
    }
    let header = Header {
        channels,
        height: height as usize,
        width: width as usize,
    };
    Ok(Opened {
        format,
        decoder,
        orientation,
        header,
    })
}

/// What a decoder may take, whatever the file says of itself.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_SCRATCH + 8 * u64::from(MAX_SIDE).pow(2));
    limits
}

fn orientation(decoder: &mut dyn ImageDecoder) -> ImageResult<Orientation> {
    match decoder.orientation() {
        // What no decoder knows of is not turned.
        Err(ImageError::Unsupported(_)) => Ok(Orientation::NoTransforms),
        other => other,
    }
}

/// Whether an orientation exchanges width and height.
fn lies(orientation: Orientation) -> bool {
    use Orientation::*;
    matches!(
        orientation,
        Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH
    )
}

/// Why a file of a format that is read cannot be decoded.
fn unreadable(format: Format, bytes: &[u8], error: &ImageError) -> String {
    let what = format.name();
    if let ImageError::Limits(limit) = error {
        return match (limit.kind(), format.sides(bytes)) {
            (LimitErrorKind::DimensionError, Some([width, height])) => {
                format!("has {width} x {height} pixels, sides of up to {MAX_SIDE} are accepted")
            }
            (LimitErrorKind::DimensionError, None) => {
                format!("has a side of more than the {MAX_SIDE} pixels that are accepted")
            }
            _ => "needs more memory to be decoded than is accepted".to_string(),
        };
    }
    if let ImageError::Unsupported(_) = error {
        return format!(
            "is {what} of a kind that is not read: save it with 8 or 16 bits of grey or RGB"
        );
    }
    match format.is_cut(bytes) {
        true => cut(format),
        false => format!("is {what} that is damaged: fetch or copy it again"),
    }
}

fn cut(format: Format) -> String {
    format!(
        "is {} that is cut off: fetch or copy it again",
        format.name()
    )
}
