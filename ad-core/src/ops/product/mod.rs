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
//! The two-product form is the algebra of the three-multiplication complex product. With s = ‖W‖ / ‖Ẇ‖ what it adds is as large as what it is
//! to find: ‖X‖‖W‖/s = ‖X‖‖Ẇ‖ and s‖Ẋ‖‖Ẇ‖ = ‖Ẋ‖‖W‖, so its rounding error is two to four times the direct form's; and s is known before Ẋ is. The
//! mixed form's C has the error of ‖X‖‖Z̄‖, where the rows' gradients may cancel in W̄; where that would be seen, C is ẊẆ after all.
//! The factored form replaces products over n_in × n_out by ones over the rows of the batch, and half of each symmetric one
//! suffices; the mixed form has fewer of these, and the two-product form's sums. Both hold where the direction is the mini-batch gradient,
//! for a weight that is used once.
//!
//! What needs nothing but rows of Ẋ, the first steps of the two-product and the mixed form and all of the direct one with few columns, can
//! begin by the threads that find these rows. In the mixed form X/s + Ẋ then takes the place of Ẋ, which nothing else reads.

mod form;
mod scale;

use smallvec::{SmallVec, smallvec};

use crate::buffer::Buffer;
use crate::gemm::{
    CellSums, First, InnerProducts, Matrix, Next, Onto, Output, Second, Source, Step, compute, fill_symmetric,
    inner_products, is_narrow,
};
use crate::kernel::{self, fetch};
use crate::primitive::{Find, InPlace, Multiple};
use crate::real::Real;
pub use form::{Form, Forms};
pub(crate) use form::{Motion, Sizes};
pub(crate) use scale::{balance, mean_squares};

/// The steps to a result.
type Steps<'a, T> = SmallVec<[Step<'a, T>; 4]>;

/// How a product advances, decided by the sizes and by what is known before its input's tangent is.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Direct,
    Sums(Scales),
    Factored,
}

/// The numbers of the two-product and the mixed form.
#[derive(Clone, Copy, Debug)]
struct Scales {
    s: f64,
    /// c of the mixed form.
    mixed: Option<f64>,
}

/// What a product has begun its advance with, while the tangent of its input was found; made by
/// [`Primitive::begin_fused`](crate::Primitive::begin_fused).
#[derive(Debug)]
pub struct Begun<T: Real>(Progress<T>);

/// What the first steps leave to those that follow.
#[derive(Debug)]
enum Progress<T: Real> {
    /// All is done: Ż, or what becomes of it, and the curvature term.
    All(Buffer<T>, f64),
    /// X/s + Ẋ, if it is not in the place of Ẋ, and, of the mixed form, what Ż starts from and the curvature term.
    Sums(Scales, Option<Buffer<T>>, Option<(Buffer<T>, f64)>),
}

