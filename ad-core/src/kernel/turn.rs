//! Squares of numbers that are turned within vectors, for what goes down the columns of a matrix that is stored by rows: number by number, each would
//! be a load and an insertion by itself.

use pulp::Simd;

/// Numbers of a vector, and rows and columns of a square, at most.
pub(crate) const MOST_LANES: usize = 16;

/// A square of numbers: as many vectors as a vector has numbers; those beyond are nothing.
pub(crate) type Square<T, S> = [<T as Turn>::Vector<S>; MOST_LANES];

/// What is written for each scalar by its own names.
pub trait Turn: Copy {
    /// A vector of these scalars.
    type Vector<S: Simd>: Copy;

    /// Numbers of a vector.
    fn lanes<S: Simd>() -> usize;

    /// A vector of one number.
    fn all<S: Simd>(simd: S, number: Self) -> Self::Vector<S>;

    /// As many numbers as a vector has.
    fn load<S: Simd>(numbers: &[Self]) -> Self::Vector<S>;

    /// Writes as many numbers.
    fn store<S: Simd>(vector: Self::Vector<S>, numbers: &mut [Self]);

    /// The products of numbers in the same places.
    fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// The sums of numbers in the same places.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// The transpose of a square.
    ///
    /// Of two rows that are s apart, blocks of s numbers change places: those of the first whose number has the bit s, with those of the second whose
    /// number has not. So by all powers of two, from half a vector down to 1.
    fn turn<S: Simd>(simd: S, square: &mut Square<Self, S>);
}

macro_rules! turn {
    ($t:ident, $vector:ident, $lanes:ident, $split:ident, $split_mut:ident, $splat:ident, $mul:ident, $add:ident, $select:ident, $rotate:ident,
     $mask:ident, $whole:ident, $numbered:ident, $whole_splat:ident, $and:ident, $equal:ident) => {
        impl Turn for $t {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn lanes<S: Simd>() -> usize {
                S::$lanes
            }

            #[inline(always)]
            fn all<S: Simd>(simd: S, number: $t) -> S::$vector {
                simd.$splat(number)
            }

            #[inline(always)]
            fn load<S: Simd>(numbers: &[$t]) -> S::$vector {
                S::$split(&numbers[..S::$lanes]).0[0]
            }

            #[inline(always)]
            fn store<S: Simd>(vector: S::$vector, numbers: &mut [$t]) {
                S::$split_mut(&mut numbers[..S::$lanes]).0[0] = vector;
            }

            #[inline(always)]
            fn times<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$mul(a, b)
            }

            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn turn<S: Simd>(simd: S, square: &mut Square<$t, S>) {
                let numbers: [$whole; MOST_LANES] = std::array::from_fn(|l| l as $whole);
                let number = S::$numbered(&numbers).0[0];
                let mut apart = S::$lanes / 2;
                while apart > 0 {
                    let bit = simd.$and(number, simd.$whole_splat(apart as $whole));
                    let is_clear: S::$mask = simd.$equal(bit, simd.$whole_splat(0));
                    for l in 0..S::$lanes {
                        if l & apart == 0 {
                            let (a, b) = (square[l], square[l + apart]);
                            square[l] = simd.$select(is_clear, a, simd.$rotate(b, S::$lanes - apart));
                            square[l + apart] = simd.$select(is_clear, simd.$rotate(a, apart), b);
                        }
                    }
                    apart /= 2;
                }
            }
        }
    };
}
turn!(
    f32,
    f32s,
    F32_LANES,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    mul_f32s,
    add_f32s,
    select_f32s,
    rotate_left_f32s,
    m32s,
    u32,
    as_simd_u32s,
    splat_u32s,
    and_u32s,
    equal_u32s
);
turn!(
    f64,
    f64s,
    F64_LANES,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    mul_f64s,
    add_f64s,
    select_f64s,
    rotate_left_f64s,
    m64s,
    u64,
    as_simd_u64s,
    splat_u64s,
    and_u64s,
    equal_u64s
);

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;
    use crate::real::Real;

    /// Checks that a square of numbers that all differ is turned.
    struct IsTurned<T>(T);

    impl<T: Real> WithSimd for IsTurned<T> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let (lanes, number) = (T::lanes::<S>(), |i: usize, j: usize| T::from_f64((i * MOST_LANES + j) as f64));
            let mut square = [T::all(simd, T::default()); MOST_LANES];
            for (i, row) in square[..lanes].iter_mut().enumerate() {
                *row = T::load::<S>(&(0..lanes).map(|j| number(i, j)).collect::<Vec<_>>());
            }
            T::turn(simd, &mut square);
            for (i, row) in square[..lanes].iter().enumerate() {
                let mut numbers = vec![T::default(); lanes];
                T::store::<S>(*row, &mut numbers);
                assert_eq!(numbers, (0..lanes).map(|j| number(j, i)).collect::<Vec<_>>(), "row {i}");
            }
        }
    }

    #[test]
    fn rows_become_columns() {
        Arch::new().dispatch(IsTurned(0f32));
        Arch::new().dispatch(IsTurned(0f64));
        IsTurned(0f32).with_simd(pulp::Scalar::new());
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            Simd::vectorize(simd, IsTurned(0f32));
            Simd::vectorize(simd, IsTurned(0f64));
        }
    }
}
