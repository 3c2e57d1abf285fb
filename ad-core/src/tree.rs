//! Collections of arrays that transforms differentiate with respect to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::array::Array;

/// A collection of arrays of one type in a fixed order: one array, a slice, a vector, or named parameters.
///
/// The transforms in [`transform`](crate::transform) take and return trees: the gradient with respect to a tree has the
/// same structure.
pub trait Tree {
    /// The type of the arrays.
    type Leaf: Array;
    /// The same structure over another type of array.
    type With<B: Array>: Tree<Leaf = B>;

    /// The arrays, in order.
    fn leaves(&self) -> Vec<&Self::Leaf>;

    /// The same structure holding other arrays, given in order, as many as there are leaves.
    fn rebuild<B: Array>(&self, leaves: Vec<B>) -> Self::With<B>;

    /// What to call leaf `i` in a message.
    fn name(&self, i: usize) -> String {
        format!("[{i}]")
    }
}

impl<A: Array> Tree for A {
    type Leaf = A;
    type With<B: Array> = B;

    fn leaves(&self) -> Vec<&A> {
        vec![self]
    }

    fn rebuild<B: Array>(&self, leaves: Vec<B>) -> B {
        let [leaf] = <[B; 1]>::try_from(leaves).unwrap_or_else(|l| panic!("{} leaves for one array", l.len()));
        leaf
    }

    fn name(&self, _i: usize) -> String {
        "x".to_string()
    }
}

impl<A: Array> Tree for [A] {
    type Leaf = A;
    type With<B: Array> = Vec<B>;

    fn leaves(&self) -> Vec<&A> {
        self.iter().collect()
    }

    fn rebuild<B: Array>(&self, leaves: Vec<B>) -> Vec<B> {
        assert!(leaves.len() == self.len(), "{} leaves for a slice of {}", leaves.len(), self.len());
        leaves
    }
}

impl<A: Array> Tree for Vec<A> {
    type Leaf = A;
    type With<B: Array> = Vec<B>;

    fn leaves(&self) -> Vec<&A> {
        self.iter().collect()
    }

    fn rebuild<B: Array>(&self, leaves: Vec<B>) -> Vec<B> {
        self.as_slice().rebuild(leaves)
    }
}

/// A tree of named parameters, such as `layers.0.weight`, in a fixed order.
///
/// Names are shared between trees of the same structure, so a gradient costs no new names.
///
/// ```
/// use ad_core::{Ops, Params, Tensor, grad};
/// let theta = Params::new([("w", Tensor::full(&[2], 3.0)), ("b", Tensor::scalar(1.0))]);
/// let g = grad(|p| (p.get("w").powi(2)).sum_all() + p.get("b"), &theta);
/// assert_eq!(g.get("w").data(), &[6.0, 6.0]);
/// assert_eq!(g.get("b").item(), 1.0);
/// ```
#[derive(Clone, Debug)]
pub struct Params<A> {
    names: Arc<Names>,
    leaves: Vec<A>,
}

#[derive(Debug, PartialEq)]
struct Names {
    list: Vec<String>,
    index: HashMap<String, usize>,
}

impl<A> Params<A> {
    /// A tree of these names and arrays.
    ///
    /// # Panics
    /// If a name occurs twice.
    #[track_caller]
    pub fn new<S: Into<String>>(entries: impl IntoIterator<Item = (S, A)>) -> Self {
        let (list, leaves): (Vec<String>, Vec<A>) = entries.into_iter().map(|(n, a)| (n.into(), a)).unzip();
        let index: HashMap<String, usize> = list.iter().cloned().zip(0..).collect();
        if index.len() < list.len() {
            let twice = list.iter().enumerate().find(|(i, n)| index[*n] != *i).map(|(_, n)| n);
            panic!("parameter {:?} is given twice", twice.expect("a name was given twice"));
        }
        Params { names: Arc::new(Names { list, index }), leaves }
    }

    /// The array of this name.
    ///
    /// # Panics
    /// If there is none, listing the names there are.
    #[track_caller]
    pub fn get(&self, name: &str) -> &A {
        self.find(name).unwrap_or_else(|| panic!("no parameter {name:?} among {:?}", self.names.list))
    }

    /// The array of this name, if there is one.
    pub fn find(&self, name: &str) -> Option<&A> {
        self.names.index.get(name).map(|&i| &self.leaves[i])
    }

    /// The names, in order.
    pub fn names(&self) -> &[String] {
        &self.names.list
    }

    /// The arrays, in order.
    pub fn arrays(&self) -> &[A] {
        &self.leaves
    }

    /// Names and arrays, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &A)> {
        self.names.list.iter().map(String::as_str).zip(&self.leaves)
    }

    /// A tree of the same names, each array computed from its namesake here.
    pub fn map<B>(&self, f: impl FnMut(&A) -> B) -> Params<B> {
        Params { names: self.names.clone(), leaves: self.leaves.iter().map(f).collect() }
    }

    /// A tree of the same names, each array computed from its namesakes in two trees.
    ///
    /// # Panics
    /// If the names differ.
    #[track_caller]
    pub fn zip<B, C>(&self, other: &Params<B>, mut f: impl FnMut(&A, &B) -> C) -> Params<C> {
        let (ours, theirs) = (&self.names, &other.names);
        assert!(Arc::ptr_eq(ours, theirs) || ours == theirs, "parameters {:?} and {:?} differ", ours.list, theirs.list);
        let leaves = self.leaves.iter().zip(&other.leaves).map(|(a, b)| f(a, b)).collect();
        Params { names: self.names.clone(), leaves }
    }

    /// A tree of the same names holding other arrays, given in order.
    ///
    /// # Panics
    /// If their number differs.
    #[track_caller]
    pub fn with<B>(&self, leaves: Vec<B>) -> Params<B> {
        assert!(leaves.len() == self.leaves.len(), "{} arrays for {} parameters", leaves.len(), self.leaves.len());
        Params { names: self.names.clone(), leaves }
    }
}

impl<A: Array> Tree for Params<A> {
    type Leaf = A;
    type With<B: Array> = Params<B>;

    fn leaves(&self) -> Vec<&A> {
        self.leaves.iter().collect()
    }

    fn rebuild<B: Array>(&self, leaves: Vec<B>) -> Params<B> {
        self.with(leaves)
    }

    fn name(&self, i: usize) -> String {
        self.names.list[i].clone()
    }
}
