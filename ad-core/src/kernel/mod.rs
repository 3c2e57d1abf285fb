//! Loops over long arrays: vectorised for the processor that they run on, shared out over threads where they are long, and
//! equal bit for bit for any number of threads.

mod columns;
pub(crate) mod fetch;
pub(crate) mod turn;

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use crate::parallel;
use crate::real::Real;
use crate::sums::inner_here;
use crate::tensor::Tensor;

pub(crate) use columns::{column_sums, column_sums_of};
use fetch::{Fetching, ahead};

/// Elements that one task works on. Results depend on it (sums are by chunk), so it is fixed.
const CHUNK: usize = 1 << 13;
/// Work, in additions, from which chunks are shared out over threads, and of a task where there are more than two.
const PARALLEL_FROM: usize = 1 << 15;

/// Numbers of a vector of 256 bits.
pub(crate) const fn lanes<T>() -> usize {
    32 / size_of::<T>()
}

/// Whether kernels are compiled to vectors of 512 bits on this processor, which has registers for twice as many of them.
pub(crate) fn has_long_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    return matches!(Arch::new(), Arch::V4(_));
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether products are fused with sums in one instruction by what kernels are compiled to.
pub(crate) fn fuses() -> bool {
    cfg!(target_arch = "aarch64") || !matches!(Arch::new(), Arch::Scalar)
}

/// A loop over a stretch of elements, compiled for every level of vector instructions.
///
/// Copied for each stretch, so that what it holds is in registers: what is reached by a reference might be what the loop writes, for all the
/// compiler can tell, and is read again for each element.
pub(crate) trait Kernel: Copy + Sync {
    /// A number of the result; `()` for loops that give only a sum.
    type Item: Send;
    /// About how many times the work of an addition one element is.
    const WEIGHT: usize = 1;
    /// Asks memory for what the loop reads when it is some way beyond the `len` elements from `from` on: of a kernel that is run [`Fetching`].
    #[inline(always)]
    fn fetch(&self, _from: usize, _len: usize) {}
    /// The loop over elements `from..from + out.len()`, which writes all of `out` and returns a sum. To be `inline(always)`,
    /// or it is not vectorised.
    fn run(&self, from: usize, out: &mut [Self::Item]) -> f64;
}

/// One stretch of a kernel, as `pulp` dispatches it.
struct Stretch<'a, K: Kernel>(K, usize, &'a mut [K::Item]);

impl<K: Kernel> WithSimd for Stretch<'_, K> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f64 {
        self.0.run(self.1, self.2)
    }
}

/// Runs a kernel over all of `out` in chunks, and returns the sum of what each gave, in order.
pub(crate) fn run<K: Kernel>(kernel: K, out: &mut [K::Item]) -> f64 {
    in_chunks(kernel, out, CHUNK, K::WEIGHT)
}

/// Runs a kernel over elements `from..from + out.len()` on the current thread, and returns what it gives.
pub(crate) fn run_here<K: Kernel>(kernel: K, from: usize, out: &mut [K::Item]) -> f64 {
    Arch::new().dispatch(Stretch(kernel, from, out))
}

/// Runs a kernel over all of `out` in chunks of this length, an element being the work of so many additions.
fn in_chunks<K: Kernel>(kernel: K, out: &mut [K::Item], chunk: usize, weight: usize) -> f64 {
    let arch = Arch::new();
    sum_of_chunks(out, chunk, weight, &|i, out| arch.dispatch(Stretch(kernel, i * chunk, out)))
}

/// The sum of what `run` gives of each chunk of `out` and its number, in order. Compiled once for each type, not for each kernel.
fn sum_of_chunks<I: Send>(
    out: &mut [I],
    chunk: usize,
    weight: usize,
    run: &(dyn Fn(usize, &mut [I]) -> f64 + Sync),
) -> f64 {
    let work = out.len() * weight;
    if work < PARALLEL_FROM || parallel::threads() == 1 {
        return out.chunks_mut(chunk).enumerate().map(|(i, out)| run(i, out)).sum();
    }
    let mut sums = vec![0.0; out.len().div_ceil(chunk)];
    // At most one task a thread, of neighbouring chunks, of which the thread may still have what the loop before left there. How chunks are
    // grouped does not change what they give.
    let group = sums.len().div_ceil((work / PARALLEL_FROM).clamp(2, parallel::threads()));
    let tasks = out.chunks_mut(group * chunk).zip(sums.chunks_mut(group)).enumerate();
    parallel::for_each(tasks, |(task, (out, sums))| {
        for (i, (out, sum)) in out.chunks_mut(chunk).zip(sums).enumerate() {
            *sum = run(task * group + i, out);
        }
    });
    sums.into_iter().sum()
}

