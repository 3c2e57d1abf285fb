//! Timing the engine on a model, as its peers are timed.
//!
//! Every call is made on one of two sets of parameters and batch, in turn, so that nothing can be kept from call to call but
//! buffers and structure. Quantities are timed in turns, one timing of each after another. What is timed:
//!
//! | name | computes |
//! |---|---|
//! | `value` | the loss |
//! | `grad` | loss and gradient |
//! | `hvp` | loss, gradient and Hv along the probe direction |
//! | `hvp_again` | Hv alone, where loss and gradient have been recorded |
//! | `gen_exact` | loss, gradient, ω, and num and den (with its Gauss–Newton part) along ω |
//! | `gen_approx` | loss, gradient, ω, and the losses at θ ∓ 0.01 ω |
//!
//! ω is the direction of an optimizer that has taken one step on the other set.

mod model;
mod products;
mod timing;
pub mod ways;

use std::hint::black_box;

use ad_core::{Real, buffer, work};
use gen_sched::Point;
use nn::{Context, Loss, Net, Optimizer};
use serde::Serialize;

use self::model::{Model, Set};
use self::products::measure_products;
use self::timing::median_ms;
use crate::reference::{Case, Spec};
use crate::report::stats::median;

/// What exact GeN computes on one set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// The loss.
    pub loss: f64,
    /// df·ω.
    pub num: f64,
    /// d²f(ω, ω).
    pub den: f64,
    /// The Gauss–Newton part of den.
    pub gn: f64,
}

/// One figure for each timed quantity, such as the median time of a call in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantities<N = f64> {
    /// The loss.
    pub value: N,
    /// Loss and gradient.
    pub grad: N,
    /// Loss, gradient and Hessian–vector product.
    pub hvp: N,
    /// One more Hessian–vector product.
    pub hvp_again: N,
    /// Loss, gradient, direction, num and den.
    pub gen_exact: N,
    /// Loss, gradient, direction and two more losses.
    pub gen_approx: N,
}

/// The matrix products of a gradient alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Products {
    /// Median milliseconds.
    pub ms: f64,
    /// Floating-point operations.
    pub flop: u64,
}

impl Quantities {
    /// `f` of each quantity here and in `other`.
    pub fn zip(&self, other: &Quantities, f: impl Fn(f64, f64) -> f64) -> Quantities {
        Quantities {
            value: f(self.value, other.value),
            grad: f(self.grad, other.grad),
            hvp: f(self.hvp, other.hvp),
            hvp_again: f(self.hvp_again, other.hvp_again),
            gen_exact: f(self.gen_exact, other.gen_exact),
            gen_approx: f(self.gen_approx, other.gen_approx),
        }
    }
}

/// A measured model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Set A.
    pub check: Checked,
    /// Set B.
    pub check_b: Checked,
    /// Medians in milliseconds.
    pub ms: Quantities,
    /// Floating-point operations of the matrix products of a call, counted as they are computed.
    pub flop: Quantities<u64>,
    /// Bytes of parameters, inputs and all arrays of a call that are in use at once.
    pub peak_bytes: Quantities<usize>,
    /// The products of the gradient, with nothing in between; absent where it computes more than the products of fully connected
    /// layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub products: Option<Products>,
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

/// What is measured: a network with its loss, parameters and batch.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a, T: Real> {
    /// The network.
    pub net: &'a dyn Net<T>,
    /// The loss of its output.
    pub loss: &'a Loss,
    /// Parameters and batch.
    pub case: &'a Case,
    /// What the network is evaluated for, and with which buffers.
    pub context: Context<'a>,
    /// The reference model that it is, if it is one: the gradient's products alone are known for some.
    pub spec: Option<&'a Spec>,
}

/// Measures a problem in precision `T`, GeN along this optimizer's direction: times, each the median of `repeats` timings, operations and
/// memory; in the current thread pool.
pub fn measure<T: Real>(problem: &Problem<'_, T>, optimizer: Optimizer, repeats: usize) -> Measured {
    let model = Model::new(problem);
    let sets = model.sets(problem.case, optimizer);
    // In turns: what slows the machine for a while then slows all quantities, and their ratios hold.
    let rounds: Vec<Quantities> = (0..repeats).map(|_| each(&model, &sets, |call| median_ms(1, call))).collect();
    let ms = medians(&rounds);
    let counted = each(&model, &sets, |call| count(&sets[0], call));
    let [check, check_b] = [0, 1].map(|i| model.gen_exact(&sets[i]).0);
    Measured {
        check,
        check_b,
        ms,
        flop: counted.map(|(flop, _)| flop),
        peak_bytes: counted.map(|(_, bytes)| bytes),
        products: problem.spec.and_then(|spec| measure_products::<T>(spec, repeats)),
    }
}

/// The median of each quantity over rounds, of which there is one at least.
fn medians(rounds: &[Quantities]) -> Quantities {
    let of = |quantity: fn(&Quantities) -> f64| {
        median(&rounds.iter().map(quantity).collect::<Vec<_>>()).expect("a round at least")
    };
    Quantities {
        value: of(|q| q.value),
        grad: of(|q| q.grad),
        hvp: of(|q| q.hvp),
        hvp_again: of(|q| q.hvp_again),
        gen_exact: of(|q| q.gen_exact),
        gen_approx: of(|q| q.gen_approx),
    }
}

