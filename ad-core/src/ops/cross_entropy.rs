//! Softmax and cross-entropy in one primitive.

use std::sync::Arc;

use crate::array::{Array, At};
use crate::buffer::Buffer;
use crate::kernel::pieces;
use crate::ops::moments::{moments_here, rows_at_once};
use crate::ops::rows::{EXPONENTIAL, from_exponentials, shift, with_exponentials};
use crate::ops::{Forms, Ops, recorded_as};
use crate::primitive::{Advance, Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::shape::count;
use crate::sums::{inner_here, sum_here};
use crate::tensor::Tensor;

/// Mean cross-entropy of class labels under softmax, as PyTorch's `cross_entropy` defines it.
///
/// Input: logits z (…, C), one row for each label. With w the class weights (1 if none), ε the label smoothing, and rows
/// whose label is `ignore_index` left out,
///
/// ```text
///   t_rc = (1 − ε) w_yr [c = y_r] + ε w_c / C          the target of row r
///   f    = (1/W) Σ_r Σ_c t_rc (−log p_rc)              W = Σ_r w_yr,  p_r = softmax(z_r)
///   ∂f/∂z_rc = (s_r p_rc − t_rc) / W                   s_r = Σ_c t_rc
///   f″[ż, ż] = (1/W) Σ_r s_r (Σ_c p ż² − (Σ_c p ż)²)
/// ```
///
/// Where every row is ignored, W = 0 and the value is NaN, as in PyTorch.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossEntropy(Arc<Targets>);

#[derive(Debug, PartialEq)]
struct Targets {
    labels: Vec<usize>,
    ignore_index: Option<usize>,
    weights: Option<Vec<f64>>,
    smoothing: f64,
}

impl CrossEntropy {
    /// Cross-entropy of these labels, one for each row of the logits.
    pub fn new(labels: &[usize]) -> Self {
        CrossEntropy(Arc::new(Targets { labels: labels.to_vec(), ignore_index: None, weights: None, smoothing: 0.0 }))
    }

    /// Leaves out rows with this label.
    pub fn ignore_index(self, label: usize) -> Self {
        self.with(|t| t.ignore_index = Some(label))
    }

    /// Weighs each class.
    ///
    /// # Panics
    /// If a weight is negative or not finite.
    #[track_caller]
    pub fn class_weights(self, weights: &[f64]) -> Self {
        assert!(
            weights.iter().all(|w| w.is_finite() && *w >= 0.0),
            "class weights must be finite and ≥ 0: {weights:?}"
        );
        self.with(|t| t.weights = Some(weights.to_vec()))
    }

    /// Moves the share ε of each target to all classes equally.
    ///
    /// # Panics
    /// If ε is not within [0, 1].
    #[track_caller]
    pub fn label_smoothing(self, epsilon: f64) -> Self {
        assert!((0.0..=1.0).contains(&epsilon), "label smoothing must be within [0, 1], not {epsilon}");
        self.with(|t| t.smoothing = epsilon)
    }

    fn with(self, change: impl FnOnce(&mut Targets)) -> Self {
        let t = Arc::try_unwrap(self.0).unwrap_or_else(|t| Targets {
            weights: t.weights.clone(),
            labels: t.labels.clone(),
            ..*t
        });
        let mut t = t;
        change(&mut t);
        CrossEntropy(Arc::new(t))
    }

    /// Number of classes; panics unless labels and weights fit the logits.
    #[track_caller]
    fn classes(&self, logits: &[usize]) -> usize {
        let t = &*self.0;
        let Some((&classes, rows)) = logits.split_last() else { panic!("cross_entropy: the logits are a scalar") };
        assert!(classes > 0, "cross_entropy: logits of shape {logits:?} have no classes");
        assert!(
            count(rows) == t.labels.len(),
            "cross_entropy: {} labels for logits of shape {logits:?}",
            t.labels.len()
        );
        if let Some(w) = &t.weights {
            assert!(w.len() == classes, "cross_entropy: {} class weights for {classes} classes", w.len());
        }
        if let Some((row, label)) =
            t.labels.iter().enumerate().find(|(_, y)| **y >= classes && Some(**y) != t.ignore_index)
        {
            panic!("cross_entropy: label {label} of row {row} is not below {classes}, the number of classes");
        }
        classes
    }

    fn weight(&self, class: usize) -> f64 {
        self.0.weights.as_ref().map_or(1.0, |w| w[class])
    }

    /// The label of a row, `None` where ignored.
    #[inline]
    fn label(&self, row: usize) -> Option<usize> {
        let label = self.0.labels[row];
        (Some(label) != self.0.ignore_index).then_some(label)
    }

    /// The label of each row, `None` where ignored.
    fn rows(&self) -> impl Iterator<Item = Option<usize>> {
        (0..self.0.labels.len()).map(|row| self.label(row))
    }

    /// W, the total weight of the rows.
    fn total(&self) -> f64 {
        self.rows().flatten().map(|y| self.weight(y)).sum()
    }

    /// Σ_c w_c / C times ε: what smoothing adds to each s_r.
    fn spread(&self, classes: usize) -> f64 {
        self.0.smoothing * (0..classes).map(|c| self.weight(c)).sum::<f64>() / classes as f64
    }

    /// t_rc.
    fn target(&self, label: usize, class: usize, classes: usize) -> f64 {
        let hit = if label == class { (1.0 - self.0.smoothing) * self.weight(label) } else { 0.0 };
        hit + self.0.smoothing * self.weight(class) / classes as f64
    }

    /// s_r = Σ_c t_rc.
    fn mass(&self, label: usize, spread: f64) -> f64 {
        (1.0 - self.0.smoothing) * self.weight(label) + spread
    }

    /// (s / W as a column, t / W as a matrix), constants of the logits' shape.
    fn constants<A: Array>(&self, logits: &[usize]) -> (A, A) {
        let classes = self.classes(logits);
        let (total, spread) = (self.total(), self.spread(classes));
        let mass = self.rows().map(|y| y.map_or(0.0, |y| self.mass(y, spread) / total)).collect();
        let target =
            self.rows().flat_map(|y| (0..classes).map(move |c| y.map_or(0.0, |y| self.target(y, c, classes) / total)));
        let mut column = logits.to_vec();
        *column.last_mut().expect("rank is at least 1") = 1;
        (A::constant(&Tensor::from_vec(&column, mass)), A::constant(&Tensor::from_vec(logits, target.collect())))
    }

    /// Σ_c t_rc v_c of a row with this label.
    #[inline]
    fn targeted(&self, label: usize, classes: usize, v: impl Fn(usize) -> f64) -> f64 {
        if self.0.smoothing == 0.0 {
            return self.weight(label) * v(label);
        }
        (0..classes).map(|c| self.target(label, c, classes) * v(c)).sum()
    }

    /// The first and second derivative along ż, times W: Σ_r (s_r Σ_c p ż − Σ_c t ż) and Σ_r s_r (Σ_c p ż² − (Σ_c p ż)²).
    fn along<T: Real>(&self, z: &Tensor<T>, dz: &Tensor<T>) -> [f64; 2] {
        let classes = self.classes(z.shape());
        let (spread, rows) = (self.spread(classes), rows_at_once(classes));
        let mut found = vec![[0.0; 2]; self.0.labels.len()];
        pieces(
            &mut found,
            rows,
            2 * EXPONENTIAL * classes,
            #[inline(always)]
            |i, found| {
                let [z, dz] = [z, dz].map(|t| &t.data()[i * rows * classes..][..found.len() * classes]);
                moments_here(found, z, dz, classes);
                for (r, (found, dz)) in found.iter_mut().zip(dz.chunks_exact(classes)).enumerate() {
                    let [mean, variance] = *found;
                    *found = self.label(i * rows + r).map_or([0.0; 2], |label| {
                        let mass = self.mass(label, spread);
                        [mass * mean - self.targeted(label, classes, |c| dz[c].to_f64()), mass * variance]
                    });
                }
                0.0
            },
        );
        found.iter().fold([0.0; 2], |[a, b], [x, y]| [a + x, b + y])
    }
}

impl Primitive for CrossEntropy {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let z = x[0];
        let classes = self.classes(z.shape());
        let mut powers = Buffer::stale(z.len());
        let f = with_exponentials(
            &mut powers,
            z.data(),
            classes,
            #[inline(always)]
            |index, row, powers| {
                let Some(label) = self.label(index) else { return 0.0 };
                let (log_sum, top) = (f64::ln(sum_here(powers)), shift(row));
                self.targeted(label, classes, |c| log_sum - (row[c] - top).to_f64())
            },
        );
        Tensor::scalar(T::from_f64(f / self.total()))
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        Some((self.slope(x[0]) * dx[0]?).sum_all())
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || self.slope(x[0]) * ybar);
    }

    fn vjp_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        _y: &Tensor<T>,
        ybar: &Tensor<T>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let classes = self.classes(x[0].shape());
        let (scale, spread) = (ybar.item().to_f64() / self.total(), self.spread(classes));
        out.add(0, || {
            from_exponentials(
                x[0],
                classes,
                #[inline(always)]
                |index, _, out| {
                    let Some(label) = self.label(index) else { return out.fill(T::default()) };
                    let factor = T::from_f64(self.mass(label, spread) / sum_here(out) * scale);
                    out.iter_mut().for_each(|o| *o = *o * factor);
                    let targets = if self.0.smoothing == 0.0 { label..label + 1 } else { 0..classes };
                    for c in targets {
                        out[c] = out[c] - T::from_f64(self.target(label, c, classes) * scale);
                    }
                },
            )
        });
    }

    /// ȳ s p ∘ (ż − Σ p ż) / W.
    fn vjp_curved_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let Some(dz) = dx[0] else { return };
        let classes = self.classes(dz.shape());
        let (scale, spread) = (at.ybar.item().to_f64() / self.total(), self.spread(classes));
        out.add(0, || {
            from_exponentials(
                at.x[0],
                classes,
                #[inline(always)]
                |index, _, out| {
                    let Some(label) = self.label(index) else { return out.fill(T::default()) };
                    let dz = &dz.data()[index * classes..][..classes];
                    let inverse = 1.0 / sum_here(out);
                    let mean = T::from_f64(inverse * inner_here(out, dz));
                    let factor = T::from_f64(scale * self.mass(label, spread) * inverse);
                    for (o, &d) in out.iter_mut().zip(dz) {
                        *o = *o * factor * (d - mean);
                    }
                },
            )
        });
    }

    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        self.advance_fused(&Advance { x, y, ybar: None, dx, multiples: &[None], forms: Forms::Cheapest })?.0
    }

    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let dz = node.dx[0]?;
        let [first, second] = self.along(node.x[0], dz);
        let total = self.total();
        let ybar = node.ybar.map_or(0.0, |ybar| ybar.item().to_f64());
        Some((Some(Tensor::scalar(T::from_f64(first / total))), ybar / total * second))
    }

    recorded_as!(CrossEntropy);
}

