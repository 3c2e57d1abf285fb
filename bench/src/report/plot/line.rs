//! The loss along the direction against its parabola.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, Scale};
use super::figure::{
    Chart, Fault, Key, PLAIN, PlotError, Shape, axes, draw_absence, draw_line, draw_marks, palette, px, render, text,
    text_width,
};
use super::series::{Point, finite};

/// What [`line()`] draws.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The title of the figure.
    pub title: &'a str,
    /// (α, g(α)) by increasing α, where g(α) = f(θ − αω); non-finite losses leave a gap.
    pub samples: &'a [(f64, f64)],
    /// f(θ).
    pub value: f64,
    /// num = df(θ)·ω.
    pub num: f64,
    /// den = d²f(θ)(ω, ω).
    pub den: f64,
}

impl Line<'_> {
    /// The second-order Taylor polynomial f − α num + ½α² den.
    fn parabola(&self, alpha: f64) -> f64 {
        self.value - alpha * self.num + 0.5 * alpha * alpha * self.den
    }

    /// α* = num/den where the parabola has a minimum.
    fn optimum(&self) -> Option<f64> {
        Some(self.num / self.den).filter(|a| self.den > 0.0 && a.is_finite())
    }

    /// g at this α, interpolated between the samples around it.
    fn loss_at(&self, alpha: f64) -> Option<f64> {
        let pair = self.samples.windows(2).find(|w| w[0].0 <= alpha && alpha <= w[1].0)?;
        let share = if pair[1].0 > pair[0].0 { (alpha - pair[0].0) / (pair[1].0 - pair[0].0) } else { 0.0 };
        Some(pair[0].1 + share * (pair[1].1 - pair[0].1)).filter(|g| g.is_finite())
    }
}

/// Draws g(α) = f(θ − αω) against its second-order approximation, with the optimal rate α* = num/den marked.
///
/// The height follows g: where either curve rises far above the start or the parabola falls far below g, it is cut.
///
/// # Errors
/// If the figure cannot be drawn.
///
/// ```
/// use bench::report::plot::{Line, line};
/// let g = |a: f64| 2.0 - a + a * a - 0.2 * a.powi(3);
/// let samples: Vec<_> = (0..=20).map(|i| i as f64 / 10.0).map(|a| (a, g(a))).collect();
/// let svg = line(&Line { title: "at step 0", samples: &samples, value: 2.0, num: 1.0, den: 2.0 })?;
/// assert!(svg.contains("α* = 0.5"));
/// # Ok::<(), bench::report::plot::PlotError>(())
/// ```
pub fn line(data: &Line<'_>) -> Result<String, PlotError> {
    let (curve, lost) = finite(data.samples.iter().copied());
    let (first, last) = bounds(data.samples.iter().map(|p| p.0));
    let optimum = data.optimum().filter(|a| (first..=last).contains(a));
    let x = Axis::fit("learning rate α", Scale::Linear, data.samples.iter().map(|p| p.0), 0.0);
    let parabola: Vec<Point> =
        (0..=200).map(|i| first + (last - first) * f64::from(i) / 200.0).map(|a| (a, data.parabola(a))).collect();
    let y = height(&curve, &parabola, data.value, optimum.map(|a| data.parabola(a)));
    let (blue, green) = (Key::Line(palette::BLUE.to_rgba(), 3), Key::Line(palette::GREEN.to_rgba(), 2));
    let mut legend = vec![
        (blue, "loss along the line, g(α) = f(θ − αω)".to_owned()),
        (green, "parabola f − α num + ½α² den".to_owned()),
        star_label(data, optimum),
    ];
    if lost > 0 {
        legend.push((Key::Note, format!("g is not finite at {lost} of {} points", data.samples.len())));
    }
    render(data.title, (900, 540), |area| {
        let mut chart = axes(area, &x, &y, &legend)?;
        if curve.is_empty() {
            draw_absence(&chart, "g is nowhere finite")?;
        }
        draw_line(&mut chart, data.samples, &y, blue)?;
        draw_line(&mut chart, &parabola, &y, green)?;
        optimum.map_or(Ok(()), |alpha| mark_optimum(&mut chart, data, alpha, &x, &y))
    })
}

/// The lowest and highest finite value; (0, 1) where there is none.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// The vertical axis: from the lower of the two minima to somewhat above the start f(θ).
fn height(curve: &[Point], parabola: &[Point], value: f64, minimum: Option<f64>) -> Axis {
    let curve = curve.iter().map(|p| p.1);
    let (low, high) = bounds(curve.clone().chain(Some(value)));
    // A rise beyond 1.5 times the drop that the line offers says nothing about the step, and flattens all that does.
    let drop = if value > low { value - low } else { high - low };
    let floor = minimum.unwrap_or_else(|| bounds(parabola.iter().map(|p| p.1)).0).clamp(low - 1.5 * drop, low);
    let ceiling = high.min(value + 1.5 * (value - floor).max(drop));
    let shown = curve.chain([floor, ceiling, value]).map(|y| y.clamp(floor, ceiling));
    Axis::fit("loss", Scale::Linear, shown, 0.06)
}

