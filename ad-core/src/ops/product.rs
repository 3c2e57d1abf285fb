//! How a matrix product Z = XW (with, for a layer, a bias) advances in the curvature sweep: its tangent Ż and its curvature
//! term 2⟨Z̄, ẊẆ⟩, by whichever of four forms costs least.
//!
//! | form | products of the size of Z = XW | needs |
//! |---|---|---|
//! | direct: Ż = ẊW + XẆ, C = ẊẆ | 3 | |
//! | two-product: Ż = (X/s + Ẋ)(W + sẆ) − Z/s − sC | 2 | with a bias, b/s + ḃ added, as Z has b |
//! | mixed: the same with C = c(ẊXᵀ)Z̄ | 1, and small ones | Ẇ = cXᵀZ̄, a multiple of W̄ |
//! | factored: with Ẇ = cXᵀZ̄ + λW, XẆ = c(XXᵀ)Z̄ + λZ and ⟨Z̄, ẊẆ⟩ = c⟨Z̄Z̄ᵀ, ẊXᵀ⟩ + λ⟨Z̄, ẊW⟩ | 1, and small ones | Ẇ a multiple of W̄ |
//!
//! The two-product form is the algebra of the three-multiplication complex product. With s = √(‖X‖‖W‖ / (‖Ẋ‖‖Ẇ‖)) both
//! factors of the product are sums of terms of one size, so its rounding error is about twice the direct form's. The mixed form's C has
//! the error of ‖X‖‖Z̄‖, where the rows' gradients may cancel in W̄; where that would be seen, C is ẊẆ after all.
//! The factored form replaces products over n_in × n_out by ones over the rows of the batch, and half of each symmetric one
//! suffices; the mixed form has fewer of these, and the two-product form's sums. Both hold where the direction is the mini-batch gradient,
//! for a weight that is used once.

use std::f64::consts::SQRT_2;
use std::ops::RangeInclusive;

use smallvec::SmallVec;

use crate::buffer::Buffer;
use crate::gemm::{
    CellSums, First, InnerProducts, Matrix, Onto, Output, Second, Step, compute, fill_symmetric, inner_products,
};
use crate::kernel::{self, fetch};
use crate::primitive::{InPlace, Multiple, Visit};
use crate::real::Real;
use crate::sums::RunningSum;

/// A form in which a product advances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Three products: the definition.
    Direct,
    /// Two products, for any direction.
    TwoProduct,
    /// One product and small ones, and sums of the factors, for a direction that is a multiple of the gradient.
    Mixed,
    /// One product and more small ones, for a direction that is a multiple of the gradient and the weight.
    Factored,
}

/// Which forms the curvature sweep may choose from; one alone is for tests of it, and falls back on the direct form where
/// it does not apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forms {
    /// Whichever costs least.
    #[default]
    Cheapest,
    /// This one.
    Only(Form),
}

/// Sizes of a product: Z (rows × cols) = X (rows × inner) W (inner × cols).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) cols: usize,
    /// Numbers that the sums of the two-product form read and write.
    pub(crate) summed: usize,
}

/// What moves, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Motion {
    /// Whether X and W move.
    pub(crate) moving: [bool; 2],
    /// Whether the curvature term is wanted: Z̄ is there.
    pub(crate) curved: bool,
    /// Ẇ as a multiple of W̄ and W, where it is one.
    pub(crate) multiple: Option<Multiple>,
}

impl Sizes {
    /// The sizes of a product of arrays that are summed as they are multiplied: a weighted sum of two arrays, for X and for W; three arrays
    /// combined to what Ż starts from.
    pub(crate) fn new(rows: usize, inner: usize, cols: usize) -> Self {
        Sizes { rows, inner, cols, summed: 3 * inner * (rows + cols) + 4 * rows * cols }
    }

    /// Floating-point operations of one product of this size.
    pub(crate) fn flops(self) -> u64 {
        2 * (self.rows * self.inner * self.cols) as u64
    }

