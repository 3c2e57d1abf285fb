//! The table of a comparison, as text, Markdown and CSV, and its evaluations as CSV.

use std::fmt::Write;

use gen_sched::Reason;

use super::summary::{EntrySummary, Reached, Spread};
use super::{DIVERGED, Track};
use crate::config::Target;
use crate::report::table::Table;

/// A table that is put together column by column.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    columns: Vec<(String, Vec<String>)>,
    /// The column before which text begins anew under itself, so that lines stay short.
    fold: usize,
}

impl Columns {
    fn add(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.columns.push((name.to_owned(), cells.into_iter().collect()));
    }

    /// Plain text in two parts, one under the other, each with the first column.
    pub fn text(&self) -> String {
        let (above, below) = self.columns.split_at(self.fold);
        let below = [&above[..1], below].concat();
        format!("{}\n{}", Table::of_columns(above), Table::of_columns(&below))
    }

    /// A table of Markdown.
    pub fn markdown(&self) -> String {
        Table::of_columns(&self.columns).to_markdown()
    }
}

/// The table of these entries.
pub fn columns(entries: &[EntrySummary], target: Option<Target>) -> Columns {
    let mut out = Columns::default();
    let cells = |of: &dyn Fn(&EntrySummary) -> String| entries.iter().map(of).collect::<Vec<_>>();
    let spreads = |of: fn(&EntrySummary) -> Option<Spread>, show: fn(f64) -> String| {
        cells(&|entry| of(entry).map_or("–".to_owned(), |spread| shown(spread, show)))
    };
    out.add("entry", cells(&|entry| entry.label.clone()));
    out.add("final test loss", spreads(|entry| entry.final_loss, number));
    out.add("best test loss", spreads(|entry| entry.best_loss, number));
    if entries.iter().any(|entry| entry.final_accuracy.is_some()) {
        out.add("final accuracy %", spreads(|entry| entry.final_accuracy, percent));
        out.add("best accuracy %", spreads(|entry| entry.best_accuracy, percent));
    }
    if entries.iter().any(|entry| entry.diverged > 0) {
        out.add("diverged", cells(&|entry| format!("{} of {}", entry.diverged, entry.seeds)));
    }
    out.fold = out.columns.len();
    if target.is_some() {
        let to_target = |of: fn(&Reached) -> f64, unit: &str| {
            cells(&|entry| match entry.to_target(of) {
                Some(spent) => format!("{}{unit}", number(spent)),
                None => format!("not reached ({} of {})", entry.seeds - entry.reached.len(), entry.seeds),
            })
        };
        out.add("time to target", to_target(|at| at.seconds, " s"));
        out.add("gradients to target", to_target(|at| at.gradients, ""));
    }
    out.add("gradients a step", cells(&|entry| format!("{:.2}", entry.cost)));
    out.add("median α", cells(&|entry| entry.alpha.map_or("–".to_owned(), number)));
    out.add("steps by reason", cells(&reasons));
    out
}

/// What the table's numbers are, in a sentence or two.
pub fn legend(entries: &[EntrySummary], target: Option<Target>) -> String {
    let over = match entries.iter().map(|entry| entry.seeds).max().unwrap_or(0) {
        1 => "One seed.".to_owned(),
        n => format!("Medians over {n} seeds, with the least and the greatest in brackets."),
    };
    let target = match target {
        None => String::new(),
        Some(Target::Loss(loss)) => format!(" Target: a test loss of at most {loss}, {FIRST}"),
        Some(Target::Accuracy(share)) => {
            format!(" Target: a test accuracy of at least {} %, {FIRST}", (1e4 * share).round() / 1e2)
        }
    };
    let diverged = match entries.iter().any(|entry| entry.diverged > 0) {
        true => {
            format!(" Diverged: ends where numbers are not finite, or above {DIVERGED} times the loss at the start.")
        }
        false => String::new(),
    };
    format!("{over}{target}{diverged}")
}

