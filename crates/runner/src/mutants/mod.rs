//! Mutants on private stacks: what runs them. What they are, and what came of them, is `aiclipx-judge`'s.

mod parts;
pub mod proxy;
pub mod run;
mod status;
