//! A fire drill, judged by its folder and nothing else: every alert of anybody's rules that has a unit test, lived on a real
//! Prometheus and a real Alertmanager.
//!
//! [`given`] is what was given (rules, tests, who is told), [`plan`] what is lived of it, in [`stretches`] and at which speed: pure, so
//! that `verify` plans again. [`record`] is what was recorded of a scene, [`course`] what that says of an alert, [`cells`] what must
//! hold of each, on what a [`stage`] shows and a [`tally`] gathers: it fires, is told to whom it should be, says what it should,
//! resolves. [`rows`] are the rules that are judged, also
//! such as share a name, [`promtool`] what that says against the tests. [`outcome`] is all of it, [`report`] for
//! people, [`bundle`] the folder, sealed and opened. [`layout`] is every file in it.
//!
//! Not for: living a scene, which is `aiclipx-runner`'s `drill`.

pub mod bundle;
pub mod cells;
pub mod course;
pub mod given;
pub mod layout;
pub mod outcome;
pub mod plan;
pub mod promtool;
pub mod record;
pub mod report;
pub mod rows;
mod stage;
mod stretches;
pub mod tally;
