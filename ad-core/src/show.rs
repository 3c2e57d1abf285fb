//! A tape as text: what was recorded, for small functions.

use std::fmt::Write;

use crate::array::{Array, Base};
use crate::recording::{NodeId, Recording};
use crate::sweep::Adjoints;

/// The number of elements of a value that are written out.
const SHOWN: usize = 4;

/// Lists a recording, one node a line: its number, operation, inputs, shape, value and, where given, adjoint.
///
/// ```
/// use ad_core::{Ops, Tape, show};
/// let tape = Tape::new();
/// let (x, y) = (tape.leaf(2.0), tape.leaf(0.5));
/// let f = (&x * &y).exp() + &x;
/// let output = f.node().unwrap();
/// let recording = tape.finish();
/// let adjoints = recording.adjoints(output, 1.0);
/// assert_eq!(show(&recording, Some(&adjoints)), "\
/// node  op    inputs  shape  value   adjoint
///    0  leaf          []     2       2.3591
///    1  leaf          []     0.5     5.4366
///    2  mul   0 1     []     1       2.7183
///    3  exp   2       []     2.7183  1
///    4  add   3 0     []     4.7183  1
/// ");
/// ```
pub fn show<A: Array>(recording: &Recording<A>, adjoints: Option<&Adjoints<A>>) -> String {
    let mut rows = vec![["node", "op", "inputs", "shape", "value"].map(str::to_owned).to_vec()];
    if adjoints.is_some() {
        rows[0].push("adjoint".to_owned());
    }
    rows.extend(recording.nodes().map(|node| row(recording, adjoints, node)));
    aligned(&rows)
}

fn row<A: Array>(recording: &Recording<A>, adjoints: Option<&Adjoints<A>>, node: NodeId) -> Vec<String> {
    let inputs: Vec<String> = recording.inputs(node).map(|i| i.index().to_string()).collect();
    let value = recording.value(node);
    let mut cells = vec![
        node.index().to_string(),
        recording.op(node).name().to_owned(),
        inputs.join(" "),
        format!("{:?}", value.shape()),
        numbers(value),
    ];
    if let Some(adjoints) = adjoints {
        cells.push(adjoints.of(node).map_or_else(|| "-".to_owned(), numbers));
    }
    cells
}

/// The first elements of an array, to five digits.
fn numbers<A: Array>(value: &A) -> String {
    let tensor = value.primal().to_tensor().cast::<f64>();
    let shown: Vec<String> = tensor.data().iter().take(SHOWN).map(|&x| number(x)).collect();
    let more = if tensor.len() > SHOWN { " …" } else { "" };
    shown.join(" ") + more
}

/// A number to five significant digits, with an exponent where it is very large or small.
fn number(x: f64) -> String {
    let scientific = format!("{x:.4e}");
    // Through its digits, so that 0.1 + 0.2 prints as 0.3.
    let rounded: f64 = scientific.parse().unwrap_or(x);
    match rounded.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) || !size.is_finite() => rounded.to_string(),
        _ => format!("{rounded:e}"),
    }
}

/// Columns aligned, the first to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = format!("{:>1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            write!(line, "  {cell:<width$}").expect("a String can be written to");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ops, Tape, Tensor};

    #[test]
    fn numbers_keep_five_significant_digits_at_any_size() {
        let written = [0.0, -0.0, 0.1 + 0.2, 1234.5678, 3e-6, -1.23456789e-7, 1e305, 5e5, f64::NAN, f64::NEG_INFINITY];
        let want = ["0", "0", "0.3", "1234.6", "3e-6", "-1.2346e-7", "1e305", "500000", "NaN", "-inf"];
        assert_eq!(written.map(number), want);
    }

    #[test]
    fn long_arrays_are_abbreviated_and_unreached_nodes_have_no_adjoint() {
        let tape = Tape::new();
        let (x, y) =
            (tape.leaf(Tensor::from_vec(&[5], vec![1.0f32, 2.0, 3.0, 4.0, 5.0])), tape.leaf(Tensor::scalar(7.0)));
        let f = x.sum_all();
        let _unused = y.exp();
        let output = f.node().unwrap();
        let recording = tape.finish();
        let adjoints = recording.adjoints(output, Tensor::scalar(1.0));
        let text = show(&recording, Some(&adjoints));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("1 2 3 4 …") && lines[1].ends_with("1 1 1 1 …"), "{text}");
        assert!(lines[2].ends_with('-') && lines[4].ends_with('-'), "{text}");
        assert_eq!(lines.len(), 5);
    }
}
