//! What is counted over a whole process, so that only one test counts at a time.
#![allow(unsafe_code, reason = "an allocator that counts can only be written so")]

use std::sync::{Mutex, MutexGuard, PoisonError};

mod allocation;
mod work;

/// Held by the test that counts.
fn alone() -> MutexGuard<'static, ()> {
    static COUNTING: Mutex<()> = Mutex::new(());
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}
