//! The program's own history on disk: what it has been told of each query, so that more is known than sources keep.
//!
//! One file of SQLite, which answers a damaged file with an error. A row is a day of one query: format, checksum, and the
//! numbers deflated. A file that cannot be read, or is of another format, is set aside, and another one begun.

use super::Points;
use crate::error::Problem;
use crate::units::{Step, Time};
use flate2::Crc;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The format that is written, SQLite's `user_version`. Others are set aside.
const FORMAT: u8 = 1;
/// (query, day since 1970) → a day of it.
const SCHEMA: &str = "CREATE TABLE days (series BLOB NOT NULL, day INTEGER NOT NULL, loads BLOB NOT NULL, \
                      PRIMARY KEY (series, day)) WITHOUT ROWID; CREATE INDEX by_day ON days (day);";
/// The name of the file.
const FILE: &str = "history.sqlite";
/// Files that are set aside at most; the newest one is overwritten then.
const ASIDE_MAX: u32 = 8;
const DAY: i64 = 86_400;

/// One query of one source at one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesId([u8; 16]);

impl SeriesId {
    /// The same for the same source, query and step.
    pub fn of(source: &str, query: &str, step: Step) -> SeriesId {
        let digest = Sha256::digest(format!("{source}\0{query}\0{}", step.secs()));
        SeriesId(digest.first_chunk().copied().unwrap_or_default())
    }
}

/// History on disk.
#[derive(Debug)]
pub struct Store {
    /// None: it was damaged, and another one could not be begun.
    db: Mutex<Option<Connection>>,
    path: PathBuf,
}

impl Store {
    /// Opens the store in `folder`, or begins one. Gives what was set aside, if anything, in words.
    ///
    /// # Errors
    /// The folder cannot be written, or another copy of the program has the file open.
    pub fn open(folder: &Path) -> Result<(Store, Option<String>), Problem> {
        let path = folder.join(FILE);
        let problem = |found: String| {
            let help = "give each copy of the program a folder of its own, or leave store.path out";
            Problem::new("store.path", "a folder that can be written", found).help(help)
        };
        std::fs::create_dir_all(folder).map_err(|e| problem(format!("{}: {e}", folder.display())))?;
        let (db, said) = match begin(&path) {
            Ok(db) => (db, None),
            Err(Why::Unavailable(why)) => return Err(problem(format!("{}: {why}", path.display()))),
            Err(Why::Unreadable(why)) => begin_anew(&path, &why).map(|(db, said)| (db, Some(said))).map_err(problem)?,
        };
        Ok((Store { db: Mutex::new(Some(db)), path }, said))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does something with the file; one that turns out to be damaged is set aside.
    fn with<T>(&self, does: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, String> {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = db.as_mut() else { return Err("it was damaged, and could not be begun anew".into()) };
        let error = match does(open) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Why::Unreadable(why) = Why::of(&error) else { return Err(error.to_string()) };
        *db = None;
        let (anew, said) = begin_anew(&self.path, &why)?;
        *db = Some(anew);
        Err(said)
    }

    /// Adds points to what is known, on the grid of `step`; newer ones of the same instant win. Days that ended before
    /// `oldest` are forgotten, of all queries.
    ///
    /// # Errors
    /// The file cannot be written; nothing of these points is kept then.
    pub fn put(&self, news: &[(SeriesId, Step, Points)], oldest: Time) -> Result<(), String> {
        self.with(|db| {
            let write = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (id, step, points) in news {
                let mut by_day: BTreeMap<i64, Points> = BTreeMap::new();
                for point in points {
                    by_day.entry(point.0.secs().div_euclid(DAY)).or_default().push(*point);
                }
                for (day, points) in by_day {
                    put_day(&write, *id, Grid::new(day, *step), day, &points)?;
                }
            }
            write.execute("DELETE FROM days WHERE day < ?1", [oldest.secs().div_euclid(DAY)])?;
            write.commit()
        })
    }

    /// What is known of a query from `from` on, oldest first. A day that was damaged is left out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn points(&self, id: SeriesId, step: Step, from: Time) -> Result<Points, String> {
        self.with(|db| {
            let mut rows =
                db.prepare_cached("SELECT day, loads FROM days WHERE series = ?1 AND day >= ?2 ORDER BY day")?;
            let mut rows = rows.query((id.0.as_slice(), from.secs().div_euclid(DAY)))?;
            let mut points = Points::new();
            while let Some(row) = rows.next()? {
                let grid = Grid::new(row.get(0)?, step);
                let loads = unpack(&row.get::<_, Vec<u8>>(1)?, grid.slots).unwrap_or_default();
                let known = loads.into_iter().enumerate().filter(|(_, load)| load.is_finite());
                points.extend(known.map(|(i, load)| (grid.at(i), load)).filter(|(at, _)| *at >= from));
            }
            Ok(points)
        })
    }
}

fn put_day(write: &Transaction<'_>, id: SeriesId, grid: Grid, day: i64, points: &Points) -> rusqlite::Result<()> {
    let mut known = write.prepare_cached("SELECT loads FROM days WHERE series = ?1 AND day = ?2")?;
    let known: Option<Vec<u8>> = known.query_row((id.0.as_slice(), day), |row| row.get(0)).optional()?;
    let mut loads = known.and_then(|row| unpack(&row, grid.slots)).unwrap_or_else(|| vec![f64::NAN; grid.slots]);
    for (at, load) in points {
        if let Some(slot) = grid.place(*at).and_then(|i| loads.get_mut(i)) {
            *slot = *load;
        }
    }
    let mut insert = write.prepare_cached("INSERT OR REPLACE INTO days (series, day, loads) VALUES (?1, ?2, ?3)")?;
    insert.execute((id.0.as_slice(), day, pack(&loads))).map(drop)
}

/// Why a file cannot be used.
enum Why {
    /// It may be good, but not for us, now.
    Unavailable(String),
    /// It is not what we wrote.
    Unreadable(String),
}

impl Why {
    fn of(error: &rusqlite::Error) -> Why {
        // a file that ends too soon
        if error.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ) {
            return Why::Unreadable(error.to_string());
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Why::Unavailable("another copy has it open".into())
            }
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::DiskFull
                | ErrorCode::OutOfMemory
                | ErrorCode::SystemIoFailure,
            ) => Why::Unavailable(error.to_string()),
            _ => Why::Unreadable(error.to_string()),
        }
    }
}

