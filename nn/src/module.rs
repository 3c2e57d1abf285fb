//! What a network is: a pure function of named parameters.

use std::fmt::Debug;

use ad_core::{Array, Params, Real, Tensor, Var};

use crate::init::Init;
use crate::random::Key;

/// One parameter of a module: its name, shape, and how it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// Full name, such as `layers.0.weight`.
    pub name: String,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Distribution of the starting values.
    pub init: Init,
}

/// The part of a module that does not depend on the kind of array: which parameters it has.
pub trait Architecture: Debug + Send + Sync {
    /// Adds the module's parameters, in order, under the names that [`Module::forward`] will ask for.
    fn declare(&self, to: &mut Declarations<'_>);

    /// All parameters, in order.
    fn parameters(&self) -> Vec<ParameterSpec> {
        let mut found = Vec::new();
        self.declare(&mut Declarations { found: &mut found, prefix: String::new() });
        found
    }

    /// Fresh parameters: the same for the same key, whatever else is drawn from it.
    ///
    /// Each parameter has a stream of its own, named after it. Numbers are drawn in double precision and rounded.
    fn init<T: Real>(&self, key: Key) -> Params<Tensor<T>>
    where
        Self: Sized,
    {
        init_parameters(self, key)
    }
}

/// [`Architecture::init`] for a module behind a pointer.
pub fn init_parameters<T: Real>(module: &(impl Architecture + ?Sized), key: Key) -> Params<Tensor<T>> {
    let draw = |p: ParameterSpec| {
        let values = p.init.draw(&p.shape, &mut key.named(&p.name).generator());
        (p.name, values)
    };
    Params::new(module.parameters().into_iter().map(draw))
}

/// A network: a pure function of named parameters and an input, generic over the array.
///
/// A module of one's own declares its parameters and computes with them; everything else (training, second derivatives,
/// files) follows.
///
/// ```
/// use ad_core::{Array, Ops, Tensor};
/// use nn::{Architecture, Declarations, Init, Linear, Module, Scope, random::Key};
///
/// /// x + tanh(linear(x)).
/// #[derive(Clone, Debug)]
/// struct Residual { inner: Linear }
///
/// impl Architecture for Residual {
///     fn declare(&self, to: &mut Declarations<'_>) { to.child("inner", &self.inner) }
/// }
/// impl<A: Array> Module<A> for Residual {
///     fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
///         self.inner.forward(&p.child("inner"), x).tanh() + x
///     }
/// }
///
/// let net = Residual { inner: Linear::new(3, 3) };
/// let theta = net.init::<f64>(Key::new(0));
/// assert_eq!(theta.names(), ["inner.weight", "inner.bias"]);
/// assert_eq!(net.forward(&Scope::new(&theta), &Tensor::full(&[2, 3], 0.5)).shape(), [2, 3]);
/// ```
pub trait Module<A: Array>: Architecture {
    /// The output for an input, rows first.
    ///
    /// # Panics
    /// If a parameter is missing or a shape does not fit.
    #[track_caller]
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A;
}

/// A module that can be evaluated and differentiated in precision `T`, whatever its type: what a trainer holds.
pub trait Net<T: Real>: Module<Tensor<T>> + Module<Var<Tensor<T>>> {}

impl<T: Real, M: Module<Tensor<T>> + Module<Var<Tensor<T>>>> Net<T> for M {}

/// Collects the parameters of a module and its children.
#[derive(Debug)]
pub struct Declarations<'a> {
    found: &'a mut Vec<ParameterSpec>,
    prefix: String,
}

impl Declarations<'_> {
    /// Adds a parameter of the module itself.
    pub fn parameter(&mut self, name: &str, shape: &[usize], init: Init) {
        self.found.push(ParameterSpec { name: format!("{}{name}", self.prefix), shape: shape.to_vec(), init });
    }

    /// Adds the parameters of a child, named `name.…`.
    pub fn child(&mut self, name: impl std::fmt::Display, module: &(impl Architecture + ?Sized)) {
        let prefix = format!("{}{name}.", self.prefix);
        module.declare(&mut Declarations { found: self.found, prefix });
    }
}

/// The parameters that a module sees: those under its own prefix.
#[derive(Debug)]
pub struct Scope<'a, A> {
    params: &'a Params<A>,
    prefix: String,
}

impl<'a, A> Scope<'a, A> {
    /// All parameters.
    pub fn new(params: &'a Params<A>) -> Self {
        Scope { params, prefix: String::new() }
    }

    /// The parameters named `name.…`.
    pub fn child(&self, name: impl std::fmt::Display) -> Scope<'a, A> {
        Scope { params: self.params, prefix: format!("{}{name}.", self.prefix) }
    }

    /// The parameter of this name.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn get(&self, name: &str) -> &'a A {
        self.params.get(&format!("{}{name}", self.prefix))
    }
}
