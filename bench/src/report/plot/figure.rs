//! The look that all figures share: palette, fonts, title, legend and axes.

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::series::{MAX_POINTS, Point, clip, thin};

/// A figure could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the figure `{title}` could not be drawn: {reason}")]
pub struct PlotError {
    title: String,
    reason: String,
}

/// What drawing into text can fail with.
pub(crate) type Fault = DrawingAreaErrorKind<std::io::Error>;
/// A rectangle of the figure, in pixels.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Axes inside an area; coordinates are the positions of [`Axis`].
pub(crate) type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

/// The colours of Okabe and Ito, which colour-blind readers tell apart too.
pub(crate) mod palette {
    use plotters::style::RGBColor;

    pub(crate) const BLUE: RGBColor = RGBColor(0, 114, 178);
    pub(crate) const GREEN: RGBColor = RGBColor(0, 158, 115);
    pub(crate) const VERMILION: RGBColor = RGBColor(213, 94, 0);
    pub(crate) const PURPLE: RGBColor = RGBColor(204, 121, 167);
    pub(crate) const ORANGE: RGBColor = RGBColor(230, 159, 0);
    pub(crate) const SKY: RGBColor = RGBColor(86, 180, 233);
    pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);
    pub(crate) const GREY: RGBColor = RGBColor(110, 110, 110);
    pub(crate) const GRID: RGBColor = RGBColor(228, 228, 228);
}

const FONT: &str = "Helvetica, Arial, sans-serif";
const MARGIN: i32 = px(16);
/// Mean width of a character in font sizes; generous, because the reader's font is unknown.
const CHARACTER: f64 = 0.44;
/// Font sizes of plain text and of titles, in pixels.
pub(crate) const PLAIN: i32 = 17;
const TITLE: i32 = 24;

/// A length in pixels, in units of the drawing. Plotters rounds coordinates to whole units, which would make curves
/// jagged if a unit were a pixel.
pub(crate) const fn px(pixels: i32) -> i32 {
    8 * pixels
}

/// A shape that marks single points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Circle,
    Triangle,
    Cross,
}

/// How an entry of the legend, and what it stands for, is drawn.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    /// A line in this colour, this many pixels thick.
    Line(RGBAColor, i32),
    /// A dashed line.
    Dashed(RGBAColor),
    /// Single points.
    Marks(RGBAColor, Shape),
    /// Text alone.
    Note,
}

/// Draws a figure of this size in pixels under its title and returns the SVG text.
pub(crate) fn render<F>(title: &str, (width, height): (i32, i32), draw: F) -> Result<String, PlotError>
where
    F: FnOnce(&Area<'_>) -> Result<(), Fault>,
{
    let mut svg = String::new();
    let size = (px(width) as u32, px(height) as u32);
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)
            .and_then(|()| area.draw(&Text::new(title.to_owned(), (MARGIN, px(12)), text(TITLE, palette::INK))))
            .and_then(|()| draw(&area.margin(px(44), 0, 0, 0)))
            .and_then(|()| area.present())
    };
    drawn.map_err(|e| PlotError { title: title.to_owned(), reason: e.to_string() })?;
    // The viewBox keeps the units; the size on the page is in pixels.
    let units = format!("width=\"{}\" height=\"{}\"", size.0, size.1);
    Ok(svg.replacen(&units, &format!("width=\"{width}\" height=\"{height}\""), 1))
}

/// Draws legend, axes and captions; returns the chart to draw into.
pub(crate) fn axes<'a>(area: &Area<'a>, x: &Axis, y: &Axis, legend: &[(Key, String)]) -> Result<Chart<'a>, Fault> {
    let rows = draw_legend(area, legend)?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(rows + px(8))
        .margin_left(MARGIN)
        .margin_right(px(28))
        .margin_bottom(px(8))
        .x_label_area_size(if x.name.is_empty() { px(26) } else { px(50) })
        .y_label_area_size(px(70))
        .build_cartesian_2d(x.clone(), y.clone())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(palette::GRID.stroke_width(px(1) as u32))
        .axis_style(palette::GREY.stroke_width(px(1) as u32))
        .set_all_tick_mark_size(px(5))
        .label_style(text(PLAIN, palette::INK))
        .axis_desc_style(text(PLAIN, palette::INK))
        .x_desc(&x.name)
        .y_desc(&y.name)
        .draw()?;
    Ok(chart)
}