const FIRST: &str = "at the first evaluation that finds it; time is that of the steps alone.";

/// The main reason, and the shares of the others.
fn reasons(entry: &EntrySummary) -> String {
    let Some(((main, _), others)) = entry.reasons.split_first() else { return String::new() };
    let others: Vec<String> = others.iter().map(|(reason, share)| format!("{reason} {} %", tenths(*share))).collect();
    match others.is_empty() {
        true => format!("all {main}"),
        false => format!("{main} but {}", others.join(", ")),
    }
}

/// A share in percent; one too small for its digits is not called 0.
fn tenths(share: f64) -> String {
    if share < 5e-4 { "< 0.1".to_owned() } else { format!("{:.1}", 100.0 * share) }
}

fn shown(Spread { median, least, greatest }: Spread, show: fn(f64) -> String) -> String {
    if least == greatest { show(median) } else { format!("{} ({}–{})", show(median), show(least), show(greatest)) }
}

fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

/// A number in four digits or so.
pub(super) fn number(x: f64) -> String {
    let size = x.abs();
    if x.is_infinite() || x == 0.0 {
        format!("{x}")
    } else if !(1e-3..1e6).contains(&size) {
        format!("{x:.3e}")
    } else {
        let digits = 3 - (size.log10().floor() as i32).clamp(-1, 3);
        format!("{x:.*}", digits as usize)
    }
}

/// `summary.csv`: a line an entry, every number in full; what there is not is empty.
pub fn summary_csv(entries: &[EntrySummary]) -> String {
    let found = |reason: &Reason| entries.iter().any(|entry| entry.reasons.iter().any(|(found, _)| found == reason));
    let found: Vec<Reason> = Reason::ALL.into_iter().filter(found).collect();
    let spreads = ["final_test_loss", "best_test_loss", "final_test_accuracy", "best_test_accuracy"];
    let mut header: Vec<String> = ["label", "seeds", "diverged"].map(str::to_owned).to_vec();
    header.extend(spreads.iter().flat_map(|name| ["median", "least", "greatest"].map(|end| format!("{name}_{end}"))));
    header.extend(
        ["reached", "seconds_to_target", "gradients_to_target", "gradients_a_step", "median_alpha"].map(str::to_owned),
    );
    header.extend(found.iter().map(|reason| format!("share_{reason}")));
    let mut out = header.join(",") + "\n";
    for entry in entries {
        let mut cells = vec![quoted(&entry.label), entry.seeds.to_string(), entry.diverged.to_string()];
        for spread in [entry.final_loss, entry.best_loss, entry.final_accuracy, entry.best_accuracy] {
            cells.extend([spread.map(|s| s.median), spread.map(|s| s.least), spread.map(|s| s.greatest)].map(optional));
        }
        cells.push(entry.reached.len().to_string());
        cells.extend([entry.to_target(|at| at.seconds), entry.to_target(|at| at.gradients)].map(optional));
        cells.extend([Some(entry.cost), entry.alpha].map(optional));
        let share = |reason: &Reason| entry.reasons.iter().find(|it| it.0 == *reason).map_or(0.0, |it| it.1);
        cells.extend(found.iter().map(|reason| share(reason).to_string()));
        out += &(cells.join(",") + "\n");
    }
    out
}

/// `comparison.csv`: a line an evaluation of every run.
pub fn evaluations_csv(labels: &[&str], tracks: &[Track]) -> String {
    let mut out =
        "label,seed,step,epoch,gradients,seconds,train_loss,train_accuracy,test_loss,test_accuracy\n".to_owned();
    for track in tracks {
        for row in &track.recorded.evaluations {
            let (gradients, seconds) = track.spent(row);
            let cells = [
                quoted(labels[track.entry]),
                track.seed.to_string(),
                row.step.to_string(),
                row.epoch.to_string(),
                gradients.to_string(),
                seconds.to_string(),
                super::loss(row.train_loss).to_string(),
                optional(row.train_accuracy),
                super::loss(row.test_loss).to_string(),
                optional(row.test_accuracy),
            ];
            writeln!(out, "{}", cells.join(",")).expect("text takes text");
        }
    }
    out
}

