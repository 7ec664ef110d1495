//! Bars in SVG that needs neither script nor font, and can be read on light and dark pages.
//!
//! The picture paints its own background in both: shown as an image it cannot know the page's.

use std::fmt::Write as _;

/// Width of the picture.
const WIDTH: f64 = 960.0;
/// Room for a group's name.
const LEFT: f64 = 330.0;
/// Room for a bar's figure.
const RIGHT: f64 = 190.0;
const BAR: f64 = 17.0;
const GAP: f64 = 13.0;
/// A spread that reaches further than this, in lengths of the longest median, is cut off: one bad repetition must not make all
/// bars dots.
const SPREAD_SHOWN: f64 = 1.2;
/// Average width of a character, for the legend.
const CHARACTER: f64 = 7.4;

/// Colours by class, light and dark. Bars are told apart also by who does not see colours: dark and light of two hues.
const STYLE: &str = "\
    .paper{fill:#fff}.ink{fill:#1f2328}.soft{fill:#59636e}.grid{stroke:#d1d9e0}.line{stroke:#1f2328}.goal{stroke:#1a7f37;stroke-width:2.5}\
    .halo{stroke:#fff;stroke-width:4}.value{stroke:#fff;stroke-width:4;paint-order:stroke}\
    .direct{fill:#9aa4ae}.weft-http{fill:#0b5394}.weft-tcp{fill:#6fa8dc}.envoy-http{fill:#b45f06}.envoy-tcp{fill:#f0ab60}\
    @media(prefers-color-scheme:dark){\
    .paper{fill:#0d1117}.ink{fill:#f0f6fc}.soft{fill:#9198a1}.grid{stroke:#3d444d}.line{stroke:#f0f6fc}.goal{stroke:#56d364}\
    .halo,.value{stroke:#0d1117}\
    .direct{fill:#7d8690}.weft-http{fill:#58a6ff}.weft-tcp{fill:#b6d8ff}.envoy-http{fill:#e08a2e}.envoy-tcp{fill:#ffd09a}}";

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Its colour, a class of the style sheet.
    pub class: &'static str,
    /// The median.
    pub value: f64,
    /// The smallest value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
    /// What stands behind it.
    pub text: String,
    /// Where it is meant to end.
    pub goal: Option<f64>,
}

/// Bars that are compared with each other.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they show.
    pub name: String,
    /// The bars, top down.
    pub bars: Vec<Bar>,
}

/// The picture while it is drawn, from the top down.
pub struct Canvas {
    body: String,
    y: f64,
}

impl Canvas {
    /// With room for the title.
    pub fn new() -> Self {
        Self { body: String::new(), y: 60.0 }
    }

