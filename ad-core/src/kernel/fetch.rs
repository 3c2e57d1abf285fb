//! Asking memory for numbers before a loop comes to them.
//!
//! A sweep reads what the tape recorded long before, which has left the caches near the core; the processor's own guesses at what a loop reads next
//! do not run far enough ahead of a loop that only adds and multiplies.

#[cfg(target_arch = "x86_64")]
use crate::buffer::LINE;
use crate::kernel::Kernel;
use crate::real::Real;

/// Numbers that a loop over memory works on before it asks for more: few enough for requests to come evenly, enough for the loop between them to be
/// of whole vectors.
pub(crate) const BLOCK: usize = 128;

/// How far ahead of a loop memory is asked, in bytes.
const AHEAD: usize = 1 << 12;

/// Asks for the numbers that a loop comes to when it is [so far](AHEAD) beyond the `len` from `from` on, if the arrays have as many. For use within a
/// kernel; a hint, without effect on results.
#[inline(always)]
pub(crate) fn ahead<T: Real, const N: usize>(arrays: [&[T]; N], from: usize, len: usize) {
    let first = from + AHEAD / size_of::<T>();
    for array in arrays {
        if let Some(numbers) = array.get(first..first + len) {
            ask(numbers);
        }
    }
}

/// Asks for these numbers, line by line of the cache.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn ask<T: Real>(numbers: &[T]) {
    use pulp::core_arch::x86::Sse;
    use std::arch::x86_64::_MM_HINT_T1;

    if let Some(sse) = Sse::try_new() {
        for line in numbers.chunks(LINE / size_of::<T>()) {
            sse._mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
    }
}

/// Nothing: there is no such hint that can be given safely.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn ask<T: Real>(_: &[T]) {}

/// A kernel that waits for memory rather than for arithmetic: run over a few elements at a time, before which it [asks](Kernel::fetch) for what it reads
/// later on, and for where that is written.
#[derive(Clone, Copy)]
pub(crate) struct Fetching<K>(pub(crate) K);

impl<K: Kernel<Item: Real>> Kernel for Fetching<K> {
    type Item = K::Item;
    const WEIGHT: usize = K::WEIGHT;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [K::Item]) -> f64 {
        let mut sum = 0.0;
        for at in (0..out.len()).step_by(BLOCK) {
            let len = BLOCK.min(out.len() - at);
            self.0.fetch(from + at, len);
            ahead([&*out], at, len);
            sum += self.0.run(from + at, &mut out[at..at + len]);
        }
        sum
    }
}
