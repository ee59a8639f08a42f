//! History from CSV: a file, a `.gz` file or standard input (`-`).

use super::Points;
use crate::error::Problem;
use crate::units::{APPEND_ZONE, Time};
use std::io::Read;
use std::path::Path;

/// Bytes of one CSV after unpacking: 10 years of minutes at 50 bytes a row.
const MAX_BYTES: u64 = 300_000_000;

/// The largest load that is read: decisions remember loads up to 2^64, and a forecast may be a multiple of one.
const LOAD_MAX: f64 = 1e15;

/// Reads `time,value` rows, with any spacing of the times. The header is optional; with one, the columns called
/// `timestamp` (or `time`, `date`, `datetime`, `ts`) and `value` are taken wherever they stand, else the first column
/// is the time and the only other one the load. Without one, a second number after the time is an error. Times: RFC
/// 3339, or seconds or milliseconds since 1970. An empty value, or `null`, is no measurement. Rows must be in order of
/// time, without repeats. Errors name file and line.
pub fn read(path: &Path) -> Result<Points, Problem> {
    let name = name(path);
    parse(&read_text(path, &name)?, &name)
}

/// What messages call the file.
pub fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

fn read_text(path: &Path, name: &str) -> Result<String, Problem> {
    let unreadable = |e: std::io::Error| {
        Problem::new(name, "a readable CSV file of UTF-8 text", e.to_string())
            .help("check --history, and who may read it")
    };
    let mut bytes = Vec::new();
    if name == "standard input" {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        std::fs::File::open(path).and_then(|f| f.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    }
    unpack(&bytes, name)
}

/// The text of a CSV from its bytes, gzipped or plain; `name` is what errors call it.
pub fn unpack(bytes: &[u8], name: &str) -> Result<String, Problem> {
    let mut plain = Vec::new();
    let unpacked = if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes).take(MAX_BYTES + 1).read_to_end(&mut plain)
    } else {
        bytes.take(MAX_BYTES + 1).read_to_end(&mut plain)
    };
    unpacked.map_err(|e| {
        Problem::new(name, "a readable CSV file of UTF-8 text", e.to_string())
            .help("unpack it by hand, or copy it again")
    })?;
    let bytes = plain;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(
            Problem::new(name, format!("at most {MAX_BYTES} bytes"), "more").help("cut the file or use a coarser step")
        );
    }
    String::from_utf8(bytes)
        .map_err(|e| Problem::new(name, "UTF-8 text", format!("byte {} is not", e.utf8_error().valid_up_to())))
}

/// Where the two columns stand in a row, how many a row has at most, and whether a header says so.
#[derive(Clone, Copy)]
struct Columns {
    time: usize,
    value: usize,
    count: usize,
    named: bool,
}

/// Parses the text of a CSV; `name` is what errors call it.
pub fn parse(text: &str, name: &str) -> Result<Points, Problem> {
    let mut points: Points = Vec::new();
    let rows = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim().trim_start_matches('\u{feff}')));
    let mut rows = rows.filter(|(_, line)| !line.is_empty()).peekable();
    // what spreadsheets say of the separator; if it is no comma, the next row shows it
    if rows.peek().is_some_and(|(_, first)| first.starts_with("sep=")) {
        rows.next();
    }
    let columns = match rows.peek().copied() {
        Some((line, first)) if is_header(first) => {
            rows.next();
            named(first).map_err(|p| Problem { at: format!("{name}:{line}"), ..p })?
        }
        first => {
            let count = first.map_or(2, |(_, row)| cells(row).count());
            Columns { time: 0, value: 1, count, named: false }
        }
    };
    for (line, row) in rows {
        let (time, value) = sample(row, columns).map_err(|p| Problem { at: format!("{name}:{line}"), ..p })?;
        if points.is_empty() && time.secs() < EPOCHS_FROM && value.is_some_and(looks_like_a_time) {
            let expected = format!("a time, and then a load, which does not look like a time after {time}");
            return Err(Problem::new(format!("{name}:{line}"), expected, format!("{row:?}")).help(SWAPPED));
        }
        if let Some((previous, _)) = points.last().filter(|(previous, _)| time <= *previous) {
            let at = format!("{name}:{line}");
            let swapped = value.is_some_and(looks_like_a_time);
            return Err(if swapped {
                Problem::new(at, "rows in order of time", format!("{time} after {previous}")).help(SWAPPED)
            } else if time == *previous {
                Problem::new(at, "each time once", format!("{time} again"))
                    .help("remove repeated rows, or sum them if they are parts of one load")
            } else {
                Problem::new(at, "rows in order of time", format!("{time} after {previous}"))
                    .help("sort the file by its times")
            });
        }
        // an empty value keeps its place in the order, as no measurement
        points.push((time, value.unwrap_or(f64::NAN)));
    }
    points.retain(|(_, value)| !value.is_nan());
    if points.is_empty() {
        return Err(Problem::new(name, "at least one row time,value", "none"));
    }
    Ok(points)
}

