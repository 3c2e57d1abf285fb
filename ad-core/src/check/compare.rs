//! Comparing two ways to the same numbers.

use std::error::Error;
use std::fmt;

/// Every comparison that was made, and how well it agreed.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Report {
    /// The comparisons, in order.
    pub agreements: Vec<Agreement>,
}

/// Two ways that agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// The way that was checked.
    pub way: &'static str,
    /// The way that it was compared with.
    pub against: &'static str,
    /// The largest error over all entries, relative to max(1, |found|, |expected|).
    pub error: f64,
}

impl Report {
    /// The largest error of all comparisons.
    pub fn worst(&self) -> f64 {
        self.agreements.iter().map(|a| a.error).fold(0.0, f64::max)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Agreement { way, against, error } in &self.agreements {
            writeln!(f, "{error:8.1e}  {way}, against {against}")?;
        }
        Ok(())
    }
}

/// Two ways that disagree, at the entry where they do so most.
#[derive(Clone, Debug, PartialEq)]
pub struct Mismatch {
    /// The way that was checked.
    pub way: &'static str,
    /// The way that it was compared with.
    pub against: &'static str,
    /// The worst entry: the name of the leaf and the element's row-major position in it; of shapes, the axis.
    pub entry: String,
    /// What the way gave there.
    pub found: f64,
    /// What the other gave.
    pub expected: f64,
    /// |found − expected| / max(1, |found|, |expected|).
    pub error: f64,
    /// The error that was allowed.
    pub tolerance: f64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { way, against, entry, found, expected, error, tolerance } = self;
        write!(
            f,
            "{entry}: {way} gives {found}, but {against} gives {expected} (error {error:.1e}, allowed {tolerance:.0e})"
        )
    }
}

impl Error for Mismatch {}

/// Makes comparisons and keeps their record.
pub(super) struct Comparison<'a> {
    pub(super) tolerance: f64,
    /// Name and number of elements of each leaf.
    pub(super) leaves: &'a [(String, usize)],
    pub(super) report: Report,
}

impl Comparison<'_> {
    /// Compares two ways entry by entry; a single number needs no name.
    pub(super) fn agree(
        &mut self,
        way: &'static str,
        found: &[f64],
        against: &'static str,
        expected: &[f64],
    ) -> Result<(), Mismatch> {
        assert_eq!(found.len(), expected.len(), "{way} and {against} differ in length");
        let error = |i: usize| {
            let (a, b) = (found[i], expected[i]);
            let error = (a - b).abs() / 1f64.max(a.abs()).max(b.abs());
            if error.is_nan() { f64::INFINITY } else { error }
        };
        let worst = (0..found.len()).max_by(|&i, &j| error(i).total_cmp(&error(j)));
        let Some(worst) = worst else { return Ok(()) };
        let error = error(worst);
        if error > self.tolerance {
            let entry = if found.len() == 1 && self.elements() != 1 { "in all".to_owned() } else { self.name(worst) };
            let (found, expected) = (found[worst], expected[worst]);
            return Err(Mismatch { way, against, entry, found, expected, error, tolerance: self.tolerance });
        }
        self.report.agreements.push(Agreement { way, against, error });
        Ok(())
    }

    /// Compares two shapes, by rank and then axis by axis.
    pub(super) fn same_shape(
        &self,
        of: &str,
        way: &'static str,
        found: &[usize],
        against: &'static str,
        expected: &[usize],
    ) -> Result<(), Mismatch> {
        let differs = |(i, (a, b)): (usize, (&usize, &usize))| (a != b).then(|| (format!("{of}, axis {i}"), *a, *b));
        let (entry, a, b) = if found.len() != expected.len() {
            (format!("{of}, number of axes"), found.len(), expected.len())
        } else if let Some(difference) = found.iter().zip(expected).enumerate().find_map(differs) {
            difference
        } else {
            return Ok(());
        };
        let (found, expected) = (a as f64, b as f64);
        let error = (found - expected).abs() / 1f64.max(found).max(expected);
        Err(Mismatch { way, against, entry, found, expected, error, tolerance: self.tolerance })
    }

    fn elements(&self) -> usize {
        self.leaves.iter().map(|(_, n)| n).sum()
    }

    /// The name of an element, counted through all leaves.
    fn name(&self, mut element: usize) -> String {
        for (name, n) in self.leaves {
            if element < *n {
                return format!("{name}, element {element}");
            }
            element -= n;
        }
        format!("output, element {element}")
    }
}
