//! Values in Grafana's units, as Grafana writes them.
//!
//! The rules are those of Grafana's `valueFormats.ts`: digits behind the point by magnitude unless given, SI and binary
//! prefixes, seconds from ns to years. Only the units our dashboards use; [`is_known`] says which, and the reader of
//! dashboards refuses the others.

use std::fmt::Write as _;

/// Units this module writes. `bool*` also covers `bool_yes_no` and `bool_on_off`.
const UNITS: [&str; 14] = [
    "ms",
    "",
    "none",
    "short",
    "reqps",
    "ops",
    "s",
    "percent",
    "percentunit",
    "bytes",
    "decbytes",
    "bool",
    "bool_yes_no",
    "bool_on_off",
];

/// Whether a unit id is written here.
pub fn is_known(unit: &str) -> bool {
    UNITS.contains(&unit) || counted(unit).is_some()
}

/// How often something happens, by its unit: the scales of what is counted.
fn counted(unit: &str) -> Option<&'static [Scale]> {
    COUNTED.iter().find(|(known, _)| *known == unit).map(|(_, scales)| *scales)
}

/// A divisor and what is written behind the quotient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// What values are divided by.
    pub divisor: f64,
    /// Written behind, with its space.
    pub suffix: &'static str,
}

const fn scale(divisor: f64, suffix: &'static str) -> Scale {
    Scale { divisor, suffix }
}

const SHORT: [Scale; 6] = [
    scale(1.0, ""),
    scale(1e3, " K"),
    scale(1e6, " Mil"),
    scale(1e9, " Bil"),
    scale(1e12, " Tri"),
    scale(1e15, " Quadr"),
];
const REQUESTS: [Scale; 5] =
    [scale(1.0, " req/s"), scale(1e3, "K req/s"), scale(1e6, "M req/s"), scale(1e9, "B req/s"), scale(1e12, "T req/s")];
const OPERATIONS: [Scale; 5] =
    [scale(1.0, " ops/s"), scale(1e3, "K ops/s"), scale(1e6, "M ops/s"), scale(1e9, "B ops/s"), scale(1e12, "T ops/s")];
/// The last three have prefixes of the SI, below one, too.
const COUNTED: [(&str, &[Scale]); 8] = [
    ("cps", &[scale(1.0, " c/s"), scale(1e3, "K c/s"), scale(1e6, "M c/s"), scale(1e9, "B c/s"), scale(1e12, "T c/s")]),
    (
        "rps",
        &[scale(1.0, " rd/s"), scale(1e3, "K rd/s"), scale(1e6, "M rd/s"), scale(1e9, "B rd/s"), scale(1e12, "T rd/s")],
    ),
    (
        "wps",
        &[scale(1.0, " wr/s"), scale(1e3, "K wr/s"), scale(1e6, "M wr/s"), scale(1e9, "B wr/s"), scale(1e12, "T wr/s")],
    ),
    (
        "iops",
        &[scale(1.0, " io/s"), scale(1e3, "K io/s"), scale(1e6, "M io/s"), scale(1e9, "B io/s"), scale(1e12, "T io/s")],
    ),
    (
        "opm",
        &[
            scale(1.0, " ops/m"),
            scale(1e3, "K ops/m"),
            scale(1e6, "M ops/m"),
            scale(1e9, "B ops/m"),
            scale(1e12, "T ops/m"),
        ],
    ),
    (
        "pps",
        &[
            scale(1e-9, " np/s"),
            scale(1e-6, " µp/s"),
            scale(1e-3, " mp/s"),
            scale(1.0, " p/s"),
            scale(1e3, " kp/s"),
            scale(1e6, " Mp/s"),
            scale(1e9, " Gp/s"),
            scale(1e12, " Tp/s"),
            scale(1e15, " Pp/s"),
        ],
    ),
    (
        "Bps",
        &[
            scale(1e-9, " nB/s"),
            scale(1e-6, " µB/s"),
            scale(1e-3, " mB/s"),
            scale(1.0, " B/s"),
            scale(1e3, " kB/s"),
            scale(1e6, " MB/s"),
            scale(1e9, " GB/s"),
            scale(1e12, " TB/s"),
            scale(1e15, " PB/s"),
        ],
    ),
    (
        "bps",
        &[
            scale(1e-9, " nb/s"),
            scale(1e-6, " µb/s"),
            scale(1e-3, " mb/s"),
            scale(1.0, " b/s"),
            scale(1e3, " kb/s"),
            scale(1e6, " Mb/s"),
            scale(1e9, " Gb/s"),
            scale(1e12, " Tb/s"),
            scale(1e15, " Pb/s"),
        ],
    ),
];
const BYTES: [Scale; 6] = [
    scale(1.0, " B"),
    scale(1024.0, " KiB"),
    scale(1_048_576.0, " MiB"),
    scale(1_073_741_824.0, " GiB"),
    scale(1_099_511_627_776.0, " TiB"),
    scale(1_125_899_906_842_624.0, " PiB"),
];
const DECIMAL_BYTES: [Scale; 6] =
    [scale(1.0, " B"), scale(1e3, " kB"), scale(1e6, " MB"), scale(1e9, " GB"), scale(1e12, " TB"), scale(1e15, " PB")];
