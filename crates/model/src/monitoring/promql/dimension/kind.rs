//! What a value is to the speed, and what arithmetic makes of it.

use promql_parser::parser::token::{T_ADD, T_ATAN2, T_DIV, T_MOD, T_MUL, T_POW, T_SUB, TokenId};

/// What a value is to the speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// A number that the expression itself has; its value where it is known.
    Number(Option<f64>),
    /// A series of which nothing is known but that no division changes it: a level, or a moment that its source exposes.
    Gauge,
    /// Divided by k to this power: a rate 0, a count over a window and a span of time 1.
    Power(i32),
    /// A moment of the clock. The distance of two is a span.
    Moment,
    /// How a gauge changes, one of several kinds, a series that no name is known of: agrees with nothing but zero.
    Unlike,
    /// Refused already.
    Refused,
}

use Kind::{Gauge, Moment, Number, Power, Refused, Unlike};

impl Kind {
    /// Zero, infinity, no number: the same at every speed, whatever the unit.
    pub(super) fn is_free(self) -> bool {
        matches!(self, Number(Some(value)) if value == 0.0 || !value.is_finite())
    }

    /// A number of no unit of time: what a power, a logarithm, a rank may be taken of.
    pub(super) fn is_plain(self) -> bool {
        matches!(self, Number(_) | Gauge | Power(0) | Refused)
    }

    /// Whether the two can stand on either side of a comparison.
    pub(super) fn agrees(self, other: Kind) -> bool {
        match (self, other) {
            (Refused, _) | (_, Refused) | (Moment, Moment | Gauge) | (Gauge, Moment) => true,
            _ if self.is_free() || other.is_free() => true,
            (Power(one), Power(other)) => one == other,
            (Number(_) | Gauge | Power(0), Number(_) | Gauge | Power(0)) => true,
            _ => false,
        }
    }

    /// How a gauge of this kind changes over a window: a moment by a span.
    pub(super) fn change(self) -> Kind {
        match self {
            Moment => Power(1),
            Power(_) | Refused => self,
            _ => Unlike,
        }
    }

    /// What grows so over a window, per second.
    pub(super) fn per_second(self) -> Kind {
        match self {
            Power(power) => Power(power - 1),
            other => other,
        }
    }

    /// A spread to this power: of moments a span.
    pub(super) fn spread(self, times: i32) -> Kind {
        match self {
            Power(power) => Power(power * times),
            Moment => Power(times),
            Unlike | Refused => self,
            Number(_) | Gauge => Power(0),
        }
    }

    /// The square root, if there is one of what shrinks so.
    pub(super) fn root(self) -> Option<Kind> {
        match self {
            Power(power) if power % 2 == 0 => Some(Power(power / 2)),
            Number(_) => Some(Number(None)),
            plain if plain.is_plain() => Some(Power(0)),
            _ => None,
        }
    }
}

pub(super) fn folded(op: TokenId, left: f64, right: f64) -> Option<f64> {
    Some(match op {
        T_ADD => left + right,
        T_SUB => left - right,
        T_MUL => left * right,
        T_DIV => left / right,
        T_MOD => left % right,
        T_POW => left.powf(right),
        T_ATAN2 => left.atan2(right),
        _ => return None,
    })
}

/// A product, or with −1 a quotient; none where one of the two has no size.
pub(super) fn product(left: Kind, right: Kind, sign: i32) -> Option<Kind> {
    Some(match (left, right) {
        // A join: the other side is 1. Half a moment is none.
        (Moment, Gauge) => Moment,
        (Gauge, Moment) if sign > 0 => Moment,
        (Moment, _) | (_, Moment) => return None,
        (Unlike, _) | (_, Unlike) => Unlike,
        (Power(left), Power(right)) => Power(left + sign * right),
        (Gauge, Power(0)) => Gauge,
        (Power(0), Gauge) if sign > 0 => Gauge,
        (Power(left), _) => Power(left),
        (_, Power(right)) => Power(sign * right),
        (Gauge, _) => Gauge,
        (_, Gauge) if sign > 0 => Gauge,
        _ => Power(0),
    })
}

pub(super) fn sum(left: Kind, right: Kind, is_difference: bool) -> Option<Kind> {
    Some(match (left, right) {
        _ if right.is_free() => left,
        // The negative of a moment is none.
        (_, Moment) if left.is_free() && is_difference => Unlike,
        _ if left.is_free() => right,
        (Moment, Moment | Gauge) | (Gauge, Moment) if is_difference => Power(1),
        (Moment, Power(1)) => Moment,
        (Power(1), Moment) if !is_difference => Moment,
        // A level and a moment look alike where nothing but a name is known: what is made of two is neither.
        _ if left.is_plain() && right.is_plain() => Power(0),
        (Power(one), Power(other)) if one == other => left,
        _ => return None,
    })
}

pub(super) fn power(base: Kind, exponent: Kind) -> Option<Kind> {
    match (base, exponent) {
        _ if base.is_plain() && exponent.is_plain() => Some(Power(0)),
        (Power(power), Number(Some(exponent))) => {
            let power = f64::from(power) * exponent;
            #[expect(clippy::cast_possible_truncation, reason = "a whole number, and a small one")]
            (power.fract() == 0.0 && power.abs() < 100.0).then_some(Power(power as i32))
        }
        _ => None,
    }
}
