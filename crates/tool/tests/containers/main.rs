//! The images and compose.yaml under a real engine, podman or Docker, with the distribution's programs standing in for upstream's
//! images.
//!
//! Ignored by a plain `cargo test`: `just containers` builds what they need, tries which engines can run here, and runs them
//! under each. What is promised (user, capabilities, limits) is read from the running container's process, not from what was asked.

#![expect(clippy::unwrap_used, reason = "a test file throughout: what can't be had fails the test")]

mod compose;
mod engine;
mod image;
