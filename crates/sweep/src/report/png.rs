//! Drawings as pixels, for programs that take no SVG.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// DejaVu Sans, of Latin, Greek, Cyrillic and mathematics: the same picture on every machine.
const FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");

/// Pixels of a unit of the drawing: 300 to an inch where a figure is four inches wide.
const SCALE: f32 = 3.0;

/// The SVG drawing `svg` as a PNG image of three pixels a unit, in a font that comes with this program; letters other than
/// Latin, Greek and Cyrillic ones are left out.
///
/// # Errors
///
/// What is wrong with a text that is no drawing, or that asks for too large an image.
pub fn to_png(svg: &str) -> Result<Vec<u8>, String> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(FONT.to_vec());
        fonts.set_sans_serif_family("DejaVu Sans");
        Arc::new(fonts)
    });
    let options = Options {
        fontdb: fonts.clone(),
        font_family: "DejaVu Sans".to_string(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let size = size.ok_or("a drawing without any extent")?;
    let pixmap = Pixmap::new(size.width(), size.height());
    let mut pixmap = pixmap.ok_or("a drawing too large for an image")?;
    let scale = Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, scale, &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Width, height and the share of pixels that are not white.
    fn drawn(svg: &str) -> (u32, u32, f64) {
        let pixmap = Pixmap::decode_png(&to_png(svg).unwrap()).unwrap();
        let white = |p: &&resvg::tiny_skia::PremultipliedColorU8| {
            p.red().min(p.green()).min(p.blue()) == 255
        };
        let all = pixmap.pixels();
        let inked = all.len() - all.iter().filter(white).count();
        (
            pixmap.width(),
            pixmap.height(),
            inked as f64 / all.len() as f64,
        )
    }

    fn with(text: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"200\" height=\"20\" viewBox=\"0 0 200 20\">\
             <style>text{{font:12px sans-serif;fill:#5a636e}}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
             <text x=\"5\" y=\"15\">{text}</text></svg>"
        )
    }

    #[test]
    fn text_is_drawn_without_any_font_of_the_machine() {
        let (width, height, none) = drawn(&with(""));
        assert_eq!((width, height, none), (600, 60, 0.0));
        let mut last = 0.0;
        for text in [
            "D",
            "D = ∞",
            "D = ∞, σ ≤ 0.002 − 3 · 10⁻³",
            "Größe, мера, σ ≤ 0.002 − 3 · 10⁻³",
        ] {
            let (.., inked) = drawn(&with(text));
            assert!(inked > last, "{text}: {inked} after {last}");
            last = inked;
        }
    }

    #[test]
    fn what_is_no_drawing_is_refused() {
        let error = to_png("<html/>").unwrap_err();
        assert!(!error.is_empty(), "got {error}");
    }
}