/// What `of` makes of the call that computes each quantity, on the set of the number that it is given.
fn each<T: Real, N>(model: &Model<'_, T>, sets: &[Set<T>; 2], of: impl Fn(&dyn Fn(usize)) -> N) -> Quantities<N> {
    let on_set = |f: &dyn Fn(&Set<T>)| of(&|i| f(&sets[i % 2]));
    Quantities {
        value: on_set(&|set| {
            black_box(model.value(set));
        }),
        grad: on_set(&|set| {
            black_box(model.grad(set));
        }),
        hvp: on_set(&|set| {
            black_box(model.hvp(set));
        }),
        hvp_again: {
            let objectives = [0, 1].map(|i| model.objective(&sets[i]));
            let recorded = [0, 1].map(|i| Point::new(&objectives[i], &sets[i].theta));
            of(&|i| {
                black_box(model.hvp_again(&recorded[i % 2]));
            })
        },
        gen_exact: on_set(&|set| {
            black_box(model.gen_exact(set));
        }),
        gen_approx: on_set(&|set| {
            black_box(model.gen_approx(set));
        }),
    }
}

/// The floating-point operations of one call, and the bytes in use at once, those of its set included.
fn count<T: Real>(set: &Set<T>, call: &dyn Fn(usize)) -> (u64, usize) {
    let (flops, live) = (work::flops(), buffer::live_bytes());
    let (peak, ()) = buffer::peak_bytes(|| call(0));
    // Work of the same process on other threads, as tests have it, may have freed more meanwhile than the call takes.
    (work::flops() - flops, peak.saturating_sub(live) + set.bytes())
}

impl<N: Copy> Quantities<N> {
    /// `f` of each figure.
    pub fn map<M>(&self, f: impl Fn(N) -> M) -> Quantities<M> {
        Quantities {
            value: f(self.value),
            grad: f(self.grad),
            hvp: f(self.hvp),
            hvp_again: f(self.hvp_again),
            gen_exact: f(self.gen_exact),
            gen_approx: f(self.gen_approx),
        }
    }
}

#[cfg(test)]
mod tests {
    use ad_core::{HessianOperator, Params, Tensor};
    use gen_sched::{Objective, Supervised};

    use super::*;
    use crate::reference::draw::draw;

    fn spec(extra: &str) -> Spec {
        let json = format!(r#"{{"kind":"mlp","sizes":[5,7,3],"batch":6,{extra}}}"#);
        Spec::from_name_or_json(&json).unwrap()
    }

    fn measured<T: Real>(spec: &Spec, case: &Case) -> Measured {
        let net = spec.net::<T>();
        measure(
            &Problem { net: &*net, loss: &spec.loss, case, context: Context::default(), spec: Some(spec) },
            Optimizer::Sgd,
            1,
        )
    }

    fn dot(a: &Params<Tensor<f64>>, b: &Params<Tensor<f64>>) -> f64 {
        let terms =
            |a: &Tensor<f64>, b: &Tensor<f64>| -> f64 { a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum() };
        a.zip(b, terms).arrays().iter().sum()
    }

    /// Compares checks with products with the whole Hessian along ω, a function elementwise of the gradients on the set
    /// itself and on the other.
    #[track_caller]
    fn assert_checks(extra: &str, optimizer: Optimizer, omega: impl Fn(f64, f64) -> f64) {
        let spec = spec(extra);
        let case = draw(&spec);
        let net = spec.net::<f64>();
        let problem =
            Problem { net: &*net, loss: &spec.loss, case: &case, context: Context::default(), spec: Some(&spec) };
        let measured = measure(&problem, optimizer, 1);
        let cases = [case.clone(), case.set_b()];
        let objectives = cases.each_ref().map(|c| Supervised::new(&*net, &spec.loss, &c.batch));
        let [a, b] = [0, 1].map(|i| HessianOperator::new(|p| objectives[i].record(p), &cases[i].theta));
        for (check, h, other) in [(measured.check, &a, &b), (measured.check_b, &b, &a)] {
            let g = h.gradient();
            let omega = g.zip(&other.gradient(), |own, other| {
                Tensor::from_fn(own.shape(), |i| omega(own.data()[i], other.data()[i]))
            });
            let want = [h.value().item(), dot(&g, &omega), dot(&omega, &h.hvp(&omega)), dot(&omega, &h.ggn_vp(&omega))];
            for (found, want) in [check.loss, check.num, check.den, check.gn].into_iter().zip(want) {
                assert!((found - want).abs() <= 1e-11 * want.abs(), "{extra}, {optimizer}: {found} for {want}");
            }
        }
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
            assert_checks(extra, Optimizer::Sgd, |own, _| own);
        }
    }

    #[test]
    fn directions_with_a_state_have_taken_one_step_on_the_other_set() {
        for extra in [r#""act":"tanh","loss":"ce""#, r#""act":"gelu","loss":"mse""#] {
            assert_checks(extra, Optimizer::Momentum, |own, other| own + 0.9 * other);
            assert_checks(extra, Optimizer::Adam, |own, other| {
                let m = (0.1 * own + 0.09 * other) / (1.0 - 0.9 * 0.9);
                let v = (0.001 * own * own + 0.001 * 0.999 * other * other) / (1.0 - 0.999 * 0.999);
                m / (v.sqrt() + 1e-8)
            });
        }
    }

    #[test]
    fn values_beyond_the_precision_are_named() {
        // The outputs of one layer are representable in f32, their squares are not.
        let json = r#"{"kind":"mlp","sizes":[4,2],"batch":3,"act":"relu","loss":"mse","scale":1e20}"#;
        let spec = Spec::from_name_or_json(json).unwrap();
        let case = draw(&spec);
        assert_eq!(measured::<f32>(&spec, &case).non_finite().as_deref(), Some("on set A, loss is inf"));
        assert_eq!(measured::<f64>(&spec, &case).non_finite(), None);
    }
}
