//! Deliberately wrong rules, each of which the checker must catch, naming the entry.

use ad_core::check::{self, Mismatch};
use ad_core::{Advance, Array, Cotangents, Kind, Ops, Primitive, Real, Tensor};

/// What is wrong with a [`Square`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    /// The JVP is 3xẋ.
    Jvp,
    /// The VJP of the last element is 3xȳ.
    OneElementOfVjp,
    /// The VJP is right, but hides that it depends on x.
    SecondOrder,
    /// The fused VJP differs from the VJP.
    FusedVjp,
    /// The fused contraction is twice what it should be.
    FusedContraction,
}

/// x², possibly with a wrong rule.
#[derive(Clone, Debug)]
struct Square(Wrong);

impl Primitive for Square {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "square"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        Tensor::from_vec(x[0].shape(), x[0].data().iter().map(|&v| v * v).collect())
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        let factor = if self.0 == Wrong::Jvp { 3.0 } else { 2.0 };
        Some(x[0].times(dx[0]?).scale(factor))
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || {
            let slope = match self.0 {
                Wrong::SecondOrder => x[0].stop_gradient().scale(2.0),
                Wrong::OneElementOfVjp => {
                    let n = x[0].shape()[0];
                    x[0].times(&A::constant(&Tensor::from_fn(&[n], |i| if i + 1 == n { 3.0 } else { 2.0 })))
                }
                _ => x[0].scale(2.0),
            };
            slope * ybar
        });
    }

    fn vjp_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        y: &Tensor<T>,
        ybar: &Tensor<T>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        if self.0 == Wrong::FusedVjp { out.add(0, || x[0].times(ybar)) } else { self.vjp(x, y, ybar, out) }
    }

    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let factor = if self.0 == Wrong::FusedContraction { 4.0 } else { 2.0 };
        let terms = node.ybar?.data().iter().zip(node.dx[0]?.data());
        let term = factor * terms.map(|(y, d)| y.to_f64() * d.to_f64() * d.to_f64()).sum::<f64>();
        Some((self.jvp(node.x, node.y, node.dx), term))
    }
}

/// x y, claiming to be linear.
#[derive(Clone, Debug)]
struct NotLinear;

impl Primitive for NotLinear {
    const KIND: Kind = Kind::Linear;

    fn name(&self) -> &'static str {
        "not_linear"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        x[0].times(x[1])
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        let (a, b) = (dx[0].map(|d| d.times(x[1])), dx[1].map(|d| d.times(x[0])));
        match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        }
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || x[1].times(ybar));
        out.add(1, || x[0].times(ybar));
    }
}

/// What is wrong with a [`Product`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum WrongPair {
    Nothing,
    /// The tangent is lost where only one input moves.
    LoneTangent,
    /// The cotangent of input 1 is lost where that of input 0 is not wanted.
    LoneCotangent,
    /// The cotangent of a broadcast input is not summed back to its shape.
    NotSummedBack,
}

/// x₀ x₁, broadcast, possibly with a wrong rule.
#[derive(Clone, Debug)]
struct Product(WrongPair);

impl Primitive for Product {
    // Bilinear too, but claiming less lets each wrong rule show where it is wrong.
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "product"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        x[0].times(x[1])
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        match (dx[0].map(|d| d.times(x[1])), dx[1].map(|d| x[0].times(d))) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b).filter(|_| self.0 != WrongPair::LoneTangent),
        }
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        let summed = |c: A, i: usize| if self.0 == WrongPair::NotSummedBack { c } else { c.sum_to(x[i].shape()) };
        out.add(0, || summed(x[1].times(ybar), 0));
        if out.wants(0) || self.0 != WrongPair::LoneCotangent {
            out.add(1, || summed(x[0].times(ybar), 1));
        }
    }
}

/// x₀² x₁, claiming to be bilinear.
#[derive(Clone, Debug)]
struct NotBilinear;

impl Primitive for NotBilinear {
    const KIND: Kind = Kind::Bilinear;

