//! `pfgmpp transfer error`: how near the effective noise level brings a diffusion denoiser to each D.

use candle_core::{DType, Tensor};
use pfgmpp_data::Dataset;
use pfgmpp_kernel::{
    Condition, Denoiser, Dimension, ExactPosterior, Kernel, Query, SampleRng, Stream,
};
use pfgmpp_run::RunError;
use pfgmpp_transfer::{DataMoments, DenoisingError, EffectiveNoise, Guess, ParameterError};
use serde::Serialize;

use super::text::plain;
use super::{flag, load_splits, print_json};
use crate::failure::Failure;
use crate::interrupt::stop_on_signal;
use crate::table::{align_right, new_table};
use crate::terminal::{Counter, print};

/// Samples denoised at a time.
const BATCH: usize = 256;
/// Training images that the denoising error is measured on.
const ERROR_POINTS: usize = 256;
/// One step of the EDM schedule of 18 steps, in the seventh root of sigma: `(80^(1/7) - 0.002^(1/7))/17`.
const STEP: f64 = 0.085_80;
const RHO: i32 = 7;

#[derive(clap::Args)]
pub struct Args {
    /// Data set, as a configuration names it, such as digits
    #[arg(long, value_name = "SOURCE")]
    data: String,
    /// Dimensions D
    #[arg(
        long,
        value_name = "D,...",
        value_delimiter = ',',
        default_value = "1,8,64,128,2048"
    )]
    d: Vec<Dimension>,
    /// Noise levels
    #[arg(
        long,
        value_name = "S,...",
        value_delimiter = ',',
        default_value = "0.1,0.5,2,10"
    )]
    sigma: Vec<f64>,
    /// Perturbed samples for each figure
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    num: u64,
    /// Seed of the noise
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Every figure: the JSON of `pfgmpp transfer error`.
#[derive(Serialize)]
struct Report {
    /// The data dimension.
    n: usize,
    /// Training images: the posteriors are theirs.
    points: usize,
    /// Perturbed samples for each figure.
    num: u64,
    /// Standard deviation of the data about their mean image, the unit of the errors.
    data_std: f64,
    /// The exact posterior's own error by noise level, in squared units of the data.
    denoising_error: DenoisingError,
    /// Around images that the posteriors do not hold.
    held_out: Vec<Row>,
    /// Around images that they do.
    train: Vec<Row>,
}

/// Root-mean-square errors against the exact posterior at D, in standard deviations of the data.
#[derive(Serialize)]
struct Row {
    d: Dimension,
    sigma: f64,
    /// The diffusion denoiser at sigma itself.
    nominal: f64,
    /// At the level that the data mean gives.
    data_mean: f64,
    /// At the level that the first estimate gives.
    fixed_point: f64,
    /// The same with the denoising error added.
    fixed_point_with_error: f64,
    /// At the level that the estimate of the step before gives.
    previous: f64,
}

impl Row {
    fn errors(&self) -> [f64; 5] {
        [
            self.nominal,
            self.data_mean,
            self.fixed_point,
            self.fixed_point_with_error,
            self.previous,
        ]
    }
}

pub fn error(args: &Args) -> Result<(), Failure> {
    for &sigma in &args.sigma {
        ParameterError::within("sigma", sigma, 1e-6, 1e6).map_err(|e| flag(&e))?;
    }
    let _signals = stop_on_signal()?;
    let splits = load_splits(&args.data)?;
    let measurement = Measurement::new(&splits.train, args.seed)?;
    if measurement.std == 0.0 {
        return Err(Failure::bad_input(format!(
            "--data {}: all images are the same: errors are told in standard deviations of the data, which is 0",
            args.data
        )));
    }
    let cells = args.d.len() * args.sigma.len() * 2;
    let counter = Counter::new(cells as u64, "denoising");
    let held_out = measurement.rows(&splits.held_out, args, &counter)?;
    let train = measurement.rows(&splits.train, args, &counter)?;
    counter.close();
    let report = Report {
        n: splits.train.n(),
        points: splits.train.num_images(),
        num: args.num,
        data_std: measurement.std,
        denoising_error: measurement.error,
        held_out,
        train,
    };
    if args.json {
        return print_json(&report);
    }
    print(format_args!(
        "RMS error of the exact denoiser of diffusion against the exact posterior at D,\n\
         in data standard deviations ({}).\n\
         N = {}, {} training images, {} samples per row.\n\n\
         Around held-out images:\n{}\n\nAround training images:\n{}",
        plain(report.data_std),
        report.n,
        report.points,
        report.num,
        table(&report.held_out),
        table(&report.train)
    ));
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let mut table = new_table();
    table.set_header([
        "D",
        "sigma",
        "nominal",
        "data mean",
        "twice",
        "twice + e",
        "previous",
    ]);
    for row in rows {
        let mut cells = vec![row.d.to_string(), row.sigma.to_string()];
        cells.extend(row.errors().map(|error| format!("{error:.5}")));
        table.add_row(cells);
    }
    align_right(&mut table, 0..7);
    table.to_string()
}

/// What every row needs of the data.
struct Measurement {
    points: Tensor,
    gaussian: ExactPosterior,
    moments: DataMoments,
    std: f64,
    error: DenoisingError,
    seed: u64,
}

