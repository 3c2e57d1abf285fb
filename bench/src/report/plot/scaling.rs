//! How times grow with the size of a model.

use plotters::style::{Color, RGBColor};

use super::axis::{Axis, Scale};
use super::figure::{Key, PlotError, Shape, axes, draw_line, draw_marks, palette, render};
use super::series::Point;

/// What [`scaling`] draws.
#[derive(Clone, Copy, Debug)]
pub struct Scaling<'a> {
    /// The title of the figure.
    pub title: &'a str,
    /// How the times were measured, for the legend.
    pub note: &'a str,
    /// The caption of the horizontal axis.
    pub axis: &'a str,
    /// The sizes in increasing order, positive, with their labels.
    pub sizes: &'a [(f64, String)],
    /// The name of each quantity and its time in milliseconds at each size; times that are not positive are left out.
    pub times: &'a [(&'a str, Vec<f64>)],
}

/// The look of each quantity.
const LOOKS: [(RGBColor, i32); 6] = [
    (palette::SKY, 2),
    (palette::BLUE, 2),
    (palette::PURPLE, 2),
    (palette::VERMILION, 4),
    (palette::ORANGE, 2),
    (palette::GREEN, 2),
];
/// How many times the highest curve the line of slope 1 stays above it.
const ABOVE: f64 = 1.4;

/// Draws times over sizes, both logarithmic, and a line of slope 1 above them: parallel to it, times are in proportion to
/// the size.
///
/// # Errors
/// If the figure cannot be drawn.
///
/// ```
/// use bench::report::plot::{Scaling, scaling};
/// let svg = scaling(&Scaling {
///     title: "mlp-digits",
///     note: "f32, 2 threads",
///     axis: "rows of the batch",
///     sizes: &[(16.0, "16".to_owned()), (32.0, "32".to_owned())],
///     times: &[("loss", vec![0.1, 0.19]), ("gradient", vec![0.2, 0.4])],
/// })?;
/// assert!(svg.contains("slope 1"));
/// # Ok::<(), bench::report::plot::PlotError>(())
/// ```
pub fn scaling(data: &Scaling<'_>) -> Result<String, PlotError> {
    let sizes = data.sizes.iter().map(|s| s.0);
    let x = Axis::fit(&format!("{} (log)", data.axis), Scale::Log, sizes, 0.04).with_ticks(data.sizes);
    let curves: Vec<(Key, Vec<Point>)> = data
        .times
        .iter()
        .zip(LOOKS.iter().cycle())
        .map(|((_, times), (colour, width))| (Key::Line(colour.to_rgba(), *width), points(data.sizes, times)))
        .collect();
    let drawn = curves.iter().flat_map(|c| &c.1);
    let proportion = proportion(drawn.clone());
    let all = drawn.chain(&proportion).map(|p| p.1);
    let y = Axis::fit("milliseconds a call (log)", Scale::Log, all, 0.05);
    let dashed = Key::Dashed(palette::GREY.to_rgba());
    let mut legend: Vec<(Key, String)> =
        curves.iter().zip(data.times).map(|((key, _), (name, _))| (*key, (*name).to_owned())).collect();
    legend.push((dashed, "slope 1: in proportion".to_owned()));
    legend.push((Key::Note, data.note.to_owned()));
    let place = |points: &[Point]| points.iter().map(|p| (x.position(p.0), y.position(p.1))).collect::<Vec<_>>();
    render(data.title, (900, 560), |area| {
        let mut chart = axes(area, &x, &y, &legend)?;
        draw_line(&mut chart, &place(&proportion), &y, dashed)?;
        for (key, points) in &curves {
            draw_line(&mut chart, &place(points), &y, *key)?;
            if let Key::Line(colour, _) = key {
                draw_marks(&mut chart, &place(points), *colour, Shape::Circle)?;
            }
        }
        Ok(())
    })
}

/// The times that have a place on a logarithmic axis, over their sizes.
fn points(sizes: &[(f64, String)], times: &[f64]) -> Vec<Point> {
    let pairs = sizes.iter().zip(times).map(|((size, _), time)| (*size, *time));
    pairs.filter(|(_, time)| time.is_finite() && *time > 0.0).collect()
}

/// The ends of the line of slope 1 that lies as low as can be while everywhere well above all points.
fn proportion<'a>(points: impl Iterator<Item = &'a Point> + Clone) -> Vec<Point> {
    let fold = |start: f64, f: fn(f64, f64) -> f64, of: fn(&Point) -> f64| points.clone().map(of).fold(start, f);
    let (first, last) = (fold(f64::INFINITY, f64::min, |p| p.0), fold(0.0, f64::max, |p| p.0));
    let rate = ABOVE * fold(0.0, f64::max, |p| p.1 / p.0);
    [first, last].into_iter().filter(|size| size.is_finite() && *size > 0.0).map(|size| (size, rate * size)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sound;
    use super::*;

    fn sizes(values: &[f64]) -> Vec<(f64, String)> {
        values.iter().map(|v| (*v, format!("{v} rows"))).collect()
    }

    #[test]
    fn the_figure_names_sizes_quantities_and_the_slope() {
        let svg = scaling(&Scaling {
            title: "how it grows",
            note: "on one thread",
            axis: "rows of the batch",
            sizes: &sizes(&[16.0, 32.0, 64.0]),
            times: &[("loss", vec![0.1, 0.15, 0.3]), ("exact GeN", vec![0.4, 0.7, 1.3])],
        })
        .unwrap();
        sound::check(&svg);
        for part in [
            "how it grows",
            "on one thread",
            "rows of the batch (log)",
            "16 rows",
            "32 rows",
            "64 rows",
            "loss",
            "exact GeN",
            "slope 1",
        ] {
            assert!(svg.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn the_line_of_slope_one_is_above_all_points() {
        let points = [(1.0, 3.0), (2.0, 4.0), (4.0, 5.0), (8.0, 7.0)];
        let ends = proportion(points.iter());
        assert_eq!(ends, [(1.0, 3.0 * ABOVE), (8.0, 24.0 * ABOVE)]);
    }

    #[test]
    fn odd_times_are_drawn() {
        for times in [vec![], vec![f64::NAN, 1.0], vec![0.0, -1.0], vec![f64::INFINITY, 1e300], vec![1e-9, 1e9]] {
            let data =
                Scaling { title: "t", note: "", axis: "size", sizes: &sizes(&[1.0, 2.0]), times: &[("loss", times)] };
            sound::check(&scaling(&data).unwrap());
        }
    }
}
