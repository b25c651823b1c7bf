//! Seeded traffic: a scenario and a seed become a [`schedule`], and the [`ledger`] holds what became of every request. Who sends
//! it, and says it in numbers, is `aiclipx-runner`.

pub mod ledger;
pub mod schedule;
