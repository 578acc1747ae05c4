//! One image file as levels of 8 or 16 bits, and what had to be done to it.

use std::fmt::Display;
use std::path::Path;

use image::error::LimitErrorKind;
use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageResult, Limits,
};

use super::format::{CMYK, Decoder, Format, NAMES, Refusal};
use super::planes::Planes;
use crate::file_error::FileError;
use crate::levels::Depth;

/// How large images may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Pixels along a side.
    side: u32,
    /// Pixels in all.
    pixels: u64,
}

impl Bounds {
    /// Of images that are data as they are.
    pub(super) const SET: Self = Self {
        side: 4096,
        pixels: 1 << 24,
    };
    /// Of photographs that are to become smaller.
    pub(super) const PHOTO: Self = Self {
        side: 16_384,
        pixels: 1 << 26,
    };
}

/// Bytes that decoding may take beside the image itself.
const MAX_SCRATCH: u64 = 64 << 20;

/// What the header of an image file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    channels: usize,
    height: usize,
    width: usize,
    depth: Depth,
}

impl Header {
    /// The depth of its levels.
    pub(super) fn depth(self) -> Depth {
        self.depth
    }

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
    /// Counts what was done to others too.
    pub(super) fn add(&mut self, other: &Self) {
        self.transparent += other.transparent;
        self.turned += other.turned;
        self.grey += other.grey;
        self.sixteen_bits += other.sixteen_bits;
    }

    /// Whether any image has transparent pixels.
    pub(super) fn has_transparency(&self) -> bool {
        self.transparent > 0
    }

    /// The depth of the levels of an image that this was done to.
    pub(super) fn depth(&self) -> Depth {
        match self.sixteen_bits {
            0 => Depth::Eight,
            _ => Depth::Sixteen,
        }
    }

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
/// are larger than [`Bounds::SET`].
pub(super) fn header(path: &Path, name: &str, bytes: &[u8]) -> Result<Header, FileError> {
    ImageFile::open(path, name, bytes, Bounds::SET).map(|file| file.header)
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
    first: (&str, Header),
    pixels: &mut Vec<f32>,
    handled: &mut Handled,
) -> Result<(), FileError> {
    let file = like(path, name, bytes, first)?;
    file.append(first.1.channels, pixels, handled)
}

/// Reads the header of an image and holds it against the `first` of its set.
///
/// # Errors
///
/// As [`header()`], and an image unlike the first.
pub(super) fn like<'b>(
    path: &'b Path,
    name: &'b str,
    bytes: &'b [u8],
    (first_name, first): (&str, Header),
) -> Result<ImageFile<'b>, FileError> {
    let file = ImageFile::open(path, name, bytes, Bounds::SET)?;
    let mut header = file.header;
    header.channels = header.channels.max(first.channels);
    if header.shape() != first.shape() {
        let (got, want) = (file.header.shape(), first.shape());
        let reason = format!("shape {got:?}, image {first_name} has {want:?}: all must be alike");
        return Err(FileError::entry(path, name, reason));
    }
    Ok(file)
}

/// An image file of which the header is read.
pub(super) struct ImageFile<'b> {
    path: &'b Path,
    name: &'b str,
    bytes: &'b [u8],
    bounds: Bounds,
    format: Format,
    decoder: Decoder<'b>,
    orientation: Orientation,
    /// What the header says.
    pub header: Header,
}

