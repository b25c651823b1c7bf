//! How each function of an expression treats time.

/// How a function treats time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Treats {
    /// What it gives is of the kind of its argument: a mean, an extreme, another order.
    Alike,
    /// The same, and its numbers must be of that kind, too: bounds.
    Bounded,
    /// The same of what can be added, which moments can't.
    Sum,
    /// Of a number without a unit another such: nothing else can be rounded, or have a logarithm.
    Plain,
    /// A number without a unit, whatever the argument is: whether it is there, its sign, a quantile of buckets.
    Nothing,
    /// Per second.
    PerSecond,
    /// A counter's growth over a window.
    Growth,
    /// A histogram's count or sum, which are counters unless it is one of rates.
    Part,
    /// Changes over a window, counted.
    Count,
    /// A gauge's change over a window: a level's stays, a stock's shrinks.
    Change,
    /// A gauge's change per second.
    Slope,
    /// A spread: of moments a span.
    Spread,
    /// The square of a spread.
    SquaredSpread,
    /// The square root.
    Root,
    /// The clock.
    Clock,
    /// Hours, days and months, which no speed moves.
    Calendar,
    /// Looks ahead by its second argument, in seconds.
    Ahead,
    /// Newer than the oldest Prometheus that is promised, 2.42, and refused for that.
    Newer,
}

/// Every function that the parser knows. A test holds it complete.
pub(super) const FUNCTIONS: [(Treats, &[&str]); 18] = [
    (
        Treats::Alike,
        &[
            "abs",
            "avg_over_time",
            "deg",
            "holt_winters",
            "label_join",
            "label_replace",
            "last_over_time",
            "max_over_time",
            "min_over_time",
            "quantile_over_time",
            "rad",
            "scalar",
            "sort",
            "sort_desc",
            "vector",
        ],
    ),
    (Treats::Bounded, &["clamp", "clamp_max", "clamp_min"]),
    (Treats::Sum, &["sum_over_time"]),
    (
        Treats::Plain,
        &[
            "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "exp", "floor", "ln", "log10",
            "log2", "round", "sin", "sinh", "tan", "tanh", "pi",
        ],
    ),
    // A window holds as many samples as before, for scrapes come k times more often: a count of them stays.
    (
        Treats::Nothing,
        &[
            "absent",
            "absent_over_time",
            "count_over_time",
            "histogram_fraction",
            "histogram_quantile",
            "present_over_time",
            "sgn",
        ],
    ),
    (Treats::PerSecond, &["irate", "rate"]),
    (Treats::Growth, &["increase"]),
    (Treats::Part, &["histogram_count", "histogram_sum"]),
    (Treats::Count, &["changes", "resets"]),
    (Treats::Change, &["delta", "idelta"]),
    (Treats::Slope, &["deriv"]),
    (Treats::Spread, &["stddev_over_time"]),
    (Treats::SquaredSpread, &["stdvar_over_time"]),
    (Treats::Root, &["sqrt"]),
    (Treats::Clock, &["time", "timestamp"]),
    (
        Treats::Calendar,
        &["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"],
    ),
    (Treats::Ahead, &["predict_linear"]),
    (
        Treats::Newer,
        &[
            "double_exponential_smoothing",
            "end",
            "first_over_time",
            "histogram_avg",
            "histogram_quantiles",
            "histogram_stddev",
            "histogram_stdvar",
            "info",
            "integral",
            "mad_over_time",
            "max_of",
            "min_of",
            "range",
            "sort_by_label",
            "sort_by_label_desc",
            "start",
            "start_timestamp",
            "step",
            "ts_of_first_over_time",
            "ts_of_last_over_time",
            "ts_of_max_over_time",
            "ts_of_min_over_time",
        ],
    ),
];

/// How a function treats time; one that is in no row is refused like a newer one.
pub(super) fn treats(function: &str) -> Treats {
    let row = FUNCTIONS.iter().find(|(_, names)| names.contains(&function));
    row.map_or(Treats::Newer, |(treats, _)| *treats)
}
