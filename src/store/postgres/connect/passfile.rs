//! The file in which PostgreSQL's own programs keep passwords: `HOST:PORT:NAME:USER:PASSWORD`, where `*` is any.

use crate::database_url::DatabaseUrl;

/// The password of the first line that is this database's.
pub(super) fn find(text: &str, url: &DatabaseUrl) -> Option<String> {
    let port = url.port.to_string();
    let host = if url.host.starts_with('/') { "localhost" } else { &url.host };
    let wanted = [host, &port, &url.name, &url.user];
    text.lines().filter(|line| !line.starts_with('#')).map(fields).find_map(|mut fields| {
        let fits =
            fields.len() == 5 && wanted.iter().zip(&fields).all(|(wanted, field)| field == "*" || field == wanted);
        if fits { fields.pop() } else { None }
    })
}

/// Between colons; a backslash keeps what follows it as it is.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let last = fields.last_mut().expect("there is one from the start");
        match character {
            ':' => fields.push(String::new()),
            '\\' => last.extend(characters.next()),
            _ => last.push(character),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let url = DatabaseUrl::parse("postgres://me@h:5433/n").unwrap();
        let text =
            "# h:5433:n:me:no\nh:5432:n:me:no\nh:5433:n:you:no\nshort:1\n*:*:n:me:p\\:w\\\\x\nh:5433:n:me:late\n";
        assert_eq!(find(text, &url).as_deref(), Some("p:w\\x"));
        assert_eq!(find("h:5433:other:me:no\n", &url), None);
        let socket = DatabaseUrl::parse("postgres://me@%2Frun/n").unwrap();
        assert_eq!(find("localhost:5432:n:me:pw", &socket).as_deref(), Some("pw"));
    }
}
