//! What has arrived and is not on disk yet: the open minute, and the open ten seconds.
//!
//! A counter's sum over a window is one value of that window, as `StatsD` servers have it; a gauge's and a timer's
//! values are values each.

use std::collections::HashMap;
use std::sync::Arc;

use super::point::Point;
use super::series::Series;
use super::statsd::Value;
use super::tiers::floor;
use crate::limits::{METRIC_FLUSH_SECONDS, METRIC_WINDOW_SERIES_MAX, METRIC_WINDOWS_WAITING_MAX};

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Fine,
    Minute,
}

impl Width {
    pub(super) fn seconds(self) -> i64 {
        match self {
            Width::Fine => METRIC_FLUSH_SECONDS,
            Width::Minute => 60,
        }
    }
}

/// A window that is over.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) width: Width,
    /// Seconds since the epoch.
    pub(super) at: i64,
    pub(super) points: HashMap<Arc<Series>, Point>,
}

#[derive(Debug)]
struct Window {
    width: Width,
    at: i64,
    points: HashMap<Arc<Series>, Point>,
}

/// The open windows, and those that wait to be written.
#[derive(Debug)]
pub(super) struct Windows {
    open: [Window; 2],
    closed: Arc<Vec<Closed>>,
    waiting: Vec<Closed>,
    /// The last value of gauges, for those that send changes.
    gauges: HashMap<Arc<Series>, f64>,
    /// Values that were left out because too many metrics are touched.
    left_out: u64,
}

impl Windows {
    pub(super) fn new(now: i64) -> Windows {
        let open = [Width::Fine, Width::Minute].map(|width| Window {
            width,
            at: floor(now, width.seconds()),
            points: HashMap::new(),
        });
        Windows {
            open,
            closed: Arc::default(),
            waiting: Vec::new(),
            gauges: HashMap::new(),
            left_out: 0,
        }
    }

    /// What a line says of its metric.
    pub(super) fn take(&mut self, series: &Arc<Series>, value: Value, now: i64) {
        self.close_ended(now);
        match value {
            Value::Count(more) => self.merge(series, &Point::of(more, 1.0), |sum, more| {
                *sum = Point::of(sum.sum + more.sum, 1.0);
            }),
            Value::Timing { took, times } => {
                self.merge(series, &Point::of(took, times), Point::add);
            }
            Value::Gauge(value) => self.gauge(series, value),
            Value::GaugeChange(change) => {
                let before = self.gauges.get(series).copied().unwrap_or_default();
                self.gauge(series, before + change);
            }
        }
    }

    fn gauge(&mut self, series: &Arc<Series>, value: f64) {
        if self.gauges.len() < METRIC_WINDOW_SERIES_MAX || self.gauges.contains_key(series) {
            self.gauges.insert(Arc::clone(series), value);
        }
        self.merge(series, &Point::of(value, 1.0), Point::add);
    }

    fn merge(&mut self, series: &Arc<Series>, point: &Point, into: fn(&mut Point, &Point)) {
        for window in &mut self.open {
            if let Some(known) = window.points.get_mut(series) {
                into(known, point);
            } else if window.points.len() < METRIC_WINDOW_SERIES_MAX {
                window.points.insert(Arc::clone(series), point.clone());
            } else {
                self.left_out += 1;
            }
        }
    }

    fn close_ended(&mut self, now: i64) {
        for window in &mut self.open {
            let at = floor(now, window.width.seconds());
            if at == window.at {
                continue;
            }
            let points = std::mem::take(&mut window.points);
            let closed = Closed { width: window.width, at: window.at, points };
            window.at = at;
            if closed.points.is_empty() {
                continue;
            }
            // They pile up as long as the disk takes nothing.
            if self.waiting.len() >= METRIC_WINDOWS_WAITING_MAX {
                self.left_out += self.waiting.remove(0).points.len() as u64;
            }
            self.waiting.push(closed);
        }
    }

    /// What is to be written now. It is still part of every answer until [`Windows::written`].
    pub(super) fn take_ended(&mut self, now: i64) -> Arc<Vec<Closed>> {
        self.close_ended(now);
        self.hand_over()
    }

