//! Whether a decision may still be written (I6). The lease and the object's version are checked where they are known: by
//! whoever holds the lease, and by the API server.

use std::time::Duration;

/// A decision older than this is not written.
pub const DECISION_AGE_MAX: Duration = Duration::from_secs(30);

/// Err, with the reason, when the decision is too old, or was made under an older edition of the policy.
pub fn warrant(age: Duration, decided_under: u64, edition: u64) -> Result<(), String> {
    if age >= DECISION_AGE_MAX {
        return Err(format!("the decision is {} s old", age.as_secs()));
    }
    if edition != decided_under {
        return Err("the workload's annotations have changed meanwhile".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_decision_and_one_of_an_older_policy_are_not_written() {
        assert!(warrant(Duration::from_secs(29), 3, 3).is_ok());
        assert!(warrant(Duration::from_secs(30), 3, 3).unwrap_err().contains("30 s old"));
        assert!(warrant(Duration::ZERO, 3, 4).unwrap_err().contains("changed"));
    }
}