/// Runs a kernel that gives the elements of a tensor, and a sum.
pub(crate) fn tensor<T: Real>(shape: &[usize], kernel: impl Kernel<Item = T>) -> (Tensor<T>, f64) {
    let mut sum = 0.0;
    let elements = Tensor::filled(shape, |out| sum = run(kernel, out));
    (elements, sum)
}

/// f of each piece of so many elements.
#[derive(Clone, Copy)]
struct Pieces<T, F>(usize, F, PhantomData<fn(T)>);

impl<T: Copy + Send, F: Fn(usize, &mut [T]) -> f64 + Copy + Sync> Kernel for Pieces<T, F> {
    type Item = T;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (first, mut sum) = (from / self.0, 0.0);
        for (i, out) in out.chunks_mut(self.0).enumerate() {
            sum += (self.1)(first + i, out);
        }
        sum
    }
}

/// A closure for [`pieces`] as it is. Only where a closure is an argument can it be marked to be inlined always, and only inlined is it
/// compiled for the processor's vector instructions, as the kernel that calls it is.
pub(crate) fn inlined<T, F: Fn(usize, &mut [T]) -> f64>(f: F) -> F {
    f
}

/// Calls `f` with the number of each piece of `size` elements of `out`, such as a row or an image, and the piece, all of which it
/// writes; the last may be smaller. Returns the sum of what it returns. `weight` is about how many times the work of an addition one
/// element is.
///
/// # Panics
/// If pieces have no elements and `out` has.
#[track_caller]
pub(crate) fn pieces<T: Copy + Send>(
    out: &mut [T],
    size: usize,
    weight: usize,
    f: impl Fn(usize, &mut [T]) -> f64 + Copy + Sync,
) -> f64 {
    if out.is_empty() {
        return 0.0;
    }
    assert!(size > 0, "{} elements in pieces of none", out.len());
    let chunk = (CHUNK / (size * weight).max(1)).max(1) * size;
    in_chunks(Pieces(size, f, PhantomData), out, chunk, weight)
}

/// [`pieces`] on the current thread, without a sum.
pub(crate) fn pieces_here<T: Copy + Send>(out: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Copy + Sync) {
    let piece = inlined(
        #[inline(always)]
        |i: usize, out: &mut [T]| {
            f(i, out);
            0.0
        },
    );
    run_here(Pieces(size, piece, PhantomData), 0, out);
}

/// A tensor whose elements are written piece by piece, and the sum of what `f` returns; see [`pieces`].
#[track_caller]
pub(crate) fn tensor_in_pieces<T: Real>(
    shape: &[usize],
    size: usize,
    weight: usize,
    f: impl Fn(usize, &mut [T]) -> f64 + Copy + Sync,
) -> (Tensor<T>, f64) {
    let mut sum = 0.0;
    let elements = Tensor::filled(shape, |out| sum = pieces(out, size, weight, f));
    (elements, sum)
}

// Functions of numbers own what they use, and are copied before a loop: what they referred to would be read from memory again for each
// number, and the loop would not become vectors.

/// f of each number.
#[derive(Clone, Copy)]
struct Each<'a, T, F>(&'a [T], F);

impl<T: Real, F: Fn(T) -> T + Sync + Copy + 'static> Kernel for Each<'_, T, F> {
    type Item = T;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (a, f) = (&self.0[from..from + out.len()], self.1);
        for (o, &a) in out.iter_mut().zip(a) {
            *o = f(a);
        }
        0.0
    }
}

/// f of each number.
pub(crate) fn each<T: Real>(out: &mut [T], a: &[T], f: impl Fn(T) -> T + Sync + Copy + 'static) {
    run(Each(a, f), out);
}

