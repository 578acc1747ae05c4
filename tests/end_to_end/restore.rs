//! `pfgmpp restore`: what it writes, and what it refuses before any work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use image::{GrayImage, Luma};

use crate::program::{output, pfgmpp, repository, stderr, stdout};

/// A folder with a model, images and masks.
struct Place(tempfile::TempDir);

impl Place {
    /// Two images of 8 by 8, a configuration of the exact posterior of the digits, masks good and bad.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = fs::read_to_string(repository().join("configs/exact.yaml")).unwrap();
        let config = config.replace("data: eight_gaussians", "data: digits");
        let config = config.replace("num_steps: 18", "num_steps: 6");
        fs::write(folder.path().join("exact.yaml"), config).unwrap();
        let place = Self(folder);
        fs::create_dir(place.at("images")).unwrap();
        for shift in [1, 3] {
            let name = format!("images/{shift}.png");
            place.draw(
                &name,
                8,
                |x, y| if x / 2 == shift || y == 0 { 255 } else { 0 },
            );
        }
        fs::create_dir(place.at("larger")).unwrap();
        place.draw("larger/a.png", 16, |_, _| 9);
        fs::create_dir(place.at("none")).unwrap();
        place.draw("mask.png", 8, |_, y| if y < 4 { 255 } else { 0 });
        place.draw("small_mask.png", 4, |_, y| if y < 2 { 255 } else { 0 });
        place.draw("white.png", 8, |_, _| 255);
        place.draw("black.png", 8, |_, _| 0);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn draw(&self, name: &str, side: u32, level: impl Fn(u32, u32) -> u8) {
        let image = GrayImage::from_fn(side, side, |x, y| Luma([level(x, y)]));
        image.save(self.at(name)).unwrap();
    }