    /// Explains colours: class and name.
    pub fn legend(&mut self, entries: &[(&'static str, String)]) {
        let mut x = 16.0;
        for (class, name) in entries {
            let y = self.y;
            let _ = writeln!(
                self.body,
                "<rect class=\"{class}\" x=\"{x:.0}\" y=\"{y}\" width=\"13\" height=\"13\" rx=\"2\"/>\
                 <text class=\"ink\" x=\"{:.0}\" y=\"{}\">{}</text>",
                x + 19.0,
                y + 11.0,
                escape(name)
            );
            x += 44.0 + CHARACTER * name.len() as f64;
        }
        self.y += 22.0;
        let y = self.y + 6.0;
        let _ = writeln!(
            self.body,
            "<path class=\"line\" d=\"M16 {y}H29\"/><text class=\"soft\" x=\"35\" y=\"{}\">from the smallest to the largest repetition</text>\
             <path class=\"goal\" d=\"M330 {}v12\"/><text class=\"soft\" x=\"338\" y=\"{}\">goal</text>",
            y + 4.0,
            y - 6.0,
            y + 4.0
        );
        self.y += 36.0;
    }

    /// A headline, and a remark behind it.
    pub fn title(&mut self, text: &str, remark: &str) {
        let y = self.y;
        let _ = writeln!(
            self.body,
            "<text class=\"ink\" x=\"16\" y=\"{y}\" font-size=\"15\" font-weight=\"bold\">{}\
             <tspan class=\"soft\" font-size=\"13\" font-weight=\"normal\" dx=\"8\">{}</tspan></text>",
            escape(text),
            escape(remark)
        );
        self.y += 16.0;
    }

    /// Groups of one scale, whose `one` is marked by a line.
    pub fn shares(&mut self, groups: &[Group], one: &str) {
        let longest = longest(groups.iter().flat_map(|group| &group.bars)).max(1.05);
        let (top, room) = (self.y, WIDTH - LEFT - RIGHT);
        let bars: usize = groups.iter().map(|group| group.bars.len()).sum();
        let bottom = top + 12.0 + bars as f64 * BAR + groups.len() as f64 * GAP;
        let mut share = 0.0;
        while share <= longest {
            let x = LEFT + share / longest * room;
            let (class, text) = if share == 1.0 { ("line", one.to_owned()) } else { ("grid", format!("{share:.2}")) };
            let _ = writeln!(
                self.body,
                "<path class=\"{class}\" d=\"M{x:.1} {:.1}V{bottom:.1}\"/><text class=\"soft\" x=\"{x:.1}\" y=\"{:.1}\" \
                 text-anchor=\"middle\" font-size=\"11\">{}</text>",
                top + 8.0,
                top + 4.0,
                escape(&text)
            );
            share += 0.25;
        }
        self.y += 14.0;
        groups.iter().for_each(|group| self.draw(group, longest));
        self.y += 22.0;
    }

    /// Groups with a scale each.
    pub fn groups(&mut self, groups: &[Group]) {
        self.y += 2.0;
        for group in groups {
            let longest = longest(&group.bars);
            if longest > 0.0 {
                self.draw(group, longest);
            }
        }
        self.y += 22.0;
    }

    /// Groups of which `count` in a row have one scale.
    pub fn same_scale_by(&mut self, groups: &[Group], count: usize) {
        self.y += 2.0;
        for together in groups.chunks(count) {
            let longest = longest(together.iter().flat_map(|group| &group.bars));
            for group in together {
                self.draw(group, longest.max(f64::MIN_POSITIVE));
                self.y -= GAP;
            }
            self.y += GAP;
        }
        self.y += 22.0;
    }

    fn draw(&mut self, group: &Group, longest: f64) {
        let room = WIDTH - LEFT - RIGHT;
        let middle = self.y + BAR * group.bars.len() as f64 / 2.0 + 3.5;
        let name = escape(&group.name);
        let _ = writeln!(
            self.body,
            "<text class=\"ink\" x=\"{}\" y=\"{middle:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 12.0
        );
        let x = |value: f64| LEFT + (value / longest).min(1.0) * room;
        for bar in &group.bars {
            let (y, line) = (self.y, self.y + BAR / 2.0 - 1.5);
            let spread = format!("M{:.1} {line:.1}H{:.1}", x(bar.low), x(bar.high));
            let goal = bar.goal.filter(|goal| *goal <= longest).map(x);
            let mut end = x(bar.high).max(x(bar.value));
            // The figure stands behind a goal that would cross it.
            if let Some(goal) = goal.filter(|goal| (end..end + 14.0 + CHARACTER * bar.text.len() as f64).contains(goal))
            {
                end = goal;
            }
            let _ = writeln!(
                self.body,
                "<rect class=\"{}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{}\"/>\
                 <path class=\"halo\" d=\"{spread}\"/><path class=\"line\" d=\"{spread}\"/>\
                 <text class=\"ink value\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                bar.class,
                (x(bar.value) - LEFT).max(1.0),
                BAR - 3.0,
                end + 7.0,
                y + BAR - 5.0,
                escape(&bar.text)
            );
            if let Some(x) = goal {
                let _ = writeln!(self.body, "<path class=\"goal\" d=\"M{x:.1} {:.1}v{}\"/>", y - 1.0, BAR - 1.0);
            }
            self.y += BAR;
        }
        self.y += GAP;
    }

    /// The whole picture.
    pub fn finish(self, title: &str, subtitle: &str) -> String {
        let (height, title, subtitle) = (self.y, escape(title), escape(subtitle));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"13\" role=\"img\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n\
             <text class=\"ink\" x=\"16\" y=\"26\" font-size=\"17\" font-weight=\"bold\">{title}</text>\n\
             <text class=\"soft\" x=\"16\" y=\"45\">{subtitle}</text>\n{}</svg>\n",
            self.body
        )
    }
}

/// What a scale has to hold.
fn longest<'a>(bars: impl IntoIterator<Item = &'a Bar>) -> f64 {
    let (mut median, mut high) = (0.0_f64, 0.0_f64);
    for bar in bars {
        median = median.max(bar.value);
        high = high.max(bar.high);
    }
    high.min(median * SPREAD_SHOWN)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
