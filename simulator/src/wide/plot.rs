//! Latency over the number of validators, as a drawing.
use std::fmt::Write;

use super::Report;

const WIDTH: u64 = 720;
const HEIGHT: u64 = 420;
/// Room for the axes' texts.
const MARGIN: u64 = 60;
/// Room for the names of the curves.
const NAMES: u64 = 150;
/// Height of a line of text.
const LINE: u64 = 20;
/// Distance of the lines across, in ms.
const GRID_MS: u64 = 100;

type Curve = (&'static str, &'static str, fn(&Report) -> u64);

fn curves() -> [Curve; 5] {
    [
        ("submit to final, p99", "#d62728", |report| report.submit_to_final.p99_us),
        ("submit to final, p50", "#ff7f0e", |report| report.submit_to_final.p50_us),
        ("propose to final, p50", "#1f77b4", |report| report.propose_to_middle.p50_us),
        ("least possible of it", "#7f7f7f", |report| report.floor_us),
        ("block interval, p50", "#2ca02c", |report| report.block_interval.p50_us),
    ]
}

/// A drawing in SVG: validators to the right, latency upwards, one point a report.
#[must_use]
pub fn svg(reports: &[Report]) -> String {
    let most = curves().into_iter().flat_map(|(_, _, of)| reports.iter().map(of)).max().unwrap_or_default();
    let ms_max = most.div_ceil(GRID_MS * 1_000).max(1) * GRID_MS;
    let count_max = reports.iter().map(count).max().unwrap_or(1).max(1);
    let right = WIDTH - NAMES;
    let x = |count: u64| MARGIN + count * (right - MARGIN) / count_max;
    let y = |us: u64| HEIGHT - MARGIN - us * (HEIGHT - 2 * MARGIN) / (ms_max * 1_000);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    // Writing to memory cannot fail.
    let mut add = |text: std::fmt::Arguments<'_>| {
        let _ = out.write_fmt(text);
    };
    for ms in (0..=ms_max / GRID_MS).map(|line| line * GRID_MS) {
        let up = y(ms * 1_000);
        let (left, down) = (MARGIN - 6, up + 4);
        add(format_args!("<path d=\"M{MARGIN} {up}H{right}\" stroke=\"#ddd\"/>\n"));
        add(format_args!("<text x=\"{left}\" y=\"{down}\" text-anchor=\"end\">{ms}</text>\n"));
    }
    for report in reports {
        let (across, down) = (x(count(report)), HEIGHT - MARGIN + 18);
        add(format_args!(
            "<text x=\"{across}\" y=\"{down}\" text-anchor=\"middle\">{}</text>\n",
            count(report)
        ));
    }
    let (middle, bottom, top) = ((MARGIN + right) / 2, HEIGHT - 14, MARGIN - 20);
    add(format_args!("<text x=\"{middle}\" y=\"{bottom}\" text-anchor=\"middle\">validators</text>\n"));
    add(format_args!("<text x=\"{MARGIN}\" y=\"{top}\" text-anchor=\"middle\">ms</text>\n"));
    for (row, (name, colour, of)) in (0_u64..).zip(curves()) {
        let points: Vec<String> =
            reports.iter().map(|report| format!("{},{}", x(count(report)), y(of(report)))).collect();
        let points = points.join(" ");
        let (after, down) = (right + 12, MARGIN + row * LINE);
        add(format_args!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n"
        ));
        add(format_args!("<text x=\"{after}\" y=\"{down}\" fill=\"{colour}\">{name}</text>\n"));
    }
    out.push_str("</svg>\n");
    out
}

fn count(report: &Report) -> u64 {
    u64::try_from(report.validators).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wide::tests::{measured, plan};

    #[test]
    fn every_point_lies_within_the_axes() {
        let drawing = svg(&[measured(&plan(8))]);
        let points = drawing.lines().filter_map(|line| line.strip_prefix("<polyline points=\""));
        let points: Vec<&str> = points.map(|line| line.split('"').next().unwrap()).collect();
        assert_eq!(points.len(), curves().len());
        for point in points {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (u64, u64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!((MARGIN..=WIDTH - NAMES).contains(&x), "{point}");
            assert!((MARGIN..=HEIGHT - MARGIN).contains(&y), "{point}");
        }
    }
}
