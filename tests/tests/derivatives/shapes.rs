//! Property tests: broadcasting, reductions, products and layout, against loops written out and against their adjoints.

use ad_core::shape::{Axes, broadcast, strides};
use ad_core::{Array, Ops, Tensor, Var, grad, vjp};
use proptest::prelude::*;

type T = Tensor<f64>;

fn wave(shape: &[usize], phase: f64) -> T {
    Tensor::from_fn(shape, |i| (1.9 * i as f64 + phase).sin())
}

/// All indices of a shape, in row-major order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let unravel = |mut i: usize| -> Vec<usize> {
        let of = |step: &usize| {
            let (at, rest) = (i / step, i % step);
            i = rest;
            at
        };
        strides(shape).iter().map(of).collect()
    };
    (0..shape.iter().product()).map(unravel).collect()
}

/// The element of `t` at an index of a shape that `t` broadcasts to.
fn at(t: &T, index: &[usize]) -> f64 {
    let lead = index.len() - t.rank();
    let own = index[lead..].iter().zip(t.shape()).map(|(&i, &n)| if n == 1 { 0 } else { i });
    t.data()[own.zip(strides(t.shape())).map(|(i, s)| i * s).sum::<usize>()]
}

/// Two shapes that broadcast together: a common shape, with some axes of each made 1 or left off at the front.
fn broadcastable() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    let axis = (1usize..4, any::<bool>(), any::<bool>());
    (prop::collection::vec(axis, 0..4), 0usize..4, 0usize..4).prop_map(|(axes, cut_a, cut_b)| {
        let one = |side: bool, cut: usize| -> Vec<usize> {
            let size = |&(n, a, b): &(usize, bool, bool)| if if side { a } else { b } { 1 } else { n };
            axes.iter().map(size).skip(cut.min(axes.len())).collect()
        };
        (one(true, cut_a), one(false, cut_b))
    })
}

fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..4, 1..4)
}

/// ⟨L x, y⟩ = ⟨x, Lᵀ y⟩ for a linear function of one array.
fn assert_adjoint(x: &T, f: impl Fn(&Var<T>) -> Var<T>) {
    let (y, pullback) = vjp(f, x);
    let ybar = wave(y.shape(), 0.4);
    let dot = |a: &T, b: &T| -> f64 { a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum() };
    let (forward, backward) = (dot(&y, &ybar), dot(x, &pullback(&ybar)));
    assert!((forward - backward).abs() <= 1e-12 * forward.abs().max(1.0), "{forward} and {backward}");
}