    /// Floating-point operations of the products in a sweep's visit; `forms` overrides those of the visit.
    pub(crate) fn visit_flops(self, visit: &Visit<'_>, forms: Option<Forms>) -> u64 {
        let factors = |which: &[bool]| u64::from(which[0]) + u64::from(which[1]);
        match *visit {
            Visit::Value => self.flops(),
            Visit::Tangent { moving } => factors(moving) * self.flops(),
            Visit::Cotangents { wanted } => factors(wanted) * self.flops(),
            Visit::CotangentTangents { wanted, moving, carried } => {
                let curved = u64::from(wanted[0] && moving[1]) + u64::from(wanted[1] && moving[0]);
                (u64::from(carried) * factors(wanted) + curved) * self.flops()
            }
            Visit::Advance { moving, multiples, curved, forms: allowed } => {
                let motion = Motion { moving: [moving[0], moving[1]], curved, multiple: multiples[1] };
                self.form_flops(self.form(forms.unwrap_or(allowed), motion), motion)
            }
        }
    }

    /// Floating-point operations of the products of a form.
    pub(crate) fn form_flops(self, form: Form, motion: Motion) -> u64 {
        let [x, w] = motion.moving;
        let Sizes { rows, inner, cols, .. } = self;
        let product = self.flops();
        let half = |k: usize| (rows * (rows + 1) * k) as u64;
        let square = |k: usize| 2 * (rows * rows * k) as u64;
        match form {
            Form::Direct => product * (u64::from(x) + u64::from(w) + u64::from(x && w && motion.curved)),
            Form::TwoProduct => 2 * product,
            Form::Mixed => product + square(inner) + square(cols),
            Form::Factored => {
                let tangent = half(inner) + square(cols);
                let term = if x { product + half(cols) + square(inner) } else { 0 };
                tangent + term
            }
        }
    }

    /// The cheapest of the forms allowed that applies.
    pub(crate) fn form(self, forms: Forms, motion: Motion) -> Form {
        let applies = |form: Form| match form {
            Form::Direct => true,
            Form::TwoProduct => motion.moving == [true, true] && motion.curved,
            Form::Mixed => {
                let follows = motion.multiple.is_some_and(|multiple| multiple.adjoint != 0.0 && multiple.value == 0.0);
                motion.moving == [true, true] && motion.curved && follows
            }
            Form::Factored => motion.moving[1] && motion.curved && motion.multiple.is_some(),
        };
        match forms {
            Forms::Only(form) if applies(form) => form,
            Forms::Only(_) => Form::Direct,
            Forms::Cheapest => [Form::Direct, Form::TwoProduct, Form::Mixed, Form::Factored]
                .into_iter()
                .filter(|form| applies(*form))
                .min_by_key(|form| self.weighed(*form, motion))
                .unwrap_or(Form::Direct),
        }
    }

    /// What a form costs, as floating-point operations of large products in the same time. Those over the rows of the batch are
    /// small, and reach about four fifths of the rate.
    fn weighed(self, form: Form, motion: Motion) -> u64 {
        let flops = self.form_flops(form, motion);
        let small = match form {
            Form::Factored if !motion.moving[0] => flops,
            Form::Mixed | Form::Factored => flops - self.flops(),
            Form::Direct | Form::TwoProduct => 0,
        };
        flops + small / 4 + self.passes(form, motion)
    }

    /// What a form's passes over memory cost beyond its products, as floating-point operations of products in the same time.
    fn passes(self, form: Form, motion: Motion) -> u64 {
        let touched = match form {
            Form::Direct => 0,
            Form::TwoProduct => self.summed,
            Form::Mixed => self.summed + 2 * self.rows * self.rows,
            Form::Factored if motion.moving[0] => 7 * self.rows * self.rows,
            Form::Factored => 2 * self.rows * self.rows,
        };
        FLOPS_A_NUMBER * touched as u64
    }
}

/// Floating-point operations that a product does in the time in which a loop reads or writes one number.
const FLOPS_A_NUMBER: u64 = 8;

