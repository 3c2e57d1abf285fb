//! Buffers of tensors: they begin where a cache line does, and are kept for reuse when they are dropped.
//!
//! A vector of 64 bytes that lies across two lines of the cache is loaded and stored in two, so that loops over arrays that begin anywhere
//! take up to twice as long.
//!
//! A buffer of megabytes that comes fresh from the system costs a page fault every four kilobytes, more than filling it. A
//! training step asks for the same sizes again and again, so buffers from [`LARGE`] bytes on go back to a store and come out
//! of it again, with the numbers that they last held. On Linux a store carves them from large pages.
//!
//! Each thread has a store of its own, to which a buffer returns whoever drops it: threads that work side by side do not wait for each
//! other, and a buffer stays in the cache of the core that wrote it.

mod slab;

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::parallel::{Apart, SLOTS, slot};
use crate::real::Real;
use slab::Slab;

/// Bytes from which a buffer is kept for reuse, and counted; smaller ones cost next to nothing.
pub const LARGE: usize = 1 << 11;

/// Bytes of a line of the cache.
pub(crate) const LINE: usize = 64;
/// Bytes from which a buffer begins where a line does.
const ALIGNED: usize = 4 * LINE;

/// Bytes that a store may hold in any case.
const ALWAYS_STORED: usize = 1 << 26;

/// Bytes of large buffers of each thread that are in use now.
static LIVE: [Apart<AtomicUsize>; SLOTS] = [const { Apart(AtomicUsize::new(0)) }; SLOTS];
/// Whether the most that is in use at once is found out: adding up what all threads use takes time.
static PEAK_IS_WATCHED: AtomicBool = AtomicBool::new(false);
/// The most that has been in use while it is watched.
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Bytes of large buffers that were no earlier one's.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the arrays in use now, of all threads together. Arrays below [`LARGE`] bytes are not counted.
pub fn live_bytes() -> usize {
    // A buffer may be dropped between two of the loads, but each thread's number is its own.
    LIVE.iter().map(|live| live.0.load(Ordering::Relaxed)).sum()
}

/// Bytes of new memory that arrays have taken since the program started; those below [`LARGE`] bytes are not counted. A training step
/// that repeats takes none, as it finds the buffers of the step before.
///
/// ```
/// use ad_core::{Tensor, buffer::taken_bytes};
/// drop(Tensor::<f64>::full(&[1234, 321], 1.0));
/// let taken = taken_bytes();
/// drop(Tensor::<f64>::full(&[1234, 321], 2.0));
/// assert!(taken > 0 && taken_bytes() == taken);
/// ```
pub fn taken_bytes() -> usize {
    TAKEN.load(Ordering::Relaxed)
}

/// The most bytes of arrays that were in use at once while `run` ran, and what it returned; arrays below [`LARGE`] bytes are not counted.
/// Of several threads it is as exact as their order is. Not to be nested, or used by several threads at a time.
pub fn peak_bytes<R>(run: impl FnOnce() -> R) -> (usize, R) {
    PEAK.store(live_bytes(), Ordering::Relaxed);
    PEAK_IS_WATCHED.store(true, Ordering::Relaxed);
    let found = run();
    PEAK_IS_WATCHED.store(false, Ordering::Relaxed);
    (PEAK.load(Ordering::Relaxed), found)
}

/// The memory of a buffer.
#[derive(Debug)]
enum Room<T: 'static> {
    /// Its own, which can be given back to the system.
    Own(Vec<T>),
    /// Part of a slab, which is kept.
    Carved(&'static mut [T]),
}

impl<T> Deref for Room<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Room::Own(numbers) => numbers,
            Room::Carved(numbers) => numbers,
        }
    }
}

impl<T> DerefMut for Room<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Room::Own(numbers) => numbers,
            Room::Carved(numbers) => numbers,
        }
    }
}

/// The buffers of a thread that wait to be used again.
#[derive(Debug)]
struct Store<T: 'static> {
    /// By length, with what stands before their beginning.
    waiting: BTreeMap<usize, Vec<Room<T>>>,
    /// Bytes of those.
    stored: usize,
    /// Bytes of the thread's buffers in use.
    live: usize,
    /// The most that those have been: as many may wait, so that reuse at most doubles what a thread has had at once.
    summit: usize,
    /// What new ones are carved from.
    slab: Slab<T>,
}