fn optional(x: Option<f64>) -> String {
    x.map_or(String::new(), |x| x.to_string())
}

/// A field of CSV.
fn quoted(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::tracks::track;
    use super::*;

    fn entries(target: Option<Target>) -> Vec<EntrySummary> {
        let mut odd = track(1, 0, &[1.0, f64::NAN], &[f64::NAN]);
        odd.recorded.steps[1].reason = Reason::Concave;
        let tracks = [track(0, 0, &[1.0, 0.5], &[0.25]), track(0, 1, &[1.0, 0.5], &[0.75])];
        vec![EntrySummary::of("good", &[&tracks[0], &tracks[1]], target), EntrySummary::of("a|b, odd", &[&odd], target)]
    }

    #[test]
    fn the_table_has_a_row_an_entry() {
        let target = Some(Target::Loss(0.3));
        let text = columns(&entries(target), target).text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3 + 1 + 3, "{text}");
        for (line, start, part) in [
            (0, "entry", "final test loss"),
            (1, "good", "0.5000 (0.2500–0.7500)"),
            (1, "good", "0 of 2"),
            (2, "a|b, odd", "inf"),
            (2, "a|b, odd", "1 of 1"),
            (4, "entry", "time to target"),
            (5, "good", "not reached (1 of 2)"),
            (5, "good", "2.00"),
            (5, "good", "all parabola"),
            (6, "a|b, odd", "not reached (1 of 1)"),
            (6, "a|b, odd", "parabola but concave 50.0 %"),
        ] {
            assert!(lines[line].starts_with(start) && lines[line].contains(part), "{part} is missing: {text}");
        }
        assert!(!columns(&entries(None), None).text().contains("target"));
    }

    #[test]
    fn markdown_and_csv_keep_labels_apart_from_their_own_signs() {
        let markdown = columns(&entries(None), None).markdown();
        assert!(markdown.contains("\n| a\\|b, odd | inf |") && markdown.contains("\n|---|---:|"), "{markdown}");
        let csv = summary_csv(&entries(None));
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines[0].ends_with("median_alpha,share_parabola,share_concave"), "{csv}");
        assert!(lines[1].starts_with("good,2,0,0.5,0.25,0.75,"), "{csv}");
        assert!(lines[2].starts_with("\"a|b, odd\",1,1,inf,inf,inf,"), "{csv}");
        let rows = evaluations_csv(&["good"], &[track(0, 7, &[1.0, 0.5], &[1.0])]);
        assert_eq!(rows.lines().nth(1), Some("good,7,2,1,4,1,1,0.5,1,0.5"));
    }

    #[test]
    fn numbers_have_four_digits() {
        let shown = [1234567.0, 12345.6, 12.3456, 0.123456, 0.0123456, 0.00012, f64::INFINITY, 0.0].map(number);
        assert_eq!(shown, ["1.235e6", "12346", "12.35", "0.1235", "0.0123", "1.200e-4", "inf", "0"]);
    }

    #[test]
    fn the_target_is_told() {
        assert!(
            legend(&entries(None), None).starts_with("Medians over 2 seeds")
                && legend(&entries(None), None).contains("Diverged")
        );
        assert_eq!(legend(&[EntrySummary::of("a", &[&track(0, 0, &[1.0], &[1.0])], None)], None), "One seed.");
        for (target, part) in [(Target::Accuracy(0.95), "at least 95 %"), (Target::Loss(0.3), "at most 0.3,")] {
            let text = legend(&entries(Some(target)), Some(target));
            assert!(text.contains(part), "{text}");
        }
    }
}
