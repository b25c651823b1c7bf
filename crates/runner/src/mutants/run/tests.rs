//! What makes a mutant's stack be tried again, and what is left of the try before.

use super::*;
use crate::stand_in;
use aiclipx_judge::mutants::exposition::Rewriting;
use aiclipx_judge::mutants::table::FoundBy;
use aiclipx_stack::interrupt::Signals;

fn trial(folder: &Path, signals: &Signals, what: What) -> Trial {
    let tree = Arc::new(stand_in::tree());
    let scenario = tree.scenarios.iter().find(|scenario| scenario.name == "request-rate").unwrap().clone();
    let speed = "30".parse().unwrap();
    let options = Options { only: Vec::new(), seed: 42, speed, jobs: 1, out: folder.to_owned(), database: false };
    let common = Common {
        root: folder.to_owned(),
        tree,
        options,
        folder: folder.to_owned(),
        began: Instant::now(),
        events: Events::to(|_| {}),
        interrupt: signals.held(),
    };
    Trial { common: Arc::new(common), scenario, what }
}

fn broken(found_by: FoundBy) -> What {
    let (id, breaks) = ("m".to_owned(), "It.".to_owned());
    What::Broken(Mutant { id, breaks, edit: Edit::Exposition(Rewriting::GoStale), found_by })
}

#[test]
fn a_run_is_not_repeated_for_what_its_mutant_must_disturb_and_is_for_all_else() {
    let (place, signals) = (tempfile::tempdir().unwrap(), Signals::unheard());
    let of = |what| trial(place.path(), &signals, what);
    let (experiment, words) = ("request-rate".to_owned(), "scrapes failed".to_owned());
    let disturbing = of(broken(FoundBy::Disturbance { experiment, words }));
    let failing = of(broken(FoundBy::Claim("request-rate/loaded".to_owned())));
    let sound = of(What::Sound(Vec::new()));
    let disturbed = |words: &str| Ok(Found { disturbances: vec![words.to_owned()], ..Found::default() });
    let again = |words: &str| Some(format!("invalid ({words})"));
    assert_eq!(disturbing.disturbed(&disturbed("3 scrapes failed")), None);
    assert_eq!(disturbing.disturbed(&disturbed("the clock stepped")), again("the clock stepped"));
    for other in [&failing, &sound] {
        assert_eq!(other.disturbed(&disturbed("3 scrapes failed")), again("3 scrapes failed"));
    }
    for each in [&disturbing, &failing, &sound] {
        assert_eq!(each.disturbed(&Ok(Found::default())), None);
        assert_eq!(each.disturbed(&Err(MutantStatus::Invalid("why".to_owned()))), Some("why".to_owned()));
        assert_eq!(each.disturbed(&Err(MutantStatus::DidNotApply("why".to_owned()))), None);
    }
}

#[tokio::test]
async fn what_the_try_before_left_is_gone_before_a_stack_is_started() {
    let (place, signals) = (tempfile::tempdir().unwrap(), Signals::unheard());
    // It is not even looked for what a stack takes.
    signals.ask();
    let mut trial = trial(place.path(), &signals, broken(FoundBy::Claim("request-rate/loaded".to_owned())));
    let left = trial.experiment("m");
    write(&left.join("half"), b"of an experiment").unwrap();
    let came = trial.attempt(Which::Second).await;
    assert_eq!(came.err().map(|failure| failure.kind()), Some(Kind::Interrupted));
    assert!(!left.exists());
}
