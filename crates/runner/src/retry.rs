//! What the machine disturbed is tried once more, wherever a scenario is enacted: on the stack that is up, on private ones, and
//! with a mutant in them.

use aiclipx_model::failure::{Failure, Kind, tell};

/// Which try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// It is repeated if it was disturbed.
    First,
    /// What comes of it stays.
    Second,
}

/// What came of a try, and what disturbed it, in words.
pub(super) struct Try<T> {
    pub(super) came: T,
    pub(super) disturbed: Option<String>,
}

/// Disturbances in one line; none where there are none.
pub(super) fn invalid(disturbances: impl Iterator<Item = String>) -> Option<String> {
    let told: Vec<String> = disturbances.collect();
    (!told.is_empty()).then(|| format!("invalid ({})", told.join("; ")))
}

/// Tries, and once more if the machine disturbed it or failed us. What is wrong with the input stays so, and who interrupts does
/// not want it again: that failure ends it at once.
pub(super) async fn once_or_twice<T>(
    name: &str,
    mut attempt: impl AsyncFnMut(Which) -> Result<Try<T>, Failure>,
) -> Result<T, Failure> {
    let why = match attempt(Which::First).await {
        Ok(Try { came, disturbed: None }) => return Ok(came),
        Ok(Try { disturbed: Some(why), .. }) => why,
        Err(failure) if failure.kind() != Kind::Infrastructure => return Err(failure),
        Err(failure) => failure.to_string(),
    };
    tell(&format!("  ! {name}, once more: {why}"));
    Ok(attempt(Which::Second).await?.came)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it is tried, and what comes of it, when the tries go so.
    async fn tried(tries: &[Result<Option<&str>, Kind>]) -> (usize, Result<usize, Kind>) {
        let mut count = 0;
        let came = once_or_twice("a scenario", async |which| {
            let told = tries[count];
            assert_eq!(which == Which::First, count == 0);
            count += 1;
            match told {
                Ok(disturbed) => Ok(Try { came: count, disturbed: disturbed.map(str::to_owned) }),
                Err(Kind::Infrastructure) => Err(Failure::infrastructure("a component died")),
                Err(Kind::Interrupted) => Err(Failure::interrupted()),
                Err(_) => Err(Failure::usage("no such scenario")),
            }
        });
        let came = came.await.map_err(|failure| failure.kind());
        (count, came)
    }

    #[tokio::test]
    async fn only_what_the_machine_did_is_tried_again_and_only_once() {
        const DISTURBED: Result<Option<&str>, Kind> = Ok(Some("a scrape was missed"));
        assert_eq!(tried(&[Ok(None)]).await, (1, Ok(1)));
        assert_eq!(tried(&[DISTURBED, Ok(None)]).await, (2, Ok(2)));
        assert_eq!(tried(&[DISTURBED, DISTURBED]).await, (2, Ok(2)));
        assert_eq!(tried(&[Err(Kind::Infrastructure), Ok(None)]).await, (2, Ok(2)));
        assert_eq!(tried(&[DISTURBED, Err(Kind::Infrastructure)]).await, (2, Err(Kind::Infrastructure)));
        for kind in [Kind::Usage, Kind::Interrupted] {
            assert_eq!(tried(&[Err(kind)]).await, (1, Err(kind)));
        }
    }
}