/// Opens a file, for nobody else meanwhile.
fn begin(path: &Path) -> Result<Connection, Why> {
    let open = || -> rusqlite::Result<(Connection, i64)> {
        let mut db = Connection::open(path)?;
        db.busy_timeout(std::time::Duration::ZERO)?;
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let write = db.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        let mut format: i64 = write.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: i64 = write.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if format == 0 && tables == 0 {
            format = i64::from(FORMAT);
            write.execute_batch(SCHEMA)?;
            write.pragma_update(None, "user_version", format)?;
        }
        write.commit()?;
        Ok((db, format))
    };
    match open() {
        Ok((db, format)) if format == i64::from(FORMAT) => Ok(db),
        Ok((_, format)) => Err(Why::Unreadable(format!("its format is {format}, not {FORMAT}"))),
        Err(error) => Err(Why::of(&error)),
    }
}

/// Sets a file aside and begins another one. What was done, in words.
fn begin_anew(path: &Path, why: &str) -> Result<(Connection, String), String> {
    let names = (1..=ASIDE_MAX).map(|n| path.with_file_name(format!("{FILE}.aside-{n}")));
    let aside = names.clone().find(|name| !name.exists()).or(names.clone().next_back()).unwrap_or_default();
    let (old, new) = (path.display(), aside.display());
    std::fs::rename(path, &aside).map_err(|e| format!("{old}: {why}; it cannot be set aside: {e}"))?;
    // what was under way in the old file is none of the new one's
    let journal = path.with_file_name(format!("{FILE}-journal"));
    let _ = std::fs::remove_file(journal);
    match begin(path) {
        Ok(db) => Ok((db, format!("{old} cannot be used ({why}): it is now {new}, and history is kept anew"))),
        Err(Why::Unavailable(why) | Why::Unreadable(why)) => Err(format!("{old}: {why}")),
    }
}

