//! Preparing a series of points for drawing: thinning, smoothing, clipping.

/// The most points of one series that a figure draws.
pub(crate) const MAX_POINTS: usize = 2000;

/// A point (x, y) of a series.
pub(crate) type Point = (f64, f64);

/// The finite points of a series and how many were left out.
pub(crate) fn finite(points: impl IntoIterator<Item = Point>) -> (Vec<Point>, usize) {
    let (kept, dropped): (Vec<_>, Vec<_>) = points.into_iter().partition(|(x, y)| x.is_finite() && y.is_finite());
    (kept, dropped.len())
}

/// At most `max` points (`max` ≥ 2) that look like the whole series: of each of `max`/2 equal stretches, the lowest and
/// the highest point, in their order.
pub(crate) fn thin(points: &[Point], max: usize) -> Vec<Point> {
    if points.len() <= max {
        return points.to_vec();
    }
    let stretches = max / 2;
    let mut out = Vec::with_capacity(max);
    for i in 0..stretches {
        let bounds = i * points.len() / stretches..(i + 1) * points.len() / stretches;
        let by_y = |a: &usize, b: &usize| points[*a].1.total_cmp(&points[*b].1);
        let (low, high) = (bounds.clone().min_by(by_y).unwrap(), bounds.max_by(by_y).unwrap());
        out.push(points[low.min(high)]);
        if low != high {
            out.push(points[low.max(high)]);
        }
    }
    out
}

/// The running median: each y replaced by the median of the `window` values around it (fewer at the ends).
pub(crate) fn running_median(points: &[Point], window: usize) -> Vec<Point> {
    let half = window / 2;
    (0..points.len())
        .map(|i| {
            let around = &points[i.saturating_sub(half)..(i + half + 1).min(points.len())];
            let mut ys: Vec<f64> = around.iter().map(|p| p.1).collect();
            let middle = ys.len() / 2;
            (points[i].0, *ys.select_nth_unstable_by(middle, f64::total_cmp).1)
        })
        .collect()
}

/// The parts of a polyline with `low` ≤ y ≤ `high`, cut exactly at the bounds; a non-finite point interrupts the line.
pub(crate) fn clip(points: &[Point], low: f64, high: f64) -> Vec<Vec<Point>> {
    let mut parts = Vec::new();
    for run in points.split(|(x, y)| !x.is_finite() || !y.is_finite()) {
        let mut part: Vec<Point> = run.first().filter(|p| (low..=high).contains(&p.1)).into_iter().copied().collect();
        for pair in run.windows(2) {
            let Some((from, to)) = clip_segment(pair[0], pair[1], low, high) else { continue };
            if part.last() != Some(&from) {
                parts.push(std::mem::replace(&mut part, vec![from]));
            }
            part.push(to);
        }
        parts.push(part);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The part of one segment between two heights, or `None` where it has none.
fn clip_segment(a: Point, b: Point, low: f64, high: f64) -> Option<(Point, Point)> {
    if a.1.max(b.1) < low || a.1.min(b.1) > high {
        return None;
    }
    let cut = |from: Point, towards: Point| {
        let y = from.1.clamp(low, high);
        if y == from.1 { from } else { (from.0 + (towards.0 - from.0) * (y - from.1) / (towards.1 - from.1), y) }
    };
    Some((cut(a, b), cut(b, a)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize) -> Vec<Point> {
        (0..n).map(|i| (i as f64, i as f64)).collect()
    }

    #[test]
    fn a_short_series_is_left_alone() {
        assert_eq!(thin(&ramp(7), 7), ramp(7));
        assert_eq!(thin(&[], 10), []);
    }

    #[test]
    fn thinning_keeps_spikes_order_and_ends() {
        let mut points = ramp(10_001);
        points[5003].1 = 1e6;
        points[7001].1 = -1e6;
        let thinned = thin(&points, 200);
        assert!(thinned.len() <= 200);
        assert!(thinned.contains(&points[5003]) && thinned.contains(&points[7001]));
        assert!(thinned.windows(2).all(|w| w[0].0 < w[1].0));
        assert_eq!((thinned[0], *thinned.last().unwrap()), (points[0], points[10_000]));
    }

    #[test]
    fn the_running_median_ignores_a_spike() {
        let mut points = ramp(9);
        points[4].1 = 1e9;
        assert_eq!(running_median(&points, 3)[4], (4.0, 5.0));
        assert_eq!(running_median(&points, 1), points);
        assert_eq!(running_median(&[], 5), []);
    }

    #[test]
    fn clipping_cuts_at_the_bounds() {
        let v = [(0.0, 4.0), (2.0, 0.0), (4.0, 4.0)];
        assert_eq!(clip(&v, -1.0, 2.0), [vec![(1.0, 2.0), (2.0, 0.0), (3.0, 2.0)]]);
        let peak = [(0.0, 0.0), (1.0, 4.0), (2.0, 0.0)];
        assert_eq!(clip(&peak, 0.0, 2.0), [vec![(0.0, 0.0), (0.5, 2.0)], vec![(1.5, 2.0), (2.0, 0.0)]]);
        assert_eq!(clip(&peak, 5.0, 6.0), Vec::<Vec<Point>>::new());
    }

    #[test]
    fn clipping_breaks_at_non_finite_points() {
        let points = [(0.0, 1.0), (1.0, 1.0), (2.0, f64::INFINITY), (3.0, 1.0), (4.0, f64::NAN)];
        assert_eq!(clip(&points, 0.0, 2.0), [vec![(0.0, 1.0), (1.0, 1.0)], vec![(3.0, 1.0)]]);
    }

    #[test]
    fn non_finite_points_are_counted() {
        assert_eq!(finite([(0.0, 1.0), (1.0, f64::NAN), (2.0, f64::INFINITY)]), (vec![(0.0, 1.0)], 2));
    }
}
