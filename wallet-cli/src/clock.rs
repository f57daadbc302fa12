//! The wallet's own clock, which decides how old an answer is and until when a transaction is valid.
use quorate_primitives::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Milliseconds as seconds with one digit, such as `1.2 s`; whole seconds from a minute on.
#[must_use]
pub fn seconds(ms: u64) -> String {
    if ms >= 60_000 {
        return format!("{} s", ms / 1_000);
    }
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_seconds_with_one_digit() {
        assert_eq!(seconds(0), "0.0 s");
        assert_eq!(seconds(1_249), "1.2 s");
        assert_eq!(seconds(59_999), "59.9 s");
        assert_eq!(seconds(60_000), "60 s");
    }
}