/// The steps to a result.
type Steps<'a, T> = SmallVec<[Step<'a, T>; 4]>;

/// A product with the tangents of its factors.
pub(crate) struct Product<'a, T: Real> {
    pub(crate) sizes: Sizes,
    pub(crate) x: Matrix<'a, T>,
    pub(crate) w: Matrix<'a, T>,
    pub(crate) dx: Option<Matrix<'a, T>>,
    pub(crate) dw: Option<Matrix<'a, T>>,
    /// The row added to every row of Z.
    pub(crate) bias: Option<&'a [T]>,
    pub(crate) dbias: Option<&'a [T]>,
    /// Z, bias included.
    pub(crate) z: &'a [T],
    pub(crate) zbar: Option<&'a [T]>,
    pub(crate) multiple: Option<Multiple>,
    /// What Ż becomes in its place.
    pub(crate) then: Option<&'a InPlace<'a, T>>,
}

impl<'a, T: Real> Product<'a, T> {
    fn motion(&self) -> Motion {
        Motion { moving: [self.dx.is_some(), self.dw.is_some()], curved: self.zbar.is_some(), multiple: self.multiple }
    }

    /// Ż, or what becomes of it, into `dz`.
    pub(crate) fn tangent(&self, dz: &mut [T]) {
        let steps = self.tangent_steps();
        compute([self.output(dz, &steps).then(self.then)]);
    }

