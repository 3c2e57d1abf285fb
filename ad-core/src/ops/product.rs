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
//! to find: ‖X‖‖W‖/s = ‖X‖‖Ẇ‖ and s‖Ẋ‖‖Ẇ‖ = ‖Ẋ‖‖W‖, so its rounding error is at most about twice the direct form's; and s is known before Ẋ is. The
//! mixed form's C has the error of ‖X‖‖Z̄‖, where the rows' gradients may cancel in W̄; where that would be seen, C is ẊẆ after all.
//! The factored form replaces products over n_in × n_out by ones over the rows of the batch, and half of each symmetric one
//! suffices; the mixed form has fewer of these, and the two-product form's sums. Both hold where the direction is the mini-batch gradient,
//! for a weight that is used once.
//!
//! What needs nothing but rows of Ẋ, the first steps of the two-product and the mixed form and all of the direct one with few columns, can
//! begin by the threads that find these rows; X/s + Ẋ then takes the place of Ẋ.

use std::f64::consts::SQRT_2;
use std::ops::RangeInclusive;

use smallvec::{SmallVec, smallvec};

use crate::buffer::Buffer;
use crate::gemm::{
    CellSums, First, InnerProducts, Matrix, Next, Onto, Output, Second, Source, Step, compute, fill_symmetric,
    inner_products, is_narrow,
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

/// What computes results that begin from rows of Ẋ.
type Run<'a, T> = dyn FnMut(&mut Next<'_, T>) + 'a;

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
    pub(crate) fn begin(&self, forms: Forms, find: &mut dyn FnMut(&mut Next<'_, T>)) -> Option<Begun<T>> {
        let Sizes { rows, inner, cols, .. } = self.sizes;
        let dx = self.dx.filter(|_| rows * inner * cols > 0)?;
        let mut is_taken = false;
        let mut run = |next: &mut Next<'_, T>| {
            find(next);
            is_taken = next.is_taken();
        };
        let begun = match self.plan(forms) {
            Plan::Sums(scales) => self.begin_sums(scales, dx, &mut run),
            Plan::Direct if is_narrow(First::Rows(dx), self.w.into()) => {
                let (dz, term) = self.direct(None, &mut run);
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
        let run: &mut Run<'_, T> = &mut |next| compute(next.take());
        match (self.plan(forms), self.dx, self.zbar, self.multiple) {
            (Plan::Sums(scales), Some(dx), ..) => self.finish(self.begin_sums(scales, dx, run), next),
            (Plan::Factored, dx, Some(zbar), Some(multiple)) => self.factored(dx, zbar, multiple, next),
            _ => self.direct(next, run),
        }
    }

    fn finish(&self, progress: Progress<T>, next: Option<&mut Next<'_, T>>) -> (Buffer<T>, f64) {
        match progress {
            Progress::All(dz, term) => (dz, term),
            Progress::Sums(scales, x, start) => self.by_sums(scales, x.as_deref(), start, next),
        }
    }

    fn direct(&self, next: Option<&mut Next<'_, T>>, run: &mut Run<'_, T>) -> (Buffer<T>, f64) {
        let (mut dz, tangent) = (self.stale(), self.tangent_steps());
        let output = self.output(&mut dz, &tangent).then(self.then).followed_by(next);
        let (Some(dx), Some(dw), Some(zbar)) = (self.dx, self.dw, self.zbar) else {
            run(&mut Next::new(smallvec![output], None));
            return (dz, 0.0);
        };
        let (mut c, curved) = (self.stale(), [Step::Product(Onto::Nothing, First::Rows(dx), dw.into())]);
        run(&mut Next::new(smallvec![output, self.output(&mut c, &curved)], None));
        (dz, 2.0 * kernel::inner(&c, zbar))
    }

    /// X/s + Ẋ and, of the mixed form, what Ż starts from.
    fn begin_sums(&self, scales: Scales, dx: Source<'_, T>, run: &mut Run<'_, T>) -> Progress<T> {
        let inverse = T::from_f64(1.0 / scales.s);
        let sum = [Step::Sum([Source::Stored(self.x), dx], [inverse, T::from_f64(1.0)])];
        let stale = || Buffer::stale(self.x.data().len());
        let (Some(c), Some(zbar)) = (scales.mixed, self.zbar) else {
            let mut x = stale();
            run(&mut Next::new(smallvec![Output::new(&mut x, self.x.stored_sizes(), &sum)], None));
            return Progress::Sums(scales, Some(x), None);
        };
        // By rows, with all that each row of C over c, (ẊXᵀ)Z̄, is made of.
        let Sizes { rows, cols, .. } = self.sizes;
        let (mut dz, terms, bias) = (self.stale(), CellSums::new(rows, cols), self.moved_bias(inverse));
        let start = self.start(zbar, bias.as_deref(), [inverse, T::from_f64(scales.s * c)], &terms);
        let c_by_rows = First::Product(dx, self.x.transpose());
        let zbar = Matrix::new(zbar, rows, cols, false);
        let start = [Step::Product(Onto::Nothing, c_by_rows, zbar.into()), Step::Cells(&start)];
        let start = self.output(&mut dz, &start);
        let x = if dx.stored().is_some() {
            let mut x = stale();
            run(&mut Next::new(smallvec![Output::new(&mut x, self.x.stored_sizes(), &sum), start], None));
            Some(x)
        } else {
            // In the place of Ẋ, which nothing else reads.
            let add = |from: usize, dx: &mut [T]| {
                kernel::weighted_onto_here(dx, &self.x.data()[from..from + dx.len()], inverse);
            };
            run(&mut Next::new(smallvec![start], Some(&add)));
            None
        };
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

/// s = ‖W‖ / ‖Ẇ‖, a power of two so that it scales without rounding, given the [mean squares](mean_squares) of W and Ẇ. `None`
/// where one of them vanishes or overflows, or where s is so large or small that what is scaled by it may leave the range of single precision.
pub(crate) fn balance([of_w, of_dw]: [f64; 2]) -> Option<f64> {
    let s = (of_w / of_dw).sqrt();
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
            let s = balance([exact, 1.0 / exact]).expect("it balances");
            assert_eq!(s, f64::log2(exact).round().exp2(), "{exact}");
        }
        for tangent in [0.0, 1e-60, 1e60, f64::INFINITY, f64::NAN] {
            assert_eq!(balance([1.0, tangent]), None, "{tangent}");
        }
    }
}