impl Measurement {
    fn new(train: &Dataset, seed: u64) -> Result<Self, Failure> {
        let points = train
            .reference_images()
            .map_err(RunError::from)?
            .to_dtype(DType::F64)?;
        let gaussian =
            ExactPosterior::new(&points, Dimension::Infinite).map_err(candle_core::Error::from)?;
        let moments = DataMoments::measure(&points)?;
        let sample = points.narrow(0, 0, train.num_reference_images().min(ERROR_POINTS))?;
        // Two levels an octave from 2^-7 to 2^7.
        let levels: Vec<f64> = (-14..=14).map(|k| (0.5 * f64::from(k)).exp2()).collect();
        let error = DenoisingError::measure(
            &gaussian,
            &sample,
            Condition::unconditional(),
            &levels,
            seed,
        )?;
        Ok(Self {
            std: moments.scale().second_moment.sqrt(),
            points,
            gaussian,
            moments,
            error,
            seed,
        })
    }

    fn rows(&self, around: &Dataset, args: &Args, counter: &Counter) -> Result<Vec<Row>, Failure> {
        let mut rows = Vec::new();
        for &d in &args.d {
            let denoisers = Denoisers::new(self, around.n(), d)?;
            for &sigma in &args.sigma {
                rows.push(denoisers.row(around, sigma, args.num as usize)?);
                counter.add(1);
            }
        }
        Ok(rows)
    }
}

/// The denoisers that a row compares, at one D.
struct Denoisers<'a> {
    measurement: &'a Measurement,
    kernel: Kernel,
    exact: ExactPosterior,
    data_mean: EffectiveNoise<&'a ExactPosterior>,
    fixed_point: EffectiveNoise<&'a ExactPosterior>,
    with_error: EffectiveNoise<&'a ExactPosterior>,
    previous: EffectiveNoise<&'a ExactPosterior>,
}

impl<'a> Denoisers<'a> {
    fn new(measurement: &'a Measurement, n: usize, d: Dimension) -> Result<Self, Failure> {
        let bad = |e: ParameterError| Failure::bad_input(format!("--data: {e}"));
        let kernel = Kernel::new(n, d).map_err(candle_core::Error::from)?;
        let exact =
            ExactPosterior::new(&measurement.points, d).map_err(candle_core::Error::from)?;
        let lift = |guess| {
            let moments = measurement.moments.clone();
            EffectiveNoise::new(&measurement.gaussian, &kernel, guess, moments).map_err(bad)
        };
        let twice = Guess::FixedPoint { evaluations: 2 };
        let error = measurement.error.clone();
        Ok(Self {
            data_mean: lift(Guess::DataMean)?,
            fixed_point: lift(twice)?,
            with_error: lift(twice)?.with_denoising_error(error).map_err(bad)?,
            previous: lift(Guess::Previous)?,
            measurement,
            kernel,
            exact,
        })
    }

    /// Mean errors at `sigma` over `num` samples around the images of `around`, taken in turn.
    fn row(&self, around: &Dataset, sigma: f64, num: usize) -> candle_core::Result<Row> {
        let mut total = [0.0; 5];
        for first in (0..num).step_by(BATCH) {
            let count = BATCH.min(num - first);
            let indices: Vec<usize> = (first..first + count)
                .map(|index| index % around.num_images())
                .collect();
            let y = around
                .batch(&indices, self.measurement.points.device())
                .map_err(candle_core::Error::wrap)?
                .to_dtype(DType::F64)?;
            let squares = self.square_errors(&y, sigma, first as u64)?;
            for (total, square) in total.iter_mut().zip(squares) {
                *total += square;
            }
        }
        let values = (num * self.kernel.n()) as f64;
        let [
            nominal,
            data_mean,
            fixed_point,
            fixed_point_with_error,
            previous,
        ] = total.map(|square| (square / values).sqrt() / self.measurement.std);
        Ok(Row {
            d: self.kernel.d(),
            sigma,
            nominal,
            data_mean,
            fixed_point,
            fixed_point_with_error,
            previous,
        })
    }

    /// Squared errors of a batch around `y`, summed over all its values.
    fn square_errors(&self, y: &Tensor, sigma: f64, first: u64) -> candle_core::Result<[f64; 5]> {
        let count = y.dim(0)?;
        let perturb = |sigma: f64| {
            // The same noise at every level, so that levels lie on one path.
            let mut rngs = SampleRng::batch(self.measurement.seed, Stream::Other(1), first, count);
            self.kernel.perturb(y, &vec![sigma; count], &mut rngs)
        };
        let (x, levels) = (perturb(sigma)?, vec![sigma; count]);
        let query = Query::new(&x, &levels);
        let want = self.exact.denoise(&query)?;
        let before = (sigma.powf(1.0 / f64::from(RHO)) + STEP).powi(RHO);
        let x_before = perturb(before)?;
        let guess = self
            .fixed_point
            .denoise(&Query::new(&x_before, &vec![before; count]))?;
        let got = [
            self.measurement.gaussian.denoise(&query)?,
            self.data_mean.denoise(&query)?,
            self.fixed_point.denoise(&query)?,
            self.with_error.denoise(&query)?,
            self.previous.denoise(&query.near(&guess))?,
        ];
        let mut squares = [0.0; 5];
        for (square, got) in squares.iter_mut().zip(&got) {
            *square = (got - &want)?.sqr()?.sum_all()?.to_scalar()?;
        }
        Ok(squares)
    }
}