impl<'b> ImageFile<'b> {
    /// Reads the header of the file `name` of the set at `path`.
    ///
    /// # Errors
    ///
    /// As [`header()`], within `bounds`.
    pub(super) fn open(
        path: &'b Path,
        name: &'b str,
        bytes: &'b [u8],
        bounds: Bounds,
    ) -> Result<Self, FileError> {
        let refuse = |reason: String| FileError::entry(path, name, reason);
        let broken = |format, error| refuse(unreadable(format, bytes, bounds, &error));
        let format = Format::of(bytes).map_err(|kind| {
            refuse(match kind {
                Some(kind) => format!("is not an image ({NAMES}) but {kind}"),
                None => format!("is not an image ({NAMES})"),
            })
        })?;
        let decoder = format.decoder(bytes, limits(bounds));
        let mut decoder = decoder.map_err(|why| match why {
            Refusal::Said(reason) => refuse(reason),
            Refusal::Decoder(error) => broken(format, error),
        })?;
        let orientation = orientation(decoder.as_mut()).map_err(|e| broken(format, e))?;
        let channels = channels(format, decoder.as_ref(), bytes).map_err(refuse)?;
        let (mut width, mut height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > bounds.pixels {
            return Err(refuse(too_large(width, height, bounds)));
        }
        if lies(orientation) {
            (width, height) = (height, width);
        }
        let header = Header {
            channels,
            height: height as usize,
            width: width as usize,
            depth: match decoder.color_type().bytes_per_pixel()
                / decoder.color_type().channel_count()
            {
                1 => Depth::Eight,
                _ => Depth::Sixteen,
            },
        };
        Ok(Self {
            path,
            name,
            bytes,
            bounds,
            format,
            decoder,
            orientation,
            header,
        })
    }

    /// Decodes the image and appends its planes to `pixels`; a grey one has `channels` equal planes.
    pub(super) fn append(
        self,
        channels: usize,
        pixels: &mut Vec<f32>,
        handled: &mut Handled,
    ) -> Result<(), FileError> {
        let Self { format, bytes, .. } = self;
        let refuse = |reason: String| FileError::entry(self.path, self.name, reason);
        let image = DynamicImage::from_decoder(self.decoder);
        let mut image =
            image.map_err(|error| refuse(unreadable(format, bytes, self.bounds, &error)))?;
        // Its decoder fills in what is missing.
        if format == Format::Jpeg && format.is_cut(bytes) {
            return Err(refuse(cut(format)));
        }
        if format.has_grey_palette(bytes) {
            image = DynamicImage::ImageLuma8(image.to_luma8());
        }
        image.apply_orientation(self.orientation);
        let planes = Planes {
            channels: self.header.channels,
            copies: channels / self.header.channels,
        };
        let (transparent, sixteen) = planes.of(&image, pixels);
        handled.transparent += usize::from(transparent);
        handled.turned += usize::from(self.orientation != Orientation::NoTransforms);
        handled.grey += usize::from(planes.copies > 1);
        handled.sixteen_bits += usize::from(sixteen);
        Ok(())
    }
}

/// Channels without transparency.
fn channels(format: Format, decoder: &dyn ImageDecoder, bytes: &[u8]) -> Result<usize, String> {
    let inks = [ExtendedColorType::Cmyk8, ExtendedColorType::Cmyk16];
    if inks.contains(&decoder.original_color_type()) {
        return Err(CMYK.to_string());
    }
    match decoder.color_type() {
        _ if format.has_grey_palette(bytes) => Ok(1),
        ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16 => Ok(1),
        ColorType::Rgb8 | ColorType::Rgba8 | ColorType::Rgb16 | ColorType::Rgba16 => Ok(3),
        _ => {
            let reason = "has floating-point pixels, 8 or 16 bits of grey or RGB are accepted";
            Err(reason.to_string())
        }
    }
}

/// What a decoder may take, whatever the file says of itself.
fn limits(bounds: Bounds) -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(bounds.side);
    limits.max_image_height = Some(bounds.side);
    limits.max_alloc = Some(MAX_SCRATCH + 8 * bounds.pixels);
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
fn unreadable(format: Format, bytes: &[u8], bounds: Bounds, error: &ImageError) -> String {
    let what = format.name();
    if let ImageError::Limits(limit) = error {
        return match (limit.kind(), format.sides(bytes)) {
            (LimitErrorKind::DimensionError, Some([width, height])) => {
                too_large(width, height, bounds)
            }
            (LimitErrorKind::DimensionError, None) => {
                let accepted = bounds.side;
                format!("has a side of more than the {accepted} pixels that are accepted")
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

fn too_large(width: impl Display, height: impl Display, bounds: Bounds) -> String {
    let Bounds { side, pixels } = bounds;
    let pixels = match u64::from(side).pow(2) > pixels {
        true => format!(" and {} million pixels", pixels / 1_000_000),
        false => String::new(),
    };
    format!("has {width} x {height} pixels, sides of up to {side}{pixels} are accepted")
}

fn cut(format: Format) -> String {
    format!(
        "is {} that is cut off: fetch or copy it again",
        format.name()
    )
}
