//! Faults for demonstrations: `x-fault: error`, `panic`, `delay=750ms`, or several with commas.
//!
//! The client asks for them, request by request, so it knows what the monitoring must show. Without `APP_FAULTS=on` the header
//! is not even read. Nothing here is random.

use std::time::Duration;

use hyper::HeaderMap;

use super::refusal::Refusal;
use aiclipx_base::duration;

const HEADER: &str = "x-fault";

/// What happens to one request: the delay first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fault {
    delay: Option<Duration>,
    error: bool,
    panic: bool,
}

impl Fault {
    fn parse(text: &str) -> Option<Fault> {
        let mut fault = Fault::default();
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None if part == "error" => fault.error = true,
                None if part == "panic" => fault.panic = true,
                Some(("delay", delay)) => fault.delay = Some(duration::parse(delay).ok()?),
                _ => return None,
            }
        }
        Some(fault)
    }
}

/// The faults that this request's header asks for. Any other value is refused: a demonstration in which silently nothing
/// happens would prove nothing.
pub(super) fn asked(headers: &HeaderMap) -> Result<Option<Fault>, Refusal> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let unknown = Refusal::Bad("x-fault takes error, panic and delay=750ms, with commas between them");
    value.to_str().ok().filter(|_| values.next().is_none()).and_then(Fault::parse).ok_or(unknown).map(Some)
}

impl Fault {
    /// Applies it to a request.
    pub(super) async fn inject(self) -> Result<(), Refusal> {
        if let Some(delay) = self.delay {
            tokio::time::sleep(delay).await;
        }
        assert!(!self.panic, "the request asked for a panic");
        if self.error { Err(Refusal::Internal) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_combine_and_nonsense_is_none() {
        let delay = Some(Duration::from_millis(750));
        assert_eq!(Fault::parse("error"), Some(Fault { error: true, ..Fault::default() }));
        assert_eq!(Fault::parse("delay=750ms, panic"), Some(Fault { delay, panic: true, error: false }));
        for text in ["", "errors", "error,", "delay", "delay=", "delay=1", "delay=-1s", "panic=1", "error;panic"] {
            assert_eq!(Fault::parse(text), None, "{text}");
        }
    }
}
