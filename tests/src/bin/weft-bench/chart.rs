//! The results as a picture: bars, in SVG that needs neither script nor font.

use std::fmt::Write as _;

use crate::metric::Metric;
use crate::results::Results;
use crate::summary::{Spread, Summary};
use crate::system::Kind;

/// Where a ratio to direct says most; more is better.
const RATIOS: [Metric; 5] = [Metric::Rps1, Metric::Rps32, Metric::Rps128, Metric::Connections, Metric::Bulk];
/// Absolute figures; less is better.
const COSTS: [Metric; 4] = [Metric::ProxyCpu, Metric::P99, Metric::BulkProxyCpu, Metric::RssLoaded];

const WIDTH: f64 = 920.0;
/// Room for a row's name.
const LEFT: f64 = 370.0;
/// Room for a bar's figure.
const RIGHT: f64 = 145.0;
const BAR: f64 = 16.0;
const GAP: f64 = 12.0;

/// Draws everything that was measured.
pub fn draw(results: &Results, summary: &Summary) -> String {
    let mut drawing = Drawing { body: String::new(), y: 58.0 };
    drawing.legend(summary);
    drawing.title("Share of direct (more is better)");
    for metric in RATIOS {
        let value = |system| summary.ratio(metric, system, Kind::Direct).filter(|_| system != Kind::Direct);
        let show = |ratio: Spread, system| {
            let value = summary.value(metric, system).map_or(String::new(), |value| metric.show(value.median));
            format!("{:.2} ({value})", ratio.median)
        };
        drawing.group(summary, metric, Some(1.0), &value, &show);
    }
    drawing.title("Cost (less is better)");
    for metric in COSTS {
        let value = |system| summary.value(metric, system);
        let show = |value: Spread, _| metric.show(value.median);
        drawing.group(summary, metric, None, &value, &show);
    }
    let height = drawing.y + 10.0;
    let machine = &results.machine;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"16\" font-weight=\"bold\">weft {}, {}</text>\n\
         <text x=\"10\" y=\"40\" fill=\"#555\">{}, {} CPUs, Linux {}; medians of {}, lines show the repetitions' ends</text>\n{}</svg>\n",
        escape(&machine.commit),
        escape(&machine.date),
        escape(&machine.cpu),
        machine.cpus,
        escape(&machine.kernel),
        results.repeat,
        drawing.body
    )
}

struct Drawing {
    body: String,
    y: f64,
}

impl Drawing {
    fn legend(&mut self, summary: &Summary) {
        let mut x = 10.0;
        for system in &summary.systems {
            let (colour, name) = (colour(*system), system.to_string());
            let _ = writeln!(
                self.body,
                "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"{}\">{}</text>",
                self.y,
                x + 17.0,
                self.y + 11.0,
                escape(&name)
            );
            x += 40.0 + 7.2 * name.len() as f64;
        }
        self.y += 34.0;
    }

    fn title(&mut self, text: &str) {
        let _ =
            writeln!(self.body, "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{}</text>", self.y + 8.0, escape(text));
        self.y += 22.0;
    }

    /// The bars of one metric, scaled to the longest of them or to `full`.
    fn group(
        &mut self,
        summary: &Summary,
        metric: Metric,
        full: Option<f64>,
        value: &dyn Fn(Kind) -> Option<Spread>,
        show: &dyn Fn(Spread, Kind) -> String,
    ) {
        let bars: Vec<(Kind, Spread)> =
            summary.systems.iter().filter_map(|system| Some((*system, value(*system)?))).collect();
        let longest = bars.iter().map(|(_, spread)| spread.max).fold(full.unwrap_or(0.0), f64::max);
        if bars.is_empty() || longest <= 0.0 {
            return;
        }
        let scale = (WIDTH - LEFT - RIGHT) / longest;
        let middle = self.y + BAR * bars.len() as f64 / 2.0 + 4.0;
        let name = escape(metric.name());
        let _ = writeln!(self.body, "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>", LEFT - 10.0);
        for (system, spread) in bars {
            let (width, low, high) = (spread.median * scale, LEFT + spread.min * scale, LEFT + spread.max * scale);
            let (y, line) = (self.y, self.y + BAR / 2.0 - 1.0);
            let _ = writeln!(
                self.body,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{}\"/>\
                 <path d=\"M{low:.1} {line:.1}H{high:.1}\" stroke=\"black\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                BAR - 2.0,
                colour(system),
                high.max(LEFT + width) + 6.0,
                y + BAR - 4.0,
                escape(&show(spread, system))
            );
            self.y += BAR;
        }
        self.y += GAP;
    }
}

/// Told apart also by who does not see colours: dark and light of two hues.
fn colour(system: Kind) -> &'static str {
    match system {
        Kind::Direct => "#9e9e9e",
        Kind::WeftHttp => "#0b5394",
        Kind::WeftTcp => "#6fa8dc",
        Kind::EnvoyHttp => "#b45f06",
        Kind::EnvoyTcp => "#f6b26b",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