    fn name(&self) -> &'static str {
        "not_bilinear"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        x[0].powi(2).times(x[1])
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        let terms = (dx[0].map(|d| x[0].times(x[1]).scale(2.0) * d), dx[1].map(|d| x[0].powi(2) * d));
        match terms {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        }
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || x[0].times(x[1]).scale(2.0) * ybar);
        out.add(1, || x[0].powi(2) * ybar);
    }
}

fn checked(wrong: Wrong) -> Result<check::Report, Mismatch> {
    check::primitive(&Square(wrong), &[Tensor::from_vec(&[3], vec![0.5, -1.0, 2.0])])
}

#[test]
fn the_right_rule_passes() {
    checked(Wrong::Nothing).expect("nothing is wrong");
}

#[test]
fn a_wrong_jvp_is_caught() {
    assert_eq!(checked(Wrong::Jvp).unwrap_err().way, "the gradient by Dual");
}

#[test]
fn one_wrong_element_of_a_vjp_is_caught_and_named() {
    let mismatch = checked(Wrong::OneElementOfVjp).unwrap_err();
    assert_eq!((mismatch.way, mismatch.entry.as_str()), ("the gradient by Var", "input 0, element 2"));
    let message = mismatch.to_string();
    assert!(message.starts_with("input 0, element 2: the gradient by Var gives "), "{message}");
}

#[test]
fn a_wrong_second_order_is_caught_though_the_first_is_right() {
    assert_eq!(checked(Wrong::SecondOrder).unwrap_err().way, "Hv by adjoint_tangents");
}

#[test]
fn fused_rules_that_differ_are_caught() {
    assert!(checked(Wrong::FusedVjp).is_err());
    assert_eq!(checked(Wrong::FusedContraction).unwrap_err().way, "vᵀHv by curvature");
}

#[test]
fn a_false_claim_of_linearity_is_caught() {
    let x = Tensor::from_vec(&[2], vec![0.5, -1.0]);
    let mismatch = check::primitive(&NotLinear, &[x.clone(), x]).unwrap_err();
    assert_eq!(mismatch.way, "Hv by adjoint_tangents");
}

#[test]
fn a_false_claim_of_bilinearity_is_caught() {
    let x = Tensor::from_vec(&[2], vec![0.5, -1.0]);
    let mismatch = check::primitive(&NotBilinear, &[x.clone(), x]).unwrap_err();
    assert_eq!(mismatch.way, "Hv by adjoint_tangents");
}

fn checked_pair(wrong: WrongPair) -> Result<check::Report, Mismatch> {
    let inputs = [Tensor::from_vec(&[2, 2], vec![0.5, -1.0, 2.0, 0.3]), Tensor::from_vec(&[2], vec![1.5, -0.7])];
    check::primitive(&Product(wrong), &inputs)
}

#[test]
fn rules_that_need_every_input_to_move_are_caught() {
    checked_pair(WrongPair::Nothing).expect("nothing is wrong");
    let mismatch = checked_pair(WrongPair::LoneTangent).unwrap_err();
    assert!(mismatch.way.ends_with("with absent tangents"), "{mismatch}");
    let mismatch = checked_pair(WrongPair::LoneCotangent).unwrap_err();
    assert_eq!(mismatch.way, "the gradient with constant inputs");
    assert!(mismatch.entry.starts_with("input 1, element "), "{mismatch}");
}

#[test]
fn a_cotangent_of_another_shape_is_caught_and_its_input_named() {
    let message = checked_pair(WrongPair::NotSummedBack).unwrap_err().to_string();
    let want = "input 1, number of axes: the cotangent's shape gives 2, but the input's gives 1";
    assert!(message.starts_with(want), "{message}");
}

#[test]
fn a_function_s_worst_leaf_is_named() {
    let theta = ad_core::Params::new([("w", Tensor::scalar(0.4)), ("b", Tensor::scalar(1.3))]);
    let wrong = check::function(|p| p.get("w").powi(2) * p.get("b").exp().stop_gradient(), &theta).unwrap_err();
    assert_eq!(wrong.entry, "b, element 0");
    check::function(|p| p.get("w").powi(2) * p.get("b").exp(), &theta).expect("nothing is wrong");
}
