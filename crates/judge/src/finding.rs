//! What a claim was decided on, and what was found: the same for every kind.

/// What a claim was decided on.
#[derive(Debug, Default)]
pub struct Finding {
    /// So many series, samples, requests, points; where it is none the claim fails.
    pub population: usize,
    /// What had to be seen, in words.
    pub expected: String,
    /// What was seen, in words.
    pub observed: String,
    /// The files of the experiment's folder that it rests on.
    pub artifacts: Vec<String>,
    /// Why the claim is false.
    pub fails: Option<String>,
    /// Why it can't be shown, true or false.
    pub not_proven: Option<String>,
}

impl Finding {
    /// Nothing could be looked at, and why.
    pub(crate) fn out_of_reach(why: String) -> Finding {
        Finding { observed: "out of reach".to_owned(), not_proven: Some(why), ..Finding::default() }
    }
}

/// So many of a long list are read.
pub(crate) const FEW: usize = 3;

/// The first three, and how many more.
pub(crate) fn first_of(mut told: Vec<String>) -> String {
    let more = told.len().saturating_sub(FEW);
    told.truncate(FEW);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told.join("; ")
}
