//! How fast images come: read, decoded and augmented, without a network.
//!
//! ```text
//! cargo run --release -p pfgmpp-train --example loader -- photos
//! ```
//!
//! Compare with `images_per_second` of `pfgmpp bench`, which is what training takes.

use std::error::Error;
use std::time::Instant;

use candle_core::Device;
use pfgmpp_data::{AugmentConfig, DataSource, ImageFolder, Shuffle};
use pfgmpp_kernel::{SampleRng, Stream};
use rayon::prelude::*;

const BATCH: usize = 32;
const BATCHES: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name a folder of images")?;
    let began = Instant::now();
    let splits = DataSource::Folder(ImageFolder { path: path.into() }).load()?;
    println!("{}", splits.found);
    let (train, seconds) = (splits.train, began.elapsed().as_secs_f64());
    let all = (train.num_images() + splits.held_out.num_images()) as f64;
    match train.is_in_files() {
        true => println!("looked at in {seconds:.1} s, {:.0} images/s", all / seconds),
        false => println!("read and decoded: {:.0} images/s", all / seconds),
    }
    let augment = AugmentConfig {
        x_flip: true,
        geometric: Some(0.12),
    };
    for augment in [None, Some(augment)] {
        let mut order = Shuffle::new(&train, 0);
        let began = Instant::now();
        for batch in 0..BATCHES {
            let nimg = batch * BATCH as u64;
            let indices = order.indices(nimg, BATCH);
            let y = train.batch(&indices, &Device::Cpu)?;
            train.prepare(&order.indices(nimg + BATCH as u64, BATCH))?;
            let Some(augment) = augment else { continue };
            let mut values = y.flatten_all()?.to_vec1::<f32>()?;
            let mut rngs = SampleRng::batch(0, Stream::Augmentation, nimg, BATCH);
            let images = values.par_chunks_exact_mut(train.n());
            images.zip(rngs.par_iter_mut()).for_each(|(image, rng)| {
                let mut labels = vec![0.0; augment.label_dim()];
                augment.apply(image, train.image_shape(), &mut labels, rng);
            });
        }
        let rate = (BATCHES * BATCH as u64) as f64 / began.elapsed().as_secs_f64();
        match augment {
            None => println!("batches: {rate:.0} images/s"),
            Some(_) => println!("batches, augmented: {rate:.0} images/s"),
        }
    }
    Ok(())
}
