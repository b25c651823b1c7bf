//! Seeded traffic: a scenario and a seed become a [`schedule`], [`send`] sends it open loop, the [`ledger`] holds what
//! became of every request, and the [`table`] says it in numbers; [`progress`] is what a run shows meanwhile.

pub mod ledger;
pub mod schedule;
