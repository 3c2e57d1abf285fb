//! Buffers of tensors, kept for reuse when they are dropped.
//!
//! A buffer of megabytes that comes fresh from the system costs a page fault every four kilobytes, more than filling it. A
//! training step asks for the same sizes again and again, so buffers from [`LARGE`] bytes on go back to a store and come out
//! of it again, with the numbers that they last held.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::real::Real;

/// Bytes from which a buffer is kept for reuse, and counted; smaller ones cost next to nothing.
pub const LARGE: usize = 1 << 13;

/// Bytes that the stores may hold in any case.
const ALWAYS_STORED: usize = 1 << 26;

/// Bytes of large buffers that are in use now.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// The most that [`LIVE`] has been since [`reset_peak`].
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The most that [`LIVE`] has been at all.
static SUMMIT: AtomicUsize = AtomicUsize::new(0);
/// Bytes of the buffers in the stores: at most what has been in use at once, so that reuse at most doubles the memory, or
/// [`ALWAYS_STORED`].
static STORED: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the arrays in use now, of all threads together. Arrays below [`LARGE`] bytes are not counted.
pub fn live_bytes() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// The most bytes of arrays that were in use at once since the program started or [`reset_peak`] was called; arrays below
/// [`LARGE`] bytes are not counted.
pub fn peak_bytes() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// Lets [`peak_bytes`] start again from what is in use now.
pub fn reset_peak() {
    PEAK.store(live_bytes(), Ordering::Relaxed);
}

/// Buffers waiting to be used again, by length.
type Store<T> = BTreeMap<usize, Vec<Vec<T>>>;

fn store<T: Real>() -> MutexGuard<'static, Store<T>> {
    static SINGLE: LazyLock<Mutex<Store<f32>>> = LazyLock::new(Mutex::default);
    static DOUBLE: LazyLock<Mutex<Store<f64>>> = LazyLock::new(Mutex::default);
    let stores: [&'static dyn Any; 2] = [&*SINGLE, &*DOUBLE];
    let store = stores.into_iter().find_map(|s| s.downcast_ref::<Mutex<Store<T>>>()).expect("T is f32 or f64");
    // A store is held for some tens of nanoseconds: waiting in place is far shorter than being put to sleep.
    for _ in 0..1000 {
        match store.try_lock() {
            Ok(store) => return store,
            Err(TryLockError::Poisoned(store)) => return store.into_inner(),
            Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
        }
    }
    // A store is whole between any two of its operations, so a panic elsewhere does not spoil it.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bytes_of<T>(len: usize) -> usize {
    len * size_of::<T>()
}

/// The numbers of a tensor.
#[derive(Debug)]
pub(crate) struct Buffer<T: Real> {
    data: Vec<T>,
    /// Whether the numbers go to the store when they are dropped: those that came as a vector do not, as nothing would take
    /// them out again.
    kept: bool,
}

impl<T: Real> Buffer<T> {
    /// Takes a vector over.
    pub(crate) fn new(data: Vec<T>) -> Self {
        let bytes = bytes_of::<T>(data.len());
        if bytes >= LARGE {
            let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
            PEAK.fetch_max(live, Ordering::Relaxed);
            SUMMIT.fetch_max(live, Ordering::Relaxed);
        }
        Buffer { data, kept: false }
    }

    /// A buffer of `len` numbers of no particular value: those of an earlier one, or zeros.
    pub(crate) fn stale(len: usize) -> Self {
        let large = bytes_of::<T>(len) >= LARGE;
        let data = if large { reused(len) } else { vec![T::default(); len] };
        let mut buffer = Buffer::new(data);
        buffer.kept = large;
        buffer
    }

    /// The vector itself.
    pub(crate) fn into_vec(mut self) -> Vec<T> {
        let data = std::mem::take(&mut self.data);
        let bytes = bytes_of::<T>(data.len());
        if bytes >= LARGE {
            LIVE.fetch_sub(bytes, Ordering::Relaxed);
        }
        data
    }
}

/// A vector from the store, or a new one.
fn reused<T: Real>(len: usize) -> Vec<T> {
    match store::<T>().get_mut(&len).and_then(Vec::pop) {
        Some(data) => {
            STORED.fetch_sub(bytes_of::<T>(len), Ordering::Relaxed);
            data
        }
        None => vec![T::default(); len],
    }
}

impl<T: Real> Drop for Buffer<T> {
    fn drop(&mut self) {
        let bytes = bytes_of::<T>(self.data.len());
        if bytes < LARGE {
            return;
        }
        LIVE.fetch_sub(bytes, Ordering::Relaxed);
        if self.kept && STORED.load(Ordering::Relaxed) + bytes <= SUMMIT.load(Ordering::Relaxed).max(ALWAYS_STORED) {
            STORED.fetch_add(bytes, Ordering::Relaxed);
            let data = std::mem::take(&mut self.data);
            store::<T>().entry(data.len()).or_default().push(data);
        }
    }
}

impl<T: Real> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut copy = Buffer::stale(self.data.len());
        copy.copy_from_slice(&self.data);
        copy
    }
}

impl<T: Real> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        self.data == other.data
    }
}

impl<T: Real> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.data
    }
}

impl<T: Real> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        // A length that no other test uses.
        const LEN: usize = LARGE + 77;
        let mut buffer = Buffer::<f64>::stale(LEN);
        buffer[5] = 3.0;
        let place = buffer.as_ptr();
        drop(buffer);
        let again = Buffer::<f64>::stale(LEN);
        assert!(again.as_ptr() == place && again[5] == 3.0 && again.len() == LEN);
        assert!(Buffer::<f32>::stale(LEN).iter().all(|x| *x == 0.0), "another type has a store of its own");
    }

    #[test]
    fn a_clone_is_a_copy() {
        let mut a = Buffer::new(vec![1.0f32; LARGE]);
        let b = a.clone();
        a[0] = 2.0;
        assert!(b.iter().all(|x| *x == 1.0) && a != b);
        assert_eq!(b.into_vec(), vec![1.0; LARGE]);
    }

    #[test]
    fn what_is_in_use_is_counted() {
        const LEN: usize = 1 << 22;
        let buffer = Buffer::<f64>::stale(LEN);
        assert!(live_bytes() >= 8 * LEN && peak_bytes() >= 8 * LEN);
        drop(buffer);
    }
}
