//! The CPU ratios as a bar chart, in SVG.

use std::fmt::Write;

use crate::baseline::Entry;

/// Pixels of a row, and of a ratio of one.
const ROW: usize = 18;
const ONE: f64 = 300.0;
/// Where bars begin.
const LEFT: usize = 380;
/// A longer bar is cut here; its number is whole.
const LONGEST: f64 = 1.5;

/// A bar for each ratio, with a line at one: what is left of it costs less CPU than the peer.
pub(crate) fn svg(ratios: &[Entry]) -> String {
    let height = ROW * (ratios.len() + 2);
    let one = LEFT as f64 + ONE;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"900\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"4\" y=\"14\">CPU for each answer, Heddle / peer (shorter is better; the line is 1)</text>\n"
    );
    for (number, entry) in ratios.iter().enumerate() {
        let top = ROW * (number + 1) + 4;
        let width = entry.cpu.min(LONGEST) * ONE;
        let colour = if entry.cpu <= 1.0 {
            "#2a7f62"
        } else {
            "#b5482a"
        };
        let Entry {
            case, ours, peer, ..
        } = entry;
        let base = top + 12;
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{case}: {ours} / {peer}</text>\n\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{width:.0}\" height=\"{}\" fill=\"{colour}\"/>\n\
             <text x=\"{:.0}\" y=\"{base}\">{:.2}</text>\n",
            LEFT - 6,
            ROW - 4,
            LEFT as f64 + width + 4.0,
            entry.cpu
        );
    }
    text + &format!(
        "<line x1=\"{one}\" x2=\"{one}\" y1=\"{ROW}\" y2=\"{height}\" stroke=\"black\"/>\n</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_of_a_half_is_half_as_long_as_the_line_is_far() {
        let entry = Entry {
            case: "h1".to_owned(),
            ours: "Heddle".to_owned(),
            peer: "Envoy".to_owned(),
            cpu: 0.5,
        };
        let text = svg(&[entry]);
        assert!(text.contains("width=\"150\""), "{text}");
        assert!(text.contains("h1: Heddle / Envoy"));
        assert!(text.ends_with("</svg>\n"));
    }
}
