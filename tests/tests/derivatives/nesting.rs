//! Compositions of types: second-order modes, third derivatives, and levels that must not be confused.

use ad_core::{
    Array, Dual, HessianOperator, Ops, Params, Tape, Tensor, Var, grad, hessian, hvp, jvp, value_and_grad, vjp,
};
use approx::assert_relative_eq;

/// Rosenbrock's function of n variables.
fn rosenbrock<A: Array>(x: &[A]) -> A {
    let term = |w: &[A]| w[0].scale(-1.0).offset(1.0).powi(2) + w[1].minus(&w[0].powi(2)).powi(2).scale(100.0);
    x.windows(2).map(term).reduce(|a, b| a + b).expect("two variables at least")
}

/// Its Hessian, by hand.
fn rosenbrock_hessian(x: &[f64]) -> Vec<Vec<f64>> {
    let n = x.len();
    let mut h = vec![vec![0.0; n]; n];
    for i in 0..n - 1 {
        h[i][i] += 2.0 - 400.0 * (x[i + 1] - x[i] * x[i]) + 800.0 * x[i] * x[i];
        h[i + 1][i + 1] += 200.0;
        h[i][i + 1] -= 400.0 * x[i];
        h[i + 1][i] -= 400.0 * x[i];
    }
    h
}

#[test]
fn rosenbrock_s_hessian_is_the_hand_written_one_in_every_mode() {
    let x = vec![0.3, -1.2, 0.8, 1.1];
    let by_hand = rosenbrock_hessian(&x);
    let dense = hessian(|x| rosenbrock(x), &x);
    for (i, row) in by_hand.iter().enumerate() {
        let e: Vec<f64> = (0..4).map(|j| f64::from(u8::from(i == j))).collect();
        // Forward over reverse.
        let (_, fr) = jvp(|x: &Vec<Dual<f64>>| grad(|y| rosenbrock(y), x), &x, &e);
        // Reverse over forward.
        let slope = |x: &Vec<Var<f64>>| jvp(|y| rosenbrock(y), x, &e.iter().map(|&e| Var::fixed(e)).collect()).1;
        let rf = grad(slope, &x);
        // Reverse over reverse.
        let rr = grad(|x: &Vec<Var<f64>>| grad(|y| rosenbrock(y), x)[i].clone(), &x);
        // Forward over forward.
        let ff: Vec<f64> = (0..4)
            .map(|j| {
                let f: Vec<f64> = (0..4).map(|k| f64::from(u8::from(j == k))).collect();
                let slope =
                    |x: &Vec<Dual<f64>>| jvp(|y| rosenbrock(y), x, &e.iter().map(|&e| Dual::fixed(e)).collect()).1;
                jvp(slope, &x, &f).1
            })
            .collect();
        let sweep = hvp(|x| rosenbrock(x), &x, &e).2;
        for j in 0..4 {
            for (mode, found) in [("fr", fr[j]), ("rf", rf[j]), ("rr", rr[j]), ("ff", ff[j]), ("sweep", sweep[j])] {
                assert!((found - row[j]).abs() <= 1e-11 * row[j].abs().max(1.0), "{mode}: H[{i}][{j}] = {found}");
            }
            assert_relative_eq!(dense.data()[4 * i + j], row[j], max_relative = 1e-12);
        }
    }
}

/// d/dx [x · d/dy (x + y)] = 1: the inner derivative must not see the outer variable.
#[test]
fn perturbations_are_not_confused() {
    let forward = |x: &Dual<f64>| {
        let inner = jvp(|y: &Dual<Dual<f64>>| Dual::fixed(x.clone()) + y, &Dual::fixed(1.0), &Dual::fixed(1.0)).1;
        x * inner
    };
    assert_eq!(jvp(forward, &1.0, &1.0).1, 1.0);

    let reverse = |x: &Var<f64>| x * grad(|y: &Var<Var<f64>>| Var::fixed(x.clone()) + y, &Var::fixed(1.0));
    assert_eq!(grad(reverse, &1.0), 1.0);

    let reverse_inside = |x: &Dual<f64>| x * grad(|y: &Var<Dual<f64>>| Var::fixed(x.clone()) + y, &Dual::fixed(1.0));
    assert_eq!(jvp(reverse_inside, &1.0, &1.0).1, 1.0);

    let forward_inside =
        |x: &Var<f64>| x * jvp(|y: &Dual<Var<f64>>| Dual::fixed(x.clone()) + y, &Var::fixed(1.0), &Var::fixed(1.0)).1;
    assert_eq!(grad(forward_inside, &1.0), 1.0);
}

/// A function of a vector whose third derivative along a line is known: Σ x⁴ has Σ 24 x v³.
fn quartic<A: Array>(x: &A) -> A {
    x.powi(4).sum_all()
}