const SWAPPED: &str =
    "the two columns look swapped: the time comes first, or a header names the columns timestamp,value";

const PLAIN: &str = "write decimals with a point, not a comma, and no thousands separators";

/// Whether a row is a header: it has neither a time nor a number in the first two cells.
fn is_header(row: &str) -> bool {
    let first: Vec<&str> = cells(row).take(2).collect();
    first.len() == 2 && first.iter().all(|c| !c.is_empty() && Time::parse(c).is_err() && c.parse::<f64>().is_err())
}

/// The columns by the names in a header; which one is the load must be clear. Problems have no place yet.
fn named(header: &str) -> Result<Columns, Problem> {
    const TIMES: [&str; 5] = ["timestamp", "time", "date", "datetime", "ts"];
    let columns: Vec<(usize, &str)> = cells(header).enumerate().filter(|(_, name)| !name.is_empty()).collect();
    let called = |names: &[&str]| -> Vec<usize> {
        let found = columns.iter().filter(|(_, name)| names.iter().any(|n| name.eq_ignore_ascii_case(n)));
        found.map(|(i, _)| *i).collect()
    };
    let mut loads = called(&["value"]);
    let first = columns.iter().map(|(i, _)| *i).find(|i| !loads.contains(i));
    let time = called(&TIMES).first().copied().or(first).unwrap_or(0);
    if loads.is_empty() {
        loads = columns.iter().map(|(i, _)| *i).filter(|i| *i != time).collect();
    }
    match loads.as_slice() {
        [value] => {
            let count = columns.last().map_or(0, |(i, _)| i + 1);
            Ok(Columns { time, value: *value, count, named: true })
        }
        _ => {
            let names: Vec<&str> = columns.iter().map(|(_, name)| *name).collect();
            let expected = "one column besides the time, or exactly one called value";
            Err(Problem::new("", expected, names.join(", "))
                .help("name the column of the load value, or keep two columns"))
        }
    }
}

/// The time and value of a row; no value where none was measured. Problems have no place yet.
fn sample(row: &str, columns: Columns) -> Result<(Time, Option<f64>), Problem> {
    let problem = |expected: &str, found: &str| Problem::new("", expected, format!("{found:?}"));
    let cell = |column: usize| {
        cells(row).nth(column).ok_or_else(|| problem("a row time,value", row).help("separate the columns by commas"))
    };
    let (time_cell, value_cell) = (cell(columns.time)?, cell(columns.value)?);
    let third = cells(row).skip(2).find(|extra| !extra.is_empty());
    if !columns.named && third.is_some_and(|third| third.parse::<f64>().is_ok()) {
        // most likely the rest of the load
        return Err(problem("one number after the time, or a header that names the columns", row).help(PLAIN));
    }
    if cells(row).skip(columns.count).any(|extra| !extra.is_empty()) {
        let whose = if columns.named { "the header" } else { "the first row" };
        let expected = format!("at most {} cells, as {whose} has", columns.count);
        return Err(problem(&expected, row).help(PLAIN));
    }
    let value = value_cell.parse::<f64>();
    let time = Time::parse(time_cell).map_err(|_| {
        let expected = "a time: RFC 3339 (2021-01-08T00:00:00Z) or seconds or milliseconds since 1970";
        let swapped = value.is_err() && Time::parse(value_cell).is_ok();
        problem(expected, time_cell).help(match swapped {
            true => SWAPPED,
            false if Time::lacks_zone(time_cell) => APPEND_ZONE,
            false => "",
        })
    })?;
    if value_cell.is_empty() || value_cell.eq_ignore_ascii_case("null") {
        return Ok((time, None));
    }
    match value {
        Ok(value) if value.is_finite() && value > LOAD_MAX => {
            Err(problem(&format!("a load of at most {LOAD_MAX:e}"), value_cell).help("use a larger unit"))
        }
        Ok(value) if value.is_finite() && value >= 0.0 => Ok((time, Some(value))),
        Ok(_) => Err(problem("a load: finite and not negative", value_cell)
            .help("leave the value empty, or the row out, where nothing was measured")),
        Err(_) => {
            let swapped = Time::parse(value_cell).is_ok();
            let digits = value_cell.contains(|c: char| c.is_ascii_digit());
            Err(problem("a load: a number", value_cell).help(match swapped {
                true => SWAPPED,
                false if digits => PLAIN,
                false => "",
            }))
        }
    }
}

