//! Mutants on private stacks: what runs them. What they are, and what came of them, is `aiclipx-judge`'s.

pub mod fate;
mod parts;
pub mod proxy;
pub mod run;