/// The steps of one day.
struct Grid {
    /// The first instant of the grid in it.
    first: i64,
    step: i64,
    slots: usize,
}

impl Grid {
    fn new(day: i64, step: Step) -> Grid {
        let (begin, step) = (day * DAY, i64::from(step.secs()));
        let first = begin + (-begin).rem_euclid(step);
        let slots = usize::try_from((begin + DAY - first + step - 1) / step).unwrap_or(0);
        Grid { first, step, slots }
    }

    /// None: it is not on the grid.
    fn place(&self, at: Time) -> Option<usize> {
        let after = at.secs() - self.first;
        (after % self.step == 0).then(|| usize::try_from(after / self.step).ok()).flatten()
    }

    fn at(&self, slot: usize) -> Time {
        Time::from_secs(self.first + self.step * slot as i64)
    }
}

/// Format, checksum of what follows, deflated numbers.
fn pack(loads: &[f64]) -> Vec<u8> {
    let plain: Vec<u8> = loads.iter().flat_map(|load| load.to_le_bytes()).collect();
    let mut packed = Vec::new();
    // reading from memory cannot fail; were it to, the row would be found damaged
    let _ = DeflateEncoder::new(plain.as_slice(), flate2::Compression::fast()).read_to_end(&mut packed);
    let mut row = vec![FORMAT];
    row.extend(checksum(&packed).to_le_bytes());
    row.extend(packed);
    row
}

