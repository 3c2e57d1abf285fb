//! The learning rate α over the steps of a run.

use plotters::style::{Color, RGBColor};

use super::axis::{Axis, Scale};
use super::figure::{Key, PlotError, Shape, axes, draw_absence, draw_line, draw_marks, palette, render};
use super::series::{Point, running_median, thin};

/// The learning rate of one step.
#[derive(Clone, Copy, Debug)]
pub struct RateStep<'a> {
    /// The step's number.
    pub step: u64,
    /// The rate α that was taken.
    pub alpha: f64,
    /// Why the rule's own rate was not used; `None` where it was.
    pub fallback: Option<&'a str>,
}

/// What [`rates`] draws.
#[derive(Clone, Copy, Debug)]
pub struct Rates<'a> {
    /// The title of the figure.
    pub title: &'a str,
    /// The steps in order.
    pub steps: &'a [RateStep<'a>],
    /// How many steps the running median of the rule's own rates spans; `None` draws no median.
    pub median_window: Option<usize>,
}

const LOOKS: [(RGBColor, Shape); 6] = [
    (palette::VERMILION, Shape::Triangle),
    (palette::GREEN, Shape::Cross),
    (palette::ORANGE, Shape::Circle),
    (palette::PURPLE, Shape::Triangle),
    (palette::SKY, Shape::Cross),
    (palette::INK, Shape::Circle),
];
/// The most marks drawn for one reason: they are larger, in the file and to the eye, than points of a line.
const MAX_MARKS: usize = 500;

/// Draws α over the steps on a logarithmic axis; fallback steps are marked by reason, with their number in the legend.
///
/// A rate that is not positive and finite has no place on the axis and is marked on its lower edge.
///
/// # Errors
/// If the figure cannot be drawn.
///
/// ```
/// use bench::report::plot::{RateStep, Rates, rates};
/// let steps = [
///     RateStep { step: 0, alpha: 0.4, fallback: None },
///     RateStep { step: 1, alpha: 1e-3, fallback: Some("concave") },
/// ];
/// let svg = rates(&Rates { title: "exact GeN", steps: &steps, median_window: None })?;
/// assert!(svg.contains("concave: 1 step"));
/// # Ok::<(), bench::report::plot::PlotError>(())
/// ```
pub fn rates(data: &Rates<'_>) -> Result<String, PlotError> {
    let drawable = |s: &&RateStep<'_>| s.alpha.is_finite() && s.alpha > 0.0;
    let x = Axis::fit("step", Scale::Linear, data.steps.iter().map(|s| s.step as f64), 0.0);
    let y = Axis::fit("learning rate α (log)", Scale::Log, data.steps.iter().filter(drawable).map(|s| s.alpha), 0.06);
    let place = |alpha: f64| if alpha > 0.0 { y.position(alpha) } else { y.range.start };
    let own = points(data.steps.iter().filter(|s| s.fallback.is_none()), place);
    let groups: Vec<(Key, Vec<Point>, String)> = reasons(data.steps)
        .into_iter()
        .zip(LOOKS.iter().cycle())
        .map(|(reason, &(colour, shape))| {
            let marks = points(data.steps.iter().filter(|s| s.fallback == Some(reason)), place);
            let label = format!("{reason}: {} step{}", marks.len(), if marks.len() == 1 { "" } else { "s" });
            (Key::Marks(colour.to_rgba(), shape), marks, label)
        })
        .collect();
    let median = data.median_window.filter(|w| *w > 1 && own.len() > *w);
    let faint = Key::Line(palette::BLUE.mix(if median.is_some() { 0.35 } else { 1.0 }), 1);
    let bold = Key::Line(palette::BLUE.to_rgba(), 2);
    let mut legend = Vec::new();
    if !own.is_empty() {
        legend.push((faint, "α of the rule".to_owned()));
    }
    legend.extend(median.map(|w| (bold, format!("running median of {w} steps"))));
    legend.extend(groups.iter().map(|(key, _, label)| (*key, label.clone())));
    render(data.title, (900, 460), |area| {
        let mut chart = axes(area, &x, &y, &legend)?;
        if data.steps.is_empty() {
            return draw_absence(&chart, "no step was recorded");
        }
        draw_line(&mut chart, &own, &y, faint)?;
        if let Some(window) = median {
            draw_line(&mut chart, &running_median(&own, window), &y, bold)?;
        }
        for (key, marks, _) in &groups {
            if let Key::Marks(colour, shape) = key {
                draw_marks(&mut chart, &thin(marks, MAX_MARKS), *colour, *shape)?;
            }
        }
        Ok(())
    })
}

fn points<'a>(steps: impl Iterator<Item = &'a RateStep<'a>>, place: impl Fn(f64) -> f64) -> Vec<Point> {
    steps.map(|s| (s.step as f64, place(s.alpha))).collect()
}

/// The reasons in order of first appearance.
fn reasons<'a>(steps: &[RateStep<'a>]) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for reason in steps.iter().filter_map(|s| s.fallback) {
        if !seen.contains(&reason) {
            seen.push(reason);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::super::sound;
    use super::*;

    fn steps(n: u64) -> Vec<RateStep<'static>> {
        (0..n)
            .map(|step| match step % 50 {
                7 => RateStep { step, alpha: 1e-3, fallback: Some("concave") },
                9 => RateStep { step, alpha: 10.0, fallback: Some("clamped") },
                _ => RateStep { step, alpha: 0.4 * (1.0 + 0.5 * (step as f64).sin()), fallback: None },
            })
            .collect()
    }

    #[test]
    fn fallbacks_are_marked_by_reason() {
        let svg = rates(&Rates { title: "α of a run", steps: &steps(400), median_window: Some(25) }).unwrap();
        sound::check(&svg);
        for part in ["α of a run", "concave: 8 steps", "clamped: 8 steps", "running median of 25 steps", "0.001"] {
            assert!(svg.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn a_run_of_fallbacks_only_is_drawn() {
        let all: Vec<_> = (0..30).map(|step| RateStep { step, alpha: 1e-3, fallback: Some("no descent") }).collect();
        let svg = rates(&Rates { title: "t", steps: &all, median_window: Some(9) }).unwrap();
        sound::check(&svg);
        assert!(svg.contains("no descent: 30 steps") && !svg.contains("α of the rule") && !svg.contains("median"));
    }

    #[test]
    fn few_and_odd_rates_are_drawn() {
        for alphas in [vec![], vec![0.1], vec![0.0, 0.1], vec![f64::NAN], vec![-1.0, f64::INFINITY, 1e-300, 1e300]] {
            let odd: Vec<_> = alphas
                .iter()
                .enumerate()
                .map(|(i, &alpha)| RateStep { step: i as u64, alpha, fallback: None })
                .collect();
            sound::check(&rates(&Rates { title: "t", steps: &odd, median_window: None }).unwrap());
        }
    }

    #[test]
    fn a_long_run_stays_small() {
        sound::check(&rates(&Rates { title: "t", steps: &steps(100_000), median_window: Some(101) }).unwrap());
    }
}
