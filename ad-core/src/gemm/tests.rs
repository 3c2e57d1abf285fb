//! Products beside three loops, and their bits on any number of threads.

use proptest::prelude::*;

use super::*;

fn numbers(n: usize, step: f64) -> Vec<f64> {
    (0..n).map(|i| (i as f64 * step).sin()).collect()
}

/// Products that are cut and that are not, with few columns, that are turned, and whose first operand is copied with gaps.
const SIZES: [[usize; 3]; 9] = [
    [5, 7, 3],
    [130, 140, 300],
    [70, 64, 70],
    [64, 100, 10],
    [7, 71, 3],
    [170, 130, 16],
    [5, 64, 4],
    [32, 300, 290],
    [320, 60, 520],
];

#[test]
fn every_layout_agrees_with_three_loops() {
    for [n, k, m] in SIZES {
        let (a, b, row) = (numbers(n * k, 0.7), numbers(k * m, 1.3), numbers(m, 0.3));
        for (ta, tb, onto) in [
            (false, false, Onto::Nothing),
            (true, false, Onto::Present),
            (false, true, Onto::Row(&row)),
            (true, true, Onto::Nothing),
        ] {
            let at = |i: usize, l: usize| if ta { a[l * n + i] } else { a[i * k + l] };
            let bt = |l: usize, j: usize| if tb { b[j * k + l] } else { b[l * m + j] };
            let mut c = vec![2.0; n * m];
            matmul_into(&mut c, onto, Matrix::new(&a, n, k, ta), Matrix::new(&b, k, m, tb));
            for i in 0..n {
                for j in 0..m {
                    let start = match onto {
                        Onto::Nothing => 0.0,
                        Onto::Present => 2.0,
                        Onto::Row(row) => row[j],
                    };
                    let want = (0..k).map(|l| at(i, l) * bt(l, j)).sum::<f64>() + start;
                    approx::assert_relative_eq!(c[i * m + j], want, max_relative = 1e-12, epsilon = 1e-12);
                }
            }
        }
    }
}