/// With the size from which each holds, unlike the others: a minute begins at 60, a year at 365 days.
const SECONDS: [(f64, Scale); 9] = [
    (0.0, scale(1e-9, " ns")),
    (1e-6, scale(1e-6, " µs")),
    (1e-3, scale(1e-3, " ms")),
    (1.0, scale(1.0, " s")),
    (60.0, scale(60.0, " min")),
    (3_600.0, scale(3_600.0, " hour")),
    (86_400.0, scale(86_400.0, " day")),
    (604_800.0, scale(604_800.0, " week")),
    (31_536_000.0, scale(31_556_900.0, " year")),
];

/// The scale a value of this size is written in. An axis asks once, with its largest tick.
pub fn scale_for(unit: &str, size: f64) -> Scale {
    let size = size.abs();
    let largest = |scales| largest_of(scales, size);
    match unit {
        "short" => largest(&SHORT),
        "reqps" => largest(&REQUESTS),
        "ops" => largest(&OPERATIONS),
        "bytes" => largest(&BYTES),
        "decbytes" => largest(&DECIMAL_BYTES),
        // From a second on as seconds are.
        "ms" if size < 1e3 => scale(1.0, " ms"),
        "ms" => {
            let seconds = scale_for("s", size / 1e3);
            scale(seconds.divisor * 1e3, seconds.suffix)
        }
        "percent" => scale(1.0, "%"),
        "percentunit" => scale(0.01, "%"),
        // Grafana writes a zero in nanoseconds; nobody reads it so.
        "s" if size == 0.0 => scale(1.0, " s"),
        "s" => SECONDS.iter().rev().find(|(from, _)| size >= *from).map_or(SECONDS[0].1, |(_, scale)| *scale),
        // A nothing has no prefix.
        other => {
            counted(other).map_or(scale(1.0, ""), |scales| largest_of(scales, if size == 0.0 { 1.0 } else { size }))
        }
    }
}

fn largest_of(scales: &[Scale], size: f64) -> Scale {
    scales.iter().rev().find(|one| size >= one.divisor).or(scales.first()).copied().unwrap_or(scale(1.0, ""))
}

/// A value with its unit: `12.3 req/s`, `4.71%`, `250 ms`.
pub fn value(unit: &str, value: f64, decimals: Option<u8>) -> String {
    let word = |yes: &str, no: &str| if value == 0.0 { no.to_owned() } else { yes.to_owned() };
    match unit {
        "bool" => return word("True", "False"),
        "bool_yes_no" => return word("Yes", "No"),
        "bool_on_off" => return word("On", "Off"),
        _ => {}
    }
    if !value.is_finite() {
        return fixed(value, None);
    }
    in_scale(scale_for(unit, value), value, decimals)
}

/// A value somebody wrote, such as a threshold: with as many digits as it has, `0.05 req/s` and `0.5 req/s`.
pub fn exact(unit: &str, number: f64) -> String {
    let scale = scale_for(unit, number);
    let has_no_more = |decimals: &u8| {
        let factor = libm::pow(10.0, f64::from(*decimals));
        let scaled = number / scale.divisor * factor;
        (scaled - libm::round(scaled)).abs() < 1e-9 * scaled.abs().max(1.0)
    };
    value(unit, number, (0..=6).find(has_no_more))
}

/// A value in a scale chosen before.
pub fn in_scale(scale: Scale, value: f64, decimals: Option<u8>) -> String {
    format!("{}{}", fixed(value / scale.divisor, decimals), scale.suffix)
}

/// A number with so many digits behind the point, or as many as its size asks for.
pub fn fixed(value: f64, decimals: Option<u8>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "∞" } else { "-∞" }.to_owned();
    }
    let decimals = decimals.map_or_else(|| decimals_for(value), usize::from);
    if value == 0.0 {
        return format!("{:.decimals$}", 0.0);
    }
    let factor = libm::pow(10.0, f64::from(u32::try_from(decimals).unwrap_or(0)));
    // JavaScript rounds a half upwards, also below zero.
    let rounded = libm::floor(value * factor + 0.5) / factor;
    let size = rounded.abs();
    if size >= 1e21 || (size < 1e-6 && size > 0.0) {
        return format!("{rounded:e}");
    }
    let mut text = format!("{}", if rounded == 0.0 { 0.0 } else { rounded });
    let digits = text.find('.').map_or(0, |point| text.len() - point - 1);
    if digits < decimals {
        if digits == 0 {
            text.push('.');
        }
        write!(text, "{}", "0".repeat(decimals - digits)).expect("writing to a String does not fail");
    }
    text
}

