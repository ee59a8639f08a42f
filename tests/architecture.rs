//! Holds the code to `docs/architecture.md`: which module may use which, where time and randomness come from, which
//! modules have no I/O, and that every path the docs name exists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of one source file at most; a file is one room.
const FILE_LINES_MAX: usize = 500;

/// Modules that only compute: no files, environment, network, threads of their own.
const PURE: [&str; 13] = [
    "units", "occasion", "policy", "series", "forecast", "demand", "plan", "tick", "simulate", "backtest", "train",
    "lint", "error",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

/// Every source file with the module it belongs to and its text without tests.
fn sources() -> Vec<(PathBuf, String, String)> {
    let src = root().join("src");
    let mut found = Vec::new();
    files(&src, "rs", &mut found);
    found.sort();
    found
        .into_iter()
        .filter(|p| p.file_name().is_some_and(|n| n != "tests.rs" && n != "main.rs" && n != "lib.rs"))
        .map(|path| {
            let inner = path.strip_prefix(&src).unwrap();
            let module = inner.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
            let text = fs::read_to_string(&path).unwrap();
            // a test module ends a file; what else is only for tests stands among the code
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
            (inner.to_owned(), module.to_owned(), code)
        })
        .collect()
}

fn code_lines(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().map(|(i, l)| (i + 1, l)).filter(|(_, l)| !l.trim_start().starts_with("//"))
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let order: BTreeMap<&str, usize> = lib
        .lines()
        .filter_map(|l| l.trim().strip_prefix("pub mod ")?.strip_suffix(';'))
        .enumerate()
        .map(|(i, m)| (m, i))
        .collect();
    assert!(order.len() > 15, "the module list of src/lib.rs was not found");
    let mut wrong = Vec::new();
    for (path, module, code) in sources() {
        let own = order[module.as_str()];
        for (number, line) in code_lines(&code) {
            for (at, _) in line.match_indices("crate::") {
                let used: String =
                    line[at + 7..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if order.get(used.as_str()).is_some_and(|i| *i > own) {
                    wrong.push(format!("src/{}:{number}: {module} uses {used}, which stands below it", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn time_and_randomness_have_one_source_each() {
    const TIME: [&str; 4] = ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];
    const RANDOM: [&str; 6] =
        ["rand::rng()", "thread_rng", "rand::random", "RandomState", "from_os_rng", "from_entropy"];
    let mut wrong = Vec::new();
    for (path, module, code) in sources() {
        for (number, line) in code_lines(&code) {
            let time = module != "clock" && TIME.iter().any(|t| line.contains(t));
            let random = module != "rng" && RANDOM.iter().any(|t| line.contains(t));
            if time || random {
                wrong.push(format!("src/{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "only clock.rs reads time and only rng.rs makes randomness:\n{}", wrong.join("\n"));
}

#[test]
fn pure_modules_do_no_io() {
    const IO: [&str; 10] = [
        "std::fs",
        "std::env",
        "std::net",
        "std::process",
        "tokio::",
        "reqwest::",
        "kube::",
        "k8s_openapi::",
        "println!",
        "std::io",
    ];
    let mut wrong = Vec::new();
    for (path, module, code) in sources() {
        if !PURE.contains(&module.as_str()) {
            continue;
        }
        for (number, line) in code_lines(&code) {
            if IO.iter().any(|io| line.contains(io)) {
                wrong.push(format!("src/{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_in_the_program_panics_without_naming_its_invariant() {
    let mut wrong = Vec::new();
    for (path, _, code) in sources() {
        for (number, line) in code_lines(&code) {
            let expects = line.contains(".expect(\"") && !line.contains(".expect(\"invariant: ");
            if expects || line.contains("todo!(") || line.contains("unimplemented!(") || line.contains("panic!(") {
                wrong.push(format!("src/{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_kernels_that_index_are_those_that_the_docs_name() {
    let mut kernels: Vec<String> = sources()
        .into_iter()
        .filter(|(_, _, code)| code.contains("clippy::indexing_slicing"))
        .map(|(path, ..)| format!("src/{}", path.display()))
        .collect();
    kernels.sort();
    let docs = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, named) = docs.split_once("and there are no others:").unwrap();
    let mut named: Vec<String> = named.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    named.sort();
    assert_eq!(kernels, named);
}

#[test]
fn a_file_is_one_room() {
    let src = root().join("src");
    let mut found = Vec::new();
    files(&src, "rs", &mut found);
    for path in found {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines, more than {FILE_LINES_MAX}", path.display());
    }
}

#[test]
fn every_module_stands_in_the_docs() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let modules = lib.lines().filter_map(|l| l.trim().strip_prefix("pub mod ")?.strip_suffix(';'));
    let absent: Vec<&str> =
        modules.filter(|m| !page.contains(&format!("`src/{m}`")) && !page.contains(&format!("`src/{m}.rs`"))).collect();
    assert!(absent.is_empty(), "docs/architecture.md says nothing of {absent:?}");
}

#[test]
fn paths_that_the_docs_name_exist() {
    const TOP: [&str; 9] =
        ["src/", "models/", "config/", "deploy/", "notebooks/", "tests/", "docs/", "benches/", ".ci/"];
    let root = root();
    let mut docs = vec![root.join("README.md")];
    files(&root.join("docs"), "md", &mut docs);
    let mut wrong = Vec::new();
    for doc in docs {
        let text = fs::read_to_string(&doc).unwrap();
        let mut fenced = false;
        for (i, line) in text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            let quoted = line.split('`').skip(1).step_by(2);
            let linked = line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split(')').next());
            let doc_dir = doc.parent().unwrap();
            for named in quoted.filter(|_| !fenced).chain(linked.filter(|_| !fenced)) {
                let path = named.split(['#', ' ', ':']).next().unwrap();
                let relative = doc_dir.join(path);
                let is_path = TOP.iter().any(|t| path.starts_with(t)) && !path.contains(['*', '<', '{', '…']);
                if is_path && !root.join(path).exists() && !relative.exists() {
                    wrong.push(format!("{}:{}: {path}", doc.display(), i + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "no such file or folder:\n{}", wrong.join("\n"));
}

#[test]
fn every_test_that_the_page_on_safety_names_exists() {
    let root = root();
    let mut found = Vec::new();
    files(&root.join("src"), "rs", &mut found);
    files(&root.join("tests"), "rs", &mut found);
    let code: String = found.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let page = fs::read_to_string(root.join("docs/safety.md")).unwrap();
    let table = page.split("## Failure modes").nth(1).unwrap();
    let rows: Vec<&str> = table.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| #")).collect();
    assert_eq!(rows.len(), 34, "one row for each failure mode");
    for row in rows {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        assert!(tests.contains('`') || row.contains("not handled"), "no test and no word of it: {row}");
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(code.contains(&format!("fn {name}(")), "no test is called {name}");
        }
    }
}
