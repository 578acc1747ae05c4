//! A walk through the layers of a network that counts values instead of computing them.

/// Points of a tile of Winograd for each of its pixels: what a transformed image takes.
const TRANSFORMED_IMAGE: f64 = 36.0 / 16.0;

/// Points of a tile for each weight of a kernel of three by three.
const TRANSFORMED_WEIGHTS: f64 = 36.0 / 9.0;

/// Values of the small spaces in which convolutions work, a tile or a block of weights at a time, on each thread.
const SMALL_SPACES: f64 = (3 << 17) as f64;

/// What an operation works in beside its arguments and its result.
#[derive(Debug, Clone, Copy)]
enum Space {
    /// Transformed weights or images of a convolution, whichever are less.
    Convolution { weights: f64, image: f64 },
    /// The weights of attention, for one head of a sample on each thread.
    Attention { heads: u64, head: u64 },
}

/// Counts what one sample takes; images have as many pixels as the operation's result.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    trains: bool,
    live: u64,
    peak: u64,
    retained: u64,
    waiting: u64,
    spaces: Vec<Space>,
}

impl Trace {
    pub(crate) fn new(trains: bool) -> Self {
        Self {
            trains,
            live: 0,
            peak: 0,
            retained: 0,
            waiting: 0,
            spaces: Vec::new(),
        }
    }

    /// The most values that an evaluation holds at a time.
    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    /// The most values that a training step holds: all that operations give, and gradients that wait.
    pub(super) fn retained(&self) -> u64 {
        self.retained.saturating_add(self.waiting)
    }

    /// Values of the largest working space for a batch.
    pub(super) fn scratch(&self, batch: u64) -> u64 {
        let (batch, threads) = (batch as f64, rayon::current_num_threads() as f64);
        let values = |space: &Space| match *space {
            Space::Convolution { weights, image } => weights.min(batch * image),
            Space::Attention { heads, head } => threads.min(batch * heads as f64) * head as f64,
        };
        let largest = self.spaces.iter().map(values).fold(0.0, f64::max);
        let kept = if self.spaces.is_empty() {
            0.0
        } else {
            threads * SMALL_SPACES
        };
        // A conversion from a float saturates.
        (largest + kept) as u64
    }

    /// Runs a part of the network whose values are dropped at its end but for the `kept` ones of its result.
    pub(crate) fn scope(&mut self, kept: usize, part: impl FnOnce(&mut Self)) {
        let before = self.live;
        part(self);
        self.live = before.saturating_add(kept as u64);
    }

    /// An operation that gives `values`.
    pub(crate) fn output(&mut self, values: usize) {
        let values = values as u64;
        self.live = self.live.saturating_add(values);
        self.peak = self.peak.max(self.live);
        self.retained = self.retained.saturating_add(values);
    }

    /// An operation of training alone that gives `values`.
    pub(crate) fn output_of_training(&mut self, values: usize) {
        if self.trains {
            self.output(values);
        }
    }

    /// The result of the network: in an order of its own, beside the copy by which a record stands for it.
    pub(crate) fn outcome(&mut self, values: usize) {
        self.output(values);
        self.output_of_training(values);
    }

    /// Values whose gradients wait, in the backward pass, until it comes to where they were made.
    pub(crate) fn wait(&mut self, values: usize) {
        self.waiting = self.waiting.saturating_add(values as u64);
    }

    /// Values that nobody needs any more.
    pub(crate) fn free(&mut self, values: usize) {
        self.live = self.live.saturating_sub(values as u64);
    }

    /// A convolution to `pixels` pixels by `weight [c_out, c_in, k, k]`.
    pub(crate) fn convolution(&mut self, weight: [usize; 3], pixels: usize) {
        let [c_out, c_in, kernel] = weight;
        if kernel > 1 {
            let weights = (c_out * c_in * kernel * kernel) as f64;
            self.spaces.push(Space::Convolution {
                weights: TRANSFORMED_WEIGHTS * weights,
                image: TRANSFORMED_IMAGE * (c_in * pixels) as f64,
            });
        }
        self.output(c_out * pixels);
    }

    /// Attention of `heads` heads among `channels` channels.
    pub(crate) fn attention(&mut self, heads: usize, channels: usize, pixels: usize) {
        let (pixels, channels_of_head) = (pixels as u64, (channels / heads.max(1)) as u64);
        let square = pixels.saturating_mul(pixels);
        // Query, key and value; weights and, in training, their gradients.
        let squares = if self.trains { 2 } else { 1 };
        let head = squares * square + 3 * pixels * channels_of_head;
        self.spaces.push(Space::Attention {
            heads: heads as u64,
            head,
        });
        self.output(channels * pixels as usize);
    }
}
