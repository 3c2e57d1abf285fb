//! Standard output that survives a closed pipe.

use std::io::{self, ErrorKind, Write};

/// Writes text to standard output and flushes it.
///
/// A reader that has gone (`parabola ... | head -1`) is no failure: the rest of the text is dropped.
///
/// # Errors
/// If standard output cannot be written for any other reason.
pub fn print(text: &str) -> io::Result<()> {
    print_to(&mut io::stdout().lock(), text)
}

fn print_to(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_closed_pipe_is_forgiven() {
        let mut out = Vec::new();
        print_to(&mut out, "a\nb").unwrap();
        assert_eq!(out, b"a\nb");
        print_to(&mut Failing(ErrorKind::BrokenPipe), "a").unwrap();
        assert_eq!(print_to(&mut Failing(ErrorKind::StorageFull), "a").unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
