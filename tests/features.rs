//! Without a feature, nothing of it is linked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use std::process::Command;

fn linked(arguments: &[&str]) -> String {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--no-default-features"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    String::from_utf8(tree.stdout).unwrap()
}

#[test]
fn without_cloudwatch_nothing_of_the_aws_sdk_is_linked() {
    const SDK: [&str; 5] = ["aws-sdk", "aws-config", "aws-smithy", "aws-runtime", "aws-types"];
    let with = linked(&["--features", "cloudwatch"]);
    assert!(SDK.iter().all(|name| with.contains(name)), "the names of the SDK's crates have changed");
    let without = linked(&["--features", "daemon"]);
    assert!(without.contains("tokio"));
    for name in SDK {
        assert!(!without.contains(name), "{name} is linked without the feature cloudwatch");
    }
}

#[test]
fn the_core_has_no_network_and_no_async_runtime() {
    let core = linked(&[]);
    for name in ["tokio v", "hyper v", "kube v", "reqwest v", "axum v", "rustls v"] {
        assert!(!core.contains(name), "{name} is linked without the feature daemon");
    }
}
