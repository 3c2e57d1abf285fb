//! The known name nearest to a misspelt one.

/// The known name that takes the fewest edits to reach, if they are few: at most two, or half its letters, and fewer
/// than it has letters.
///
/// ```
/// use bench::reference::suggest::nearest;
/// assert_eq!(nearest("szies", &["sizes", "batch"]), Some("sizes"));
/// assert_eq!(nearest("colour", &["sizes", "batch"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (edits, best) = known.iter().map(|k| (distance(name, k), *k)).min_by_key(|(edits, _)| *edits)?;
    let letters = best.chars().count();
    (edits < letters && edits <= 2.max(letters / 2)).then_some(best)
}

/// ` (did you mean ...?)` for the nearest known name, or nothing where none is near.
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    nearest(name, known).map_or_else(String::new, |n| format!(" (did you mean {n}?)"))
}

/// The optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours from one word to
/// the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut edits = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            edits[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let substituted = edits[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                substituted.min(edits[i - 1][j] + 1).min(edits[i][j - 1] + 1)
            };
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                edits[i][j] = edits[i][j].min(edits[i - 2][j - 2] + 1);
            }
        }
    }
    edits[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, edits) in
            [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("atc", "act", 1)]
        {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        }
    }

    #[test]
    fn nothing_known_suggests_nothing() {
        assert_eq!(nearest("x", &[]), None);
    }
}