#[test]
fn an_empty_inner_dimension_gives_what_the_product_starts_from() {
    for (onto, want) in [(Onto::Nothing, [0.0; 6]), (Onto::Row(&[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0])] {
        let mut c = vec![9.0; 6];
        matmul_into(&mut c, onto, Matrix::new(&[], 2, 0, false), Matrix::new(&[], 0, 3, false));
        assert_eq!(c, want);
    }
}

/// A product onto something, on so many threads.
fn on<T: Real>(threads: usize, [n, k, m]: [usize; 3], [ta, tb]: [bool; 2]) -> Vec<T> {
    let cast = |numbers: Vec<f64>| numbers.into_iter().map(T::from_f64).collect::<Vec<_>>();
    let (a, b, row) = (cast(numbers(n * k, 0.7)), cast(numbers(k * m, 1.3)), cast(numbers(m, 0.3)));
    let mut c = cast(numbers(n * m, 0.9));
    let onto = match (ta, tb) {
        (false, false) => Onto::Present,
        (true, true) => Onto::Row(&row),
        _ => Onto::Nothing,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| matmul_into(&mut c, onto, Matrix::new(&a, n, k, ta), Matrix::new(&b, k, m, tb)));
    c
}

fn bits_are_those_of_one_thread<T: Real>(sizes: [usize; 3], layouts: [bool; 2]) {
    let one = on::<T>(1, sizes, layouts);
    for threads in [2, 3, 4, 7] {
        assert!(one == on::<T>(threads, sizes, layouts), "{sizes:?} {layouts:?} on {threads} threads");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for sizes in [
        [256, 300, 130],
        [64, 1024, 512],
        [1000, 64, 64],
        [128, 784, 512],
        [128, 784, 10],
        [99, 300, 7],
        [33, 2049, 65],
        [32, 1024, 1024],
        [512, 128, 784],
        [1024, 256, 1024],
        [321, 6, 1],
        [1, 700, 2000],
        [2000, 700, 1],
        [2, 300_000, 2],
    ] {
        for layouts in [[false, false], [false, true], [true, false], [true, true]] {
            bits_are_those_of_one_thread::<f32>(sizes, layouts);
            bits_are_those_of_one_thread::<f64>(sizes, layouts);
        }
    }
}

/// a b + c d with each number doubled between the two, and Σ (row + 2 column) times the number found there; beside it d, a product of its own.
fn in_steps<T: Real>(threads: usize, [n, k, m]: [usize; 3]) -> (Vec<T>, Vec<T>, f64) {
    let cast = |numbers: Vec<f64>| numbers.into_iter().map(T::from_f64).collect::<Vec<_>>();
    let (a, b) = (cast(numbers(n * k, 0.7)), cast(numbers(k * m, 1.3)));
    let (c, d) = (cast(numbers(n * 3, 0.9)), cast(numbers(3 * m, 0.4)));
    let [a, b] = [Matrix::new(&a, n, k, false), Matrix::new(&b, k, m, true)];
    let [c, d] = [Matrix::new(&c, n, 3, false), Matrix::new(&d, 3, m, false)];
    let (mut sum, mut alone) = (vec![T::default(); n * m], vec![T::default(); n * m]);
    let weighed = CellSums::new(n, m);
    let double = |first: [usize; 2], cells: &mut [&mut [T]]| {
        weighed.add(first, cells, |[i, left], numbers, sum| {
            let weights: Vec<T> = (left..left + numbers.len()).map(|j| T::from_f64((i + 2 * j) as f64)).collect();
            sum.add_pairs(numbers, &weights, |x, weight| x * weight);
            numbers.iter_mut().for_each(|x| *x = *x + *x);
        });
    };
    let steps = [
        Step::Product(Onto::Nothing, a.into(), b.into()),
        Step::Cells(&double),
        Step::Product(Onto::Present, c.into(), d.into()),
    ];
    let other = [Step::Product(Onto::Nothing, c.into(), d.into())];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| {
        compute([Output::new(&mut sum, [n, m], &steps), Output::new(&mut alone, [n, m], &other)]);
    });
    (sum, alone, weighed.total())
}

#[test]
fn every_number_goes_through_all_steps_once() {
    for [n, k, m] in SIZES {
        let (a, b, c, d) = (numbers(n * k, 0.7), numbers(k * m, 1.3), numbers(n * 3, 0.9), numbers(3 * m, 0.4));
        let (sum, alone, weighed) = in_steps::<f64>(2, [n, k, m]);
        let mut want_weighed = 0.0;
        for i in 0..n {
            for j in 0..m {
                let first: f64 = (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum();
                let second: f64 = (0..3).map(|l| c[i * 3 + l] * d[l * m + j]).sum();
                want_weighed += (i + 2 * j) as f64 * first;
                let at = i * m + j;
                approx::assert_relative_eq!(sum[at], 2.0 * first + second, max_relative = 1e-12, epsilon = 1e-12);
                approx::assert_relative_eq!(alone[at], second, max_relative = 1e-12, epsilon = 1e-12);
            }
        }
        approx::assert_relative_eq!(weighed, want_weighed, max_relative = 1e-10, epsilon = 1e-9);
    }
}

#[test]
fn nothing_goes_through_steps_without_harm() {
    for sizes in [[0, 5, 3], [3, 5, 0], [3, 0, 2]] {
        let (sum, alone, _) = in_steps::<f64>(2, sizes);
        assert_eq!(sum, alone, "{sizes:?}");
    }
}

#[test]
#[should_panic(expected = "product 2×3 by 3×4 into 9 numbers")]
fn a_result_of_another_size_is_named() {
    matmul_into(
        &mut [0.0; 9],
        Onto::Nothing,
        Matrix::new(&[0.0; 6], 2, 3, false),
        Matrix::new(&[0.0; 12], 3, 4, false),
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_sizes_make_results_depend_on_the_number_of_threads(
        n in 1usize..450, k in 1usize..1200, m in 1usize..450, ta: bool, tb: bool
    ) {
        bits_are_those_of_one_thread::<f32>([n, k, m], [ta, tb]);
        bits_are_those_of_one_thread::<f64>([n, k, m], [ta, tb]);
    }

    #[test]
    fn no_sizes_make_steps_depend_on_the_number_of_threads(n in 1usize..300, k in 1usize..600, m in 1usize..450) {
        let one = in_steps::<f32>(1, [n, k, m]);
        for threads in [2, 3, 4, 7] {
            prop_assert!(one == in_steps::<f32>(threads, [n, k, m]), "{threads} threads");
        }
    }

    #[test]
    fn groups_cover_all_columns_and_leave_no_narrow_end(cols in 1usize..5000, k in 1usize..2000) {
        let groups: Vec<_> = groups::<f32>(cols, k, PACKED).collect();
        prop_assert_eq!(groups.iter().map(Range::len).sum::<usize>(), cols);
        prop_assert!(groups.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].len() >= 48));
        let over = groups[groups.len() - 1].len() % 96;
        prop_assert!(cols <= 96 || over == 0 || over > 32, "{groups:?}");
    }
}

/// A product by a sum of two matrices, and by the array of that sum.
fn by_sum<T: Real>(threads: usize, [n, k, m]: [usize; 3], transposed: [bool; 2]) -> [Vec<T>; 2] {
    let cast = |numbers: Vec<f64>| numbers.into_iter().map(T::from_f64).collect::<Vec<_>>();
    let (a, b, c) = (cast(numbers(n * k, 0.7)), cast(numbers(k * m, 1.3)), cast(numbers(k * m, 0.4)));
    let weights = [2.0, -0.5].map(T::from_f64);
    let sum: Vec<T> = b.iter().zip(&c).map(|(&b, &c)| weights[0] * b + weights[1] * c).collect();
    let a = Matrix::new(&a, n, k, transposed[0]);
    let [b, c, sum] = [&b, &c, &sum].map(|numbers| Matrix::new(numbers, k, m, transposed[1]));
    let (mut formed, mut stored) = (vec![T::default(); n * m], vec![T::default(); n * m]);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| {
        let step = [Step::Product(Onto::Nothing, a.into(), Second::Sum([b, c], weights))];
        compute([Output::new(&mut formed, [n, m], &step)]);
        matmul_into(&mut stored, Onto::Nothing, a, sum);
    });
    [formed, stored]
}

