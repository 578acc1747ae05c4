//! An average of any length from snapshots of others (Karras et al. 2024, arXiv:2312.02696, section 3.2).

use crate::power::PowerProfile;

/// What a snapshot's rounding to `f32` counts against the fit of the profile: it keeps coefficients of snapshots that
/// hardly differ from growing without bound.
const RIDGE: f64 = 1e-12;

/// An average at a moment of training: its profile and the images seen.
pub type Moment = (PowerProfile, u64);

/// How snapshots are to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconstruction {
    /// The coefficient of each snapshot; they sum to 1.
    pub coefficients: Vec<f64>,
    /// The distance of the sum of profiles from the profile asked for, as a share of its norm.
    pub error: f64,
}

/// The sum of `snapshots` whose profile is nearest to that of `target`, in the least squares.
///
/// ```text
/// minimise |p_target - sum x_i p_i|²   with   sum x_i = 1
/// ```
///
/// `None` of no snapshots.
pub fn reconstruct(snapshots: &[Moment], target: Moment) -> Option<Reconstruction> {
    let inner = |a: &Moment, b: &Moment| a.0.inner(a.1 as f64, &b.0, b.1 as f64);
    let norm = |a: &Moment| inner(a, a).sqrt();
    if snapshots.is_empty() {
        return None;
    }
    // In units of each profile's own norm, so that early snapshots, which are narrow and high, count no more.
    let norms: Vec<f64> = snapshots.iter().map(norm).collect();
    let own = norm(&target);
    let row = |(a, i): (&Moment, usize)| {
        let pairs = snapshots.iter().zip(&norms).enumerate();
        let products = pairs.map(|(j, (b, of_b))| {
            inner(a, b) / (norms[i] * of_b) + if i == j { RIDGE } else { 0.0 }
        });
        products.collect()
    };
    let gram: Vec<Vec<f64>> = snapshots.iter().zip(0..).map(row).collect();
    let factor = cholesky(gram.clone());
    let with_target = snapshots.iter().zip(&norms);
    let with_target: Vec<f64> = with_target
        .map(|(a, of_a)| inner(a, &target) / (of_a * own))
        .collect();
    // Coefficients x_i = z_i own / norm_i; that they sum to 1 costs a multiple of the second solution.
    let to_sum: Vec<f64> = norms.iter().map(|of_a| own / of_a).collect();
    let (mut z, step) = (solve(&factor, &with_target), solve(&factor, &to_sum));
    let missing = (1.0 - dot(&z, &to_sum)) / dot(&step, &to_sum);
    for (z, step) in z.iter_mut().zip(&step) {
        *z += missing * step;
    }
    let squared = 1.0 - 2.0 * dot(&z, &with_target)
        + gram
            .iter()
            .zip(&z)
            .map(|(row, z_i)| z_i * dot(row, &z))
            .sum::<f64>();
    Some(Reconstruction {
        coefficients: z.iter().zip(&to_sum).map(|(z, scale)| z * scale).collect(),
        error: squared.max(0.0).sqrt(),
    })
}

/// The lower triangle `L` with `L L^T` the positive definite matrix `a`, in its place.
fn cholesky(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for i in 0..a.len() {
        for j in 0..=i {
            let known = dot(&a[i][..j], &a[j][..j]);
            let rest = a[i][j] - known;
            a[i][j] = match i == j {
                // Rounding may leave a pivot below what the ridge gave it.
                true => rest.max(RIDGE * RIDGE).sqrt(),
                false => rest / a[j][j],
            };
        }
    }
    a
}

/// The solution of `L L^T x = b`.
fn solve(l: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for i in 0..x.len() {
        x[i] = (x[i] - dot(&l[i][..i], &x[..i])) / l[i][i];
    }
    for i in (0..x.len()).rev() {
        let above: f64 = (i + 1..x.len()).map(|j| l[j][i] * x[j]).sum();
        x[i] = (x[i] - above) / l[i][i];
    }
    x
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(sigma_rel: f64) -> PowerProfile {
        PowerProfile::new(sigma_rel).unwrap()
    }

    /// Snapshots of two lengths, each at `count` moments up to 64,000 images.
    fn snapshots(count: u64) -> Vec<Moment> {
        let at = |length: f64| (1..=count).map(move |i| (profile(length), i * 64_000 / count));
        at(0.05).chain(at(0.1)).collect()
    }

    #[test]
    fn a_snapshot_is_its_own_reconstruction() {
        let snapshots = snapshots(8);
        let found = reconstruct(&snapshots, (profile(0.1), 64_000)).unwrap();
        assert!(found.error < 1e-5, "got {found:?}");
        let (last, others) = found.coefficients.split_last().unwrap();
        assert!((last - 1.0).abs() < 1e-4, "got {last}, want 1");
        assert!(
            others.iter().all(|x| x.abs() < 1e-3),
            "got {others:?}, want 0"
        );
    }

    #[test]
    fn coefficients_sum_to_one_whatever_is_asked_for() {
        for (count, length, nimg) in [(1, 0.02, 64_000), (4, 0.2, 64_000), (64, 0.07, 40_123)] {
            let found = reconstruct(&snapshots(count), (profile(length), nimg)).unwrap();
            let sum: f64 = found.coefficients.iter().sum();
            assert!((sum - 1.0).abs() < 1e-9, "{count} snapshots: got {sum}");
        }
    }

    #[test]
    fn more_snapshots_fit_better_and_the_error_says_so() {
        let error = |count, length| {
            reconstruct(&snapshots(count), (profile(length), 64_000))
                .unwrap()
                .error
        };
        let [few, more, many] = [4, 16, 64].map(|count| error(count, 0.08));
        assert!(few > more && more > many, "got {few}, {more}, {many}");
        assert!(many < 1e-3, "got {many}");
        // Nothing that is as short as this was saved.
        assert!(error(16, 0.01) > 0.1, "got {}", error(16, 0.01));
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert_eq!(reconstruct(&[], (profile(0.1), 64)), None);
    }
}
