//! Timing the engine on a reference model, as its peers are timed.
//!
//! Every call is made on one of two sets of parameters and batch, in turn, so that nothing can be kept from call to call but
//! buffers and structure. What is timed:
//!
//! | name | computes |
//! |---|---|
//! | `value` | the loss |
//! | `grad` | loss and gradient |
//! | `hvp` | loss, gradient and Hv along the probe direction |
//! | `gen_exact` | loss, gradient, num and den (with its Gauss–Newton part) along the gradient |
//! | `gen_approx` | loss, gradient, and the losses at θ ∓ 0.01 times the gradient |

use std::hint::black_box;
use std::time::Instant;

use ad_core::{Params, Real, Tensor};
use gen_sched::{Objective, Parted, Parting, Point};
use nn::data::{Batch, Targets};
use nn::{Loss, Mlp};
use serde::Serialize;

use crate::reference::{Case, Spec};

/// The rate at which approximate GeN probes.
const PROBE: f64 = 1e-2;

/// What exact GeN computes on one set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// The loss.
    pub loss: f64,
    /// df·g, with g the gradient.
    pub num: f64,
    /// d²f(g, g).
    pub den: f64,
    /// The Gauss–Newton part of den.
    pub gn: f64,
}

/// Medians in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// The loss.
    pub value: f64,
    /// Loss and gradient.
    pub grad: f64,
    /// Loss, gradient and Hessian–vector product.
    pub hvp: f64,
    /// Loss, gradient, num and den.
    pub gen_exact: f64,
    /// Loss, gradient and two more losses.
    pub gen_approx: f64,
}

/// A measured model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Set A.
    pub check: Checked,
    /// Set B.
    pub check_b: Checked,
    /// The times.
    pub ms: Times,
}

impl Measured {
    /// What is NaN or infinite of the values on both sets, in words; `None` if nothing is.
    pub fn non_finite(&self) -> Option<String> {
        let named = |set, Checked { loss, num, den, gn }: Checked| {
            [("loss", loss), ("num", num), ("den", den), ("gn", gn)].map(|(name, x)| (set, name, x))
        };
        let values = named("A", self.check).into_iter().chain(named("B", self.check_b));
        let (set, name, x) = values.into_iter().find(|(_, _, x)| !x.is_finite())?;
        Some(format!("on set {set}, {name} is {x}"))
    }
}

/// Times a model in precision `T`, each figure the median of `repeats` timings; in the current thread pool.
pub fn measure<T: Real>(spec: &Spec, case: &Case, repeats: usize) -> Measured {
    let model = Model::<T> {
        net: Mlp::new(&spec.sizes, spec.act).act_out(spec.act_out),
        loss: spec.loss.clone(),
        probe: case.probe_direction().map(Tensor::cast),
    };
    let sets = [Set::<T>::of(case), Set::of(&case.set_b())];
    let time = |f: &dyn Fn(&Set<T>)| median_ms(repeats, |i| f(&sets[i % 2]));
    let ms = Times {
        value: time(&|set| {
            black_box(model.value(set));
        }),
        grad: time(&|set| {
            black_box(model.grad(set));
        }),
        hvp: time(&|set| {
            black_box(model.hvp(set));
        }),
        gen_exact: time(&|set| {
            black_box(model.gen_exact(set));
        }),
        gen_approx: time(&|set| {
            black_box(model.gen_approx(set));
        }),
    };
    let [check, check_b] = [0, 1].map(|i| model.gen_exact(&sets[i]).0);
    Measured { check, check_b, ms }
}

/// Parameters and batch in the precision of the computation.
struct Set<T: Real> {
    theta: Params<Tensor<T>>,
    batch: Batch<T>,
}

impl<T: Real> Set<T> {
    fn of(case: &Case) -> Self {
        let targets = match &case.batch.targets {
            Targets::Classes { labels, classes } => Targets::Classes { labels: labels.clone(), classes: *classes },
            Targets::Values(values) => Targets::Values(values.cast()),
        };
        Set { theta: case.theta.map(Tensor::cast), batch: Batch { inputs: case.batch.inputs.cast(), targets } }
    }
}

/// A gradient, as a tree of parameters.
type Gradient<T> = Params<Tensor<T>>;

struct Model<T: Real> {
    net: Mlp,
    loss: Loss,
    probe: Params<Tensor<T>>,
}

impl<T: Real> Model<T> {
    fn objective<'a>(&'a self, set: &'a Set<T>) -> Parted<'a, T> {
        Parted::new(&self.net, &self.loss, &set.batch, Parting::Automatic, &set.theta)
    }

    fn value(&self, set: &Set<T>) -> f64 {
        self.objective(set).value(&set.theta)
    }

    fn grad(&self, set: &Set<T>) -> (f64, Gradient<T>) {
        let objective = self.objective(set);
        let point = Point::new(&objective, &set.theta);
        (point.value(), point.gradient())
    }

    fn hvp(&self, set: &Set<T>) -> (f64, Gradient<T>, Gradient<T>) {
        let objective = self.objective(set);
        let point = Point::new(&objective, &set.theta);
        (point.value(), point.gradient(), point.hvp(&self.probe))
    }

    fn gen_exact(&self, set: &Set<T>) -> (Checked, Gradient<T>) {
        let objective = self.objective(set);
        let point = Point::new(&objective, &set.theta);
        let gradient = point.gradient();
        let mut line = point.line(&gradient, &gradient);
        let (num, curvature) = (line.num(), line.curvature());
        // The network's output is marked, so the Gauss–Newton part is known.
        let gn = curvature.gauss_newton.unwrap_or(f64::NAN);
        (Checked { loss: point.value(), num, den: curvature.den, gn }, gradient)
    }

