//! The median time of a call.

use std::time::Instant;

/// The median over `repeats` of the mean time of a call, in milliseconds to the nanosecond. Calls are numbered; one timing
/// holds an even number of them, enough to last about 10 ms, and four go before the first.
pub(super) fn median_ms(repeats: usize, call: impl Fn(usize)) -> f64 {
    (0..4).for_each(&call);
    let start = Instant::now();
    call(0);
    let inner = 2 * ((0.01 / start.elapsed().as_secs_f64().max(1e-7)) as usize).max(1);
    (median(means_ms(repeats, inner, call)) * 1e6).round() / 1e6
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

    use super::*;

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
