//! A cache of what a pure function gave for a text.
//!
//! For parsers: a check of the tree parses each expression some ten times, and a verifier reads the same configuration once
//! for every experiment of a bundle. What is kept is bounded, for a viewer that lives for weeks asks for ever more: by the bytes
//! of text, and by the number of answers, for that of a short text may be large. At either bound all is forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Three times as many as a check of this tree asks for. An expression of 15 bytes with a regular expression in it takes 15 KB,
/// for that is compiled: 75 MB together.
const MOST_ANSWERS: usize = 5_000;

/// Answers by the text they were given for. Shared by all threads.
pub(super) struct Memo<V> {
    kept: Mutex<Kept<V>>,
    /// Bytes of text, all answers' together.
    most: usize,
}

struct Kept<V> {
    answers: HashMap<Box<[u8]>, V>,
    bytes: usize,
}

impl<V: Clone> Memo<V> {
    /// Keeps the answers for so many bytes of text.
    pub(super) fn of(most: usize) -> Memo<V> {
        Memo { kept: Mutex::new(Kept { answers: HashMap::new(), bytes: 0 }), most }
    }

    /// What was given for this text before, or is given now. Two that ask at once may both make it.
    pub(super) fn get(&self, text: &[u8], make: impl FnOnce() -> V) -> V {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = lock().answers.get(text) {
            return answer.clone();
        }
        // Outside the lock: others ask for something else meanwhile.
        let answer = make();
        if text.len() <= self.most {
            let mut kept = lock();
            if kept.bytes + text.len() > self.most || kept.answers.len() >= MOST_ANSWERS {
                (kept.answers, kept.bytes) = (HashMap::new(), 0);
            }
            if kept.answers.insert(text.into(), answer.clone()).is_none() {
                kept.bytes += text.len();
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_text_is_answered_once_and_what_is_kept_is_bounded() {
        let (made, memo) = (Cell::new(0), Memo::of(4));
        let length = |text: &[u8]| {
            memo.get(text, || {
                made.set(made.get() + 1);
                text.len()
            })
        };
        assert_eq!([length(b"a"), length(b"bb"), length(b"a"), length(b"bb")], [1, 2, 1, 2]);
        assert_eq!(made.get(), 2, "each was made once");
        for text in [&b"cc"[..], b"a", b"ddd", b"longer than all", b"eeee"] {
            assert_eq!(length(text), text.len());
            let kept = memo.kept.lock().unwrap();
            let bytes: usize = kept.answers.keys().map(|text| text.len()).sum();
            assert!(bytes == kept.bytes && bytes <= 4, "{bytes} bytes are kept, {} counted", kept.bytes);
        }
        assert_eq!(length(b"eeee"), 4);
        assert_eq!(made.get(), 2 + 5, "what is longer than all room is made each time, and empties nothing");
    }

    #[test]
    fn of_short_texts_so_many_are_kept_and_no_more() {
        let memo = Memo::of(usize::MAX);
        let kept = || memo.kept.lock().unwrap().answers.len();
        let ask = |number: usize| memo.get(&number.to_be_bytes(), || number);
        for number in 0..MOST_ANSWERS {
            assert_eq!(ask(number), number);
        }
        assert_eq!(kept(), MOST_ANSWERS);
        assert_eq!([ask(7), ask(MOST_ANSWERS)], [7, MOST_ANSWERS]);
        assert_eq!(kept(), 1);
        assert_eq!(memo.kept.lock().unwrap().bytes, size_of::<usize>());
    }
}