/// Seconds since 1970 from which on a time is surely one: 2001.
const EPOCHS_FROM: i64 = 1_000_000_000;

/// Whether a value is rather seconds or milliseconds since 1970, from 2001 to 2286.
fn looks_like_a_time(value: f64) -> bool {
    value.fract() == 0.0 && ((1e9..1e10).contains(&value) || (1e12..1e13).contains(&value))
}

/// The cells of a row; commas within double quotes are part of one.
fn cells(row: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let apart = move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    row.split(apart).map(str::trim).map(|cell| cell.strip_prefix('"').and_then(|c| c.strip_suffix('"')).unwrap_or(cell))
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
        assert_eq!(times("\"time\",\"load\"\n\"60\",\"5\"\n\n"), [(60, 5.0)]);
        assert_eq!(times("value,host,Timestamp\n5,a,60\n"), [(60, 5.0)]);
        assert_eq!(times("0,1\n60,1\n61,1\n4000,1").len(), 4);
        assert_eq!(times("time,value,labels\n60,5,\"a=1,b=2\"\n120,6,\n"), [(60, 5.0), (120, 6.0)]);
        assert_eq!(times("time,value\n60,5,\n"), [(60, 5.0)], "a comma at the end");
        assert_eq!(times("time,load,\n60,5,\n"), [(60, 5.0)], "a comma at the end of the header too");
        assert_eq!(times("sep=,\r\ntime,load\r\n60,5\r\n"), [(60, 5.0)]);
        assert_eq!(times("60,5,web\n120,6,\n"), [(60, 5.0), (120, 6.0)], "a third cell that is no number");
    }

    #[test]
    fn the_only_column_that_can_be_the_load_is_taken_wherever_it_stands() {
        assert_eq!(times("Load,Time\n5,60\n"), [(60, 5.0)]);
        assert_eq!(times("\"Time\",\"web-1\"\n60,5\n"), [(60, 5.0)]);
        assert_eq!(times("value,when\n5,60\n"), [(60, 5.0)]);
        assert_eq!(times("id,VALUE,ts\n1,5,60\n2,6,120\n"), [(60, 5.0), (120, 6.0)]);
    }

    #[test]
    fn an_empty_value_is_a_hole_not_a_zero() {
        assert_eq!(times("0,1\n60,\n120,0\n"), [(0, 1.0), (120, 0.0)]);
        assert_eq!(times("0,null\n60,NULL\n120,0\n"), [(120, 0.0)], "what Grafana and databases write");
        assert!(error("60,\n0,1").contains("x.csv:2: expected rows in order of time"));
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, says) in [
            ("0,1\n0,2", "x.csv:2: expected each time once"),
            ("60,1\n0,2", "x.csv:2: expected rows in order of time; found 1970-01-01T00:00:00Z after"),
            ("0,-1", "x.csv:1: expected a load: finite and not negative; found \"-1\""),
            ("0,NaN", "x.csv:1: expected a load: finite and not negative; found \"NaN\""),
            ("0,inf", "x.csv:1: expected a load: finite and not negative"),
            ("0,1e15\n60,2e15", "x.csv:2: expected a load of at most 1e15; found \"2e15\"; use a larger unit"),
            (
                "timestamp,value\n0,1,5\n",
                "x.csv:2: expected at most 2 cells, as the header has; found \"0,1,5\"; write decimals with a point",
            ),
            (
                "1795305600,1,200\n1795305660,1,210\n",
                "x.csv:1: expected one number after the time, or a header that names the columns; found \"1795305600,1,200\"; write decimals with a point, not a comma, and no thousands",
            ),
            ("2026-01-08T00:00:00Z,812,5", "x.csv:1: expected one number after the time"),
            ("0,999\n60,1,200", "x.csv:2: expected one number after the time"),
            ("0,5,,7", "x.csv:1: expected one number after the time"),
            ("0,5,a\n60,6,a,b", "x.csv:2: expected at most 3 cells, as the first row has; found \"60,6,a,b\"; write"),
            ("time,load,\n60,812,5", "x.csv:2: expected at most 2 cells, as the header has"),
            ("60,\"1,200.0\"", "x.csv:1: expected a load: a number; found \"1,200.0\"; write decimals with a point"),
            ("60,\"1.234,5\"", "x.csv:1: expected a load: a number; found \"1.234,5\"; write decimals with a point"),
            (
                "\nid,Time,Load\n1,60,5",
                "x.csv:2: expected one column besides the time, or exactly one called value; found id, Time, Load; name the column of the load value, or keep",
            ),
            ("\"Time\",\"web-1\",\"web-2\",\"web-3\"\n60,1,2,3", "; found Time, web-1, web-2, web-3; name"),
            ("Timestamp,instance,Load\n60,3,5", "; found Timestamp, instance, Load; name"),
            ("time,value,Value\n60,3,5", "; found time, value, Value; name"),
            (
                "sep=;\nTime;Load\n60;5",
                "x.csv:2: expected a row time,value; found \"Time;Load\"; separate the columns by",
            ),
            ("0,1\n60,abc", "x.csv:2: expected a load: a number; found \"abc\""),
            (
                "5,2021-01-01T00:00:00Z",
                "x.csv:1: expected a load: a number; found \"2021-01-01T00:00:00Z\"; the two columns",
            ),
            ("abc,2021-01-01T00:00:00Z", "x.csv:1: expected a time"),
            ("7,1610064000\n5,1610064060", "x.csv:1: expected a time, and then a load"),
            ("5,1610064000\n7,1610064060", "look swapped"),
            ("7,\n8,2\n6,1610064060", "look swapped"),
            ("load,when\nx7,2021-01-01T00:00:00Z", "x.csv:2: expected a time"),
            ("0,1\n60", "x.csv:2: expected a row time,value; found \"60\""),
            ("0;1", "x.csv:1: expected a row time,value"),
            ("", "x.csv: expected at least one row"),
            ("\n \n", "x.csv: expected at least one row"),
            ("timestamp,value\n", "x.csv: expected at least one row"),
            ("0,\n60,", "x.csv: expected at least one row"),
        ] {
            assert!(error(text).contains(says), "{text:?} gave {}", error(text));
        }
    }

    #[test]
    fn files_plain_packed_and_unreadable() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("a.csv"), "0,1\n60,2\n").unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(b"0,1\n60,2\n").unwrap();
        let packed = gz.finish().unwrap();
        std::fs::write(path("a.csv.gz"), &packed).unwrap();
        assert_eq!(read(&path("a.csv")), read(&path("a.csv.gz")));
        std::fs::write(path("cut.gz"), &packed[..packed.len() / 2]).unwrap();
        std::fs::write(path("latin1.csv"), b"zeit,wert\n0,\xe4\n").unwrap();
        for name in ["none.csv", "cut.gz", "latin1.csv", "."] {
            let told = read(&path(name)).unwrap_err().to_string();
            assert!(told.starts_with(&path(name).display().to_string()) && told.contains("expected"), "{told}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_a_load(text in "[-0-9,.\"\nTZ:e+a ]{0,80}") {
            if let Ok(points) = parse(&text, "x.csv") {
                proptest::prop_assert!(points.iter().all(|(_, v)| v.is_finite() && *v >= 0.0));
                proptest::prop_assert!(points.windows(2).all(|w| w[0].0 < w[1].0));
            }
        }
    }
}
