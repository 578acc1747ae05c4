//! Laws of initial weights.

use candle_nn::Init;

/// Gain of layers that end a residual branch of the Song networks: such branches start almost silent.
const ALMOST_ZERO: f64 = 1e-5;

/// Initial law of a layer's weights and of its bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Initial {
    pub(crate) weight: Init,
    pub(crate) bias: Init,
}

/// The initial weights of a family of networks.
///
/// ```text
/// Song: weights U(-a, a), a = gain sqrt(6 / ((n_in + n_out) kernel²)), biases 0;   gain 1, sqrt(0.2) for qkv, 1e-5 at the end
/// ADM:  weights and biases U(-a, a), a = sqrt(1 / (n_in kernel²));   all 0 at the end of a branch
/// ```
///
/// Source: Glorot and Bengio 2010; He et al. 2015; as Karras et al. 2022 set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Song,
    Adm,
}

impl Scheme {
    /// Any layer from `n_in` to `n_out` values with a square kernel (1 for a linear one).
    pub(crate) fn layer(self, n_in: usize, n_out: usize, kernel: usize) -> Initial {
        self.with_gain(n_in, n_out, kernel, 1.0)
    }

    /// The layer that gives query, key and value.
    pub(crate) fn attention(self, n_in: usize, n_out: usize) -> Initial {
        self.with_gain(n_in, n_out, 1, 0.2f64.sqrt())
    }

    /// The last layer of a residual branch or of the network.
    pub(crate) fn last(self, n_in: usize, n_out: usize, kernel: usize) -> Initial {
        match self {
            Self::Song => self.with_gain(n_in, n_out, kernel, ALMOST_ZERO),
            Self::Adm => Initial {
                weight: Init::Const(0.0),
                bias: Init::Const(0.0),
            },
        }
    }

    fn with_gain(self, n_in: usize, n_out: usize, kernel: usize, gain: f64) -> Initial {
        match self {
            Self::Song => Initial {
                weight: xavier(n_in, n_out, kernel, gain),
                bias: Init::Const(0.0),
            },
            Self::Adm => {
                let law = symmetric(((n_in * kernel * kernel) as f64).sqrt().recip());
                Initial {
                    weight: law,
                    bias: law,
                }
            }
        }
    }
}

/// Xavier's uniform law times `gain`.
pub(super) fn xavier(n_in: usize, n_out: usize, kernel: usize, gain: f64) -> Init {
    symmetric(gain * (6.0 / ((n_in + n_out) * kernel * kernel) as f64).sqrt())
}

fn symmetric(bound: f64) -> Init {
    Init::Uniform {
        lo: -bound,
        up: bound,
    }
}
