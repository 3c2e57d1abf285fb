//! Symmetric matrices of inner products.

use ad_core::matrix::{Matrix, gram_into};

pub(super) use ad_core::matrix::inner as dot;

/// The inner products ⟨r_j, r_k⟩ of the rows of an (M, n) matrix, symmetric (M, M).
///
/// Costs n·M(M + 1)/2 multiply-adds, in parallel in the caller's rayon pool.
pub(super) fn inner_products(rows: &[f64], n: usize) -> Vec<f64> {
    let m = rows.len() / n;
    let mut products = vec![0.0; m * m];
    gram_into(&mut products, Matrix::new(rows, m, n, false), 1.0);
    products
}

/// 1 + x_iᵀx_j for all samples i and j, (M, M): the Gram matrix of the inputs with a constant 1 appended for the bias.
pub(super) fn input_gram(x: &[f64], inputs: usize) -> Vec<f64> {
    let mut gram = inner_products(x, inputs);
    gram.iter_mut().for_each(|g| *g += 1.0);
    gram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_products_fill_both_triangles() {
        for m in [1, 2, 31, 33, 70] {
            let rows: Vec<f64> = (0..3 * m).map(|i| (i as f64 * 0.7).sin()).collect();
            let products = inner_products(&rows, 3);
            for (j, row) in products.chunks_exact(m).enumerate() {
                for (k, product) in row.iter().enumerate() {
                    let want: f64 = (0..3).map(|c| rows[3 * j + c] * rows[3 * k + c]).sum();
                    approx::assert_relative_eq!(*product, want, max_relative = 1e-13, epsilon = 1e-14);
                }
            }
        }
    }
}
