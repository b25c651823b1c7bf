//! The service's settings as a container is given them: whether it has each, and takes that value.

use aiclipx_app::config::{self, Config};

/// A variable as a file has it.
pub(super) struct Given {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) line: usize,
}

/// What the service would refuse, or not know, with the lines; of what is of none the line is that of the whole.
pub(super) fn wrong(given: &[Given], whole: usize) -> Vec<(usize, String)> {
    let line_of =
        |is_it: &dyn Fn(&str) -> bool| given.iter().find(|one| is_it(&one.name)).map_or(whole, |one| one.line);
    let mut wrong = Vec::new();
    let all = given.iter().map(|one| (one.name.clone(), one.value.clone()));
    if let Some(strange) = config::unknown_variables(all) {
        let line = line_of(&|name| strange.contains(name));
        wrong.push((line, format!("{strange}: the service has no such setting")));
    }
    let errors = read(given).err().unwrap_or_default();
    wrong.extend(errors.into_iter().map(|error| (line_of(&|name| error.starts_with(name)), error)));
    wrong
}

/// What the service is told by them.
pub(super) fn read(given: &[Given]) -> Result<Config, Vec<String>> {
    Config::read(|name| given.iter().find(|one| one.name == name).map(|one| one.value.clone()))
}
