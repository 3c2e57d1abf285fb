//! The three products beside seven loops, at sizes that take every path: read in place and lowered.

use super::Convolve;
use super::geometry::{Geometry, Window};
use crate::gemm::flops;
use crate::real::Real;
use crate::tensor::Tensor;

fn numbers<T: Real>(shape: &[usize], step: f64) -> Tensor<T> {
    Tensor::from_fn(shape, |i| T::from_f64((i as f64 * step).sin()))
}

/// Calls `f` with the positions of z, x and w in every multiply-add of a convolution.
fn multiply_adds(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
    let ([h, width], [kh, kw], [down, across], window) = (g.image, g.kernel, g.places, g.window);
    let all = g.groups * g.outputs;
    for at in 0..g.batch * all * down * across * g.inputs * kh * kw {
        let (rest, j) = (at / kw, at % kw);
        let (rest, i) = (rest / kh, rest % kh);
        let (z, c) = (rest / g.inputs, rest % g.inputs);
        let (place, channel) = (z % (down * across), z / (down * across));
        let (o, n) = (channel % all, channel / all);
        let y = (place / across * window.stride[0] + i * window.dilation[0]).checked_sub(window.padding[0]);
        let x = (place % across * window.stride[1] + j * window.dilation[1]).checked_sub(window.padding[1]);
        if let (Some(y), Some(x)) = (y.filter(|y| *y < h), x.filter(|x| *x < width)) {
            let from = (n * g.groups + o / g.outputs) * g.inputs + c;
            f(z, (from * h + y) * width + x, ((o * g.inputs + c) * kh + i) * kw + j);
        }
    }
}

fn compare<T: Real>(g: &Geometry, tolerance: f64) {
    let x = [0.7, 0.9].map(|step| numbers::<T>(&g.input_shape(), step));
    let w = [1.3, 1.7].map(|step| numbers::<T>(&g.weight_shape(), step));
    let z = [1.1, 0.3].map(|step| numbers::<T>(&g.output_shape(), step));
    let bias = numbers::<T>(&[g.groups * g.outputs], 2.0);
    let mut want = [z[0].len(), x[0].len(), w[0].len()].map(|n| vec![0.0; n]);
    for (i, sum) in want[0].iter_mut().enumerate() {
        *sum = bias.data()[i / (g.places[0] * g.places[1]) % bias.len()].to_f64();
    }
    for term in 0..2 {
        multiply_adds(g, |at_z, at_x, at_w| {
            let [x, w, z] = [(&x, at_x), (&w, at_w), (&z, at_z)].map(|(of, at)| of[term].data()[at].to_f64());
            want[0][at_z] += x * w;
            want[1][at_x] += z * w;
            want[2][at_w] += x * z;
        });
    }
    let got = [
        T::conv_output(g, Some(bias.data()), &[[&x[0], &w[0]], [&x[1], &w[1]]]),
        T::conv_input(g, &[[&z[0], &w[0]], [&z[1], &w[1]]]),
        T::conv_weight(g, &[[&x[0], &z[0]], [&x[1], &z[1]]]),
    ];
    for ((name, got), want) in ["output", "input", "weight"].into_iter().zip(&got).zip(&want) {
        for (at, (got, want)) in got.data().iter().zip(want).enumerate() {
            let error = (got.to_f64() - want).abs();
            assert!(error <= tolerance * (1.0 + want.abs()), "{name} of {g:?}: {got} at {at}, not {want}");
        }
    }
}

#[test]
fn every_path_agrees_with_loops() {
    let plain = Window::default();
    // Stride, padding and dilation; groups; shapes of the input and the weight.
    let cases = [
        (plain, 1, [3, 1, 13, 12], [16, 1, 5, 5]),
        (plain, 1, [9, 16, 12, 12], [32, 16, 5, 5]),
        (plain, 1, [2, 9, 10, 19], [11, 9, 3, 3]),
        (Window::square(1, 1, 1), 2, [2, 16, 8, 9], [18, 8, 3, 3]),
        (Window::square(2, 1, 1), 1, [2, 8, 19, 17], [10, 8, 3, 3]),
        (Window { stride: [2, 1], padding: [2, 1], dilation: [1, 2] }, 1, [1, 24, 11, 15], [24, 24, 3, 3]),
        (Window::square(3, 0, 1), 1, [2, 3, 10, 10], [5, 3, 2, 2]),
        (plain, 1, [2, 8, 9, 9], [8, 8, 1, 1]),
    ];
    for (window, groups, x, w) in cases {
        let g = Geometry::new(window, groups, &x, &w);
        compare::<f32>(&g, 1e-4);
        compare::<f64>(&g, 1e-12);
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let g = Geometry::new(Window::square(1, 2, 1), 1, &[19, 8, 12, 12], &[16, 8, 5, 5]);
    let (x, w) = (numbers::<f32>(&g.input_shape(), 0.7), numbers::<f32>(&g.weight_shape(), 1.3));
    let z = numbers::<f32>(&g.output_shape(), 0.3);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            [
                f32::conv_output(&g, None, &[[&x, &w]]),
                f32::conv_input(&g, &[[&z, &w]]),
                f32::conv_weight(&g, &[[&x, &z]]),
            ]
        })
    };
    let one = on(1);
    for threads in [2, 3, 4] {
        assert!(one == on(threads), "{threads} threads");
    }
}

#[test]
fn operations_are_counted_wherever_they_are_computed() {
    let g = Geometry::new(Window::default(), 1, &[2, 8, 12, 12], &[16, 8, 5, 5]);
    let (x, w) = (numbers::<f32>(&g.input_shape(), 0.7), numbers::<f32>(&g.weight_shape(), 1.3));
    let before = flops();
    f32::conv_output(&g, None, &[[&x, &w]]);
    // Other tests compute products at the same time.
    assert!(flops() - before >= 2 * g.product().flops());
}
