//! What a fire drill is made of: anybody's rules, unit tests and Alertmanager configuration, as types.
//!
//! Read as promtool and Alertmanager read them, and no stricter: what is ours alone (names, prose, links, receivers) is asked for
//! by `aiclipx check`, not here. [`tests`] and [`series`] are promtool's unit tests, [`rules`] the rules in the order in which it
//! evaluates them, [`alertmanager`] who is told, [`calendar`] at which times, [`expected`] who should be, [`messages`] with which texts, [`scene`] how a stretch of a test's time is lived on a clock of its own, [`grid`] at
//! which moments Prometheus evaluates,
//! [`secrets`] what of a configuration nobody is shown.
//!
//! Not for: running anything, and what must come of it (`aiclipx-judge`'s `drill`).

pub mod alertmanager;
pub mod calendar;
pub mod expected;
pub mod grid;
pub mod messages;
pub mod reading;
pub mod rules;
pub mod scene;
pub mod secrets;
pub mod series;
pub mod tests;