#[test]
fn a_sum_that_is_formed_on_the_way_is_multiplied_as_it_is() {
    // The last are computed in groups of columns, with few columns, and as their transposes.
    for sizes in SIZES.into_iter().chain([[40, 300, 700], [64, 512, 10], [32, 512, 600], [300, 90, 600]]) {
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            let [formed, stored] = by_sum::<f64>(2, sizes, transposed);
            for (formed, stored) in formed.iter().zip(&stored) {
                approx::assert_relative_eq!(formed, stored, max_relative = 1e-12, epsilon = 1e-12);
            }
            let on = |threads| by_sum::<f32>(threads, sizes, transposed)[0].clone();
            assert!([1, 3].iter().all(|threads| on(*threads) == on(2)), "{sizes:?}, {transposed:?}");
        }
    }
}

/// A product whose first factor is a product, and one whose first factor is symmetric and given by its half, with what is done to both afterwards;
/// each formed where it is multiplied, and from arrays.
fn by_first<T: Real>(threads: usize, [n, k, m]: [usize; 3]) -> [[Vec<T>; 2]; 2] {
    let cast = |numbers: Vec<f64>| numbers.into_iter().map(T::from_f64).collect::<Vec<_>>();
    let (a, b, c) = (cast(numbers(n * k, 0.7)), cast(numbers(n * k, 1.3)), cast(numbers(n * m, 0.4)));
    let [a, b] = [&a, &b].map(|numbers| Matrix::new(numbers, n, k, false));
    let c = Matrix::new(&c, n, m, false);
    let factor = T::from_f64(-0.5);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| {
        let half = &inner_products(&[InnerProducts::half(a)])[0];
        let (mut outer, mut square) = (vec![T::default(); n * n], vec![T::default(); n * n]);
        matmul_into(&mut outer, Onto::Nothing, a, b.transpose());
        fill_symmetric(&mut square, half, n, factor);
        let double = |_: [usize; 2], cells: &mut [&mut [T]]| {
            cells.iter_mut().for_each(|cells| cells.iter_mut().for_each(|x| *x = *x + *x));
        };
        let result = |first: First<'_, T>| {
            let mut result = vec![T::default(); n * m];
            let steps = [Step::Product(Onto::Nothing, first, c.into()), Step::Cells(&double)];
            compute([Output::new(&mut result, [n, m], &steps)]);
            result
        };
        let stored = |numbers: &[T]| result(Matrix::new(numbers, n, n, false).into());
        [
            [result(First::Product(Source::Stored(a), b.transpose())), stored(&outer)],
            [result(First::Symmetric(half, n, factor)), stored(&square)],
        ]
    })
}