    /// Ż = ẊW + XẆ, with the tangent of the bias.
    fn tangent_steps(&self) -> Steps<'_, T> {
        let moved = [self.dx.map(|dx| (dx.into(), self.w)), self.dw.map(|dw| (self.x.into(), dw))];
        sum_of_products(self.dbias.map_or(Onto::Nothing, Onto::Row), moved)
    }

    /// An array of the size of Z, and how it is computed.
    fn output<'b>(&self, numbers: &'b mut [T], steps: &'b [Step<'b, T>]) -> Output<'b, T> {
        Output::new(numbers, [self.sizes.rows, self.sizes.cols], steps)
    }

    /// Ż, or what becomes of it, into `dz`, and the curvature term.
    pub(crate) fn advance(&self, forms: Forms, dz: &mut [T]) -> f64 {
        match (self.sizes.form(forms, self.motion()), self.dx, self.dw, self.zbar, self.multiple) {
            (Form::TwoProduct, Some(dx), Some(dw), Some(zbar), _) => self.two_product(dx, dw, zbar, None, dz),
            (Form::Mixed, Some(dx), Some(dw), Some(zbar), Some(multiple)) => {
                self.two_product(dx, dw, zbar, Some(multiple.adjoint), dz)
            }
            (Form::Factored, dx, Some(_), Some(zbar), Some(multiple)) => self.factored(dx, zbar, multiple, dz),
            (_, Some(dx), Some(dw), Some(zbar), _) => self.direct(dx, dw, zbar, dz),
            _ => {
                self.tangent(dz);
                0.0
            }
        }
    }

    fn direct(&self, dx: Matrix<'_, T>, dw: Matrix<'_, T>, zbar: &[T], dz: &mut [T]) -> f64 {
        let mut c = Buffer::stale(dz.len());
        let (tangent, curved) = (self.tangent_steps(), [Step::Product(Onto::Nothing, dx.into(), dw.into())]);
        compute([self.output(dz, &tangent).then(self.then), self.output(&mut c, &curved)]);
        2.0 * kernel::inner(&c, zbar)
    }

    /// The two-product form; the mixed one, if Ẇ is this multiple of W̄.
    fn two_product(
        &self,
        dx: Matrix<'_, T>,
        dw: Matrix<'_, T>,
        zbar: &[T],
        of_adjoint: Option<f64>,
        dz: &mut [T],
    ) -> f64 {
        let [of_x, of_w, of_dx, of_dw, of_zbar] =
            mean_squares([self.x.data(), self.w.data(), dx.data(), dw.data(), zbar]);
        let Some(s) = balance([of_x, of_w], [of_dx, of_dw]) else { return self.direct(dx, dw, zbar, dz) };
        // About ‖X‖‖Z̄‖/‖W‖: times sc how much larger than rounding the error is that C of the mixed form adds to ẊW.
        let amplification = self.sizes.rows as f64 * (of_x * of_zbar / of_w).sqrt();
        let mixed = of_adjoint.filter(|c| s * c.abs() * amplification < AMPLIFIED);
        let Sizes { rows, cols, .. } = self.sizes;
        let (a, b, c) = match mixed {
            // C over c, (ẊXᵀ)Z̄, of Ẇ = cXᵀZ̄.
            Some(c) => (First::Product(dx, self.x.transpose()), Matrix::new(zbar, rows, cols, false), c),
            None => (dx.into(), dw, 1.0),
        };
        let inverse = T::from_f64(1.0 / s);
        let (bias, terms) = (moved_bias(self.bias, self.dbias, inverse), CellSums::new(rows, cols));
        let start = self.start(zbar, bias.as_deref(), [inverse, T::from_f64(s * c)], &terms);
        let start = [Step::Product(Onto::Nothing, a, b.into()), Step::Cells(&start)];

        let mut x = Buffer::stale(dx.data().len());
        let mut steps = Steps::new();
        if mixed.is_some() {
            // By rows, with all that each row of C is made of.
            let sum = weighted_rows([self.x, dx], inverse);
            let sum = [Step::Cells(&sum)];
            compute([Output::new(&mut x, self.x.stored_sizes(), &sum), self.output(dz, &start)]);
        } else {
            kernel::pairs(
                &mut x,
                self.x.data(),
                dx.data(),
                #[inline(always)]
                move |x, dx| inverse * x + dx,
            );
            steps.extend(start);
        }
        let sum = Second::Sum([self.w, dw], [T::from_f64(1.0), T::from_f64(s)]);
        steps.push(Step::Product(Onto::Present, self.x.over(&x).into(), sum));
        compute([self.output(dz, &steps).then(self.then)]);
        2.0 * c * terms.total()
    }

    /// −Z/s − sC, with the bias that is in Z, in the place of C, which is contracted with Z̄; given 1/s and s.
    fn start<'b>(
        &'b self,
        zbar: &'b [T],
        bias: Option<&'b [T]>,
        [inverse, scale]: [T; 2],
        terms: &'b CellSums,
    ) -> impl Fn([usize; 2], &mut [&mut [T]]) + Sync + use<'a, 'b, T> {
        move |first, cells| {
            // Copies, which stay in registers.
            let (inverse, scale) = (inverse, scale);
            terms.add(
                first,
                cells,
                #[inline(always)]
                |[i, j], dz, term| {
                    let at = i * self.sizes.cols + j;
                    fetch::ahead([self.z, zbar], at, dz.len());
                    term.add_pairs(dz, &zbar[at..at + dz.len()], |dz, zbar| dz * zbar);
                    for (dz, z) in dz.iter_mut().zip(&self.z[at..]) {
                        *dz = -(inverse * *z + scale * *dz);
                    }
                    if let Some(bias) = bias {
                        for (dz, b) in dz.iter_mut().zip(&bias[j..]) {
                            *dz = *dz + *b;
                        }
                    }
                },
            );
        }
    }

    /// The row that is added to every row of Ż: its tangent, and what takes the bias out of Z times −c.
    fn row(&self, c: f64) -> Vec<T> {
        let at = |row: Option<&[T]>, j: usize| row.map_or(0.0, |row| row[j].to_f64());
        (0..self.sizes.cols).map(|j| T::from_f64(at(self.dbias, j) + c * at(self.bias, j))).collect()
    }

    fn factored(&self, dx: Option<Matrix<'_, T>>, zbar: &[T], multiple: Multiple, dz: &mut [T]) -> f64 {
        let Sizes { rows, cols, .. } = self.sizes;
        let Multiple { adjoint, value } = multiple;
        let zbar = Matrix::new(zbar, rows, cols, false);
        let c = T::from_f64(adjoint);
        // Inner products of rows: XXᵀ, and where X moves what gives ⟨Z̄, ẊẆ⟩.
        let of_x = InnerProducts::half(self.x);
        let found = match dx {
            None => inner_products(&[of_x]),
            Some(dx) => inner_products(&[of_x, InnerProducts::half(zbar), InnerProducts::whole(dx, self.x)]),
        };
        let (mut square, mut term) = (None, 0.0);
        if let [of_x, of_zbar, outer] = &found[..] {
            let mut numbers = Buffer::stale(rows * rows);
            fill_symmetric(&mut numbers, of_zbar, rows, c);
            term = 2.0 * outer.iter().map(|outer| kernel::inner(&numbers, outer)).sum::<f64>();
            fill_symmetric(&mut numbers, of_x, rows, c);
            square = Some(numbers);
        }
        // Cut down its rows, each thread forms its own; cut along its columns, all of them.
        let square = match &square {
            Some(numbers) => First::Stored(Matrix::new(numbers, rows, rows, false)),
            None => First::Symmetric(&found[0], rows, c),
        };
        // What starts the rows of Ż: the tangent of the bias, and −λ times the bias, which is in Z but not in XW.
        let moved = (value != 0.0).then(|| self.row(-value));
        let row = moved.as_deref().or(self.dbias);
        let start = row.map_or(Onto::Nothing, Onto::Row);
        let by_x = dx.map(|dx| (dx.into(), self.w));
        let by_rows = Some((square, zbar));
        // λZ onto the first product, after ⟨Z̄, ẊW⟩ where that is ẊW.
        let (lambda, terms) = (T::from_f64(value), CellSums::new(rows, cols));
        let add_value = |first: [usize; 2], cells: &mut [&mut [T]]| {
            terms.add(
                first,
                cells,
                #[inline(always)]
                |[i, j], dz, term| {
                    let here = i * cols + j..i * cols + j + dz.len();
                    let (z, zbar) = (&self.z[here.clone()], &zbar.data()[here]);
                    if dx.is_some() {
                        term.add_pairs(zbar, dz, |zbar, dz| zbar * dz);
                        if let Some(row) = row {
                            term.add_pairs(zbar, &row[j..j + dz.len()], |zbar, start| -zbar * start);
                        }
                    }
                    for (dz, &z) in dz.iter_mut().zip(z) {
                        *dz = *dz + lambda * z;
                    }
                },
            );
        };
        let mut steps = sum_of_products(start, [by_x, by_rows]);
        if value != 0.0 {
            steps.insert(1, Step::Cells(&add_value));
        }
        compute([self.output(dz, &steps).then(self.then)]);
        term += 2.0 * value * terms.total();
        term
    }
}

