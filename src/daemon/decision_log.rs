//! The decision log: one line of JSON after the other, in a file that starts again at its largest size.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file and how full it is. One old file is kept beside it, with `.1` at its end.
pub struct DecisionLog {
    path: PathBuf,
    size_max: u64,
    open: Mutex<Open>,
}

struct Open {
    file: BufWriter<File>,
    size: u64,
    failing: bool,
}

fn append(path: &Path) -> io::Result<Open> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok(Open { file: BufWriter::new(file), size, failing: false })
}

impl DecisionLog {
    /// Opens or continues the file.
    pub fn open(path: &Path, size_max: u64) -> io::Result<DecisionLog> {
        Ok(DecisionLog { path: path.to_path_buf(), size_max, open: Mutex::new(append(path)?) })
    }

    /// Appends lines. A file that cannot be written is said once and never stops a decision.
    pub fn append<'a>(&self, lines: impl IntoIterator<Item = &'a str>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let result = lines.into_iter().try_for_each(|line| self.line(&mut open, line)).and_then(|()| open.file.flush());
        match result {
            Ok(()) => open.failing = false,
            Err(error) if !open.failing => {
                open.failing = true;
                tracing::error!(path = %self.path.display(), %error, "the decision log cannot be written");
            }
            Err(_) => {}
        }
    }

    fn line(&self, open: &mut Open, line: &str) -> io::Result<()> {
        if open.size > 0 && open.size + line.len() as u64 + 1 > self.size_max {
            open.file.flush()?;
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&self.path, old)?;
            *open = append(&self.path)?;
        }
        open.file.write_all(line.as_bytes())?;
        open.file.write_all(b"\n")?;
        open.size += line.len() as u64 + 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_starts_again_and_keeps_one_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.jsonl");
        let log = DecisionLog::open(&path, 10).unwrap();
        log.append(["1234", "1234"]);
        log.append(["abcd"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abcd\n");
        assert_eq!(std::fs::read_to_string(dir.path().join("d.jsonl.1")).unwrap(), "1234\n1234\n");
        drop(log);
        DecisionLog::open(&path, 100).unwrap().append(["efgh"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abcd\nefgh\n", "it is continued");
    }
}
