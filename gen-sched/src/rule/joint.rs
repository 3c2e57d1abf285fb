//! Rules that own their direction.

use ad_core::Real;
use nn::Direction;

use crate::rule::Rule;

/// A rule that owns the direction it steps along, as its rate and its direction come of one state.
///
/// In a step, [`propose`](Direction::propose) comes first, then [`choose`](Rule::choose), and where the step is taken
/// [`commit`](Direction::commit) and then [`taken`](Rule::taken). What it keeps is in the state of the [`Direction`]; that of
/// the [`Rule`] holds what wrappers keep.
pub trait Joint<T: Real>: Direction<T> + Rule<T> {}

impl<T: Real, J: Direction<T> + Rule<T>> Joint<T> for J {}

/// What moves parameters: a direction and a rule, apart or in one.
#[derive(Debug)]
pub(crate) enum Mover<T: Real> {
    /// Any rule along any direction.
    Apart(Box<dyn Direction<T>>, Box<dyn Rule<T>>),
    /// A rule that owns its direction.
    Joint(Box<dyn Joint<T>>),
}

impl<T: Real> Mover<T> {
    pub(crate) fn direction(&self) -> &dyn Direction<T> {
        match self {
            Mover::Apart(direction, _) => &**direction,
            Mover::Joint(joint) => &**joint,
        }
    }

    pub(crate) fn direction_mut(&mut self) -> &mut dyn Direction<T> {
        match self {
            Mover::Apart(direction, _) => &mut **direction,
            Mover::Joint(joint) => &mut **joint,
        }
    }

    pub(crate) fn rule(&self) -> &dyn Rule<T> {
        match self {
            Mover::Apart(_, rule) => &**rule,
            Mover::Joint(joint) => &**joint,
        }
    }

    pub(crate) fn rule_mut(&mut self) -> &mut dyn Rule<T> {
        match self {
            Mover::Apart(_, rule) => &mut **rule,
            Mover::Joint(joint) => &mut **joint,
        }
    }
}