/// f of each pair of numbers.
#[derive(Clone, Copy)]
struct Pairs<'a, T, F>(&'a [T], &'a [T], F);

impl<T: Real, F: Fn(T, T) -> T + Sync + Copy + 'static> Kernel for Pairs<'_, T, F> {
    type Item = T;

    #[inline(always)]
    fn fetch(&self, from: usize, len: usize) {
        ahead([self.0, self.1], from, len);
    }

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (a, b, f) = (&self.0[from..from + out.len()], &self.1[from..from + out.len()], self.2);
        for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *o = f(a, b);
        }
        0.0
    }
}

/// f of each pair of numbers.
pub(crate) fn pairs<T: Real>(out: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T + Sync + Copy + 'static) {
    run(Fetching(Pairs(a, b, f)), out);
}

/// p a + q b of two arrays, on this thread.
pub(crate) fn weighted_sum_here<T: Real>(out: &mut [T], [a, b]: [&[T]; 2], [p, q]: [T; 2]) {
    let kernel = Pairs(
        a,
        b,
        #[inline(always)]
        move |a, b| p * a + q * b,
    );
    run_here(Fetching(kernel), 0, out);
}

/// p a onto the numbers of `out`, on this thread.
pub(crate) fn weighted_onto_here<T: Real>(out: &mut [T], a: &[T], p: T) {
    let kernel = Onto(
        a,
        #[inline(always)]
        move |out, a| p * a + out,
    );
    run_here(Fetching(kernel), 0, out);
}

/// f of each triple of numbers.
#[derive(Clone, Copy)]
struct Triples<'a, T, F>([&'a [T]; 3], F);

impl<T: Real, F: Fn(T, T, T) -> T + Sync + Copy + 'static> Kernel for Triples<'_, T, F> {
    type Item = T;

    #[inline(always)]
    fn fetch(&self, from: usize, len: usize) {
        ahead(self.0, from, len);
    }

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let ([a, b, c], f) = (self.0.map(|x| &x[from..from + out.len()]), self.1);
        for (((o, &a), &b), &c) in out.iter_mut().zip(a).zip(b).zip(c) {
            *o = f(a, b, c);
        }
        0.0
    }
}

/// f of each triple of numbers.
pub(crate) fn triples<T: Real>(out: &mut [T], abc: [&[T]; 3], f: impl Fn(T, T, T) -> T + Sync + Copy + 'static) {
    run(Fetching(Triples(abc, f)), out);
}

/// f of each number of the result with one more.
#[derive(Clone, Copy)]
struct Onto<'a, T, F>(&'a [T], F);

impl<T: Real, F: Fn(T, T) -> T + Sync + Copy + 'static> Kernel for Onto<'_, T, F> {
    type Item = T;

    #[inline(always)]
    fn fetch(&self, from: usize, len: usize) {
        ahead([self.0], from, len);
    }

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (a, f) = (&self.0[from..from + out.len()], self.1);
        for (o, &a) in out.iter_mut().zip(a) {
            *o = f(*o, a);
        }
        0.0
    }
}

/// Each number replaced by f of it and of one more.
pub(crate) fn onto<T: Real>(out: &mut [T], a: &[T], f: impl Fn(T, T) -> T + Sync + Copy + 'static) {
    run(Fetching(Onto(a, f)), out);
}

/// Sums of arrays number by number.
#[derive(Clone, Copy)]
struct Total<'a, T>(&'a [&'a [T]]);

impl<T: Real> Kernel for Total<'_, T> {
    type Item = T;
    /// Another core may have written the numbers.
    const WEIGHT: usize = 4;

    #[inline(always)]
    fn fetch(&self, from: usize, len: usize) {
        for term in self.0 {
            ahead([*term], from, len);
        }
    }

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let [first, others @ ..] = self.0 else { return 0.0 };
        out.copy_from_slice(&first[from..from + out.len()]);
        for term in others {
            for (o, &x) in out.iter_mut().zip(&term[from..]) {
                *o = *o + x;
            }
        }
        0.0
    }
}

/// The sum of arrays number by number, in their order; one at least.
pub(crate) fn total<T: Real>(out: &mut [T], terms: &[&[T]]) {
    run(Fetching(Total(terms)), out);
}