fn star_label(data: &Line<'_>, shown: Option<f64>) -> (Key, String) {
    match (data.optimum(), shown) {
        (Some(a), Some(_)) => (Key::Dashed(palette::VERMILION.to_rgba()), format!("α* = num/den = {}", brief(a))),
        (Some(a), None) => (Key::Note, format!("α* = {} lies outside", brief(a))),
        (None, _) => (Key::Note, format!("no α*: den = {} is not positive", brief(data.den))),
    }
}

/// Draws the dashed line at α*, where it meets both curves, and its label beside it.
fn mark_optimum(chart: &mut Chart<'_>, data: &Line<'_>, alpha: f64, x: &Axis, y: &Axis) -> Result<(), Fault> {
    let red = palette::VERMILION.to_rgba();
    draw_line(chart, &[(alpha, y.range.start), (alpha, y.range.end)], y, Key::Dashed(red))?;
    let meets = [Some(data.parabola(alpha)), data.loss_at(alpha)];
    let visible: Vec<Point> = meets.into_iter().flatten().filter(|g| y.range.contains(g)).map(|g| (alpha, g)).collect();
    draw_marks(chart, &visible, red, Shape::Circle)?;
    let right = alpha > x.range.start + 0.75 * (x.range.end - x.range.start);
    let label = format!("α* = {}", brief(alpha));
    let width = text_width(&label);
    let left = if right { px(-8) - width } else { px(8) };
    let ground = Rectangle::new([(left, px(2)), (left + width, px(24))], WHITE.mix(0.85).filled());
    let style = text(PLAIN, palette::VERMILION).pos(Pos::new(HPos::Left, VPos::Top));
    chart.draw_series([EmptyElement::at((alpha, y.range.end)) + ground + Text::new(label, (left, px(6)), style)])?;
    Ok(())
}

/// Three significant digits.
fn brief(value: f64) -> String {
    let digits = value.abs().log10().floor();
    if value == 0.0 || !value.is_finite() {
        format!("{value}")
    } else if (-4.0..6.0).contains(&digits) {
        let decimals = (2.0 - digits).max(0.0) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.2e}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::sound;
    use super::*;

    fn sampled(g: impl Fn(f64) -> f64, max: f64) -> Vec<Point> {
        (0..=100).map(|i| f64::from(i) / 100.0 * max).map(|a| (a, g(a))).collect()
    }

    #[test]
    fn the_figure_names_curves_and_optimum() {
        let samples = sampled(|a| 2.0 - a + a * a - 0.3 * a.powi(3), 1.5);
        let svg = line(&Line { title: "the line", samples: &samples, value: 2.0, num: 1.0, den: 2.0 }).unwrap();
        sound::check(&svg);
        for part in ["the line", "g(α)", "parabola", "α* = num/den = 0.500", "learning rate α"] {
            assert!(svg.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn an_exploding_curve_does_not_set_the_height() {
        let flat = height(&[(0.0, 2.0), (1.0, 1.0), (2.0, 1e9)], &[], 2.0, Some(0.9));
        assert!(flat.range.end < 5.0 && flat.range.start > 0.0, "{flat:?}");
        let falling = height(&[(0.0, 2.0), (1.0, 1.0)], &[(0.0, 2.0), (1.0, -1e12)], 2.0, None);
        assert!(falling.range.start > -2.0, "{falling:?}");
        let rising = height(&[(0.0, 2.0), (1.0, 3.0)], &[(0.0, 2.0), (1.0, 1e12)], 2.0, None);
        assert!(rising.range.end < 4.0, "{rising:?}");
    }

    #[test]
    fn odd_lines_are_drawn() {
        let base = Line { title: "t", samples: &[], value: 1.0, num: 1.0, den: 2.0 };
        sound::check(&line(&base).unwrap());
        sound::check(&line(&Line { samples: &[(0.0, 1.0)], ..base }).unwrap());
        let gap = sampled(|a| if a > 0.5 { f64::NAN } else { 1.0 - a }, 1.0);
        let svg = line(&Line { samples: &gap, ..base }).unwrap();
        sound::check(&svg);
        assert!(svg.contains("g is not finite at 50 of 101 points"));
        let nowhere = sampled(|_| f64::INFINITY, 1.0);
        sound::check(
            &line(&Line { samples: &nowhere, value: f64::NAN, num: f64::NAN, den: f64::NAN, ..base }).unwrap(),
        );
    }

    #[test]
    fn a_missing_optimum_is_explained() {
        let samples = sampled(|a| 1.0 - a, 1.0);
        let svg = line(&Line { title: "t", samples: &samples, value: 1.0, num: 1.0, den: -3.0 }).unwrap();
        sound::check(&svg);
        assert!(svg.contains("no α*: den = -3.00 is not positive"));
        let svg = line(&Line { title: "t", samples: &samples, value: 1.0, num: 1.0, den: 0.1 }).unwrap();
        assert!(svg.contains("α* = 10.0 lies outside"));
    }

    #[test]
    fn g_is_interpolated_between_samples() {
        let data = Line { title: "t", samples: &[(0.0, 1.0), (1.0, 3.0)], value: 1.0, num: 0.0, den: 0.0 };
        assert_eq!(data.loss_at(0.25), Some(1.5));
        assert_eq!(data.loss_at(2.0), None);
    }
}