/// None: it is damaged, or not a day of so many steps.
fn unpack(row: &[u8], slots: usize) -> Option<Vec<f64>> {
    let (format, rest) = row.split_first()?;
    let (sum, packed) = rest.split_first_chunk::<4>()?;
    if *format != FORMAT || u32::from_le_bytes(*sum) != checksum(packed) {
        return None;
    }
    let mut plain = Vec::new();
    DeflateDecoder::new(packed).take(slots as u64 * 8 + 1).read_to_end(&mut plain).ok()?;
    let (loads, rest) = plain.as_chunks::<8>();
    (loads.len() == slots && rest.is_empty()).then(|| loads.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(from: i64, count: i64, load: impl Fn(i64) -> f64) -> Points {
        (from..from + count).map(|m| (Time::from_secs(60 * m), load(m))).collect()
    }

    fn id(query: &str) -> SeriesId {
        SeriesId::of("main", query, Step::MINUTE)
    }

    /// A store of three days of one query, in a folder of its own.
    fn filled() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let (store, aside) = Store::open(folder.path()).unwrap();
        assert_eq!(aside, None);
        let points = minutes(-1000, 3 * 1440, |m| (m as f64).sin().abs());
        store.put(&[(id("a"), Step::MINUTE, points)], Time::from_secs(-10 * DAY)).unwrap();
        (folder, store)
    }

    #[test]
    fn what_was_put_comes_back_after_it_was_closed_and_newer_points_win() {
        let (folder, store) = filled();
        let news = [
            (id("a"), Step::MINUTE, vec![(Time::from_secs(0), 7.5), (Time::from_secs(61), 9.0)]),
            (id("b"), Step::MINUTE, minutes(0, 2, |_| 1.0)),
        ];
        store.put(&news, Time::from_secs(-10 * DAY)).unwrap();
        drop(store);
        let (store, _) = Store::open(folder.path()).unwrap();
        let mut expected = minutes(-1000, 3 * 1440, |m| (m as f64).sin().abs());
        expected[1000].1 = 7.5;
        assert_eq!(
            store.points(id("a"), Step::MINUTE, Time::from_secs(-60_000)).unwrap(),
            expected,
            "61 s is off the grid"
        );
        assert_eq!(store.points(id("a"), Step::MINUTE, Time::from_secs(60)).unwrap(), expected[1001..]);
        assert_eq!(store.points(id("b"), Step::MINUTE, Time::from_secs(-60_000)).unwrap().len(), 2);
        assert_eq!(store.points(id("c"), Step::MINUTE, Time::from_secs(-60_000)).unwrap(), []);
    }

    #[test]
    fn old_days_are_forgotten() {
        let (_folder, store) = filled();
        store.put(&[], Time::from_secs(DAY + 5)).unwrap();
        let left = store.points(id("a"), Step::MINUTE, Time::from_secs(-60_000)).unwrap();
        assert_eq!(left.first().map(|p| p.0), Some(Time::from_secs(DAY)), "the day that it falls into stays");
    }

    #[test]
    fn a_step_that_no_day_is_a_multiple_of_keeps_its_grid() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let step = Step::from_secs(7 * 60).unwrap();
        let points: Points = (-400..400).map(|i| (Time::from_secs(420 * i), i as f64)).collect();
        let id = SeriesId::of("main", "q", step);
        store.put(&[(id, step, points.clone())], Time::from_secs(-10 * DAY)).unwrap();
        assert_eq!(store.points(id, step, Time::from_secs(-10 * DAY)).unwrap(), points);
        assert_ne!(id, SeriesId::of("main", "q", Step::MINUTE));
    }

    #[test]
    fn a_file_of_another_format_and_one_that_is_none_are_set_aside() {
        let (folder, store) = filled();
        store.with(|db| db.pragma_update(None, "user_version", 2)).unwrap();
        drop(store);
        let (store, aside) = Store::open(folder.path()).unwrap();
        assert!(aside.unwrap().contains("its format is 2, not 1"));
        assert_eq!(store.points(id("a"), Step::MINUTE, Time::from_secs(0)).unwrap(), []);
        drop(store);
        std::fs::write(folder.path().join(FILE), "not a database at all, only some text").unwrap();
        let (_store, aside) = Store::open(folder.path()).unwrap();
        assert!(aside.unwrap().contains("aside-2"), "the first one is kept");
    }

    #[test]
    fn a_file_that_another_copy_has_open_stays_as_it_is() {
        let (folder, store) = filled();
        let problem = Store::open(folder.path()).unwrap_err().to_string();
        assert!(problem.contains("another copy has it open") && problem.contains("store.path"), "{problem}");
        assert_eq!(store.points(id("a"), Step::MINUTE, Time::from_secs(0)).unwrap().len(), 3320);
    }

    #[test]
    fn whatever_byte_is_changed_nothing_wrong_is_read() {
        let (folder, store) = filled();
        let all = store.points(id("a"), Step::MINUTE, Time::from_secs(-60_000)).unwrap();
        drop(store);
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for i in 0..400usize {
            let mut bytes = whole.clone();
            let at = i * 7919 % bytes.len();
            bytes[at] ^= 1 << (i % 8);
            if i % 10 == 0 {
                bytes.truncate(at);
            }
            std::fs::write(&path, bytes).unwrap();
            // another file is begun, a damaged day is missing, or all is there
            let (store, _) = Store::open(folder.path()).unwrap();
            let read = store.points(id("a"), Step::MINUTE, Time::from_secs(-60_000));
            assert!(read.iter().flatten().all(|p| all.contains(p)), "byte {at}");
            let news = [(id("b"), Step::MINUTE, minutes(0, 9, |_| 1.0))];
            let put = || store.put(&news, Time::from_secs(-10 * DAY));
            assert_eq!(put().or_else(|_| put()), Ok(()), "byte {at}: in use again after the first word of it");
        }
    }

    #[test]
    fn eight_weeks_of_minutes_are_small() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let points = minutes(0, 56 * 1440, |m| (1000.0 * (1.0 + (m as f64 / 229.0).sin())).round());
        store.put(&[(id("a"), Step::MINUTE, points)], Time::from_secs(0)).unwrap();
        assert_eq!(store.points(id("a"), Step::MINUTE, Time::from_secs(0)).unwrap().len(), 56 * 1440);
        drop(store);
        let size = std::fs::metadata(folder.path().join(FILE)).unwrap().len();
        assert!(size < 2_000_000, "{size}");
    }
}
