//! `[calendars.<name>]`: iCalendar files, read when the configuration is.

use super::settings::{Entry, Settings, Value};
use crate::error::Problem;
use crate::occasion::{self, Effect, ICS_BYTES_MAX, Occasion};
use std::collections::BTreeMap;

/// The calendars by name; what is wrong with them is noted.
pub(super) fn calendars(settings: &mut Settings) -> BTreeMap<String, Vec<Occasion>> {
    let entries: Vec<([String; 3], Entry)> = settings
        .entries
        .iter()
        .filter_map(|(path, entry)| Some((<[String; 3]>::try_from(path.clone()).ok()?, entry.clone())))
        .filter(|([table, ..], _)| table == "calendars")
        .collect();
    let mut effects = BTreeMap::new();
    for ([table, name, _], entry) in entries.iter().filter(|([.., key], _)| key == "effect") {
        let Value::Text(text) = &entry.value else { continue };
        match text.parse::<Effect>() {
            Ok(effect) => {
                effects.insert(name.clone(), effect);
            }
            Err(expected) => settings.note(Problem::new(&entry.at, expected, text.as_str())),
        }
        if !settings.entries.contains_key(&vec![table.clone(), name.clone(), "file".into()]) {
            settings.note(Problem::new(&entry.at, "a file", "an effect alone"));
        }
    }
    let mut calendars = BTreeMap::new();
    for ([_, name, _], entry) in entries.iter().filter(|([.., key], _)| key == "file") {
        let Value::Text(file) = &entry.value else { continue };
        let effect = effects.get(name).copied().unwrap_or(Effect::Holiday);
        match read(file, effect) {
            Ok(occasions) => {
                calendars.insert(name.clone(), occasions);
            }
            Err(problems) => problems.into_iter().for_each(|p| {
                settings.note(p.help(format!("calendars.{name} is set at {}", entry.at)));
            }),
        }
    }
    calendars
}

/// Reads one file.
pub(crate) fn read(file: &str, effect: Effect) -> Result<Vec<Occasion>, Vec<Problem>> {
    let fail = |expected: String, found: String| vec![Problem::new(file, expected, found)];
    let bytes = std::fs::metadata(file).map_err(|e| fail("a readable iCalendar file".into(), e.to_string()))?.len();
    if bytes > ICS_BYTES_MAX as u64 {
        return Err(fail(format!("at most {ICS_BYTES_MAX} bytes"), bytes.to_string()));
    }
    let text = std::fs::read_to_string(file).map_err(|e| fail("a readable iCalendar file".into(), e.to_string()))?;
    let place = |at: String| if at.is_empty() { file.to_owned() } else { format!("{file}: {at}") };
    occasion::calendar(&text, effect)
        .map_err(|found| found.into_iter().map(|p| Problem { at: place(p.at), ..p }).collect())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::occasion::Effect;

    const ICS: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261225\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Christmas\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[test]
    fn calendars_are_files_with_an_effect() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.ics");
        std::fs::write(&file, ICS).unwrap();
        let load = |text: &str| Config::assemble(Some(("f.toml", text)), [], &[]);
        let good =
            load(&format!("[calendars.germany]\nfile = {file:?}\n[calendars.sale]\nfile = {file:?}\neffect = 'x2'\n"))
                .unwrap();
        assert_eq!(good.calendars["germany"][0].effect, Effect::Holiday);
        assert_eq!(good.calendars["sale"][0].effect, Effect::Times(2.0));
        let all = |text: &str| load(text).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(all("[calendars.a]\nfile = '/nowhere.ics'").contains("/nowhere.ics"));
        assert!(all("[calendars.a]\neffect = 'holiday'").contains("an effect alone"));
        assert!(all(&format!("[calendars.a]\nfile = {file:?}\neffect = 'big'")).contains("f.toml:3"));
        std::fs::write(&file, "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n").unwrap();
        assert!(
            all(&format!("[calendars.a]\nfile = {file:?}")).contains("x.ics: expected at least one event; found none")
        );
        std::fs::write(&file, ICS.replace("FREQ=YEARLY", "FREQ=HOURLY")).unwrap();
        let told = all(&format!("[calendars.a]\nfile = {file:?}"));
        assert!(told.contains("x.ics: event \"Christmas\": expected FREQ=DAILY"), "{told}");
        assert!(told.contains("; found FREQ=HOURLY; calendars.a is set at"), "{told}");
    }
}