impl<T: Real> Store<T> {
    const fn new() -> Self {
        Store { waiting: BTreeMap::new(), stored: 0, live: 0, summit: 0, slab: Slab::new() }
    }

    fn take(&mut self, len: usize) -> Option<Room<T>> {
        let data = self.waiting.get_mut(&len)?.pop()?;
        self.stored -= bytes_of::<T>(len);
        Some(data)
    }

    /// New memory, unless so much has been carved that all that may be in use and wait would fit: buffers of sizes that do not come again
    /// have taken it, and are kept.
    fn carve(&mut self, len: usize) -> Option<Room<T>> {
        let most = (2 * self.summit).max(ALWAYS_STORED);
        if self.slab.carved() + bytes_of::<T>(len) > most {
            return None;
        }
        self.slab.carve(len).map(Room::Carved)
    }

    /// Counts a buffer as in use.
    fn lend(&mut self, bytes: usize) {
        self.live += bytes;
        self.summit = self.summit.max(self.live);
    }

    /// Takes a buffer back that was in use. It is to wait, and comes back where there are enough and the system can have it.
    fn give_back(&mut self, bytes: usize, data: Room<T>) -> Option<Room<T>> {
        self.live -= bytes;
        let bytes = bytes_of::<T>(data.len());
        if matches!(data, Room::Own(_)) && self.stored + bytes > self.summit.max(ALWAYS_STORED) {
            return Some(data);
        }
        self.stored += bytes;
        self.waiting.entry(data.len()).or_default().push(data);
        None
    }
}

/// A store for each thread.
type Stores<T> = [Apart<Mutex<Store<T>>>; SLOTS];

/// The store of a thread, held.
fn store<T: Real>(slot: usize) -> MutexGuard<'static, Store<T>> {
    static SINGLE: Stores<f32> = [const { Apart(Mutex::new(Store::new())) }; SLOTS];
    static DOUBLE: Stores<f64> = [const { Apart(Mutex::new(Store::new())) }; SLOTS];
    let stores: [&'static dyn Any; 2] = [&SINGLE, &DOUBLE];
    let stores = stores.into_iter().find_map(|s| s.downcast_ref::<Stores<T>>()).expect("T is f32 or f64");
    let store = &stores[slot].0;
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
    /// The numbers, with some before and after them that are none of theirs.
    data: Room<T>,
    /// Where the first is.
    start: usize,
    len: usize,
    /// The thread that it came from.
    home: usize,
}

impl<T: Real> Buffer<T> {
    /// A buffer of `len` numbers of no particular value: those of an earlier one, or zeros.
    pub(crate) fn stale(len: usize) -> Self {
        let (bytes, home) = (bytes_of::<T>(len), slot());
        if bytes < ALIGNED {
            return Buffer { data: Room::Own(vec![T::default(); len]), start: 0, len, home };
        }
        let room = len + LINE / size_of::<T>();
        let found = if bytes < LARGE {
            None
        } else {
            let mut own = store::<T>(home);
            let found = own.take(room);
            lend(&mut own, home, bytes);
            drop(own);
            found.or_else(|| elsewhere(home, room)).or_else(|| {
                TAKEN.fetch_add(bytes, Ordering::Relaxed);
                store::<T>(home).carve(room)
            })
        };
        let mut data = found.unwrap_or_else(|| Room::Own(vec![T::default(); room]));
        if cfg!(test) {
            // What is read before it is written shows.
            data.fill(T::from_f64(f64::NAN));
        }
        let start = data.as_ptr().align_offset(LINE).min(room - len);
        Buffer { data, start, len, home }
    }

    /// A buffer of these numbers.
    pub(crate) fn of(numbers: &[T]) -> Self {
        let mut buffer = Buffer::stale(numbers.len());
        buffer.copy_from_slice(numbers);
        buffer
    }
}

/// A buffer that waits in the store of another thread.
fn elsewhere<T: Real>(home: usize, len: usize) -> Option<Room<T>> {
    (0..SLOTS).filter(|&slot| slot != home).find_map(|slot| store::<T>(slot).take(len))
}

/// Counts a buffer of a thread, whose store is held, as in use.
fn lend<T: Real>(store: &mut Store<T>, slot: usize, bytes: usize) {
    store.lend(bytes);
    LIVE[slot].0.fetch_add(bytes, Ordering::Relaxed);
    if PEAK_IS_WATCHED.load(Ordering::Relaxed) {
        PEAK.fetch_max(live_bytes(), Ordering::Relaxed);
    }
}