/// cA + B of two matrices of the same sizes and layout, by rows as they are stored, each of them whole.
fn weighted_rows<'a, T: Real>(
    [a, b]: [Matrix<'a, T>; 2],
    c: T,
) -> impl Fn([usize; 2], &mut [&mut [T]]) + Sync + use<'a, T> {
    move |[top, _], rows| {
        let [_, cols] = a.stored_sizes();
        for (row, i) in rows.iter_mut().zip(top..) {
            let here = i * cols..(i + 1) * cols;
            kernel::weighted_sum_here(row, [&a.data()[here.clone()], &b.data()[here]], [c, T::from_f64(1.0)]);
        }
    }
}

/// How many times larger than rounding the error of the mixed form may be at most: 1.5·10⁻⁵ of ẊW in single precision.
const AMPLIFIED: f64 = 256.0;

/// The steps to a sum of products, each where both factors are there; none where no product is.
pub(crate) fn sum_of_products<'a, T: Real>(
    mut onto: Onto<'a, T>,
    terms: [Option<(First<'a, T>, Matrix<'a, T>)>; 2],
) -> Steps<'a, T> {
    let step =
        |(a, b): (First<'a, T>, Matrix<'a, T>)| Step::Product(std::mem::replace(&mut onto, Onto::Present), a, b.into());
    terms.into_iter().flatten().map(step).collect()
}