/// Grafana's `getDecimalsForValue`: one digit more than two significant ones, none for a whole number.
fn decimals_for(value: f64) -> usize {
    if value == 0.0 || value.fract() == 0.0 {
        return 0;
    }
    // −324…308: a float's exponent is small.
    #[allow(clippy::cast_possible_truncation)]
    let magnitude = libm::floor(libm::log(value.abs()) / std::f64::consts::LN_10) as i32;
    let mut decimals = 1 - magnitude;
    if value * libm::pow(10.0, f64::from(decimals)) > 2.25 {
        decimals += 1;
    }
    usize::try_from(decimals).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first block is Grafana's own `valueFormats.test.ts`; the rest is worked out from its source.
    #[test]
    fn values_read_as_grafana_writes_them() {
        for (unit, number, decimals, written) in [
            ("none", 100.0, None, "100"),
            ("none", 100.4, None, "100"),
            ("none", 100.5, None, "101"),
            ("none", 100.0, Some(1), "100.0"),
            ("none", 100.37, Some(1), "100.4"),
            ("none", 100.63, Some(1), "100.6"),
            ("none", 100.4, Some(2), "100.40"),
            ("none", f64::NAN, None, "NaN"),
            ("short", f64::INFINITY, None, "∞"),
            ("short", 98765.0, Some(2), "98.77 K"),
            ("short", 9_876_543.0, Some(6), "9.876543 Mil"),
            //
            ("none", 1.5, None, "1.50"),
            ("none", -1.5, None, "-1.5"),
            ("none", 0.5, None, "0.500"),
            ("none", 12.34, None, "12.3"),
            ("none", 0.0, None, "0"),
            ("", 3.0, None, "3"),
            ("none", 0.000_000_12, Some(9), "1.2e-7"),
            ("none", -0.4, Some(0), "0"),
            ("short", 999.0, None, "999"),
            ("short", 1000.0, None, "1 K"),
            ("reqps", 12.5, None, "12.5 req/s"),
            ("reqps", 1234.0, None, "1.23K req/s"),
            ("ops", 0.25, Some(2), "0.25 ops/s"),
            ("percent", 4.7, Some(1), "4.7%"),
            ("percentunit", 0.05, None, "5%"),
            ("percentunit", 0.123, Some(1), "12.3%"),
            ("bytes", 1536.0, None, "1.50 KiB"),
            ("decbytes", 1_500_000.0, None, "1.50 MB"),
            ("s", 0.0, None, "0 s"),
            ("s", 2e-9, None, "2 ns"),
            ("s", 0.000_25, Some(0), "250 µs"),
            ("s", 0.25, None, "250 ms"),
            ("s", 1.0, None, "1 s"),
            ("s", 59.0, None, "59 s"),
            ("s", 90.0, None, "1.50 min"),
            ("s", 5400.0, None, "1.50 hour"),
            ("s", 172_800.0, None, "2 day"),
            ("bool", 1.0, None, "True"),
            ("bool_yes_no", 0.0, None, "No"),
            ("bool_on_off", 2.0, None, "On"),
        ] {
            assert_eq!(value(unit, number, decimals), written, "{number} in `{unit}`");
        }
    }

    #[test]
    fn a_value_somebody_wrote_has_the_digits_they_wrote() {
        for (unit, number, written) in [
            ("reqps", 0.05, "0.05 req/s"),
            ("reqps", 0.5, "0.5 req/s"),
            ("percentunit", 0.05, "5%"),
            ("percentunit", 0.999, "99.9%"),
            ("s", 0.5, "500 ms"),
            ("s", 1.25, "1.25 s"),
            ("none", 1.0 / 3.0, "0.333"),
            ("none", f64::INFINITY, "∞"),
        ] {
            assert_eq!(exact(unit, number), written);
        }
    }

    #[test]
    fn an_axis_keeps_one_scale_for_all_its_ticks() {
        let scale = scale_for("s", 2.0);
        let ticks: Vec<String> = [0.0, 0.5, 2.0].iter().map(|tick| in_scale(scale, *tick, Some(1))).collect();
        assert_eq!(ticks, ["0.0 s", "0.5 s", "2.0 s"]);
    }

    #[test]
    fn how_often_something_happens_has_the_prefixes_that_grafana_gives_it() {
        for (unit, number, text) in [
            ("iops", 1234.0, "1.23K io/s"),
            ("cps", 0.5, "0.500 c/s"),
            ("opm", 0.0, "0 ops/m"),
            ("Bps", 1_500_000.0, "1.50 MB/s"),
            ("bps", 0.5, "500 mb/s"),
            ("pps", 0.0, "0 p/s"),
            ("ms", 0.25, "0.250 ms"),
            ("ms", 1500.0, "1.50 s"),
        ] {
            assert_eq!(value(unit, number, None), text, "{unit} {number}");
        }
    }
}
