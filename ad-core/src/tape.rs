//! The tape that [`Var`] records on: reverse mode.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use crate::array::{Array, with_parts};
use crate::primitive::{Kind, Primitive};
use crate::recording::{NodeId, Recording};
use crate::registry::Op;

/// Records primitives as they are applied to [`Var`]s; [`finish`](Tape::finish) gives the [`Recording`] that sweeps run
/// over.
///
/// ```
/// use ad_core::{Ops, Tape};
/// let tape = Tape::new();
/// let (x, y) = (tape.leaf(2.0), tape.leaf(3.0));
/// let f = (&x * &y) + x.sin();
/// let recording = tape.finish();
/// let adjoints = recording.adjoints(f.node().unwrap(), 1.0);
/// assert_eq!(adjoints.of(x.node().unwrap()), Some(&(3.0 + 2.0f64.cos())));
/// ```
pub struct Tape<A: Array>(Rc<Shared<A>>);

struct Shared<A: Array> {
    number: u64,
    /// `None` once finished.
    recording: RefCell<Option<Recording<A>>>,
}

/// A value that remembers how it was computed: reverse mode.
///
/// A `Var` without a node is a constant. A result is recorded as soon as one of its inputs is.
#[derive(Clone)]
pub struct Var<A: Array> {
    value: A,
    place: Option<(Tape<A>, u32)>,
}

impl<A: Array> Tape<A> {
    /// An empty tape.
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        Tape(Rc::new(Shared {
            number: COUNT.fetch_add(1, Ordering::Relaxed),
            recording: RefCell::new(Some(Recording::new())),
        }))
    }

    /// A variable to differentiate with respect to.
    pub fn leaf(&self, value: A) -> Var<A> {
        let node = self.record(|r| r.push(Op::Leaf, &[], value.clone()));
        Var { value, place: Some((self.clone(), node)) }
    }

    /// Ends the recording and hands it out. Variables of this tape stay readable, but nothing more can be recorded.
    ///
    /// # Panics
    /// If the tape has been finished already.
    #[track_caller]
    pub fn finish(self) -> Recording<A> {
        self.0.recording.borrow_mut().take().unwrap_or_else(|| self.finished())
    }

    #[track_caller]
    fn record<R>(&self, f: impl FnOnce(&mut Recording<A>) -> R) -> R {
        match self.0.recording.borrow_mut().as_mut() {
            Some(recording) => f(recording),
            None => self.finished(),
        }
    }

    #[track_caller]
    fn finished(&self) -> ! {
        panic!("{self:?} is finished: nothing more can be recorded on it")
    }

    /// The node of a variable on this tape, recording a constant first.
    ///
    /// # Panics
    /// If the variable belongs to another tape.
    #[track_caller]
    fn node_of(&self, recording: &mut Recording<A>, v: &Var<A>) -> u32 {
        match &v.place {
            Some((tape, node)) if Rc::ptr_eq(&tape.0, &self.0) => *node,
            Some((other, node)) => {
                panic!("a variable of {other:?} (node {node}) meets one of {self:?}: one function, one tape")
            }
            None => recording.push(Op::Constant, &[], v.value.clone()),
        }
    }
}

impl<A: Array> Default for Tape<A> {
    fn default() -> Self {
        Tape::new()
    }
}

impl<A: Array> Clone for Tape<A> {
    fn clone(&self) -> Self {
        Tape(self.0.clone())
    }
}

impl<A: Array> fmt::Debug for Tape<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tape #{}", self.0.number)
    }
}

impl<A: Array> Var<A> {
    /// A constant: it has no node, and no derivative flows to it.
    pub fn fixed(value: A) -> Self {
        Var { value, place: None }
    }

    /// The value.
    pub fn value(&self) -> &A {
        &self.value
    }

    /// The node that computed this value, or `None` for a constant.
    pub fn node(&self) -> Option<NodeId> {
        self.place.as_ref().map(|(_, node)| NodeId(*node))
    }
}

impl<A: Array> fmt::Debug for Var<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some((tape, node)) => write!(f, "Var({:?}, node {node} of {tape:?})", self.value),
            None => write!(f, "Var({:?}, constant)", self.value),
        }
    }
}

impl<A: Array> Array for Var<A> {
    type Base = A::Base;

    #[inline]
    #[track_caller]
    fn apply<P: Primitive>(p: P, x: &[&Self]) -> Self {
        let tape = if P::KIND == Kind::Constant { None } else { x.iter().find_map(|v| v.place.as_ref()) };
        let value = with_parts(x, |v| &v.value, |values| A::apply(p.clone(), values));
        match tape {
            Some((tape, _)) => record(tape, p.into_op(), x, value),
            None => Var::fixed(value),
        }
    }

    fn lift(data: A::Base) -> Self {
        Var::fixed(A::lift(data))
    }

    fn full(shape: &[usize], c: f64) -> Self {
        Var::fixed(A::full(shape, c))
    }

    fn shape(&self) -> &[usize] {
        self.value.shape()
    }

    fn primal(&self) -> &A::Base {
        self.value.primal()
    }
}

/// Appends an operation; apart from `apply` so that its code exists once for all primitives.
#[track_caller]
fn record<A: Array>(tape: &Tape<A>, op: Op<A>, x: &[&Var<A>], value: A) -> Var<A> {
    let node = tape.record(|recording| {
        let inputs: SmallVec<[u32; 3]> = x.iter().map(|v| tape.node_of(recording, v)).collect();
        recording.push(op, &inputs, value.clone())
    });
    Var { value, place: Some((tape.clone(), node)) }
}