#[test]
fn a_first_factor_that_is_formed_on_the_way_is_multiplied_as_it_is() {
    for sizes in SIZES.into_iter().chain([[128, 512, 256], [100, 300, 17], [16, 1000, 400], [250, 30, 250], [1, 5, 4]])
    {
        for [formed, stored] in by_first::<f64>(2, sizes) {
            for (formed, stored) in formed.iter().zip(&stored) {
                approx::assert_relative_eq!(formed, stored, max_relative = 1e-11, epsilon = 1e-10);
            }
        }
        let on = |threads| by_first::<f32>(threads, sizes).map(|[formed, _]| formed);
        assert!([1, 3, 4].iter().all(|threads| on(*threads) == on(2)), "{sizes:?}");
    }
}

/// The steps of z c, (z eᵀ) e and e/2 + z.
fn steps_from<'a, T: Real>(z: Source<'a, T>, c: Matrix<'a, T>, e: Matrix<'a, T>) -> [[Step<'a, T>; 1]; 3] {
    [
        [Step::Product(Onto::Nothing, First::Rows(z), c.into())],
        [Step::Product(Onto::Nothing, First::Product(z, e.transpose()), e.into())],
        [Step::Sum([Source::Stored(e), z], [T::from_f64(0.5), T::from_f64(1.0)])],
    ]
}

/// Results that begin from the rows of another as they are found: a product by these rows, one by a product of them, and a sum with them; then what
/// the other becomes. First that, then from its array.
fn following<T: Real>(threads: usize, [n, k, m]: [usize; 3]) -> [[Vec<T>; 4]; 2] {
    let cast = |numbers: Vec<f64>| numbers.into_iter().map(T::from_f64).collect::<Vec<_>>();
    let (a, b) = (cast(numbers(n * k, 0.7)), cast(numbers(k * m, 1.3)));
    let (c, e) = (cast(numbers(m * k, 0.4)), cast(numbers(n * m, 0.9)));
    let (a, b, c) = (Matrix::new(&a, n, k, false), Matrix::new(&b, k, m, true), Matrix::new(&c, m, k, true));
    let e = Matrix::new(&e, n, m, false);
    let double = |_: usize, z: &mut [T]| z.iter_mut().for_each(|z| *z = *z + *z);
    let square = |_: usize, z: &mut [T]| z.iter_mut().for_each(|z| *z = *z * *z);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let stale = || [n * m, n * k, n * m, n * m].map(|len| vec![T::default(); len]);
    let product = [Step::Product(Onto::Nothing, a.into(), b.into())];
    pool.install(|| {
        let (mut found, mut stored) = (stale(), stale());
        let [z, by_c, by_e, sum] = &mut found;
        let of_found = steps_from(Source::Found([n, m]), c, e);
        let outputs = [(by_c, [n, k]), (by_e, [n, m]), (sum, [n, m])].into_iter().zip(&of_found);
        let outputs = outputs.map(|((numbers, sizes), steps)| Output::new(numbers, sizes, steps));
        let mut next = Next::new(outputs.collect(), Some(&square));
        compute([Output::new(z, [n, m], &product).then(Some(&double)).followed_by(Some(&mut next))]);
        assert!(next.is_taken());
        drop(next);

        let [z, by_c, by_e, sum] = &mut stored;
        compute([Output::new(z, [n, m], &product).then(Some(&double))]);
        let of_stored = steps_from(Source::Stored(Matrix::new(z, n, m, false)), c, e);
        let outputs = [(by_c, [n, k]), (by_e, [n, m]), (sum, [n, m])].into_iter().zip(&of_stored);
        compute(outputs.map(|((numbers, sizes), steps)| Output::new(numbers, sizes, steps)));
        square(0, z);
        [found, stored]
    })
}

#[test]
fn what_begins_from_rows_as_they_are_found_has_the_bits_of_what_begins_from_all() {
    for sizes in SIZES.into_iter().chain([[128, 512, 256], [100, 300, 17], [33, 1000, 400], [1, 5, 4]]) {
        let [found, stored] = following::<f32>(1, sizes);
        assert!(found == stored, "{sizes:?}");
        for threads in [2, 3, 4] {
            let [on_more, _] = following::<f32>(threads, sizes);
            assert!(on_more == found, "{sizes:?} on {threads} threads");
        }
        let [found, stored] = following::<f64>(2, sizes);
        assert!(found == stored, "{sizes:?} in double precision");
    }
}
