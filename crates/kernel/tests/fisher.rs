//! The radius law against another library's F distribution, where that is good: `R² / (N sigma²) ~ F(N, D)`.

use pfgmpp_kernel::{Dimension, Kernel};
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

#[test]
fn the_radius_law_is_an_f_distribution() {
    let sigma = 0.7;
    for n in [1usize, 2, 64, 3072] {
        for d in [0.5, 1.0, 8.0, 128.0, 2048.0] {
            let kernel = Kernel::new(n, Dimension::new(d).unwrap()).unwrap();
            let law = kernel.radius_law(sigma).unwrap();
            let f = FisherSnedecor::new(n as f64, d).unwrap();
            for ratio in [0.1, 0.5, 0.9, 1.0, 1.2, 3.0, 40.0] {
                let radius = sigma * (n as f64 * ratio).sqrt();
                let (got, want) = (law.cdf(radius), f.cdf(ratio));
                assert!(
                    (got - want).abs() < 1e-8,
                    "n {n}, d {d}, R²/(N sigma²) {ratio}: got {got}, want {want}"
                );
            }
        }
    }
}
