//! The images and compose.yaml under a real engine: podman, with the distribution's programs standing in for upstream's images.
//!
//! Ignored by a plain `cargo test`: `just containers` builds what they need, tries whether an engine can run here, and runs
//! them. What is promised (user, capabilities, limits) is read from the running container's process, not from what was asked.

#![cfg(feature = "tools")]
#![expect(clippy::unwrap_used, reason = "a test file throughout: what can't be had fails the test")]

mod compose;
mod engine;
mod image;
