//! The data sets of the Hub, from a server on this machine.

use std::fs;

use crate::hub::{World, assert_fails, assert_succeeds};
use crate::parquet_file::parquet;
use crate::program::{output, repository};

#[test]
fn a_data_set_of_the_hub_stands_upright() {
    let mut world = World::new();
    // Red rises downwards, green rises to the right.
    let image = |x: u32, y: u32| image::Rgb([(8 * y) as u8, (8 * x) as u8, 100]);
    let png = png(&image::RgbImage::from_fn(32, 32, image).into());
    for split in ["train", "test"] {
        let bytes = parquet("img", &[png.clone(), png.clone()], &[3, 7]);
        let name = format!("plain_text/{split}/0000.parquet");
        world.server.add("datasets/cifar10", &name, &bytes);
    }
    let text = fs::read_to_string(repository().join("configs/exact.yaml")).expect("a file");
    let config = world.path("exact.yaml");
    fs::write(
        &config,
        text.replace("data: eight_gaussians", "data: cifar10"),
    )
    .expect("a file");
    let config = config.to_str().expect("a name");
    let sample = |world: &World, name: &str| {
        let out = world.path(name);
        let done = world.run(&[
            "sample",
            "--num",
            "1",
            "--config",
            config,
            "--out",
            out.to_str().expect("a name"),
        ]);
        assert_succeeds(&done);
        image::open(out.join("000000.png"))
            .expect("a picture")
            .to_rgb8()
    };
    let got = sample(&world, "a");
    for (x, y) in [(0, 0), (31, 0), (0, 31), (20, 10)] {
        let (got, want) = (got.get_pixel(x, y).0, image(x, y).0);
        let near = |(got, want): (&u8, &u8)| got.abs_diff(*want) <= 2;
        assert!(
            got.iter().zip(&want).all(near),
            "at {x}, {y}: got {got:?}, want {want:?}"
        );
    }
    world.server.stop();
    assert_eq!(sample(&world, "b"), got);
}

#[test]
fn grey_data_sets_are_read_and_missing_ones_give_a_line() {
    let world = World::new();
    let grey = image::GrayImage::from_fn(28, 28, |x, y| image::Luma([(9 * y.min(x)) as u8]));
    let png = png(&grey.into());
    for (repo, folder) in [
        ("datasets/ylecun/mnist", "mnist"),
        ("datasets/zalando-datasets/fashion_mnist", "fashion_mnist"),
    ] {
        for split in ["train", "test"] {
            let bytes = parquet(
                "image",
                &[png.clone(), png.clone(), png.clone()],
                &[0, 1, 9],
            );
            world
                .server
                .add(repo, &format!("{folder}/{split}/0000.parquet"), &bytes);
        }
    }
    for set in ["mnist", "fashion_mnist"] {
        let done = world.run(&["transfer", "pfgm", "--data", set]);
        assert_succeeds(&done);
    }
    assert_fails(
        &world.run(&["transfer", "pfgm", "--data", "cifar10"]),
        2,
        "data set cifar10: cifar10@",
    );
    let mut offline = world.program();
    offline.env("HF_HUB_OFFLINE", "1");
    offline.args(["transfer", "pfgm", "--data", "cifar10"]);
    assert_fails(
        &output(offline),
        2,
        "data set cifar10: cifar10@refs/convert/parquet: not in the cache",
    );
}

fn png(image: &image::DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, image::ImageFormat::Png)
        .expect("a picture");
    bytes.into_inner()
}
