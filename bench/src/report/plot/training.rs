//! Loss and test accuracy over the steps of a run.

use plotters::style::Color;

use super::axis::{Axis, Scale};
use super::figure::{Area, Fault, Key, PlotError, axes, draw_absence, draw_line, palette, px, render};
use super::series::{Point, finite, running_median};

/// What [`training`] draws.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// The title of the figure.
    pub title: &'a str,
    /// (step, mini-batch loss) in order; non-finite losses are left out and counted in the legend.
    pub loss: &'a [(u64, f64)],
    /// (step, share of test samples classified correctly, 0 to 1) in order.
    pub test_accuracy: &'a [(u64, f64)],
}

/// Draws the mini-batch loss (logarithmic where it spans a factor of ten) above the test accuracy, over the same steps.
///
/// # Errors
/// If the figure cannot be drawn.
///
/// ```
/// use bench::report::plot::{Training, training};
/// let svg = training(&Training {
///     title: "digits",
///     loss: &[(0, 2.3), (1, 1.1), (2, 0.4)],
///     test_accuracy: &[(2, 0.91)],
/// })?;
/// assert!(svg.starts_with("<svg"));
/// # Ok::<(), bench::report::plot::PlotError>(())
/// ```
pub fn training(data: &Training<'_>) -> Result<String, PlotError> {
    let (loss, lost) = finite(data.loss.iter().map(|&(step, loss)| (step as f64, loss)));
    let (accuracy, _) = finite(data.test_accuracy.iter().map(|&(step, share)| (step as f64, 100.0 * share)));
    let steps = |name| Axis::fit(name, Scale::Linear, loss.iter().chain(&accuracy).map(|p| p.0), 0.0);
    render(data.title, (900, 660), |area| {
        let (upper, lower) = area.split_vertically(px(300));
        draw_loss(&upper, &steps(""), &loss, lost)?;
        draw_accuracy(&lower, &steps("step"), &accuracy)
    })
}

fn draw_loss(area: &Area<'_>, x: &Axis, loss: &[Point], lost: usize) -> Result<(), Fault> {
    let (low, high) = loss.iter().fold((f64::INFINITY, 0.0f64), |(l, h), p| (l.min(p.1), h.max(p.1)));
    let scale = if low > 0.0 && high >= 10.0 * low { Scale::Log } else { Scale::Linear };
    let y = Axis::fit(if scale == Scale::Log { "loss (log)" } else { "loss" }, scale, loss.iter().map(|p| p.1), 0.05);
    let place = |points: &[Point]| points.iter().map(|p| (p.0, y.position(p.1))).collect::<Vec<_>>();
    let window = (loss.len() / 20).min(101) | 1;
    let raw = Key::Line(palette::BLUE.mix(if window > 1 { 0.35 } else { 1.0 }), 1 + i32::from(window == 1));
    let mut legend = vec![(raw, "training loss of each mini-batch".to_owned())];
    let median = Key::Line(palette::BLUE.to_rgba(), 2);
    if window > 1 {
        legend.push((median, format!("running median of {window} steps")));
    }
    if lost > 0 {
        legend.push((Key::Note, format!("{lost} non-finite not shown")));
    }
    let mut chart = axes(area, x, &y, &legend)?;
    if loss.is_empty() {
        return draw_absence(&chart, "no loss was recorded");
    }
    draw_line(&mut chart, &place(loss), &y, raw)?;
    if window > 1 {
        draw_line(&mut chart, &place(&running_median(loss, window)), &y, median)?;
    }
    Ok(())
}

fn draw_accuracy(area: &Area<'_>, x: &Axis, accuracy: &[Point]) -> Result<(), Fault> {
    let y = Axis::fit("test accuracy (%)", Scale::Linear, accuracy.iter().map(|p| p.1), 0.08).within(0.0, 100.0);
    let key = Key::Line(palette::VERMILION.to_rgba(), 2);
    let summary = accuracy.last().map_or_else(String::new, |last| {
        let best = accuracy.iter().fold(0.0f64, |best, p| best.max(p.1));
        format!(": {:.1} % at the end, {best:.1} % at best", last.1)
    });
    let mut chart = axes(area, x, &y, &[(key, format!("test accuracy{summary}"))])?;
    if accuracy.is_empty() {
        return draw_absence(&chart, "no test accuracy was recorded");
    }
    draw_line(&mut chart, accuracy, &y, key)
}

#[cfg(test)]
mod tests {
    use super::super::sound;
    use super::*;

    fn decay(steps: u64) -> Vec<(u64, f64)> {
        (0..steps)
            .map(|i| (i, 2.3 * (-(i as f64) / 80.0).exp() * (1.0 + 0.4 * (i as f64 * 1.7).sin()) + 0.01))
            .collect()
    }

    #[test]
    fn a_run_is_drawn_with_title_axes_and_legend() {
        let accuracy: Vec<_> = (1..=15).map(|e| (e * 23, 0.98 - 0.5 * (-(e as f64) / 3.0).exp())).collect();
        let svg = training(&Training { title: "digits & <GeN>", loss: &decay(345), test_accuracy: &accuracy }).unwrap();
        sound::check(&svg);
        for part in
            ["digits &amp; &lt;GeN&gt;", "loss (log)", "running median of 17 steps", "97.7 % at the end", "step"]
        {
            assert!(svg.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn a_long_run_stays_small() {
        let svg = training(&Training { title: "long", loss: &decay(50_000), test_accuracy: &[] }).unwrap();
        sound::check(&svg);
        assert!(svg.len() < 120_000, "{} bytes", svg.len());
    }

    #[test]
    fn few_and_odd_points_are_drawn() {
        for loss in
            [vec![], vec![(0, 2.0)], vec![(0, f64::NAN)], vec![(3, 0.0), (4, -1.0)], vec![(0, 1.0), (1, f64::INFINITY)]]
        {
            sound::check(&training(&Training { title: "t", loss: &loss, test_accuracy: &[(0, 1.0)] }).unwrap());
        }
        let svg = training(&Training { title: "t", loss: &[(0, f64::NAN)], test_accuracy: &[] }).unwrap();
        assert!(svg.contains("1 non-finite not shown") && svg.contains("no test accuracy was recorded"));
    }

    #[test]
    fn a_narrow_loss_is_linear() {
        let svg = training(&Training { title: "t", loss: &[(0, 1.0), (1, 1.5)], test_accuracy: &[] }).unwrap();
        assert!(!svg.contains("loss (log)"));
    }
}