/// A product with the tangents of its factors.
pub(crate) struct Product<'a, T: Real> {
    pub(crate) sizes: Sizes,
    pub(crate) x: Matrix<'a, T>,
    pub(crate) w: Matrix<'a, T>,
    /// What is being found only for [`Product::begin`].
    pub(crate) dx: Option<Source<'a, T>>,
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

    /// Ż = ẊW + XẆ, with the tangent of the bias.
    fn tangent_steps(&self) -> Steps<'_, T> {
        let moved = [self.dx.map(|dx| (First::Rows(dx), self.w)), self.dw.map(|dw| (self.x.into(), dw))];
        sum_of_products(self.dbias.map_or(Onto::Nothing, Onto::Row), moved)
    }

    /// Room for an array of the size of Z.
    fn stale(&self) -> Buffer<T> {
        Buffer::stale(self.sizes.rows * self.sizes.cols)
    }

    /// An array of the size of Z, and how it is computed.
    fn output<'b>(&self, numbers: &'b mut [T], steps: &'b [Step<'b, T>]) -> Output<'b, T> {
        Output::new(numbers, [self.sizes.rows, self.sizes.cols], steps)
    }

    /// The cheapest form that is allowed and applies, with its numbers; the direct one where no s is found.
    fn plan(&self, forms: Forms) -> Plan {
        let multiple = match self.sizes.form(forms, self.motion()) {
            Form::Direct => return Plan::Direct,
            Form::Factored => return Plan::Factored,
            Form::TwoProduct => None,
            Form::Mixed => self.multiple,
        };
        let Some(dw) = self.dw else { return Plan::Direct };
        // Those that are wanted all at once, as each comes from far.
        let [of_w, of_dw, of_x, of_zbar] = match (multiple, self.zbar) {
            (Some(_), Some(zbar)) => mean_squares([self.w.data(), dw.data(), self.x.data(), zbar]),
            _ => {
                let [of_w, of_dw] = mean_squares([self.w.data(), dw.data()]);
                [of_w, of_dw, 0.0, 0.0]
            }
        };
        let Some(s) = balance([of_w, of_dw]) else { return Plan::Direct };
        // About ‖X‖‖Z̄‖/‖W‖: times sc how much larger than rounding the error is that C of the mixed form adds to ẊW.
        let amplification = self.sizes.rows as f64 * (of_x * of_zbar / of_w).sqrt();
        let mixed = multiple.map(|multiple| multiple.adjoint).filter(|c| s * c.abs() * amplification < AMPLIFIED);
        Plan::Sums(Scales { s, mixed })
    }

    /// Begins with what needs rows of Ẋ alone: gives `find`, which finds Ẋ, results that begin from these rows. `None` where there are none, or
    /// `find` does not compute them.
    pub(crate) fn begin(&self, forms: Forms, find: &mut Find<'_, T>) -> Option<Begun<T>> {
        let Sizes { rows, inner, cols, .. } = self.sizes;
        let dx = self.dx.filter(|_| rows * inner * cols > 0)?;
        let mut is_taken = false;
        let mut find = |next: &mut Next<'_, T>| {
            find(next);
            is_taken = next.is_taken();
        };
        let begun = match self.plan(forms) {
            Plan::Sums(scales) => self.begin_sums(scales, dx, &mut find),
            Plan::Direct if is_narrow(First::Rows(dx), self.w.into()) => {
                let (dz, term) = self.direct(None, &mut find);
                Progress::All(dz, term)
            }
            _ => return None,
        };
        is_taken.then_some(Begun(begun))
    }

    /// Ż, or what becomes of it, and the curvature term, from what was begun, if anything was.
    pub(crate) fn advance(
        &self,
        forms: Forms,
        begun: Option<Begun<T>>,
        next: Option<&mut Next<'_, T>>,
    ) -> (Buffer<T>, f64) {
        if let Some(Begun(progress)) = begun {
            return self.finish(progress, next);
        }
        // Ẋ is there.
        let find: &mut Find<'_, T> = &mut |next| compute(next.take());
        match (self.plan(forms), self.dx, self.zbar, self.multiple) {
            (Plan::Sums(scales), Some(dx), ..) => self.finish(self.begin_sums(scales, dx, find), next),
            (Plan::Factored, dx, Some(zbar), Some(multiple)) => self.factored(dx, zbar, multiple, next),
            _ => self.direct(next, find),
        }
    }

    fn finish(&self, progress: Progress<T>, next: Option<&mut Next<'_, T>>) -> (Buffer<T>, f64) {
        match progress {
            Progress::All(dz, term) => (dz, term),
            Progress::Sums(scales, x, start) => self.by_sums(scales, x.as_deref(), start, next),
        }
    }

    fn direct(&self, next: Option<&mut Next<'_, T>>, find: &mut Find<'_, T>) -> (Buffer<T>, f64) {
        let (mut dz, tangent) = (self.stale(), self.tangent_steps());
        let output = self.output(&mut dz, &tangent).then(self.then).followed_by(next);
        let (Some(dx), Some(dw), Some(zbar)) = (self.dx, self.dw, self.zbar) else {
            find(&mut Next::new(smallvec![output], None));
            return (dz, 0.0);
        };
        let (mut c, curved) = (self.stale(), [Step::Product(Onto::Nothing, First::Rows(dx), dw.into())]);
        find(&mut Next::new(smallvec![output, self.output(&mut c, &curved)], None));
        (dz, 2.0 * kernel::inner(&c, zbar))
    }

    /// X/s + Ẋ and, of the mixed form, what Ż starts from.
    fn begin_sums(&self, scales: Scales, dx: Source<'_, T>, find: &mut Find<'_, T>) -> Progress<T> {
        let inverse = T::from_f64(1.0 / scales.s);
        // Where rows of Ẋ are passed on, nothing else reads it; without `mixed` C does.
        let is_in_place = scales.mixed.is_some() && dx.stored().is_none();
        let mut x = (!is_in_place).then(|| Buffer::stale(self.x.data().len()));
        let steps = [Step::Sum([Source::Stored(self.x), dx], [inverse, T::from_f64(1.0)])];
        let sum = x.as_mut().map(|x| Output::new(x, self.x.stored_sizes(), &steps)).into_iter();
        let (Some(c), Some(zbar)) = (scales.mixed, self.zbar) else {
            find(&mut Next::new(sum.collect(), None));
            return Progress::Sums(scales, x, None);
        };
        // By rows, with all that each row of C over c, (ẊXᵀ)Z̄, is made of.
        let Sizes { rows, cols, .. } = self.sizes;
        let (mut dz, terms, bias) = (self.stale(), CellSums::new(rows, cols), self.moved_bias(inverse));
        let start = self.start(zbar, bias.as_deref(), [inverse, T::from_f64(scales.s * c)], &terms);
        let c_by_rows = First::Product(dx, self.x.transpose());
        let zbar = Matrix::new(zbar, rows, cols, false);
        let start = [Step::Product(Onto::Nothing, c_by_rows, zbar.into()), Step::Cells(&start)];
        let start = self.output(&mut dz, &start);
        let add = |from: usize, dx: &mut [T]| {
            kernel::weighted_onto_here(dx, &self.x.data()[from..from + dx.len()], inverse);
        };
        let finally: Option<&InPlace<'_, T>> = if is_in_place { Some(&add) } else { None };
        find(&mut Next::new(sum.chain([start]).collect(), finally));
        Progress::Sums(scales, x, Some((dz, 2.0 * c * terms.total())))
    }

    /// The product of X/s + Ẋ and W + sẆ onto what it starts from, which is found here if it was not begun.
    fn by_sums(
        &self,
        scales: Scales,
        x: Option<&[T]>,
        start: Option<(Buffer<T>, f64)>,
        next: Option<&mut Next<'_, T>>,
    ) -> (Buffer<T>, f64) {
        let (Some(dx), Some(dw), Some(zbar)) = (self.dx, self.dw, self.zbar) else {
            panic!("a product by sums of which a factor does not move")
        };
        let scale = T::from_f64(scales.s);
        let sum = Second::Sum([self.w, dw], [T::from_f64(1.0), scale]);
        let x = x.map_or(First::Rows(dx), |x| self.x.over(x).into());
        let by_sum = Step::Product(Onto::Present, x, sum);
        if let Some((mut dz, term)) = start {
            compute([self.output(&mut dz, &[by_sum]).then(self.then).followed_by(next)]);
            return (dz, term);
        }
        let inverse = T::from_f64(1.0 / scales.s);
        let (mut dz, terms) = (self.stale(), CellSums::new(self.sizes.rows, self.sizes.cols));
        let bias = self.moved_bias(inverse);
        let start = self.start(zbar, bias.as_deref(), [inverse, scale], &terms);
        let steps = [Step::Product(Onto::Nothing, First::Rows(dx), dw.into()), Step::Cells(&start), by_sum];
        compute([self.output(&mut dz, &steps).then(self.then).followed_by(next)]);
        (dz, 2.0 * terms.total())
    }

    /// b/s + ḃ, given 1/s.
    fn moved_bias(&self, inverse: T) -> Option<Vec<T>> {
        moved_bias(self.bias, self.dbias, inverse)
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

    fn factored(
        &self,
        dx: Option<Source<'_, T>>,
        zbar: &[T],
        multiple: Multiple,
        next: Option<&mut Next<'_, T>>,
    ) -> (Buffer<T>, f64) {
        let Sizes { rows, cols, .. } = self.sizes;
        let Multiple { adjoint, value } = multiple;
        let zbar = Matrix::new(zbar, rows, cols, false);
        let c = T::from_f64(adjoint);
        // Inner products of rows: XXᵀ, and where X moves what gives ⟨Z̄, ẊẆ⟩.
        let of_x = InnerProducts::half(self.x);
        let found = match dx.and_then(Source::stored) {
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
            Some(numbers) => Matrix::new(numbers, rows, rows, false).into(),
            None => First::Symmetric(&found[0], rows, c),
        };
        // What starts the rows of Ż: the tangent of the bias, and −λ times the bias, which is in Z but not in XW.
        let moved = (value != 0.0).then(|| self.row(-value));
        let row = moved.as_deref().or(self.dbias);
        let start = row.map_or(Onto::Nothing, Onto::Row);
        let by_x = dx.map(|dx| (First::Rows(dx), self.w));
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
        let mut dz = self.stale();
        compute([self.output(&mut dz, &steps).then(self.then).followed_by(next)]);
        term += 2.0 * value * terms.total();
        (dz, term)
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

    const SIZES: [usize; 3] = [40, 70, 50];

    fn numbers(n: usize, step: f64, scale: f64) -> Vec<f64> {
        (0..n).map(|i| scale * (i as f64 * step).sin()).collect()
    }

    /// Ż where tangents are so many times as large as values, in one form, as `T` has it.
    fn tangent<T: Real>(form: Form, [of_x, of_w]: [f64; 2]) -> Vec<f64> {
        let [rows, inner, cols] = SIZES;
        let cast =
            |numbers: Vec<f64>| -> Vec<T> { numbers.into_iter().map(|x| T::from_f64(f64::from(x as f32))).collect() };
        let (x, dx) = (cast(numbers(rows * inner, 0.7, 1.0)), cast(numbers(rows * inner, 1.3, of_x)));
        let (w, dw) = (cast(numbers(inner * cols, 0.9, 1.0)), cast(numbers(inner * cols, 1.1, of_w)));
        let zbar = cast(numbers(rows * cols, 0.3, 1.0));
        let [x, dx] = [&x, &dx].map(|numbers| Matrix::new(numbers, rows, inner, false));
        let [w, dw] = [&w, &dw].map(|numbers| Matrix::new(numbers, inner, cols, false));
        let mut z = vec![T::default(); rows * cols];
        crate::gemm::matmul_into(&mut z, Onto::Nothing, x, w);
        let product = Product {
            sizes: Sizes::new(rows, inner, cols),
            x,
            w,
            dx: Some(Source::Stored(dx)),
            dw: Some(dw),
            bias: None,
            dbias: None,
            z: &z,
            zbar: Some(&zbar),
            multiple: None,
            then: None,
        };
        let (dz, _) = product.advance(Forms::Only(form), None, None);
        dz.iter().map(|dz| dz.to_f64()).collect()
    }

    #[test]
    fn the_two_product_form_rounds_as_the_direct_one_whatever_the_sizes_of_tangents() {
        let [rows, inner, cols] = SIZES;
        let rms = |of: &[f64]| (of.iter().map(|x| x * x).sum::<f64>() / (rows * cols) as f64).sqrt();
        for of in [[1.0, 1.0], [1e-6, 1.0], [1.0, 1e-6], [1e5, 1e-3], [1e-7, 1e-7], [1e6, 1e6], [30.0, 1e-2]] {
            let exact = tangent::<f64>(Form::Direct, of);
            let error = |form| {
                let difference: Vec<f64> = tangent::<f32>(form, of).iter().zip(&exact).map(|(a, b)| a - b).collect();
                rms(&difference)
            };
            let (direct, two) = (error(Form::Direct), error(Form::TwoProduct));
            assert!(two < 4.0 * direct, "{of:?}: {two:e} beside {direct:e}");
            // Neither is far from what rounding a sum of so many terms of these sizes gives.
            let size = (of[0] + of[1]) * (inner as f64).sqrt() / 2.0;
            assert!(direct < 1e-6 * size, "{of:?}: {direct:e} of {size:e}");
        }
    }
}
