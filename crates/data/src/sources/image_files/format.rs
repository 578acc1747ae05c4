//! The formats of image files: told by the bytes, not by the name.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::{ImageDecoder, ImageError, Limits};

use crate::file_kind::FileKind;

/// Endings of files that are images of a set, in lower case.
const ENDINGS: [&str; 9] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "tif", "tiff", "bmp",
];
/// The formats, for sentences.
pub(super) const NAMES: &str = "PNG, JPEG, WebP, TIFF or BMP";

/// Why images of four inks are refused.
pub(super) const CMYK: &str = "has CMYK pixels, of a printer's inks: convert it to RGB";

/// A decoder of any of the formats.
pub(super) type Decoder<'b> = Box<dyn ImageDecoder + 'b>;

/// Why a file cannot be opened.
pub(super) enum Refusal {
    /// Something that no damage explains, in words that follow the file's name.
    Said(String),
    /// What the decoder said.
    Decoder(ImageError),
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        Self::Decoder(error)
    }
}

/// A format of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    WebP,
    Tiff,
    Bmp,
}

impl Format {
    /// The format of a file that begins with `head`, of `len` bytes in all; what else it is if it is no image.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Option<FileKind>> {
        let head = &bytes[..bytes.len().min(FileKind::HEAD)];
        match FileKind::of(head, bytes.len() as u64) {
            Some(FileKind::PNG) => Ok(Self::Png),
            Some(FileKind::JPEG) => Ok(Self::Jpeg),
            Some(FileKind::WEBP) => Ok(Self::WebP),
            Some(FileKind::TIFF) => Ok(Self::Tiff),
            Some(FileKind::BMP) => Ok(Self::Bmp),
            other => Err(other),
        }
    }

    /// What one file of the format is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Png => "a PNG image",
            Self::Jpeg => "a JPEG image",
            Self::WebP => "a WebP image",
            Self::Tiff => "a TIFF image",
            Self::Bmp => "a BMP image",
        }
    }

    /// A decoder within `limits`; animations, several pages and inks of a printer are refused.
    pub(super) fn decoder(self, bytes: &[u8], limits: Limits) -> Result<Decoder<'_>, Refusal> {
        let file = Cursor::new(bytes);
        let mut decoder: Decoder<'_> = match self {
            Self::Png => {
                let decoder = PngDecoder::with_limits(file, limits)?;
                refuse(decoder.is_apng()?, "is animated, still images are accepted")?;
                return Ok(Box::new(decoder));
            }
            Self::Jpeg => {
                let inks = jpeg_components(bytes) == Some(4);
                refuse(inks, CMYK)?;
                Box::new(JpegDecoder::new(file)?)
            }
            Self::WebP => {
                let decoder = WebPDecoder::new(file)?;
                let animated = decoder.has_animation();
                refuse(animated, "is animated, still images are accepted")?;
                Box::new(decoder)
            }
            Self::Tiff => {
                let several = has_second_page(bytes);
                refuse(
                    several,
                    "has several pages: save each as an image of its own",
                )?;
                Box::new(TiffDecoder::new(file)?)
            }
            Self::Bmp => Box::new(BmpDecoder::new(file)?),
        };
        decoder.set_limits(limits)?;
        Ok(decoder)
    }

    /// Width and height as the header says, where they stand in a fixed place.
    pub(super) fn sides(self, bytes: &[u8]) -> Option<[usize; 2]> {
        match self {
            Self::Png => Some([word(bytes, 16, false)?, word(bytes, 20, false)?]),
            Self::Bmp => Some([word(bytes, 18, true)?, word(bytes, 22, true)?]),
            Self::Jpeg | Self::WebP | Self::Tiff => None,
        }
    }

    /// Whether the colours of a BMP file are a palette of greys, which is how it holds a grey image.
    pub(super) fn has_grey_palette(self, bytes: &[u8]) -> bool {
        let grey = || {
            let bits = *bytes.get(28)?;
            let start = 14 + word(bytes, 14, true)?;
            let colours = match word(bytes, 46, true)? {
                0 if bits <= 8 => 1 << bits,
                used => used,
            };
            let palette = bytes.get(start..start.checked_add(colours.checked_mul(4)?)?)?;
            let grey = |colour: &[u8]| colour[0] == colour[1] && colour[1] == colour[2];
            Some(bits <= 8 && palette.chunks_exact(4).all(grey))
        };
        self == Self::Bmp && grey() == Some(true)
    }

    /// Whether the end of the file is missing, as far as the format tells. Decoders of JPEG fill in what they miss.
    pub(super) fn is_cut(self, bytes: &[u8]) -> bool {
        match self {
            // The last chunk of every PNG file.
            Self::Png => !bytes.windows(4).any(|chunk| chunk == b"IEND"),
            // The end of the image stands behind the beginning of its last scan, within which it cannot stand.
            Self::Jpeg => {
                let last = |marker: &[u8]| bytes.windows(2).rposition(|pair| pair == marker);
                last(b"\xff\xd9") < last(b"\xff\xda") || last(b"\xff\xda").is_none()
            }
            // The container says how many bytes follow its first eight.
            Self::WebP => word(bytes, 4, true).is_some_and(|size| bytes.len() < size + 8),
            Self::Bmp => word(bytes, 2, true).is_some_and(|size| bytes.len() < size),
            Self::Tiff => false,
        }
    }
}

fn refuse(bad: bool, why: &str) -> Result<(), Refusal> {
    match bad {
        true => Err(Refusal::Said(why.to_string())),
        false => Ok(()),
    }
}

/// Whether a file is an image of a set by its name's ending, in lower case.
pub(super) fn is_ending(ending: &str) -> bool {
    ENDINGS.contains(&ending)
}

/// The four bytes at `at` as a number.
fn word(bytes: &[u8], at: usize, little: bool) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    let word = match little {
        true => u32::from_le_bytes(four),
        false => u32::from_be_bytes(four),
    };
    Some(word as usize)
}

/// The number of components that the frame of a JPEG file has.
fn jpeg_components(bytes: &[u8]) -> Option<u8> {
    let mut at = 2;
    loop {
        let marker = *bytes.get(at + 1)?;
        if bytes[at] != 0xff {
            return None;
        }
        match marker {
            // Fill before a marker.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            // Frames of all kinds; the other three are tables.
            0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&marker) => {
                return bytes.get(at + 9).copied();
            }
            0xd9 | 0xda => return None,
            _ => {
                let length = bytes.get(at + 2..at + 4)?;
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
}

/// Whether the first directory of a TIFF file leads to a second one.
fn has_second_page(bytes: &[u8]) -> bool {
    let little = bytes.starts_with(b"II");
    let next = || {
        let first = word(bytes, 4, little)?;
        let count = bytes.get(first..first.checked_add(2)?)?;
        let count = match little {
            true => u16::from_le_bytes([count[0], count[1]]),
            false => u16::from_be_bytes([count[0], count[1]]),
        };
        word(bytes, first + 2 + 12 * usize::from(count), little)
    };
    next().is_some_and(|next| next != 0)
}
