//! Pictures one after the other, as an animated GIF.

use gif::{Encoder, Frame, Repeat};

use crate::Picture;

/// An animated GIF of `pictures` of one size, which shows each for `hundredths` of a second and begins anew at its end;
/// `None` of no pictures, of pictures of several sizes, and of sides above 65,535.
///
/// Grey pictures keep every level; of coloured ones each frame has the 256 colours that suit it best.
#[must_use]
pub fn animation(pictures: &[Picture], hundredths: u16) -> Option<Vec<u8>> {
    let first = pictures.first()?;
    let size = |picture: &Picture| (picture.width(), picture.height(), picture.channels());
    if pictures.iter().any(|picture| size(picture) != size(first)) {
        return None;
    }
    let width = u16::try_from(first.width()).ok()?;
    let height = u16::try_from(first.height()).ok()?;
    let greys: Vec<u8> = (0..=u8::MAX).flat_map(|level| [level; 3]).collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height, &greys).ok()?;
    encoder.set_repeat(Repeat::Infinite).ok()?;
    for picture in pictures {
        let mut frame = match picture.channels() {
            1 => Frame {
                width,
                height,
                buffer: picture.bytes().into(),
                ..Frame::default()
            },
            _ => Frame::from_rgb_speed(width, height, picture.bytes(), 10),
        };
        frame.delay = hundredths;
        encoder.write_frame(&frame).ok()?;
    }
    drop(encoder);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::animation;
    use crate::to_image;
    use candle_core::{Device, Tensor};

    #[test]
    fn frames_are_read_back_as_they_were_drawn() {
        let picture = |values: [f32; 2]| {
            let image = Tensor::new(&[[values]], &Device::Cpu).unwrap();
            to_image(&image).unwrap()
        };
        let bytes = animation(&[picture([-1.0, 1.0]), picture([0.0, -1.0])], 8).unwrap();
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(&bytes[..]).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            let greys: Vec<u8> = frame.buffer.chunks(4).map(|rgba| rgba[1]).collect();
            frames.push((greys, frame.delay));
        }
        assert_eq!(frames, [(vec![0, 255], 8), (vec![128, 0], 8)]);
        assert!(animation(&[], 8).is_none());
    }
}
