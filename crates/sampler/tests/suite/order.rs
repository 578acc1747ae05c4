//! The observed orders of the solvers with fixed steps.

use candle_core::{Device, Result, Tensor};
use pfgmpp_kernel::Denoiser;
use pfgmpp_sampler::{DenoiserSlope, euler, heun};

use crate::problems::{
    SIGMA_MAX, SIGMA_MIN, StandardNormal, fine_solution, five_points, geometric,
    largest_difference, three_samples, values,
};

/// Asserts that doubling the steps divides the error of each method by 2 to its order.
fn assert_orders(case: &str, denoiser: &dyn Denoiser, start: &Tensor, want: &[f64]) {
    let slope = DenoiserSlope::new(denoiser, None);
    let with_euler = |x, sigmas: &[f64]| euler(&slope, x, sigmas);
    let with_heun = |x, sigmas: &[f64]| heun(&slope, x, sigmas);
    assert_order(&format!("{case}, euler"), with_euler, 1.0, start, want);
    assert_order(&format!("{case}, heun"), with_heun, 2.0, start, want);
}

fn assert_order(
    case: &str,
    solve: impl Fn(Tensor, &[f64]) -> Result<Tensor>,
    order: f64,
    start: &Tensor,
    want: &[f64],
) {
    let error_of = |num_steps| {
        let got = solve(start.clone(), &geometric(num_steps).sigmas()).unwrap();
        largest_difference(&values(&got), want)
    };
    for num_steps in [128, 256, 512] {
        let got = (error_of(num_steps) / error_of(2 * num_steps)).log2();
        println!("{case}, {num_steps} steps: order {got:.3}");
        assert!(
            (got - order).abs() < 0.15,
            "{case}, {num_steps} steps: got order {got}, want {order}"
        );
    }
}

#[test]
fn euler_is_first_and_heun_second_order_on_gaussian_data() {
    let start = Tensor::new(&[[SIGMA_MAX], [-3.0]], &Device::Cpu).unwrap();
    let flow = |x| StandardNormal::flow(x, SIGMA_MAX, SIGMA_MIN);
    let want = [flow(SIGMA_MAX), flow(-3.0)];
    assert_orders("gaussian data", &StandardNormal, &start, &want);
}

#[test]
fn euler_is_first_and_heun_second_order_on_exact_posteriors() {
    for d in [1.0, 8.0] {
        let posterior = five_points(d);
        let want = fine_solution(&posterior);
        assert_orders(&format!("d = {d}"), &posterior, &three_samples(), &want);
    }
}
