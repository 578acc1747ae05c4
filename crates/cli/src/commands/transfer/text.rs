//! The tables of `pfgmpp transfer` for a terminal of 80 columns.

use pfgmpp_transfer::{Quantiles, Translation};

use super::Transfer;
use crate::table::{align_right, new_table, number};

/// Values of D beside one another that 80 columns hold.
const COLUMNS: usize = 6;

/// The whole answer: radii, the schedule, the law of the noise, and the effective level.
pub fn transfer(transfer: &Transfer) -> String {
    let (n, data) = (transfer.n, transfer.data);
    let head = format!(
        "N = {n}, data: root mean square {}, n_eff {}",
        plain(data.second_moment.sqrt()),
        plain(data.n_eff)
    );
    let mut parts = vec![head, laws(&transfer.dimensions)];
    for dimensions in transfer.dimensions.chunks(COLUMNS) {
        parts.push(schedule(&transfer.sigma, dimensions));
    }
    parts.push(levels(&transfer.dimensions));
    parts.join("\n\n")
}

/// A row a D: ends of the radius and the law of R.
fn laws(dimensions: &[Translation]) -> String {
    let mut table = new_table();
    table.set_header(["D", "r_min", "r_max", "R 1 %", "R 50 %", "R 99 %"]);
    for at in dimensions {
        let mut cells = vec![at.d.to_string(), plain(at.r_min), plain(at.r_max)];
        cells.extend(three(at.radius));
        table.add_row(cells);
    }
    align_right(&mut table, 0..6);
    format!("Radius r = sigma sqrt(D), and quantiles of R / (sigma sqrt(N)), R = |x - y|:\n{table}")
}

/// A row a noise level, a column a D.
fn schedule(sigma: &[f64], dimensions: &[Translation]) -> String {
    let mut table = new_table();
    let names = dimensions.iter().map(|at| format!("r, D = {}", at.d));
    table.set_header(["i", "sigma"].map(str::to_string).into_iter().chain(names));
    for (i, &sigma) in sigma.iter().enumerate() {
        let mut cells = vec![i.to_string(), plain(sigma)];
        cells.extend(dimensions.iter().map(|at| plain(at.r[i])));
        table.add_row(cells);
    }
    align_right(&mut table, 0..dimensions.len() + 2);
    format!("Schedule:\n{table}")
}

/// A row a D: how far the true scale s spreads about sigma, and how well it can be told.
fn levels(dimensions: &[Translation]) -> String {
    let mut scale = new_table();
    scale.set_header(["D", "s 1 %", "s 50 %", "s 99 %", "given |x|", "given x, y"]);
    for at in dimensions {
        let mut cells = vec![at.d.to_string()];
        cells.extend(three(at.mixture_scale));
        cells.extend([at.width_given_norm, at.width_given_residual].map(plain));
        scale.add_row(cells);
    }
    align_right(&mut scale, 0..6);
    let mut effective = new_table();
    effective.set_header(["D", "sigma", "1 %", "50 %", "99 %"]);
    for at in dimensions {
        for level in &at.effective {
            let mut cells = vec![at.d.to_string(), plain(level.sigma)];
            cells.extend(three(level.ratio));
            effective.add_row(cells);
        }
    }
    align_right(&mut effective, 0..5);
    format!(
        "True noise scale s / sigma, and the deviation of ln s that is left\n\
         once |x|, or x and y, are known:\n{scale}\n\n\
         Effective level sigma_eff / sigma by |x| alone, s at its 1, 50 and 99 %:\n{effective}"
    )
}

fn three(quantiles: Quantiles) -> [String; 3] {
    [quantiles.q01, quantiles.q50, quantiles.q99].map(plain)
}

/// Four digits; `inf` and `0` as they are.
pub fn plain(value: f64) -> String {
    if value.is_infinite() || value == 0.0 {
        return value.to_string();
    }
    number(Some(value))
}