    /// Everything, open windows too: nothing more will come.
    pub(super) fn all(&mut self) -> Arc<Vec<Closed>> {
        for window in &mut self.open {
            let points = std::mem::take(&mut window.points);
            self.waiting.push(Closed { width: window.width, at: window.at, points });
        }
        self.hand_over()
    }

    fn hand_over(&mut self) -> Arc<Vec<Closed>> {
        // What could not be written last time goes first.
        if self.closed.is_empty() {
            self.closed = Arc::new(std::mem::take(&mut self.waiting));
        }
        Arc::clone(&self.closed)
    }

    /// What was handed over is on disk.
    pub(super) fn written(&mut self) {
        self.closed = Arc::default();
    }

    /// Values left out since the last time this was asked.
    pub(super) fn left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }

    /// Points of this width that no table has yet.
    pub(super) fn unwritten(&self, width: Width) -> impl Iterator<Item = (&Series, i64, &Point)> {
        let open = self.open.iter().map(|window| (window.width, window.at, &window.points));
        let closed = self.closed.iter().chain(&self.waiting);
        let closed = closed.map(|window| (window.width, window.at, &window.points));
        open.chain(closed).filter(move |(of, ..)| *of == width).flat_map(|(_, at, points)| {
            points.iter().map(move |(series, point)| (&**series, at, point))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::series::{Metric, Unit};
    use super::*;

    fn series(name: &str) -> Arc<Series> {
        let metric = Metric {
            namespace: "n".to_owned(),
            name: name.to_owned(),
            dimensions: BTreeMap::new(),
        };
        Arc::new(Series { metric, unit: Unit::COUNT })
    }

    #[test]
    fn a_counter_is_one_value_a_window_and_a_gauge_many() {
        let mut windows = Windows::new(600);
        let (counter, gauge) = (series("c"), series("g"));
        for at in [600, 605, 615] {
            windows.take(&counter, Value::Count(2.0), at);
            windows.take(&gauge, Value::Gauge(f64::from(u16::try_from(at).unwrap())), at);
        }
        windows.take(&gauge, Value::GaugeChange(-1.0), 616);
        let of = |windows: &Windows, width, series: &Series| {
            let mut found: Vec<_> = windows
                .unwritten(width)
                .filter(|(of, ..)| *of == series)
                .map(|(_, at, point)| (at, point.count, point.sum))
                .collect();
            found.sort_by_key(|(at, ..)| *at);
            found
        };
        assert_eq!(of(&windows, Width::Minute, &counter), [(600, 1.0, 6.0)]);
        assert_eq!(of(&windows, Width::Fine, &counter), [(600, 1.0, 4.0), (610, 1.0, 2.0)]);
        assert_eq!(of(&windows, Width::Minute, &gauge), [(600, 4.0, 2434.0)]);
        // Nothing is lost between being handed over and being written.
        assert_eq!(windows.take_ended(620).len(), 2);
        assert_eq!(of(&windows, Width::Fine, &counter).len(), 2);
        windows.written();
        assert_eq!(of(&windows, Width::Fine, &counter), []);
        assert_eq!(of(&windows, Width::Minute, &counter), [(600, 1.0, 6.0)]);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_waited_for_within_bounds() {
        let mut windows = Windows::new(0);
        let gauge = series("g");
        for at in (0..36_000).step_by(10) {
            windows.take(&gauge, Value::Gauge(1.0), at);
        }
        assert_eq!(windows.waiting.len(), METRIC_WINDOWS_WAITING_MAX);
        assert!(windows.left_out() > 0);
    }

    #[test]
    fn a_storm_of_names_is_bounded() {
        let mut windows = Windows::new(0);
        for number in 0..METRIC_WINDOW_SERIES_MAX + 5 {
            windows.take(&series(&number.to_string()), Value::Gauge(1.0), 0);
        }
        assert_eq!(windows.unwritten(Width::Minute).count(), METRIC_WINDOW_SERIES_MAX);
        assert_eq!(windows.left_out(), 10);
        assert_eq!(windows.left_out(), 0);
    }
}
