//! The median time of a call.

use std::time::Instant;

use crate::report::stats::median;

/// Calls before a timing: after so many that of another kind went before, buffers are where they stay.
const SETTLED: usize = 6;

/// The median over `repeats` of the mean time of a call, in milliseconds to the nanosecond. Calls are numbered; one timing
/// holds an even number of them, enough to last about 10 ms, and [some](SETTLED) go before the first.
pub(super) fn median_ms(repeats: usize, call: impl Fn(usize)) -> f64 {
    (0..SETTLED).for_each(&call);
    let start = Instant::now();
    call(0);
    let inner = 2 * ((0.01 / start.elapsed().as_secs_f64().max(1e-7)) as usize).max(1);
    (median(&means_ms(repeats, inner, call)).expect("a timing at least") * 1e6).round() / 1e6
}

/// How often a call is to be repeated for one timing of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch {
    inner: usize,
}

impl Stopwatch {
    /// Runs the call a few times, or once if it takes long, and finds how many of it last about 10 ms.
    pub(super) fn warmed_up(call: impl Fn()) -> Self {
        let lasts = || {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64()
        };
        let mut time = lasts();
        for _ in 0..4 {
            if time < 0.05 {
                time = time.min(lasts());
            }
        }
        Stopwatch { inner: ((0.01 / time.max(1e-7)) as usize).max(1) }
    }

    /// The mean time of a call in milliseconds, in one timing.
    pub(super) fn mean_ms(self, call: impl Fn()) -> f64 {
        means_ms(1, self.inner, |_| call())[0]
    }
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
        let (before, timed) = calls.split_at(SETTLED + 1);
        assert_eq!(before, [0, 1, 0, 1, 0, 1, 0]);
        assert!(!timed.is_empty() && timed.len().is_multiple_of(2 * 3), "three timings of an even number of calls");
        assert!(timed.chunks(2).all(|pair| pair == [0, 1]));
    }

    #[test]
    fn every_repeat_is_one_timing_of_all_inner_calls() {
        for repeats in [1, 2, 5] {
            let calls = calls(|call| assert_eq!(means_ms(repeats, 4, call).len(), repeats));
            assert_eq!(calls, [0, 1, 2, 3].repeat(repeats));
        }
    }

    #[test]
    fn a_stopwatch_repeats_short_calls() {
        let short = calls(|call| assert!(Stopwatch::warmed_up(|| call(0)).inner > 1));
        assert_eq!(short.len(), 5);
        let long = calls(|call| {
            let watch = Stopwatch::warmed_up(|| {
                call(0);
                std::thread::sleep(std::time::Duration::from_millis(60));
            });
            assert!(watch.inner == 1 && watch.mean_ms(|| call(1)) >= 0.0);
        });
        assert_eq!(long, [0, 1]);
    }
}
