//! Inner products, and sums whose value does not depend on the number of threads.

use rayon::prelude::*;

/// The inner product ⟨a, b⟩.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Writes the inner products ⟨r_j, r_k⟩ of the rows of an (M, n) matrix to the symmetric (M, M) matrix `out`.
///
/// Costs n·M(M + 1)/2 multiply-adds.
pub(super) fn inner_products(rows: &[f64], n: usize, out: &mut [f64]) {
    let m = rows.len() / n;
    for j in 0..m {
        for k in 0..=j {
            let product = dot(&rows[j * n..][..n], &rows[k * n..][..n]);
            out[j * m + k] = product;
            out[k * m + j] = product;
        }
    }
}

/// 1 + x_iᵀx_j for all samples i and j, (M, M): the Gram matrix of the inputs with a constant 1 appended for the bias.
pub(super) fn input_gram(x: &[f64], inputs: usize) -> Vec<f64> {
    let m = x.len() / inputs;
    let mut gram = vec![0.0; m * m];
    inner_products(x, inputs, &mut gram);
    gram.iter_mut().for_each(|g| *g += 1.0);
    gram
}

/// Σ_i term(i) over i < `samples`, the terms computed in parallel, each worker with scratch space of its own.
///
/// The terms are collected in order and then added in order, so that threads decide who computes a term and never what
/// is added to what: the sum has the same bits for any number of threads.
pub(super) fn ordered_sum<S>(
    samples: usize,
    scratch: impl Fn() -> S + Sync + Send,
    term: impl Fn(&mut S, usize) -> f64 + Sync + Send,
) -> f64 {
    let terms: Vec<f64> = (0..samples).into_par_iter().map_init(scratch, term).collect();
    terms.iter().sum()
}