    fn gen_approx(&self, set: &Set<T>) -> (f64, Gradient<T>, [f64; 2]) {
        let objective = self.objective(set);
        let point = Point::new(&objective, &set.theta);
        let gradient = point.gradient();
        let mut line = point.line(&gradient, &gradient);
        let probes = [line.at(PROBE), line.at(-PROBE)];
        (point.value(), gradient, probes)
    }
}

/// The median over `repeats` of the mean time of a call, in milliseconds to four decimals. Calls are numbered; one timing
/// holds an even number of them, enough to last about 10 ms, and four go before the first.
fn median_ms(repeats: usize, call: impl Fn(usize)) -> f64 {
    (0..4).for_each(&call);
    let start = Instant::now();
    call(0);
    let inner = 2 * ((0.01 / start.elapsed().as_secs_f64().max(1e-7)) as usize).max(1);
    (median(means_ms(repeats, inner, call)) * 1e4).round() / 1e4
}

/// The mean time of a call in milliseconds, in each of `repeats` timings of `inner` calls.
fn means_ms(repeats: usize, inner: usize, call: impl Fn(usize)) -> Vec<f64> {
    let mean = |_| {
        let start = Instant::now();
        (0..inner).for_each(&call);
        start.elapsed().as_secs_f64() / inner as f64 * 1e3
    };
    (0..repeats).map(mean).collect()
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use ad_core::HessianOperator;
    use gen_sched::Supervised;

    use super::*;
    use crate::reference::draw::draw;

    fn spec(extra: &str) -> Spec {
        let json = format!(r#"{{"kind":"mlp","sizes":[5,7,3],"batch":6,{extra}}}"#);
        Spec::from_name_or_json(&json).unwrap()
    }

    #[test]
    fn checks_are_num_and_den_by_the_product_with_the_hessian() {
        for extra in [
            r#""act":"tanh","loss":"ce""#,
            r#""act":"gelu","loss":"mse""#,
            r#""act":"silu","loss":"nsq","act_out":true"#,
            r#""act":"softplus","loss":"ce","seed":3,"scale":2"#,
            r#""act":"sigmoid","loss":"mse","act_out":true"#,
            r#""act":"relu","loss":"nsq""#,
        ] {
            let spec = spec(extra);
            let case = draw(&spec);
            let measured = measure::<f64>(&spec, &case, 1);
            let net = Mlp::new(&spec.sizes, spec.act).act_out(spec.act_out);
            for (check, case) in [(measured.check, case.clone()), (measured.check_b, case.set_b())] {
                let objective = Supervised { net: &net, loss: &spec.loss, batch: &case.batch };
                let h = HessianOperator::new(|p| objective.record(p), &case.theta);
                let g = h.gradient();
                let dot = |a: &Params<Tensor<f64>>, b: &Params<Tensor<f64>>| -> f64 {
                    let terms = |a: &Tensor<f64>, b: &Tensor<f64>| -> f64 {
                        a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum()
                    };
                    a.zip(b, terms).arrays().iter().sum()
                };
                let want = [h.value().item(), dot(&g, &g), dot(&g, &h.hvp(&g)), dot(&g, &h.ggn_vp(&g))];
                for (found, want) in [check.loss, check.num, check.den, check.gn].into_iter().zip(want) {
                    assert!((found - want).abs() <= 1e-11 * want.abs(), "{extra}: {found} for {want}");
                }
            }
        }
    }

    #[test]
    fn values_beyond_the_precision_are_named() {
        // The outputs of one layer are representable in f32, their squares are not.
        let json = r#"{"kind":"mlp","sizes":[4,2],"batch":3,"act":"relu","loss":"mse","scale":1e20}"#;
        let spec = Spec::from_name_or_json(json).unwrap();
        let case = draw(&spec);
        assert_eq!(measure::<f32>(&spec, &case, 1).non_finite().as_deref(), Some("on set A, loss is inf"));
        assert_eq!(measure::<f64>(&spec, &case, 1).non_finite(), None);
    }

    /// The numbers that `time` calls with.
    fn calls(time: impl FnOnce(&dyn Fn(usize))) -> Vec<usize> {
        let calls = RefCell::new(Vec::new());
        time(&|i| calls.borrow_mut().push(i));
        calls.into_inner()
    }

    #[test]
    fn calls_alternate_between_the_sets() {
        let calls: Vec<usize> = calls(|call| assert!(median_ms(3, call) >= 0.0)).into_iter().map(|i| i % 2).collect();
        assert_eq!(calls[..5], [0, 1, 0, 1, 0]);
        assert!(calls.len() > 5 && calls[5..].len().is_multiple_of(2 * 3), "three timings of an even number of calls");
        assert!(calls[5..].chunks(2).all(|pair| pair == [0, 1]));
    }

    #[test]
    fn every_repeat_is_one_timing_of_all_inner_calls() {
        for repeats in [1, 2, 5] {
            let calls = calls(|call| assert_eq!(means_ms(repeats, 4, call).len(), repeats));
            assert_eq!(calls, [0, 1, 2, 3].repeat(repeats));
        }
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(median(vec![7.0]), 7.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![8.0, 1.0, 2.0, 4.0]), 3.0);
    }
}