impl CrossEntropy {
    /// ∂f/∂z = (s p − t)/W.
    fn slope<A: Array>(&self, z: &A) -> A {
        let (mass, target) = self.constants::<A>(z.shape());
        z.softmax(-1) * mass - target
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::array::Base;
    use crate::transform::grad;

    const LOGITS: [[f64; 3]; 3] = [[1.0, 2.0, -0.5], [0.3, 0.2, 0.1], [-1.0, 4.0, 0.0]];

    fn logits() -> Tensor<f64> {
        Tensor::from_vec(&[3, 3], LOGITS.concat())
    }

    /// −log p of a class, by the definition.
    fn minus_log_p(row: usize, class: usize) -> f64 {
        let z = LOGITS[row];
        z.iter().map(|v| v.exp()).sum::<f64>().ln() - z[class]
    }

    fn value(loss: &CrossEntropy) -> f64 {
        f64::from_tensor(Tensor::apply(loss.clone(), &[&logits()]))
    }

    #[test]
    fn the_mean_is_over_the_rows_that_count() {
        let plain = CrossEntropy::new(&[1, 0, 2]);
        let want = (minus_log_p(0, 1) + minus_log_p(1, 0) + minus_log_p(2, 2)) / 3.0;
        assert_relative_eq!(value(&plain), want, max_relative = 1e-14);
        let ignoring = CrossEntropy::new(&[1, 99, 2]).ignore_index(99);
        assert_relative_eq!(value(&ignoring), (minus_log_p(0, 1) + minus_log_p(2, 2)) / 2.0, max_relative = 1e-14);
        let g = grad(|z| Array::apply(ignoring.clone(), &[z]), &logits());
        assert_eq!(g.data()[3..6], [0.0; 3], "an ignored row has no gradient");
        assert!(value(&CrossEntropy::new(&[9, 9, 9]).ignore_index(9)).is_nan());
    }

    #[test]
    fn weights_and_smoothing_follow_the_formula() {
        let w = [0.5, 2.0, 1.0];
        let weighted = CrossEntropy::new(&[1, 0, 2]).class_weights(&w);
        let want = (2.0 * minus_log_p(0, 1) + 0.5 * minus_log_p(1, 0) + minus_log_p(2, 2)) / 3.5;
        assert_relative_eq!(value(&weighted), want, max_relative = 1e-14);
        let smoothed = weighted.label_smoothing(0.3);
        let spread: f64 = (0..3).map(|r| (0..3).map(|c| w[c] * minus_log_p(r, c)).sum::<f64>()).sum();
        assert_relative_eq!(value(&smoothed), 0.7 * want + 0.3 / 3.0 * spread / 3.5, max_relative = 1e-14);
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        let z = Tensor::from_vec(&[1, 2], vec![1e4, -1e4]);
        assert_eq!(z.cross_entropy(&[0]).item(), 0.0);
        assert_eq!(z.cross_entropy(&[1]).item(), 2e4);
        assert_eq!(grad(|z| z.cross_entropy(&[1]), &z).data(), [1.0, -1.0]);
    }

    #[test]
    #[should_panic(expected = "cross_entropy: label 3 of row 1 is not below 3")]
    fn a_label_out_of_range_is_refused() {
        value(&CrossEntropy::new(&[1, 3, 2]));
    }
}
