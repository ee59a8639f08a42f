//! Every command of the README is executed: those of `sh` blocks here, those of `sh cluster` blocks by
//! `tests/cluster`, which reads the same blocks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use std::path::Path;
use std::process::Command;

/// The commands of the fenced blocks that carry `info`.
fn commands(info: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut block = None;
    let mut found = Vec::new();
    for line in readme.lines() {
        match line.strip_prefix("```") {
            Some(opened) if block.is_none() => block = Some(opened.to_owned()),
            Some(_) => block = None,
            None if block.as_deref() == Some(info) => found.push(line.to_owned()),
            None => {}
        }
    }
    found
}

#[test]
fn every_command_without_a_cluster_works_as_written() {
    let commands = commands("sh");
    assert!(commands.len() >= 3, "{commands:?}");
    for command in commands {
        // the test that is running now is what `cargo test` runs
        if command == "cargo test" {
            continue;
        }
        let arguments = command
            .strip_prefix("cargo run --release -- ")
            .or_else(|| command.strip_prefix("forescale "))
            .unwrap_or_else(|| panic!("the README's {command:?} is run by no test"));
        let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
        if arguments == ["demo"] {
            // the same demo, not slowed down for people
            arguments.push("--headless");
        }
        let done = Command::new(env!("CARGO_BIN_EXE_forescale"))
            .args(&arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
        assert!(!done.stdout.is_empty(), "{command} printed nothing");
    }
}

#[test]
fn every_cluster_command_is_one_that_the_cluster_tests_know() {
    let commands = commands("sh cluster");
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        assert!(command.starts_with("kubectl ") || command.starts_with("forescale "), "{command}");
    }
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/scenarios/readme.py");
    let text = std::fs::read_to_string(scenario).unwrap();
    assert!(text.contains("sh cluster"), "the cluster tests read the README's blocks");
}
