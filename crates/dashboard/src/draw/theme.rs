//! Colours: light, which prints, and dark; Grafana's colour names in both.

/// How bright the page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// Dark on white; prints.
    #[default]
    Light,
    /// Light on near-black.
    Dark,
    /// Either, as the page says: every colour is a variable of [`variables`].
    Page,
}

/// What a drawing is painted with; all values are `#rrggbb`, or the page's variables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    pub(super) paper: &'static str,
    pub(super) border: &'static str,
    pub(super) ink: &'static str,
    pub(super) muted: &'static str,
    pub(super) grid: &'static str,
    pub(super) track: &'static str,
    pub(super) fault: &'static str,
    pub(super) fault_ink: &'static str,
    pub(super) alert: &'static str,
    pub(super) alert_ink: &'static str,
    palette: [&'static str; 10],
}

const LIGHT: Paint = Paint {
    paper: "#ffffff",
    border: "#dfe3e9",
    ink: "#1c2430",
    muted: "#66707d",
    grid: "#e9ecf1",
    track: "#edf0f4",
    fault: "#e8a013",
    fault_ink: "#80550a",
    alert: "#d6294b",
    alert_ink: "#9c1733",
    // Told apart in print and by the colour-blind: after Okabe and Ito, darkened for white paper.
    palette: [
        "#1f6fd6", "#d9730d", "#138a5e", "#8b4fc4", "#0f8fa8", "#b8336a", "#8a7a12", "#5b6b7d", "#a8552e", "#3d4fb8",
    ],
};

const DARK: Paint = Paint {
    paper: "#161a22",
    border: "#2b313c",
    ink: "#e7eaef",
    muted: "#98a2b0",
    grid: "#262c37",
    track: "#262c37",
    fault: "#f0b03c",
    fault_ink: "#f3c878",
    alert: "#f2596f",
    alert_ink: "#ff9aaa",
    palette: [
        "#5b9cf5", "#f2994a", "#3fc48f", "#b98af0", "#3fc3dc", "#f07ba8", "#d3c04a", "#a3b1c2", "#dd8d66", "#8e9cf2",
    ],
};

const PAGE: Paint = Paint {
    paper: "var(--paper)",
    border: "var(--border)",
    ink: "var(--ink)",
    muted: "var(--muted)",
    grid: "var(--grid)",
    track: "var(--track)",
    fault: "var(--fault)",
    fault_ink: "var(--fault-ink)",
    alert: "var(--alert)",
    alert_ink: "var(--alert-ink)",
    palette: [
        "var(--series-0)",
        "var(--series-1)",
        "var(--series-2)",
        "var(--series-3)",
        "var(--series-4)",
        "var(--series-5)",
        "var(--series-6)",
        "var(--series-7)",
        "var(--series-8)",
        "var(--series-9)",
    ],
};

/// What [`Theme::Page`] paints with, as CSS declarations for [`Theme::Light`] or [`Theme::Dark`].
pub fn variables(theme: Theme) -> String {
    let bare = |variable: &'static str| variable.trim_start_matches("var(--").trim_end_matches(')');
    let of_paint = PAGE.all().into_iter().map(bare).zip(theme.paint().all());
    let named = NAMES.iter().map(|(name, light, dark)| (*name, if theme == Theme::Dark { *dark } else { *light }));
    let mut declarations = String::new();
    for (variable, color) in of_paint.chain(named) {
        declarations.extend(["--", variable, ":", color, ";"]);
    }
    declarations
}

impl Theme {
    pub(super) fn paint(self) -> Paint {
        match self {
            Theme::Light => LIGHT,
            Theme::Dark => DARK,
            Theme::Page => PAGE,
        }
    }
}

impl Paint {
    /// The colour of the n-th series.
    pub(super) fn series(&self, at: usize) -> String {
        self.palette[at % self.palette.len()].to_owned()
    }

    /// Every colour, always in the same order.
    fn all(&self) -> Vec<&'static str> {
        let Paint { paper, border, ink, muted, grid, track, fault, fault_ink, alert, alert_ink, palette } = *self;
        let mut all = vec![paper, border, ink, muted, grid, track, fault, fault_ink, alert, alert_ink];
        all.extend(palette);
        all
    }
}

/// Grafana's names with what they are on white and on black.
const NAMES: [(&str, &str, &str); 8] = [
    ("green", "#1e9e5a", "#56c48a"),
    ("yellow", "#c79a00", "#ecc94b"),
    ("orange", "#dd7a0a", "#f5a34d"),
    ("red", "#d2293f", "#f2596f"),
    ("blue", "#1f6fd6", "#5b9cf5"),
    ("purple", "#8b4fc4", "#b98af0"),
    ("gray", "#8a94a1", "#8a94a1"),
    ("text", "#1c2430", "#e7eaef"),
];

/// Whether a colour is Grafana's name for one, or `#rgb` or `#rrggbb`.
pub(crate) fn is_color(color: &str) -> bool {
    is_hex(color) || named(color).is_some() || color == "transparent"
}

fn is_hex(color: &str) -> bool {
    color.strip_prefix('#').is_some_and(|digits| {
        (digits.len() == 3 || digits.len() == 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Shades of a name (`dark-red`, `super-light-blue`) are painted as the name itself: they differ by taste, not meaning.
fn named(color: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    let mut bare = color;
    for shade in ["super-light-", "semi-dark-", "light-", "dark-"] {
        bare = bare.strip_prefix(shade).unwrap_or(bare);
    }
    NAMES.iter().find(|(name, _, _)| *name == bare)
}

/// A colour of the dashboard as one of this theme. Never anything but a hexadecimal colour or a variable of ours.
pub(super) fn resolved(color: &str, paint: &Paint) -> String {
    match named(color) {
        Some((name, _, _)) if paint.paper == PAGE.paper => format!("var(--{name})"),
        Some((_, _, dark)) if paint.paper == DARK.paper => (*dark).to_owned(),
        Some((_, light, _)) => (*light).to_owned(),
        None if is_hex(color) => color.to_owned(),
        None => paint.muted.to_owned(),
    }
}