#[derive(Clone, Copy)]
struct Inner<'a, T>(&'a [T], &'a [T]);

impl<T: Real> Kernel for Inner<'_, T> {
    type Item = ();

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [()]) -> f64 {
        inner_here(&self.0[from..from + out.len()], &self.1[from..from + out.len()])
    }
}

/// Σ aᵢ bᵢ in double precision. The bits of the sum do not depend on the number of threads.
///
/// # Panics
/// If the lengths differ.
#[track_caller]
pub fn inner<T: Real>(a: &[T], b: &[T]) -> f64 {
    assert!(a.len() == b.len(), "inner product of {} by {} numbers", a.len(), b.len());
    run(Inner(a, b), &mut vec![(); a.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn numbers(n: usize, step: f64) -> Vec<f32> {
        (0..n).map(|i| (i as f64 * step).sin() as f32).collect()
    }

    /// Lengths below, at and beyond groups of lanes, chunks, and the length from which threads share the work.
    const LENGTHS: [usize; 7] = [0, 1, 31, 32, 1000, CHUNK + 5, 3 * PARALLEL_FROM + 7];

    #[test]
    fn inner_products_are_those_of_one_loop() {
        for n in LENGTHS {
            let (a, b) = (numbers(n, 0.7), numbers(n, 1.3));
            let want: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            approx::assert_relative_eq!(inner(&a, &b), want, max_relative = 1e-10, epsilon = 1e-10);
        }
    }

    #[test]
    fn every_element_is_written_from_its_own() {
        for n in LENGTHS {
            let (a, b) = (numbers(n, 0.7), numbers(n, 1.3));
            let mut out = vec![f32::NAN; n];
            pairs(&mut out, &a, &b, |a, b| a - b);
            assert!(out.iter().zip(a.iter().zip(&b)).all(|(o, (a, b))| *o == a - b), "{n} pairs");
            onto(&mut out, &b, |o, b| o * b);
            assert!(out.iter().zip(a.iter().zip(&b)).all(|(o, (a, b))| *o == (a - b) * b), "{n} onto");
            each(&mut out, &a, |a| a + 1.0);
            assert!(out.iter().zip(&a).all(|(o, a)| *o == a + 1.0), "{n} each");
            let c = numbers(n, 2.1);
            triples(&mut out, [&a, &b, &c], |a, b, c| (a - b) * c);
            let rows = a.iter().zip(&b).zip(&c);
            assert!(out.iter().zip(rows).all(|(o, ((a, b), c))| *o == (a - b) * c), "{n} triples");
        }
    }

    #[test]
    fn weighted_sums_are_those_of_the_definition() {
        for n in LENGTHS {
            let (a, b) = (numbers(n, 0.7), numbers(n, 1.3));
            let mut out = vec![f32::NAN; n];
            weighted_sum_here(&mut out, [&a, &b], [2.0, -1.0]);
            assert!(out.iter().zip(a.iter().zip(&b)).all(|(o, (a, b))| *o == 2.0 * a - b), "{n}");
        }
    }

    #[test]
    fn every_piece_is_written_once_under_its_number() {
        for n in LENGTHS {
            for (size, weight) in [(1, 1), (3, 1), (33, 50), (CHUNK + 1, 2)] {
                let mut out = vec![f32::NAN; n];
                let sum = pieces(&mut out, size, weight, |i, piece| {
                    piece.iter_mut().enumerate().for_each(|(j, o)| *o = (i * size + j) as f32);
                    piece.len() as f64
                });
                assert!(out.iter().enumerate().all(|(i, o)| *o == i as f32), "{n} in pieces of {size}");
                assert_eq!(sum, n as f64);
            }
        }
    }

    #[test]
    fn sums_do_not_depend_on_the_number_of_threads() {
        let (a, b) = (numbers(5 * PARALLEL_FROM + 3, 0.7), numbers(5 * PARALLEL_FROM + 3, 1.3));
        let sum = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| inner(&a, &b).to_bits())
        };
        assert!([2, 3, 4].iter().all(|threads| sum(*threads) == sum(1)));
    }
}
