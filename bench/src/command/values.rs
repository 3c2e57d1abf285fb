//! Readers of flag values. Clap puts the value and the flag before their messages.

/// A whole number.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    count_from(text, 0)
}

/// A whole number of at least 1.
pub(crate) fn positive_count(text: &str) -> Result<usize, String> {
    count_from(text, 1)
}

/// A whole number of at least 2.
pub(crate) fn two_or_more(text: &str) -> Result<usize, String> {
    count_from(text, 2)
}

/// A seed: a whole number that TOML can hold, so that a run's configuration can be read again.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(n) if n <= i64::MAX as u64 => Ok(n),
        _ => Err(format!("must be a whole number from 0 to {}", i64::MAX)),
    }
}

/// The most threads that may be asked for: starting very many of them takes minutes.
const MOST_THREADS: usize = 1024;

/// A whole number from 1 to [`MOST_THREADS`].
pub(crate) fn thread_count(text: &str) -> Result<usize, String> {
    match positive_count(text)? {
        n if n <= MOST_THREADS => Ok(n),
        _ => Err(format!("must be at most {MOST_THREADS}")),
    }
}

/// The most of anything that may be asked for, so that sums and products of counts do not overflow.
const MOST: usize = u32::MAX as usize;

fn count_from(text: &str, least: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > MOST => Err(format!("must be at most {MOST}")),
        Ok(n) if n >= least => Ok(n),
        Ok(_) => Err(format!("must be at least {least}")),
        Err(_) => Err(format!("must be a whole number, at least {least}")),
    }
}

/// A finite number above 0, such as a learning rate.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0, "must be positive")
}

/// A finite number from 0, such as a penalty.
pub(crate) fn non_negative(text: &str) -> Result<f64, String> {
    number(text, |x| x >= 0.0, "must not be negative")
}

/// A number from 0 (included) to 1 (excluded), such as the coefficient of a moving average.
pub(crate) fn coefficient(text: &str) -> Result<f64, String> {
    number(text, |x| (0.0..1.0).contains(&x), "must be at least 0 and below 1")
}

/// A number between 0 and 1, both excluded.
pub(crate) fn proper_share(text: &str) -> Result<f64, String> {
    number(text, |x| 0.0 < x && x < 1.0, "must be above 0 and below 1")
}

fn number(text: &str, holds: impl Fn(f64) -> bool, must: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if !x.is_finite() => Err("must be a finite number".to_owned()),
        Ok(x) if holds(x) => Ok(x),
        Ok(_) => Err(must.to_owned()),
        Err(_) => Err("must be a number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_where_they_are_said_to_be() {
        assert_eq!(positive_count("1"), Ok(1));
        assert!(positive_count("0").is_err() && positive_count("-1").is_err() && positive_count("1.5").is_err());
        assert_eq!(two_or_more("2"), Ok(2));
        assert_eq!(seed("9223372036854775807"), Ok(i64::MAX as u64));
        assert!(seed("9223372036854775808").is_err() && seed("-1").is_err());
        assert!(count("4294967295").is_ok() && count("4294967296").is_err());
        assert_eq!((thread_count("1"), thread_count("1024")), (Ok(1), Ok(1024)));
        assert!(thread_count("0").is_err() && thread_count("1025").is_err());
        assert_eq!(positive("1e-3"), Ok(1e-3));
        assert!(positive("0").is_err() && positive("1e999").is_err() && positive("x").is_err());
        assert_eq!(non_negative("0"), Ok(0.0));
        assert_eq!(coefficient("0"), Ok(0.0));
        assert!(coefficient("1").is_err() && coefficient("NaN").is_err());
        assert!(proper_share("0").is_err() && proper_share("1").is_err() && proper_share("0.2").is_ok());
    }
}
