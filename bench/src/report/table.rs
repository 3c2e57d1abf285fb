//! Plain-text tables: aligned columns, no colour codes, so that they read the same in a terminal, a pipe and a file.

use std::fmt;

/// A table whose first column is aligned left and all others right, as numbers are.
///
/// ```
/// use bench::report::table::Table;
/// let mut table = Table::with_header(["reason", "steps", "share"]);
/// table.row(["parabola", "343", "99.4 %"]);
/// table.row(["concave", "2", "0.6 %"]);
/// assert_eq!(table.to_string(), "\
/// reason    steps   share
/// parabola    343  99.4 %
/// concave       2   0.6 %
/// ");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without a header, such as one of names and values.
    pub fn new() -> Self {
        Table::default()
    }

    /// A table whose first row names the columns.
    pub fn with_header<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut table = Table::new();
        table.row(names);
        table
    }

    /// A table of these columns, each with its name.
    ///
    /// # Panics
    /// If one has fewer cells than the first.
    pub fn of_columns(columns: &[(String, Vec<String>)]) -> Self {
        let mut table = Table::with_header(columns.iter().map(|(name, _)| name.as_str()));
        for i in 0..columns.first().map_or(0, |(_, cells)| cells.len()) {
            table.row(columns.iter().map(|(_, cells)| cells[i].as_str()));
        }
        table
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it has not as many cells as those before.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        let row: Vec<String> = cells.into_iter().map(Into::into).collect();
        let fits = self.rows.first().is_none_or(|first| first.len() == row.len());
        assert!(fits, "a row of {} cells in a table of {}", row.len(), self.rows[0].len());
        self.rows.push(row);
        self
    }

    /// The table in Markdown, its first row as the header.
    ///
    /// ```
    /// use bench::report::table::Table;
    /// let mut table = Table::with_header(["rule", "loss"]);
    /// table.row(["exact", "0.1"]);
    /// assert_eq!(table.to_markdown(), "| rule | loss |\n|---|---:|\n| exact | 0.1 |\n");
    /// ```
    pub fn to_markdown(&self) -> String {
        let cell = |cell: &String| cell.replace('|', "\\|");
        let line = |row: &Vec<String>| format!("| {} |\n", row.iter().map(cell).collect::<Vec<_>>().join(" | "));
        let Some((header, rows)) = self.rows.split_first() else { return String::new() };
        let rule = format!("|---|{}\n", "---:|".repeat(header.len() - 1));
        line(header) + &rule + &rows.iter().map(line).collect::<String>()
    }

    /// The width of a column, in characters.
    fn width(&self, column: usize) -> usize {
        self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (c, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line += &if c == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_the_alphabet() {
        let mut table = Table::new();
        table.row(["median α", "0.412"]).row(["steps", "345"]);
        assert_eq!(table.to_string(), "median α  0.412\nsteps       345\n");
    }

    #[test]
    fn an_empty_table_is_empty_text() {
        assert_eq!(Table::new().to_string(), "");
    }

    #[test]
    fn no_line_ends_in_blanks_or_holds_escapes() {
        let mut table = Table::with_header(["a", "b"]);
        table.row(["long name", ""]);
        let text = table.to_string();
        assert!(text.lines().all(|l| l.trim_end() == l) && !text.contains('\u{1b}'));
    }
}