proptest! {
    #[test]
    fn binary_primitives_broadcast_and_sum_back((sa, sb) in broadcastable()) {
        let (a, b) = (wave(&sa, 0.3), wave(&sb, 1.1).offset(2.5));
        let shape = broadcast(&sa, &sb).expect("they broadcast");
        let all = indices(&shape);
        let by_loop = |f: fn(f64, f64) -> f64| all.iter().map(|i| f(at(&a, i), at(&b, i))).collect::<Vec<_>>();
        for (found, want) in [
            (a.plus(&b), by_loop(|a, b| a + b)),
            (a.minus(&b), by_loop(|a, b| a - b)),
            (a.times(&b), by_loop(|a, b| a * b)),
            (a.over(&b), by_loop(|a, b| a / b)),
            (a.maximum(&b), by_loop(f64::max)),
            (a.minimum(&b), by_loop(f64::min)),
            (a.greater(&b), by_loop(|a, b| f64::from(u8::from(a > b)))),
            (a.less_equal(&b), by_loop(|a, b| f64::from(u8::from(a <= b)))),
        ] {
            prop_assert_eq!(found.shape(), shape.as_slice());
            prop_assert_eq!(found.data(), want.as_slice());
        }
        // The gradient of Σ c a b with respect to a sums c b over the positions that each element of a went to.
        let c = wave(&shape, 0.8);
        let found = grad(|x| (x[0].times(&x[1]) * Var::lift(c.clone())).sum_all(), &[a.clone(), b.clone()][..]);
        for (which, (mine, other)) in [(&a, &b), (&b, &a)].into_iter().enumerate() {
            let mut want = vec![0.0; mine.len()];
            let numbered = Tensor::from_fn(mine.shape(), |i| i as f64);
            for i in &all {
                want[at(&numbered, i) as usize] += at(&c, i) * at(other, i);
            }
            prop_assert_eq!(found[which].shape(), mine.shape());
            for (f, w) in found[which].data().iter().zip(&want) {
                prop_assert!((f - w).abs() <= 1e-13 * w.abs().max(1.0));
            }
        }
    }

    #[test]
    fn where_broadcasts_all_three((sa, sb) in broadcastable(), pick in 0usize..3) {
        let shape = broadcast(&sa, &sb).expect("they broadcast");
        let third = if pick == 0 { sa.clone() } else if pick == 1 { sb.clone() } else { vec![] };
        let (c, a, b) = (wave(&third, 0.2), wave(&sa, 0.9), wave(&sb, 1.7));
        let found = c.select(&a, &b);
        let want: Vec<f64> =
            indices(&shape).iter().map(|i| if at(&c, i) > 0.0 { at(&a, i) } else { at(&b, i) }).collect();
        prop_assert_eq!(found.shape(), shape.as_slice());
        prop_assert_eq!(found.data(), want.as_slice());
    }

    #[test]
    fn reductions_agree_with_loops(s in shape(), mask in 0u8..8) {
        let x = wave(&s, 0.6);
        let axes: Vec<isize> = (0..s.len()).filter(|i| mask >> i & 1 == 1).map(|i| i as isize).collect();
        let kept = Axes::new(&axes, s.len()).reduced(&s, true);
        let numbered = Tensor::from_fn(&kept, |i| i as f64);
        let (mut sums, mut tops) = (vec![0.0; numbered.len()], vec![f64::NEG_INFINITY; numbered.len()]);
        for (i, v) in indices(&s).iter().zip(x.data()) {
            let to = at(&numbered, i) as usize;
            sums[to] += v;
            tops[to] = tops[to].max(*v);
        }
        let (sum, top) = (x.sum(&axes), x.max_over(&axes));
        for (found, want) in sum.data().iter().zip(&sums) {
            prop_assert!((found - want).abs() < 1e-14);
        }
        prop_assert_eq!(top.data(), tops.as_slice());
        prop_assert!(x.sum_keep(&axes).shape() == kept.as_slice());
        let n = x.len() / numbered.len();
        for (found, want) in x.mean(&axes).data().iter().zip(&sums) {
            prop_assert!((found - want / n as f64).abs() < 1e-14);
        }
    }

    #[test]
    fn softmax_and_its_kin_agree_with_loops(s in shape(), which in 0usize..3) {
        let axis = which % s.len();
        let x = wave(&s, 0.6).scale(3.0);
        let along = axis as isize;
        let (p, log_p, total) = (x.softmax(along), x.log_softmax(along), x.logsumexp(along));
        for i in indices(&s) {
            let lane: f64 = (0..s[axis]).map(|k| {
                let mut j = i.clone();
                j[axis] = k;
                at(&x, &j).exp()
            }).sum();
            prop_assert!((at(&p, &i) - at(&x, &i).exp() / lane).abs() < 1e-14);
            prop_assert!((at(&log_p, &i) - (at(&x, &i) - lane.ln())).abs() < 1e-13);
            prop_assert!((at(&total, &i) - lane.ln()).abs() < 1e-13);
        }
        let best = x.argmax(along);
        for (lane, found) in indices(best.shape()).iter().zip(best.data()) {
            let element = |k: usize| {
                let mut j = lane.clone();
                j.insert(axis, k);
                at(&x, &j)
            };
            prop_assert!((0..s[axis]).all(|k| element(k) <= element(*found as usize)));
        }
    }

    #[test]
    fn matrix_products_broadcast_their_leading_axes((la, lb) in broadcastable(), n in 1usize..4, k in 1usize..4, m in 1usize..4, ta: bool, tb: bool) {
        let with = |lead: &[usize], a: usize, b: usize| lead.iter().copied().chain([a, b]).collect::<Vec<_>>();
        let a = wave(&if ta { with(&la, k, n) } else { with(&la, n, k) }, 0.1);
        let b = wave(&if tb { with(&lb, m, k) } else { with(&lb, k, m) }, 0.7);
        let found = a.matmul_transposed(ta, &b, tb);
        let lead = broadcast(&la, &lb).expect("they broadcast");
        prop_assert!(found.shape() == with(&lead, n, m));
        let (plain_a, plain_b) = (if ta { a.transpose() } else { a.clone() }, if tb { b.transpose() } else { b.clone() });
        for (i, value) in indices(found.shape()).iter().zip(found.data()) {
            let (outer, [row, column]) = (&i[..lead.len()], [i[lead.len()], i[lead.len() + 1]]);
            let element = |t: &T, r: usize, c: usize| at(t, &with(outer, r, c));
            let want: f64 = (0..k).map(|l| element(&plain_a, row, l) * element(&plain_b, l, column)).sum();
            prop_assert!((value - want).abs() < 1e-13);
        }
        // Linear in either operand: the adjoints carry the sums over broadcast axes.
        assert_adjoint(&a, |a| a.matmul_transposed(ta, &Array::lift(b.clone()), tb));
        assert_adjoint(&b, |b| Var::lift(a.clone()).matmul_transposed(ta, b, tb));
    }

    #[test]
    fn layout_primitives_are_their_adjoints_transposes(s in shape(), seed in 0usize..1000) {
        let x = wave(&s, 0.2);
        let rank = s.len();
        let mut order: Vec<usize> = (0..rank).collect();
        order.rotate_left(seed % rank);
        let axis = seed % rank;
        let ranges: Vec<(usize, usize)> = s.iter().enumerate().map(|(i, &n)| ((seed >> i) % n.min(2), n)).collect();
        let margins: Vec<(usize, usize)> = (0..rank).map(|i| ((seed >> i) % 3, (seed >> (i + 1)) % 2)).collect();
        let picks: Vec<usize> = (0..4).map(|i| (seed >> i) % s[axis]).collect();
        let wider: Vec<usize> = [2].into_iter().chain(s.iter().copied()).collect();
        assert_adjoint(&x, |x| x.permute(&order));
        assert_adjoint(&x, |x| x.reshape(&[x.shape().iter().product()]));
        assert_adjoint(&x, |x| x.slice(&ranges));
        assert_adjoint(&x, |x| x.pad(&margins));
        assert_adjoint(&x, |x| x.gather(axis as isize, &picks));
        assert_adjoint(&x, |x| x.scatter_add(axis as isize, &(0..s[axis]).map(|i| i % 2).collect::<Vec<_>>(), 3));
        assert_adjoint(&x, |x| x.broadcast_to(&wider));
        assert_adjoint(&x, |x| x.cumsum(axis as isize));
        assert_adjoint(&x, |x| Ops::concat(&[x, &x.scale(2.0), x], axis as isize));

        for (i, value) in indices(&order.iter().map(|&o| s[o]).collect::<Vec<_>>()).iter().zip(x.permute(&order).data()) {
            let mut from = vec![0; rank];
            order.iter().zip(i).for_each(|(&o, &i)| from[o] = i);
            prop_assert_eq!(*value, at(&x, &from));
        }
        // Slicing undoes padding.
        let inner: Vec<(usize, usize)> = margins.iter().zip(&s).map(|(&(a, _), &n)| (a, a + n)).collect();
        prop_assert_eq!(x.pad(&margins).slice(&inner), x);
    }
}