/// The s for which X/s + Ẋ and W + sẆ are sums of terms of one size, a power of two so that it scales without rounding, given the
/// [mean squares](mean_squares) of X and W, and of their tangents. `None`
/// where a factor or its tangent vanishes or overflows: no scale balances the sums then; or where s is so large or small that what is
/// scaled by it may leave the range of single precision.
pub(crate) fn balance(at: [f64; 2], tangents: [f64; 2]) -> Option<f64> {
    let s = (at[0] / tangents[0] * (at[1] / tangents[1])).sqrt().sqrt();
    // Rounded by its exponent alone: log and exp2 of the library are far from the caches where they are called once a layer.
    SCALES.contains(&s).then(|| f64::from_bits((SQRT_2 * s).to_bits() & EXPONENT))
}

/// The bits of a positive number that make it a power of two without the others.
const EXPONENT: u64 = 0x7ff << 52;

/// The scales of a two-product form: 2⁻⁴⁰ to 2⁴⁰.
const SCALES: RangeInclusive<f64> = 1.0 / (1u64 << 40) as f64..=(1u64 << 40) as f64;

/// Places at which long arrays are sampled.
const PLACES: usize = 16;
/// Numbers of neighbours sampled at each: of one line of the cache, in single precision.
const SAMPLED: usize = 16;

/// About the mean square of each array: of long ones, neighbours at places without a pattern are looked at, or all numbers where those vanish.
pub(crate) fn mean_squares<T: Real, const N: usize>(arrays: [&[T]; N]) -> [f64; N] {
    let sample = |a: usize, place: usize| {
        let stretch = arrays[a].len() / PLACES;
        let at = place * stretch + place.wrapping_mul(0x9E37_79B9) % (stretch - SAMPLED);
        &arrays[a][at / SAMPLED * SAMPLED..][..SAMPLED]
    };
    let is_long = |a: usize| arrays[a].len() / PLACES >= 4 * SAMPLED;
    let samples = |a: usize| (0..if is_long(a) { PLACES } else { 0 }).map(move |place| sample(a, place));
    // All are asked for before the first is waited for: they come from far.
    (0..N).flat_map(samples).for_each(fetch::ask);
    let mut sums = [0.0; N];
    kernel::pieces_here(
        &mut sums,
        1,
        #[inline(always)]
        |a, sum| {
            let mut squares = RunningSum::ZERO;
            for sample in samples(a) {
                squares.add_pairs(sample, sample, |a, b| a * b);
            }
            sum[0] = squares.total();
        },
    );
    std::array::from_fn(|a| match sums[a] > 0.0 {
        true => sums[a] / (PLACES * SAMPLED) as f64,
        false => kernel::inner(arrays[a], arrays[a]) / arrays[a].len().max(1) as f64,
    })
}

/// b/s + ḃ, by which the bias of X/s + Ẋ times W + sẆ exceeds none, given 1/s; `None` where there is neither.
pub(crate) fn moved_bias<T: Real>(bias: Option<&[T]>, dbias: Option<&[T]>, inverse: T) -> Option<Vec<T>> {
    match (bias, dbias) {
        (None, None) => None,
        (Some(b), None) => Some(b.iter().map(|b| inverse * *b).collect()),
        (None, Some(d)) => Some(d.to_vec()),
        (Some(b), Some(d)) => Some(b.iter().zip(d).map(|(b, d)| inverse * *b + *d).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_the_nearest_powers_of_two() {
        for exact in [1e-9, 0.1, 0.70, 0.71, 1.0, 1.41, 1.42, 3.0, 1e9] {
            let s = balance([exact, exact], [1.0 / exact, 1.0 / exact]).expect("it balances");
            assert_eq!(s, f64::log2(exact).round().exp2(), "{exact}");
        }
        for tangent in [0.0, 1e-60, 1e60, f64::INFINITY, f64::NAN] {
            assert_eq!(balance([1.0; 2], [tangent; 2]), None, "{tangent}");
        }
    }
}
