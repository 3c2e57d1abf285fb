//! What sweeps cost, known from a recording before they run.
//!
//! Counted are the floating-point operations of matrix products, two a multiply-add, and the bytes of the arrays that each
//! operation reads and writes. The same operations are counted as they are computed by [`flops`]; the two agree exactly.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use smallvec::SmallVec;

pub use crate::gemm::flops;

use crate::array::{Base, Ground};
use crate::levels::Levels;
use crate::ops::Forms;
use crate::primitive::{Kind, Multiple, Visit};
use crate::recording::{NodeId, Recording};
use crate::registry::Op;
use crate::shape::count;
use crate::sweep::Hessian;

/// The cost of a computation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Floating-point operations of matrix products.
    pub flops: u64,
    /// Bytes of the arrays read and written, each array once for each operation that touches it.
    pub bytes: u64,
}

impl Add for Work {
    type Output = Work;

    fn add(self, other: Work) -> Work {
        Work { flops: self.flops + other.flops, bytes: self.bytes + other.bytes }
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        *self = *self + other;
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Work>>(all: I) -> Work {
        all.fold(Work::default(), Work::add)
    }
}

/// How the leaves move, for the cost of a curvature sweep.
#[derive(Clone, Copy, Debug)]
pub struct Moving<'a> {
    /// Which leaves move.
    pub leaves: &'a [bool],
    /// For each leaf, whether its tangent is known as a multiple of its adjoint and value; empty if none is.
    pub multiples: &'a [Option<Multiple>],
    /// The forms allowed for products.
    pub forms: Forms,
}

/// One flag an input.
type Flags = SmallVec<[bool; 3]>;

impl<A: Ground> Recording<A> {
    /// The work that the evaluation took.
    ///
    /// ```
    /// use ad_core::{Ops, Tensor, transform::record};
    /// let (x, w) = (Tensor::full(&[4, 3], 1.0), Tensor::full(&[2, 3], 1.0));
    /// let (_, node, recording) = record(|p| p[0].linear(&p[1], None).sum_all(), &[x, w][..]);
    /// assert_eq!(recording.value_work().flops, 2 * 4 * 3 * 2);
    /// assert_eq!(recording.adjoints_work(node.unwrap()).flops, 2 * (2 * 4 * 3 * 2));
    /// ```
    pub fn value_work(&self) -> Work {
        self.nodes().map(|node| self.visit(node, &Visit::Value, 1, &[])).sum()
    }

    /// The work of the reverse sweep from `output`.
    pub fn adjoints_work(&self, output: NodeId) -> Work {
        let reached = self.reached(output);
        let visits = self.nodes().filter(|node| reached[node.index()]);
        visits
            .map(|node| self.visit(node, &Visit::Cotangents { wanted: &self.wanted(node) }, 2, &[&self.wanted(node)]))
            .sum()
    }

    /// The work of a tangent sweep along the leaves that move.
    pub fn tangents_work(&self, leaves: &[bool]) -> Work {
        let moving = self.moving(leaves);
        let mut work = Work::default();
        for node in self.nodes() {
            let dx = self.of_inputs(node, &moving);
            if dx.contains(&true) {
                work += self.visit(node, &Visit::Tangent { moving: &dx }, 2, &[&dx]);
            }
        }
        work
    }

    /// The work of the second reverse sweep from `output`, for tangents of the leaves that move.
    pub fn adjoint_tangents_work(&self, output: NodeId, leaves: &[bool], of: Hessian) -> Work {
        let (reached, moving) = (self.reached(output), self.moving(leaves));
        let curved = match of {
            Hessian::Full => vec![true; self.len()],
            Hessian::GaussNewton => self.downstream_of(|op| matches!(op, Op::Output(_))),
        };
        let mut carried = vec![false; self.len()];
        let mut work = Work::default();
        for node in self.nodes().rev().filter(|node| reached[node.index()]) {
            let Some(rules) = self.op(node).rules() else { continue };
            let (wanted, carries) = (self.wanted(node), carried[node.index()]);
            let mut dx = self.of_inputs(node, &moving);
            if !curved[node.index()] {
                dx.fill(false);
            }
            let visit = Visit::CotangentTangents { wanted: &wanted, moving: &dx, carried: carries };
            let mut flows = Flags::new();
            for i in 0..wanted.len() {
                let bends = match rules.kind() {
                    Kind::Bilinear => i < 2 && dx[1 - i],
                    Kind::General => dx.contains(&true),
                    Kind::Constant | Kind::Linear | Kind::PiecewiseLinear => false,
                };
                flows.push(wanted[i] && (carries || bends));
            }
            if flows.contains(&true) {
                work += self.visit(node, &visit, 2 + u64::from(carries), &[&dx, &flows]);
            }
            for (&input, flows) in self.input_slots(node).iter().zip(flows) {
                carried[input as usize] |= flows;
            }
        }
        work
    }

