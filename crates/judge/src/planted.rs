//! Made-up secrets, in the forms in which secrets get into logs. They are planted in a log before the traffic; that the store of
//! logs holds their lines without them is a claim.
//!
//! The texts are computed from the run's name, so `verify` needs no list of them in the bundle.

use anyhow::Context;

use super::artifacts::{LEAKED, PLANTED};
use aiclipx_model::sum::Sum;

/// The most lines an answer is asked for: more than are planted, were each of them there twice.
pub const MOST: usize = 200;

/// A form: its name, and the line around a secret. `MARK` is unique to a line, `SECRET` is 32 hexadecimal digits,
/// `NUMBER` 16 decimal ones.
const FORMS: [(&str, &str); 22] = [
    ("a word after an equals sign", "MARK password=SECRET"),
    ("a word after a colon", "MARK db_password: SECRET"),
    ("in quotes", r#"MARK api_key="SECRET" tries=3"#),
    ("a header", "MARK Authorization: Bearer SECRET"),
    ("a header of another scheme", "MARK authorization: Basic SECRET"),
    ("a cookie", "MARK Cookie: session=SECRET; theme=dark"),
    ("a query's parameter", "MARK GET /items?access_token=SECRET&page=2"),
    ("an address with a password", "MARK cannot reach postgres://app:SECRET@db:5432/items"),
    ("a token of GitHub", "MARK clone with ghp_SECRET"),
    ("a token of GitLab", "MARK clone with glpat-SECRET"),
    ("a token of Slack", "MARK posting with xoxb-SECRET"),
    ("a key of Stripe", "MARK charging with sk_live_SECRET"),
    ("a key of AWS", "MARK signing with AKIANUMBER"),
    ("a webhook's address", "MARK posting to https://hooks.slack.com/services/SECRET"),
    ("a token of three parts", "MARK eyJhbGciOiJIUzI1NiJ9.SECRET.SECRET"),
    ("a private key", "MARK -----BEGIN PRIVATE KEY-----SECRET-----END PRIVATE KEY-----"),
    ("a key of JSON", r#"{"level":"INFO","msg":"MARK","password":"SECRET"}"#),
    ("a key of JSON, in an object", r#"{"level":"INFO","msg":"MARK","user":{"name":"ada","client_secret":"SECRET"}}"#),
    ("a key of JSON, in a list", r#"{"level":"INFO","msg":"MARK","users":[{"name":"ada","token":"SECRET"}]}"#),
    ("a text of JSON", r#"{"level":"INFO","msg":"MARK Authorization: Bearer SECRET"}"#),
    ("JSON in a text of JSON", r#"{"level":"INFO","msg":"MARK","body":"{\"password\":\"SECRET\"}"}"#),
    ("a sign written by its number", r#"{"level":"INFO","msg":"MARK","pass\u0077ord":"SECRET"}"#),
];

/// How many lines are planted.
pub(super) const COUNT: usize = FORMS.len();

/// A form, filled.
struct Planted {
    form: &'static str,
    mark: String,
    secret: String,
    line: String,
}

fn all(run: &str) -> impl Iterator<Item = Planted> {
    FORMS.into_iter().enumerate().map(move |(index, (form, line))| {
        let mark = format!("planted {run} {index:02}.");
        let mut sum = Sum::new();
        sum.add(format!("{run} {index}").as_bytes());
        let digits = sum.hex();
        let (hex, rest) = digits.split_at(32);
        let number: String = rest.bytes().take(16).map(|digit| char::from(b'0' + digit % 10)).collect();
        let line = line.replace("MARK", &mark).replace("SECRET", hex).replace("NUMBER", &number);
        let secret = if line.contains(hex) { hex.to_owned() } else { number };
        Planted { form, mark, secret, line }
    })
}

/// The lines to plant.
pub fn lines(run: &str) -> String {
    all(run).map(|planted| planted.line + "\n").collect()
}

/// What Loki is asked for the two answers, in `LogQL`.
pub fn questions(run: &str) -> [(&'static str, String); 2] {
    let secrets: Vec<String> = all(run).map(|planted| planted.secret).collect();
    [
        (PLANTED, format!(r#"{{component="other"}} |= "planted {run} ""#)),
        (LEAKED, format!(r#"{{component=~".+"}} |~ "{}""#, secrets.join("|"))),
    ]
}

/// Whether Loki has answered that all the lines are there.
pub fn have_arrived(run: &str, answer: &[u8]) -> anyhow::Result<bool> {
    let lines = lines_of(answer)?;
    Ok(all(run).all(|planted| lines.iter().any(|line| line.contains(&planted.mark))))
}

/// The texts of all lines of an answer.
pub(super) fn lines_of(answer: &[u8]) -> anyhow::Result<Vec<String>> {
    let answer: serde_json::Value = serde_json::from_slice(answer).context("Loki's answer is no JSON")?;
    let streams = answer["data"]["result"].as_array().context("Loki's answer has no result")?;
    let mut lines = Vec::new();
    for stream in streams {
        for value in stream["values"].as_array().context("a stream of Loki's has no values")? {
            lines.push(value[1].as_str().context("a line of Loki's is no text")?.to_owned());
        }
    }
    Ok(lines)
}

/// What is wrong with what the store of logs holds: secrets that are in it, planted lines that are not.
pub(super) fn leaked_or_missing(run: &str, arrived: &[String], leaked: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    for planted in all(run) {
        let is_in = |lines: &[String]| lines.iter().any(|line| line.contains(&planted.secret));
        if is_in(leaked) || is_in(arrived) {
            wrong.push(format!("{} is told: {}", planted.form, planted.mark));
        } else if !arrived.iter().any(|line| line.contains(&planted.mark)) {
            wrong.push(format!("the line with {} is missing: {}", planted.form, planted.mark));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "20261130T063000Z-00-quiet-s1";

    /// What Loki holds where all is well.
    fn redacted() -> Vec<String> {
        all(RUN).map(|planted| planted.line.replace(&planted.secret, "[redacted]")).collect()
    }

    #[test]
    fn every_form_has_a_mark_and_a_secret_of_its_own_and_both_follow_from_the_run() {
        let planted: Vec<Planted> = all(RUN).collect();
        let distinct =
            |of: fn(&Planted) -> &str| planted.iter().map(of).collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!((distinct(|one| &one.mark), distinct(|one| &one.secret)), (FORMS.len(), FORMS.len()));
        for (one, again) in planted.iter().zip(all(RUN)) {
            assert!(one.line.contains(&one.mark) && one.line.contains(&one.secret), "{}", one.form);
            assert!(!["MARK", "SECRET", "NUMBER"].iter().any(|left| one.line.replace("SECRET_", "").contains(left)));
            assert_eq!((&one.line, &one.secret), (&again.line, &again.secret));
        }
        assert!(all("another").zip(planted).all(|(other, one)| other.secret != one.secret));
    }

    #[test]
    fn a_secret_that_is_told_and_a_line_that_is_missing_fail_and_each_names_its_form() {
        let wrong = |arrived: &[String], leaked: &[String]| leaked_or_missing(RUN, arrived, leaked).join("; ");
        assert_eq!(wrong(&redacted(), &[]), "");
        for (index, planted) in all(RUN).enumerate() {
            let told = wrong(&redacted(), &[format!("elsewhere {}", planted.secret)]);
            assert!(told.contains(planted.form) && told.contains("is told"), "{told}");
            let mut lines = redacted();
            lines[index].clone_from(&planted.line);
            assert!(wrong(&lines, &[]).contains(planted.form));
            lines.remove(index);
            let missing = wrong(&lines, &[]);
            assert!(missing.contains(planted.form) && missing.contains("is missing"), "{missing}");
        }
        assert_ne!(wrong(&[], &[]), "");
    }

    #[test]
    fn an_answer_of_lokis_is_read_line_by_line_and_what_is_none_is_an_error() {
        let answer = |lines: &[String]| {
            let values: Vec<_> = lines.iter().map(|line| serde_json::json!(["1", line])).collect();
            serde_json::json!({"data": {"result": [{"values": values}]}}).to_string()
        };
        assert!(have_arrived(RUN, answer(&redacted()).as_bytes()).unwrap());
        assert!(!have_arrived(RUN, answer(&redacted()[1..]).as_bytes()).unwrap());
        assert!(!have_arrived(RUN, br#"{"data":{"result":[]}}"#).unwrap());
        assert!(have_arrived(RUN, b"{}").is_err() && have_arrived(RUN, b"no").is_err());
    }
}
