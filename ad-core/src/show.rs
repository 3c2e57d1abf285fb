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
    let shown: Vec<String> = tensor.data().iter().take(SHOWN).map(|x| ((x * 1e4).round() / 1e4).to_string()).collect();
    let more = if tensor.len() > SHOWN { " …" } else { "" };
    shown.join(" ") + more
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
