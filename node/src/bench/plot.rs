//! Latency over load, as a drawing.
use std::fmt::Write;

use super::phases::Step;

const WIDTH: u64 = 720;
const HEIGHT: u64 = 420;
/// Room for the axes' texts.
const MARGIN: u64 = 60;
/// Lines across.
const GRID: u64 = 5;

/// A drawing in SVG: finalized transactions a second to the right, latency upwards, one point a step; one
/// curve for the median, one for the slowest hundredth.
#[must_use]
pub fn svg(steps: &[Step]) -> String {
    let most = |of: fn(&Step) -> u64| round_up(steps.iter().map(of).max().unwrap_or_default());
    let (load_max, ms_max) =
        (most(|step| step.finalized_per_second), most(|step| step.finality.p99_us.div_ceil(1_000)));
    let x = |load: u64| MARGIN + load * (WIDTH - 2 * MARGIN) / load_max;
    let y =
        |us: u64| HEIGHT - MARGIN - (us * (HEIGHT - 2 * MARGIN) / (ms_max * 1_000)).min(HEIGHT - 2 * MARGIN);
    let mut out = String::new();
    // Writing to memory cannot fail.
    let mut add = |text: std::fmt::Arguments<'_>| {
        let _ = out.write_fmt(text);
    };
    add(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    ));
    for part in 0..=GRID {
        let (load, ms) = (load_max * part / GRID, ms_max * part / GRID);
        let (across, up) = (x(load), y(ms * 1_000));
        add(format_args!(
            "<path d=\"M{MARGIN} {up}H{}M{across} {MARGIN}V{}\" stroke=\"#ddd\"/>\n\
             <text x=\"{across}\" y=\"{}\" text-anchor=\"middle\">{load}</text>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{ms}</text>\n",
            WIDTH - MARGIN,
            HEIGHT - MARGIN,
            HEIGHT - MARGIN + 18,
            MARGIN - 6,
            up + 4
        ));
    }
    add(format_args!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">finalized transactions a second</text>\n\
         <text x=\"{MARGIN}\" y=\"{}\" text-anchor=\"middle\">finality, ms</text>\n",
        WIDTH / 2,
        HEIGHT - 14,
        MARGIN - 20
    ));
    for (name, colour, of) in curves() {
        let points: Vec<String> =
            steps.iter().map(|step| format!("{},{}", x(step.finalized_per_second), y(of(step)))).collect();
        let end = steps.last().map_or((MARGIN, MARGIN), |step| (x(step.finalized_per_second), y(of(step))));
        add(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>\n",
            points.join(" "),
            end.0 + 6,
            end.1
        ));
    }
    add(format_args!("</svg>\n"));
    out
}

type Curve = (&'static str, &'static str, fn(&Step) -> u64);

fn curves() -> [Curve; 2] {
    [("p50", "#1f77b4", |step| step.finality.p50_us), ("p99", "#d62728", |step| step.finality.p99_us)]
}

/// The next number with one digit other than zero, or 1.
fn round_up(number: u64) -> u64 {
    let mut unit = 1_u64;
    while number / unit >= 10 {
        unit = unit.saturating_mul(10);
    }
    number.max(1).div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::phases::Latency;

    fn step(load: u64, p50_us: u64) -> Step {
        Step {
            offered_per_second: Some(load),
            finalized_per_second: load,
            finality: Latency { p50_us, p95_us: p50_us, p99_us: 2 * p50_us, max_us: 3 * p50_us },
            ..Step::default()
        }
    }

    #[test]
    fn every_point_lies_within_the_drawing() {
        let drawing = svg(&[step(0, 0), step(100, 50_000), step(9_000, 700_000)]);
        let points = drawing.lines().filter_map(|line| line.strip_prefix("<polyline points=\""));
        let mut seen = 0;
        for point in points.flat_map(|line| line.split('"').next().unwrap().split(' ')) {
            let (x, y) = point.split_once(',').unwrap();
            let (x, y): (u64, u64) = (x.parse().unwrap(), y.parse().unwrap());
            assert!(
                (MARGIN..=WIDTH - MARGIN).contains(&x) && (MARGIN..=HEIGHT - MARGIN).contains(&y),
                "{point}"
            );
            seen += 1;
        }
        assert_eq!(seen, 6);
    }

    #[test]
    fn no_steps_make_an_empty_drawing() {
        assert!(svg(&[]).ends_with("</svg>\n"));
    }

    #[test]
    fn scales_end_at_round_numbers() {
        assert_eq!([0, 1, 9, 10, 11, 4_321, 90_001].map(round_up), [1, 1, 9, 10, 20, 5_000, 100_000]);
    }
}
