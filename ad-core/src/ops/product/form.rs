//! The forms in which a product can advance, and which of them costs least.

use crate::primitive::{Multiple, Visit};

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
