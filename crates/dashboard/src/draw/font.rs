//! How wide a text is, without a font at hand: the advance widths of `DejaVu` Sans, in thousandths of the size.
//!
//! `DejaVu` Sans is what the pictures name first, and wider than what follows it in [`FAMILY`]: what fits here fits
//! there. Characters beyond ASCII count as the widest letters do, so a guess never lets a text run over.

/// The fonts named in every picture.
pub(super) const FAMILY: &str = "DejaVu Sans, Verdana, Helvetica Neue, Arial, sans-serif";

/// From space to tilde.
#[rustfmt::skip]
const REGULAR: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];

/// The same in bold.
#[rustfmt::skip]
const BOLD: [u16; 95] = [
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696,
    696, 696, 696, 696, 696, 696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 734, 830, 683,
    683, 821, 837, 372, 372, 775, 637, 995, 837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771,
    724, 725, 457, 365, 457, 838, 500, 500, 675, 716, 593, 716, 678, 435, 716, 712, 343, 343, 665,
    343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712, 365, 712, 838,
];

/// The width of a text in pixels at a size in pixels.
pub(super) fn width(text: &str, size: f64, bold: bool) -> f64 {
    let table = if bold { &BOLD } else { &REGULAR };
    let thousandths: f64 = text.chars().map(|character| advance(character, table)).sum();
    thousandths * size / 1000.0
}

fn advance(character: char, table: &[u16; 95]) -> f64 {
    let at = usize::try_from(u32::from(character).wrapping_sub(32)).unwrap_or(usize::MAX);
    match table.get(at) {
        Some(advance) => f64::from(*advance),
        None if "µäöüßéè·–".contains(character) => 640.0,
        None => 1000.0,
    }
}

/// The text, or as much of its beginning as fits with an ellipsis.
pub(super) fn fitted(text: &str, size: f64, bold: bool, room: f64) -> String {
    if width(text, size, bold) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if width(&kept, size, bold) + width("…", size, bold) > room {
            kept.pop();
            break;
        }
    }
    let kept = kept.trim_end();
    if kept.is_empty() { String::new() } else { format!("{kept}…") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_it_no_longer_fits() {
        assert_eq!(fitted("GET /items", 10.0, false, 100.0), "GET /items");
        let cut = fitted("GET /items/{id}/and/more", 10.0, false, 80.0);
        assert!(cut.ends_with('…') && width(&cut, 10.0, false) <= 80.0, "{cut}");
        assert_eq!(fitted("wide", 10.0, false, 3.0), "");
    }
}