    /// The work of a curvature sweep for the output whose adjoints are known.
    pub fn curvature_work(&self, output: NodeId, motion: &Moving<'_>) -> Work {
        let (reached, moving) = (self.reached(output), self.moving(motion.leaves));
        let multiples = self.known_multiples(motion.multiples.iter().copied(), &self.uses());
        let mut work = Work::default();
        for node in self.nodes() {
            let dx = self.of_inputs(node, &moving);
            if dx.contains(&true) {
                let known: SmallVec<[Option<Multiple>; 3]> =
                    self.input_slots(node).iter().map(|&i| multiples.of(i)).collect();
                let curved = reached[node.index()];
                let visit = Visit::Advance { moving: &dx, multiples: &known, curved, forms: motion.forms };
                work += self.visit(node, &visit, 2 + u64::from(curved), &[&dx]);
            }
        }
        work
    }

    /// The operations of an evaluation with tangents of three levels, all along one direction of the leaves, with the bytes of as many
    /// evaluations as there are tangents and a value; `None` where a primitive does not [tell](crate::Primitive::nested_flops) its own.
    pub fn third_work(&self) -> Option<Work> {
        let mut parts = vec![Levels::CONSTANT; self.len()];
        for leaf in self.leaves() {
            parts[leaf.index()] = Levels::STRAIGHT;
        }
        let mut total = Work::default();
        for node in self.nodes() {
            let Some(rules) = self.op(node).rules() else { continue };
            let of_inputs: SmallVec<[Levels; 3]> = self.input_slots(node).iter().map(|&i| parts[i as usize]).collect();
            let shapes: SmallVec<[&[usize]; 3]> = self.input_values(node).iter().map(|x| x.shape()).collect();
            let (found, flops) = rules.nested_flops(&shapes, &of_inputs)?;
            parts[node.index()] = found;
            let bytes = found.count() * self.visit(node, &Visit::Value, 1, &[]).bytes;
            total += Work { flops, bytes };
        }
        Some(total)
    }

    /// One visit to a node: its products, and the bytes of its inputs, of `outputs` arrays like its output, and of the arrays
    /// like those of its inputs that are flagged.
    fn visit(&self, node: NodeId, visit: &Visit<'_>, outputs: u64, flagged: &[&Flags]) -> Work {
        let Some(rules) = self.op(node).rules() else { return Work::default() };
        let shapes: SmallVec<[&[usize]; 3]> = self.input_values(node).iter().map(|x| x.shape()).collect();
        let inputs: u64 = shapes.iter().map(|s| count(s) as u64).sum();
        let like_inputs: u64 = flagged
            .iter()
            .flat_map(|flags| flags.iter().zip(&shapes))
            .map(|(flag, s)| if *flag { count(s) as u64 } else { 0 })
            .sum();
        let output = count(self.value(node).shape()) as u64;
        let size = size_of::<<A as Base>::Scalar>() as u64;
        Work { flops: rules.product_flops(&shapes, visit), bytes: size * (inputs + outputs * output + like_inputs) }
    }

    /// Which nodes an adjoint reaches from `output`.
    fn reached(&self, output: NodeId) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        reached[output.index()] = true;
        for node in self.nodes().take(output.index() + 1).rev().filter(|node| self.op(*node).rules().is_some()) {
            if reached[node.index()] {
                for &input in self.input_slots(node) {
                    reached[input as usize] |= self.active()[input as usize];
                }
            }
        }
        reached
    }

    /// Which nodes move with the leaves.
    fn moving(&self, leaves: &[bool]) -> Vec<bool> {
        let mut moving = vec![false; self.len()];
        for (leaf, moves) in self.leaves().iter().zip(leaves) {
            moving[leaf.index()] = *moves;
        }
        for node in self.nodes() {
            if self.op(node).rules().is_some_and(|rules| rules.kind() != Kind::Constant) {
                moving[node.index()] = self.input_slots(node).iter().any(|&i| moving[i as usize]);
            }
        }
        moving
    }

    fn of_inputs(&self, node: NodeId, flags: &[bool]) -> Flags {
        self.input_slots(node).iter().map(|&i| flags[i as usize]).collect()
    }

    fn wanted(&self, node: NodeId) -> Flags {
        self.of_inputs(node, self.active())
    }
}