/// Ends the use of a buffer.
fn give_back<T: Real>(home: usize, bytes: usize, data: Room<T>) {
    if bytes >= LARGE {
        // The store is free again before what it does not keep is given back to the system.
        let left = store::<T>(home).give_back(bytes, data);
        LIVE[home].0.fetch_sub(bytes, Ordering::Relaxed);
        drop(left);
    }
}

impl<T: Real> Drop for Buffer<T> {
    fn drop(&mut self) {
        let data = std::mem::replace(&mut self.data, Room::Own(Vec::new()));
        give_back(self.home, bytes_of::<T>(self.len), data);
    }
}

impl<T: Real> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Buffer::of(self)
    }
}

impl<T: Real> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl<T: Real> Deref for Buffer<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T: Real> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        // A length that no other test uses.
        const LEN: usize = LARGE + 77;
        let buffer = Buffer::<f64>::stale(LEN);
        let place = buffer.as_ptr();
        drop(buffer);
        let again = Buffer::<f64>::stale(LEN);
        assert!(again.as_ptr() == place && again.len() == LEN);
        drop(again);
        let other = Buffer::<f32>::stale(LEN);
        assert!(other.as_ptr().cast::<f64>() != place, "another type has a store of its own");
    }

    #[test]
    fn a_clone_is_a_copy() {
        let mut a = Buffer::of(&vec![1.0f32; LARGE]);
        let b = a.clone();
        assert_eq!(a, b);
        a[0] = 2.0;
        assert!(b.len() == LARGE && b.iter().all(|x| *x == 1.0) && a != b);
    }

    #[test]
    fn buffers_begin_where_a_line_does() {
        for len in (0..40).chain([63, 64, 65, 1000, LARGE / 8, LARGE + 1]) {
            let numbers: Vec<f64> = (0..len).map(|i| i as f64).collect();
            let buffers = [Buffer::of(&numbers), Buffer::of(&numbers)];
            for buffer in &buffers {
                assert_eq!(buffer[..], numbers);
                assert!(8 * len < ALIGNED || (buffer.as_ptr() as usize).is_multiple_of(LINE), "{len} numbers");
            }
        }
    }

    #[test]
    fn what_is_in_use_is_counted() {
        const LEN: usize = 1 << 22;
        let (peak, live) = peak_bytes(|| {
            let _buffer = Buffer::<f64>::stale(LEN);
            live_bytes()
        });
        assert!(live >= 8 * LEN && peak >= live);
    }

    #[test]
    fn a_buffer_goes_home_from_any_thread_and_is_found_from_any() {
        // A length that no other test uses.
        const LEN: usize = LARGE + 79;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
        let buffer = pool.install(|| Buffer::<f64>::stale(LEN));
        let (home, place) = (buffer.home, buffer.as_ptr() as usize);
        assert!(home != slot(), "this thread is none of the pool's");
        drop(buffer);
        assert_eq!(store::<f64>(home).waiting[&(LEN + LINE / 8)].len(), 1);
        let again = Buffer::<f64>::stale(LEN);
        assert_eq!((again.as_ptr() as usize, again.home), (place, slot()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_store_carves_twice_what_was_in_use_at_most() {
        let mut store = Store::<f32>::new();
        let bytes = ALWAYS_STORED / 4;
        let carved = |store: &mut Store<f32>| matches!(store.carve(bytes / 4), Some(Room::Carved(_)));
        assert_eq!([(); 5].map(|()| carved(&mut store)), [true, true, true, true, false], "as much as may always wait");
        for _ in 0..3 {
            store.lend(bytes);
        }
        assert_eq!([(); 3].map(|()| carved(&mut store)), [true, true, false]);
    }

    #[test]
    fn a_store_keeps_as_much_as_was_in_use() {
        let mut store = Store::<f32>::new();
        let bytes = ALWAYS_STORED / 2 + 4;
        for _ in 0..3 {
            store.lend(bytes);
        }
        let room = || Room::Own(vec![0.0; bytes / 4]);
        for _ in 0..3 {
            assert!(store.give_back(bytes, room()).is_none());
        }
        assert_eq!((store.live, store.stored, store.summit), (0, 3 * bytes, 3 * bytes));
        store.live = bytes;
        assert!(store.give_back(bytes, room()).is_some(), "there are enough");
        assert_eq!(store.stored, 3 * bytes);
    }
}