/// Draws a polyline, thinned, cut at the bounds of the axes, as dots too where it has few points.
pub(crate) fn draw_line(chart: &mut Chart<'_>, points: &[Point], y: &Axis, key: Key) -> Result<(), Fault> {
    for part in clip(&thin(points, MAX_POINTS), y.range.start, y.range.end) {
        match key {
            Key::Line(colour, _) if part.len() == 1 => {
                chart.draw_series([Circle::new(part[0], px(4), colour.filled())])?;
            }
            Key::Line(colour, width) => {
                chart.draw_series([PathElement::new(part, colour.stroke_width(px(width) as u32))])?;
            }
            Key::Dashed(colour) => {
                chart.draw_series(DashedLineSeries::new(part, px(7), px(5), colour.stroke_width(px(2) as u32)))?;
            }
            Key::Marks(colour, shape) => draw_marks(chart, &part, colour, shape)?,
            Key::Note => {}
        }
    }
    Ok(())
}

/// Draws single points.
pub(crate) fn draw_marks(
    chart: &mut Chart<'_>,
    points: &[Point],
    colour: RGBAColor,
    shape: Shape,
) -> Result<(), Fault> {
    let points = points.iter().copied();
    match shape {
        Shape::Circle => chart.draw_series(points.map(|p| Circle::new(p, px(4), colour.filled())))?,
        Shape::Triangle => chart.draw_series(points.map(|p| TriangleMarker::new(p, px(6), colour.filled())))?,
        Shape::Cross => chart.draw_series(points.map(|p| Cross::new(p, px(4), colour.stroke_width(px(2) as u32))))?,
    };
    Ok(())
}

/// Says in the middle of the axes why they are empty.
pub(crate) fn draw_absence(chart: &Chart<'_>, what: &str) -> Result<(), Fault> {
    let area = chart.plotting_area().strip_coord_spec();
    let (width, height) = area.dim_in_pixel();
    let style = text(PLAIN, palette::GREY).pos(Pos::new(HPos::Center, VPos::Center));
    area.draw(&Text::new(what.to_owned(), (width as i32 / 2, height as i32 / 2), style))
}

/// Sans-serif text of this size in pixels.
pub(crate) fn text(size: i32, colour: RGBColor) -> TextStyle<'static> {
    (FONT, px(size)).into_font().color(&colour)
}

/// About how wide plain text will be, in units of the drawing.
pub(crate) fn text_width(label: &str) -> i32 {
    (label.chars().count() as f64 * f64::from(px(PLAIN)) * CHARACTER) as i32
}

/// Draws the legend in rows from the top of the area and returns their height in pixels.
fn draw_legend(area: &Area<'_>, legend: &[(Key, String)]) -> Result<i32, Fault> {
    const ROW: i32 = px(22);
    const SAMPLE: i32 = px(34);
    let right = area.dim_in_pixel().0 as i32 - MARGIN;
    let (mut x, mut y) = (MARGIN, ROW / 2);
    for (key, label) in legend {
        let lead = if matches!(key, Key::Note) { 0 } else { SAMPLE };
        let width = lead + text_width(label);
        if x > MARGIN && x + width > right {
            (x, y) = (MARGIN, y + ROW);
        }
        draw_key(area, *key, (x, y))?;
        let style = text(PLAIN, palette::INK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(label.clone(), (x + lead, y), style))?;
        x += width + px(26);
    }
    Ok(if legend.is_empty() { 0 } else { y + ROW / 2 })
}

fn draw_key(area: &Area<'_>, key: Key, (x, y): (i32, i32)) -> Result<(), Fault> {
    let ends = vec![(x, y), (x + px(26), y)];
    let middle = (x + px(16), y);
    match key {
        Key::Line(colour, width) => area.draw(&PathElement::new(ends, colour.stroke_width(px(width) as u32))),
        Key::Dashed(colour) => {
            area.draw(&DashedPathElement::new(ends, px(7), px(5), colour.stroke_width(px(2) as u32)))
        }
        Key::Marks(colour, Shape::Circle) => area.draw(&Circle::new(middle, px(4), colour.filled())),
        Key::Marks(colour, Shape::Triangle) => area.draw(&TriangleMarker::new(middle, px(6), colour.filled())),
        Key::Marks(colour, Shape::Cross) => area.draw(&Cross::new(middle, px(4), colour.stroke_width(px(2) as u32))),
        Key::Note => Ok(()),
    }
}
