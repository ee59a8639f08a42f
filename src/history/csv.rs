//! History from CSV: a file, a `.gz` file or standard input (`-`).

use super::Points;
use crate::error::{Problem, shorten};
use crate::units::Time;
use std::io::Read;
use std::path::Path;

/// Bytes of one CSV after unpacking: 10 years of minutes at 50 bytes a row.
const MAX_BYTES: u64 = 300_000_000;

/// Reads `time,value` rows. The header is optional; with one, the first column is the time and the column named
/// `value` (else the second) is the load. Times: RFC 3339, or seconds or milliseconds since 1970. An empty value is
/// no measurement. Rows must be in order of time, without repeats.
pub fn read(path: &Path) -> Result<Points, Problem> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    parse(&read_text(path, &name)?, &name)
}

fn read_text(path: &Path, name: &str) -> Result<String, Problem> {
    let unreadable = |e: std::io::Error| Problem::new(name, "a readable CSV file of UTF-8 text", e.to_string());
    let mut bytes = Vec::new();
    if name == "standard input" {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        std::fs::File::open(path).and_then(|f| f.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice())
            .take(MAX_BYTES + 1)
            .read_to_end(&mut plain)
            .map_err(unreadable)?;
        bytes = plain;
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(
            Problem::new(name, format!("at most {MAX_BYTES} bytes"), "more").help("cut the file or use a coarser step")
        );
    }
    String::from_utf8(bytes)
        .map_err(|e| Problem::new(name, "UTF-8 text", format!("byte {} is not", e.utf8_error().valid_up_to())))
}

/// Parses the text of a CSV; `name` is what errors call it.
pub fn parse(text: &str, name: &str) -> Result<Points, Problem> {
    let mut rows = text
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim().trim_start_matches('\u{feff}')))
        .filter(|(_, line)| !line.is_empty())
        .peekable();
    let mut value_column = 1;
    if let Some((_, first)) = rows.peek() {
        let cells: Vec<&str> = first.split(',').map(str::trim).collect();
        if Time::parse(unquote(cells[0])).is_err() && cells.get(1).is_none_or(|c| unquote(c).parse::<f64>().is_err()) {
            value_column = cells.iter().position(|c| unquote(c).eq_ignore_ascii_case("value")).unwrap_or(1);
            rows.next();
        }
    }
    let mut points: Points = Vec::new();
    for (line, row) in rows {
        let at = || format!("{name}:{line}");
        let cells: Vec<&str> = row.split(',').map(str::trim).collect();
        let time_cell = unquote(cells.first().copied().unwrap_or_default());
        let value_cell = unquote(cells.get(value_column).copied().ok_or_else(|| {
            Problem::new(at(), "a row time,value", shorten(row)).help("separate the columns by commas")
        })?);
        let time = Time::parse(time_cell).map_err(|_| {
            let swapped = Time::parse(value_cell).is_ok() && value_cell.contains('T');
            Problem::new(
                at(),
                "a time: RFC 3339 (2021-01-08T00:00:00Z) or seconds or milliseconds since 1970",
                format!("{time_cell:?}"),
            )
            .help(if swapped { "the two columns look swapped: the time comes first" } else { "" })
        })?;
        if let Some((previous, _)) = points.last() {
            if time == *previous {
                return Err(Problem::new(at(), "each time once", format!("{time} again"))
                    .help("remove duplicate rows, or sum them if they are parts"));
            }
            if time < *previous {
                let swapped = value_cell.parse::<f64>().is_ok_and(|v| v > 1e8);
                return Err(Problem::new(at(), "rows in order of time", format!("{time} after {previous}")).help(
                    if swapped {
                        "the two columns look swapped: the time comes first"
                    } else {
                        "sort the file by its first column"
                    },
                ));
            }
        }
        if value_cell.is_empty() {
            continue;
        }
        let value: f64 =
            value_cell.parse().map_err(|_| Problem::new(at(), "a load: a number", format!("{value_cell:?}")))?;
        if !value.is_finite() || value < 0.0 {
            return Err(Problem::new(at(), "a load: finite and not negative", format!("{value_cell:?}"))
                .help("leave the value empty, or the row out, where nothing was measured"));
        }
        points.push((time, value));
    }
    if points.is_empty() {
        return Err(Problem::new(name, "at least one row time,value", "none"));
    }
    Ok(points)
}

fn unquote(cell: &str) -> &str {
    cell.strip_prefix('"').and_then(|c| c.strip_suffix('"')).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(text: &str) -> Vec<(i64, f64)> {
        parse(text, "x.csv").unwrap().into_iter().map(|(t, v)| (t.secs(), v)).collect()
    }

    fn error(text: &str) -> String {
        parse(text, "x.csv").unwrap_err().to_string()
    }

    #[test]
    fn three_forms_of_time_with_and_without_header() {
        assert_eq!(times("timestamp,value\n1970-01-01T00:01:00Z,5\n"), [(60, 5.0)]);
        assert_eq!(times("60,5\n120,6"), [(60, 5.0), (120, 6.0)]);
        assert_eq!(times("\u{feff}when,region,value\r\n1600000000000,eu,5\r\n"), [(1_600_000_000, 5.0)]);
    }

    #[test]
    fn an_empty_value_is_a_hole_not_a_zero() {
        assert_eq!(times("0,1\n60,\n120,0\n"), [(0, 1.0), (120, 0.0)]);
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, says) in [
            ("0,1\n0,2", "x.csv:2: expected each time once"),
            ("60,1\n0,2", "x.csv:2: expected rows in order of time"),
            ("0,-1", "x.csv:1: expected a load: finite and not negative"),
            ("0,NaN", "x.csv:1: expected a load: finite and not negative"),
            ("0,1\n60,abc", "x.csv:2: expected a load: a number; found \"abc\""),
            ("5,2021-01-01T00:00:00Z", "x.csv:1: expected a load"),
            ("value,timestamp\nabc,2021-01-01T00:00:00Z", "look swapped"),
            ("0,1\n60", "x.csv:2: expected a row time,value"),
            ("", "expected at least one row"),
            ("timestamp,value\n", "expected at least one row"),
        ] {
            assert!(error(text).contains(says), "{text:?} gave {}", error(text));
        }
    }
}