#[test]
fn third_derivatives_come_from_nesting_once_more() {
    let (x, v) = (Tensor::from_vec(&[3], vec![0.5, -1.0, 2.0]), Tensor::from_vec(&[3], vec![1.0, 0.4, -0.7]));
    let want: f64 = x.data().iter().zip(v.data()).map(|(x, v)| 24.0 * x * v.powi(3)).sum();

    // Three tangents.
    let one = Dual::new(x.clone(), v.clone());
    let two = Dual::new(one.clone(), Dual::fixed(v.clone()));
    let three = Dual::new(two, Dual::fixed(Dual::fixed(v.clone())));
    let fff = quartic(&three).tangent.unwrap().tangent.unwrap().tangent.unwrap();
    assert_relative_eq!(fff.item(), want, max_relative = 1e-13);

    // Two tangents carried through a reverse sweep, contracted with v.
    let base = Dual::new(one, Dual::fixed(v.clone()));
    let gradient = grad(quartic, &base);
    let contracted: f64 =
        gradient.tangent.unwrap().tangent.unwrap().data().iter().zip(v.data()).map(|(g, v)| g * v).sum();
    assert_relative_eq!(contracted, want, max_relative = 1e-13);

    // One tangent carried through the engine's own second-order sweep.
    let (_, along) = jvp(
        |x: &Dual<Tensor<f64>>| {
            let v = Dual::fixed(v.clone());
            (hvp(quartic, x, &v).2 * &v).sum_all()
        },
        &x,
        &v,
    );
    assert_relative_eq!(along.item(), want, max_relative = 1e-13);

    let (_, third) = jvp(|x: &Dual<f64>| hvp(|y| y.sin(), x, &Dual::fixed(1.0)).2, &0.7, &1.0);
    assert_relative_eq!(third, -(0.7f64.cos()), max_relative = 1e-14);
}

#[test]
fn a_variable_of_another_tape_is_refused_by_name() {
    let (here, there) = (Tape::new(), Tape::new());
    let (x, y) = (here.leaf(1.0), there.leaf(2.0));
    let message =
        *std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| &x + &y)).unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains(&format!("{here:?}")) && message.contains(&format!("{there:?}")), "{message}");
}

#[test]
#[should_panic(expected = "is finished: nothing more can be recorded on it")]
fn a_finished_tape_records_nothing_more() {
    let tape = Tape::new();
    let x = tape.leaf(1.0);
    let _recording = tape.clone().finish();
    let _ = x.sin();
}

#[test]
fn recordings_are_plain_data() {
    fn sendable<T: Send + Sync>(_: &T) {}
    let x = Tensor::from_vec(&[2], vec![1.0, 2.0]);
    let operator = HessianOperator::new(|x: &Var<Tensor<f64>>| x.exp().sum_all(), &x);
    sendable(operator.recording());
    // Swept by two threads at once.
    let leaves = std::thread::scope(|scope| {
        let sweep = |v: f64| {
            scope.spawn({
                let operator = &operator;
                move || operator.hvp(&Tensor::full(&[2], v))
            })
        };
        [sweep(1.0), sweep(2.0)].map(|t| t.join().unwrap())
    });
    assert_eq!(leaves[0].scale(2.0), leaves[1]);
}

#[test]
fn transforms_take_scalars_slices_vectors_and_named_trees_in_both_precisions() {
    assert_eq!(grad(|x| x.powi(2), &3f32), 6f32);
    assert_eq!(grad(|x| x.powi(2), &3f64), 6f64);
    assert_eq!(grad(|x| &x[0] * &x[1], &[2.0, 5.0][..]), vec![5.0, 2.0]);
    assert_eq!(grad(|x| &x[0] * &x[1], &vec![2.0f32, 5.0]), vec![5.0, 2.0]);
    let params = Params::new([("a", Tensor::scalar(2f32)), ("b", Tensor::scalar(5f32))]);
    let (value, gradient) = value_and_grad(|p| p.get("a").times(p.get("b")), &params);
    assert_eq!((value.item(), gradient.get("a").item(), gradient.get("b").item()), (10.0, 5.0, 2.0));
    let (y, pullback) = vjp(|p| p.get("a").times(p.get("b")), &params);
    assert_eq!((y.item(), pullback(&Tensor::scalar(2.0)).get("a").item()), (10.0, 10.0));
    // What the function does not depend on has a gradient of zeros, not none.
    assert_eq!(grad(|x| x[0].sin(), &[1.0, 2.0][..])[1], 0.0);
    assert_eq!(grad(|_| Var::fixed(1.0), &[1.0, 2.0][..]), vec![0.0, 0.0]);
}

#[test]
#[should_panic(expected = "jvp: 2 tangents for 1 leaves")]
fn a_direction_with_too_many_leaves_is_refused() {
    let _ = jvp(|x: &Vec<Dual<f64>>| x[0].sin(), &vec![1.0], &vec![1.0, 2.0]);
}