/// The message of a panic.
fn panic_of(f: impl FnOnce() -> T + std::panic::UnwindSafe) -> String {
    let payload = std::panic::catch_unwind(f).expect_err("it should panic");
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| payload.downcast_ref::<&str>().unwrap().to_string())
}

#[test]
fn shapes_that_do_not_fit_are_named_with_the_operation() {
    let a = || wave(&[2, 3], 0.0);
    type Misfit = fn(T) -> T;
    let cases: [(&str, Misfit); 14] = [
        ("add: shapes [2, 3] and [2] do not broadcast", |a| a.plus(&wave(&[2], 0.0))),
        ("mul: shapes [2, 3] and [3, 2] do not broadcast", |a| a.times(&wave(&[3, 2], 0.0))),
        ("matmul of shapes [2, 3] and [2, 3]", |a| a.matmul(&a)),
        ("matmul of shapes [2, 3] and [3]", |a| a.matmul(&wave(&[3], 0.0))),
        ("linear: input [2, 3], weight [4, 2] and bias None", |a| a.linear(&wave(&[4, 2], 0.0), None)),
        ("reshape: [2, 3] holds 6 elements, [4] does not", |a| a.reshape(&[4])),
        ("broadcast_to: shape [2, 3] does not broadcast to [2, 4]", |a| a.broadcast_to(&[2, 4])),
        ("sum_to: shape [2, 2] does not broadcast to [2, 3]", |a| a.sum_to(&[2, 2])),
        ("permute: [0, 0] is no order of the axes of [2, 3]", |a| a.permute(&[0, 0])),
        ("slice: [(0, 3), (0, 3)] is not within shape [2, 3]", |a| a.slice(&[(0, 3), (0, 3)])),
        ("gather: index 3 at position 1 is out of range for an axis of size 3", |a| a.gather(1, &[0, 3])),
        ("axis 2 is out of range for rank 2", |a| a.sum(&[2])),
        ("cross_entropy: logits of shape [2, 0] have no classes", |a| {
            a.slice(&[(0, 2), (0, 0)]).cross_entropy(&[0, 0])
        }),
        ("concat along axis 0: shapes [2, 3] and [2, 2] differ elsewhere", |a| {
            Ops::concat(&[&a, &wave(&[2, 2], 0.0)], 0)
        }),
    ];
    for (message, f) in cases {
        let found = panic_of(move || f(a()));
        assert!(found.contains(message), "{found}, expected {message}");
    }
}