    /// Restores into `out`; words that begin with `@` are names in the folder.
    fn restore(&self, out: &str, flags: &[&str]) -> Output {
        let mut command = pfgmpp();
        command
            .args(["restore", "--config"])
            .arg(self.at("exact.yaml"));
        command.arg("--out").arg(self.at(out));
        for flag in flags {
            match flag.strip_prefix('@') {
                Some(name) => command.arg(self.at(name)),
                None => command.arg(flag),
            };
        }
        output(command)
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const INPAINT: [&str; 6] = [
    "--task",
    "inpaint",
    "--mask",
    "@mask.png",
    "--images",
    "@images",
];

#[test]
fn images_are_restored_by_each_method_and_told_apart_from_what_was_seen() {
    let place = Place::new();
    for method in ["mmps", "dps", "exact"] {
        let flags = [
            &INPAINT[..],
            &["--method", method, "--d", "1", "--samples", "2"],
        ]
        .concat();
        let done = place.restore(method, &flags);
        assert!(done.status.success(), "{method}: got {}", stderr(&done));
        let said = stdout(&done);
        assert!(said.contains("2 images restored at D = 1"), "got {said}");
        assert!(said.contains("PSNR"), "got {said}");
        let want = [
            "1-000.png",
            "1-001.png",
            "1-mean.png",
            "3-000.png",
            "3-001.png",
            "3-mean.png",
            "grid.png",
        ];
        assert_eq!(files(&place.at(method)), want);
        let sample = image::open(place.at(method).join("1-000.png")).unwrap();
        assert_eq!((sample.width(), sample.height()), (8, 8));
    }
}

#[test]
fn a_sample_depends_on_its_seed_and_image_alone() {
    let place = Place::new();
    let with = |out: &str, more: &[&str]| {
        let done = place.restore(out, &[&INPAINT[..], more].concat());
        assert!(done.status.success(), "got {}", stderr(&done));
        fs::read(place.at(out).join("3.png")).unwrap()
    };
    let first = with("a", &["--batch", "1", "--threads", "1"]);
    assert_eq!(first, with("b", &["--batch", "64", "--threads", "2"]));
    assert_ne!(first, with("c", &["--seed", "5"]));
}

#[test]
fn the_other_tasks_take_whole_images_and_observations() {
    let place = Place::new();
    let small = ["--task", "superres", "--factor", "2"];
    let done = place.restore(
        "a",
        &[&small[..], &["--images", "@images", "--json"]].concat(),
    );
    assert!(done.status.success(), "got {}", stderr(&done));
    let json: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(json["method"], "mmps");
    assert_eq!(json["images"].as_array().unwrap().len(), 2);
    assert!(
        json["images"][0]["psnr"].as_f64().unwrap() > 5.0,
        "got {json}"
    );

    // The digits' means of boxes are images of 4 by 4 themselves.
    fs::create_dir(place.at("boxes")).unwrap();
    place.draw("boxes/a.png", 4, |x, _| if x == 1 { 200 } else { 0 });
    let done = place.restore(
        "b",
        &[&small[..], &["--images", "@boxes", "--observed"]].concat(),
    );
    assert!(done.status.success(), "got {}", stderr(&done));
    let said = stdout(&done);
    assert!(
        !said.contains("PSNR"),
        "nothing whole to compare with: got {said}"
    );
    assert_eq!(files(&place.at("b")), ["a.png", "grid.png"]);

    let noisy = [
        "--task", "denoise", "--noise", "0.5", "--images", "@images", "--json",
    ];
    let done = place.restore("c", &noisy);
    assert!(done.status.success(), "got {}", stderr(&done));
    let json: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(json["method"], "joint");
}

#[test]
fn what_cannot_be_restored_is_refused_in_one_line_before_anything_is_written() {
    let place = Place::new();
    let inpaint =
        |mask: &'static str| vec!["--task", "inpaint", "--mask", mask, "--images", "@images"];
    let superres = |factor: &'static str| {
        vec![
            "--task", "superres", "--factor", factor, "--images", "@images",
        ]
    };
    let denoise =
        |more: &[&'static str]| [&["--task", "denoise", "--images", "@images"][..], more].concat();
    for (flags, want) in [
        (
            vec!["--task", "inpaint", "--images", "@images"],
            "--mask: inpaint needs a mask",
        ),
        (
            inpaint("@small_mask.png"),
            "--mask: must be 8 pixels wide and 8 high",
        ),
        (
            inpaint("@white.png"),
            "hides some pixels and shows some, got 64 seen of 64",
        ),
        (
            inpaint("@black.png"),
            "got 0 seen of 64: a pixel is seen from level 128 of 255 on, the brightest has 0",
        ),
        (inpaint("@no.png"), "there is no such file"),
        (
            inpaint("@exact.yaml"),
            "is not an image (PNG, JPEG, WebP, TIFF or BMP)",
        ),
        (
            vec!["--task", "superres", "--images", "@images"],
            "--factor: superres needs a factor",
        ),
        (
            superres("3"),
            "--factor: factor must be a divisor of both sides",
        ),
        (superres("1"), "--factor: factor must be at least 2, got 1"),
        (denoise(&[]), "--noise: denoise needs the noise"),
        (
            denoise(&["--noise", "0"]),
            "--noise: the noise must be from 0.001 to 1000, got 0",
        ),
        (
            denoise(&["--noise", "NaN"]),
            "--noise: the noise must be from 0.001 to 1000, got NaN",
        ),
        (
            denoise(&["--noise", "1", "--mask", "@mask.png"]),
            "only --task inpaint takes a mask",
        ),
        (
            denoise(&["--noise", "1", "--factor", "2"]),
            "only --task superres takes a factor",
        ),
        (
            [&INPAINT[..], &["--method", "joint"]].concat(),
            "--method joint: only for --task denoise",
        ),
        (
            [&INPAINT[..], &["--iterations", "0"]].concat(),
            "--iterations: max_iterations must be from 1",
        ),
        (
            [&INPAINT[..], &["--zeta", "1"]].concat(),
            "--zeta: is not used by --method mmps",
        ),
        (
            [&INPAINT[..], &["--method", "dps", "--iterations", "3"]].concat(),
            "--iterations: is not used by --method dps",
        ),
        (
            denoise(&["--noise", "1", "--covariance", "nominal"]),
            "--covariance: is not used by --method joint",
        ),
        (
            [&INPAINT[..], &["--method", "dps", "--zeta", "0"]].concat(),
            "--zeta: zeta must be a positive number",
        ),
        (
            [&INPAINT[..4], &["--images", "@larger"]].concat(),
            "the model's images have [1, 8, 8]",
        ),
        (
            [&INPAINT[..4], &["--images", "@none"]].concat(),
            "holds no image",
        ),
        (
            [&INPAINT[..4], &["--images", "@gone"]].concat(),
            "there is no such file or folder",
        ),
        (
            [&superres("2")[..], &["--observed"]].concat(),
            "the observations of its images have [1, 4, 4]",
        ),
        ([&INPAINT[..], &["--samples", "0"]].concat(), "--samples"),
    ] {
        let done = place.restore("out", &flags);
        let said = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{flags:?}: got {said}");
        assert!(
            said.contains(want),
            "{flags:?}: got `{said}`, want `{want}` in it"
        );
        assert!(
            !place.at("out").exists(),
            "{flags:?}: something was written"
        );
    }
}

#[test]
fn a_folder_that_holds_something_is_left_alone_unless_asked() {
    let place = Place::new();
    // The images themselves are not even replaced if asked.
    let over = [&INPAINT[..], &["--overwrite"]].concat();
    let done = place.restore("images", &over);
    let said = stderr(&done);
    assert_eq!(done.status.code(), Some(2), "got {said}");
    assert!(
        said.contains("holds the images that are to be restored"),
        "got {said}"
    );
    assert_eq!(files(&place.at("images")), ["1.png", "3.png"]);
    let done = place.restore("mask.png", &INPAINT);
    assert!(
        stderr(&done).contains("is a file: give a folder"),
        "got {}",
        stderr(&done)
    );
    assert!(place.restore("out", &INPAINT).status.success());
    let done = place.restore("out", &INPAINT);
    let said = stderr(&done);
    assert_eq!(done.status.code(), Some(2), "got {said}");
    assert!(
        said.contains("is not empty: give another folder, or --overwrite"),
        "got {said}"
    );
    let several = [&over[..], &["--samples", "2"]].concat();
    let done = place.restore("out", &several);
    let said = stderr(&done);
    assert!(done.status.success(), "got {said}");
    assert!(
        said.contains("2 others were there before and stay"),
        "got {said}"
    );
}
