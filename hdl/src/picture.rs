//! A picture of a configuration as SVG, for the README.
//!
//! ```
//! let svg = lpu_hdl::picture::svg(&lpu_isa::configuration::Configuration::default());
//! assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
//! ```

use crate::lpu::crossbar::{destinations, sources};
use lpu_isa::configuration::Configuration;
use lpu_isa::resources::weight_bytes;
use std::fmt::Write as _;

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 560;
const INK: &str = "#22303c";
const PAPER: &str = "#ffffff";
const SLICE: &str = "#d7e8f7";
const GROUPS: [&str; 4] = ["#fde2c4", "#fbd0d0", "#dcefd0", "#e6dcf5"];
const UNIT: &str = "#fff3bf";
const CROSSBAR: &str = "#e3e7eb";
/// Horizontal place of the crossbar.
const CROSSBAR_X: u32 = 300;
const CROSSBAR_WIDTH: u32 = 64;
/// Left edge and top of the tile array.
const ARRAY: (u32, u32) = (470, 110);
const ARRAY_WIDTH: u32 = 490;

struct Picture {
    text: String,
}

impl Picture {
    fn rectangle(&mut self, (x, y): (u32, u32), (width, height): (u32, u32), fill: &str) {
        let _ = writeln!(
            self.text,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\" fill=\"{fill}\" stroke=\"{INK}\"/>"
        );
    }

    fn label(&mut self, (x, y): (u32, u32), class: &str, text: &str) {
        let _ = writeln!(self.text, "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{text}</text>");
    }

    fn arrow(&mut self, points: &[(u32, u32)]) {
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let _ = writeln!(self.text, "<polyline points=\"{}\" class=\"wire\"/>", path.join(" "));
    }

    /// A box with a name and a line of detail.
    fn unit(&mut self, at: (u32, u32), size: (u32, u32), fill: &str, name: &str, detail: &str) {
        self.rectangle(at, size, fill);
        let middle = at.0 + size.0 / 2;
        self.label((middle, at.1 + size.1 / 2 - 3), "name", name);
        self.label((middle, at.1 + size.1 / 2 + 14), "small", detail);
    }
}

/// The picture of `configuration`.
pub fn svg(configuration: &Configuration) -> String {
    let mut picture = Picture { text: String::new() };
    let p = &mut picture;
    let _ = writeln!(
        p.text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" fill=\"{INK}\">\n\
         <style>text{{text-anchor:middle}}.name{{font-size:14px;font-weight:bold}}.small{{font-size:11px}}\
         .tile{{font-size:9px}}.title{{font-size:18px;font-weight:bold}}\
         .wire{{fill:none;stroke:{INK};stroke-width:1.6;marker-end:url(#head)}}</style>\n\
         <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0,0 L8,4 L0,8 z\" fill=\"{INK}\"/></marker></defs>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"{PAPER}\"/>"
    );
    let title = format!(
        "{} tiles × {} multipliers, {} KB of weights beside them",
        configuration.tiles,
        configuration.dot,
        weight_bytes(configuration) / 1024
    );
    p.label((WIDTH / 2, 32), "title", &title);
    p.label(
        (WIDTH / 2, 54),
        "small",
        "every unit follows its own instruction queue; nothing on the compute path waits",
    );
    crossbar(p, configuration);
    slices(p, configuration);
    let rows_end = tiles(p, configuration);
    vector_side(p, configuration, rows_end);
    p.text.push_str("</svg>\n");
    picture.text
}

fn crossbar(p: &mut Picture, configuration: &Configuration) {
    p.rectangle((CROSSBAR_X, 80), (CROSSBAR_WIDTH, HEIGHT - 110), CROSSBAR);
    let x = CROSSBAR_X + CROSSBAR_WIDTH / 2;
    p.label((x, HEIGHT / 2 - 16), "name", "cross");
    p.label((x, HEIGHT / 2), "name", "bar");
    let ports = format!("{} to {}", sources(configuration).len(), destinations(configuration).len());
    p.label((x, HEIGHT / 2 + 18), "small", &ports);
}

