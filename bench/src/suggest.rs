//! The known name nearest to a misspelt one.

/// The known name that takes the fewest edits to reach, if they are few: at most two, or half its letters, and fewer
/// than it has letters.
///
/// ```
/// use bench::suggest::nearest;
/// assert_eq!(nearest("szies", &["sizes", "batch"]), Some("sizes"));
/// assert_eq!(nearest("colour", &["sizes", "batch"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (edits, best) = known.iter().map(|k| (strsim::osa_distance(name, k), *k)).min_by_key(|(edits, _)| *edits)?;
    let letters = best.chars().count();
    (edits < letters && edits <= 2.max(letters / 2)).then_some(best)
}

/// ` (did you mean ...?)` for the nearest known name, or nothing where none is near.
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    nearest(name, known).map_or_else(String::new, |n| format!(" (did you mean {n}?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_and_missing_letters_are_near() {
        assert_eq!(nearest("atc", &["act", "batch"]), Some("act"));
        assert_eq!(nearest("mlp-digit", &["mlp-digits", "mlp-mnist"]), Some("mlp-digits"));
    }

    #[test]
    fn nothing_known_suggests_nothing() {
        assert_eq!(nearest("x", &[]), None);
    }
}
