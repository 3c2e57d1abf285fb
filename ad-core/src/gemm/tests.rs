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
    fn groups_cover_all_columns_and_leave_no_narrow_end(cols in 1usize..5000, k in 1usize..2000) {
        let groups: Vec<_> = groups::<f32>(cols, k).collect();
        prop_assert_eq!(groups.iter().map(Range::len).sum::<usize>(), cols);
        prop_assert!(groups.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].len() >= 48));
        let over = groups[groups.len() - 1].len() % 96;
        prop_assert!(cols <= 96 || over == 0 || over > 32, "{groups:?}");
    }
}