fn slices(p: &mut Picture, configuration: &Configuration) {
    p.unit((30, 80), (170, 44), UNIT, "host port", "load, start, read back");
    let count = configuration.vector_slices;
    let shown = count.min(4);
    let pitch = (HEIGHT - 110 - 60) / shown;
    for slice in 0..shown {
        let y = 145 + slice * pitch;
        let height = pitch - 18;
        p.rectangle((30, y), (170, height), SLICE);
        p.label((115, y + 20), "name", &format!("vector slice {slice}"));
        let detail = format!("{} banks × {} beats", configuration.beats_per_word(), configuration.vector_depth);
        p.label((115, y + 37), "small", &detail);
        p.arrow(&[(200, y + height / 2 - 8), (CROSSBAR_X, y + height / 2 - 8)]);
        p.arrow(&[(CROSSBAR_X, y + height / 2 + 10), (200, y + height / 2 + 10)]);
        p.label((250, y + height / 2 - 13), "small", "read");
        p.label((250, y + height / 2 + 24), "small", "write");
    }
    if count > shown {
        p.label((115, HEIGHT - 25), "small", &format!("… {count} slices in all"));
    }
}

/// Draws the array and returns its lower edge.
fn tiles(p: &mut Picture, configuration: &Configuration) -> u32 {
    let columns = configuration.columns();
    let rows = configuration.tile_rows().min(8);
    let width = ARRAY_WIDTH / columns;
    let height = (210 / rows).min(64);
    let edge = CROSSBAR_X + CROSSBAR_WIDTH;
    for group in 0..configuration.tile_groups() {
        let first = group * configuration.dot;
        let size = configuration.dot.min(columns - first);
        let x = ARRAY.0 + first * width;
        let middle = x + size * width / 2;
        let lane = 84 + (group % 4) * 5;
        if group == 0 {
            p.label(((edge + ARRAY.0) / 2, 78), "small", "one beat a group");
        }
        p.arrow(&[(edge, lane), (middle, lane), (middle, ARRAY.1)]);
        for row in 0..rows {
            for column in first..first + size {
                if row >= configuration.rows_of_column(column) {
                    continue;
                }
                let at = (ARRAY.0 + column * width, ARRAY.1 + row * height);
                p.rectangle(at, (width - 3, height - 4), GROUPS[group as usize % GROUPS.len()]);
                let tile = row * configuration.stream_elements + column;
                p.label((at.0 + (width - 3) / 2, at.1 + height / 2 + 2), "tile", &tile.to_string());
            }
        }
    }
    ARRAY.1 + rows * height
}

fn vector_side(p: &mut Picture, configuration: &Configuration, array_end: u32) {
    let edge = CROSSBAR_X + CROSSBAR_WIDTH;
    let middle = ARRAY.0 + ARRAY_WIDTH / 2;
    let lanes = format!("{} lanes", configuration.stream_elements);
    let y = array_end + 44;
    p.arrow(&[(middle, array_end), (middle, y)]);
    p.label((middle + 118, array_end + 26), "small", "one row of accumulators a cycle");
    p.unit((ARRAY.0, y), (ARRAY_WIDTH - 10, 52), UNIT, "requantiser", &format!("{lanes}: scale, round, clamp"));
    p.arrow(&[(ARRAY.0, y + 18), (edge, y + 18)]);
    p.arrow(&[(edge, y + 36), (ARRAY.0, y + 36)]);
    let y = y + 82;
    p.unit((ARRAY.0, y), (ARRAY_WIDTH - 10, 52), UNIT, "vector unit", &format!("{lanes}: add, compare, clamp"));
    p.arrow(&[(ARRAY.0, y + 14), (edge, y + 14)]);
    p.arrow(&[(edge, y + 28), (ARRAY.0, y + 28)]);
    p.arrow(&[(edge, y + 42), (ARRAY.0, y + 42)]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_picture_is_that_of_the_default_configuration() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/machine.svg");
        let committed = std::fs::read_to_string(path).unwrap();
        let fresh = svg(&Configuration::default());
        assert!(committed == fresh, "write it anew: cargo run -p lpu-hdl --example picture > docs/machine.svg");
    }
}
