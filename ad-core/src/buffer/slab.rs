//! Memory for buffers, in large pages where the system has them.
//!
//! A processor finds the memory of a page fast while it remembers where the page is, which it does for one to two thousand of them. In pages of
//! 4 kB that is less than a training step of a network of some hundred thousand parameters touches, so that every array is looked up
//! page by page each time. Linux gives pages of 2 MB to memory that is marked for them, but only to stretches of that size: so buffers of any
//! sizes lie one behind another in long stretches.

use bytemuck::Pod;

use super::LINE;

/// Bytes that are asked of the system at once, where buffers are smaller than a quarter of it.
const SLAB: usize = 1 << 25;

/// Memory that buffers are carved from, for good: it is not given back to the system.
#[derive(Debug)]
pub(super) struct Slab<T: 'static> {
    /// What has not been carved yet.
    rest: &'static mut [T],
    carved: usize,
}

impl<T: Pod> Slab<T> {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Slab { rest: &mut [], carved: 0 }
    }

    /// Bytes that have been carved so far.
    pub(super) fn carved(&self) -> usize {
        self.carved
    }

    /// `len` zeros, which begin where a line of the cache does; `None` where the system has no such memory.
    pub(super) fn carve(&mut self, len: usize) -> Option<&'static mut [T]> {
        let whole = len.next_multiple_of(LINE / size_of::<T>());
        let bytes = whole * size_of::<T>();
        let piece = if bytes > SLAB / 4 {
            reserve(bytes)?
        } else {
            if self.rest.len() < whole {
                self.rest = reserve(SLAB)?;
            }
            let (piece, rest) = std::mem::take(&mut self.rest).split_at_mut(whole);
            self.rest = rest;
            piece
        };
        self.carved += bytes;
        Some(&mut piece[..len])
    }
}

/// Zeros of at least so many bytes, in pages of 2 MB if the system has some.
#[cfg(target_os = "linux")]
fn reserve<T: Pod>(bytes: usize) -> Option<&'static mut [T]> {
    use memmap2::{Advice, MmapMut, MmapOptions};

    const PAGE: usize = 1 << 21;
    let bytes = bytes.next_multiple_of(PAGE);
    let map = MmapOptions::new().len(bytes + PAGE).map_anon().ok()?;
    // A system without large pages refuses: small ones do as well.
    let _ = map.advise(Advice::HugePage);
    let map: &'static mut MmapMut = Box::leak(Box::new(map));
    let before = map.as_ptr().align_offset(PAGE);
    bytemuck::try_cast_slice_mut(map.get_mut(before..before + bytes)?).ok()
}

/// Other systems give large pages, if at all, without being asked.
#[cfg(not(target_os = "linux"))]
fn reserve<T: Pod>(_bytes: usize) -> Option<&'static mut [T]> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn pieces_are_zeros_apart_from_each_other() {
        let mut slab = Slab::<f32>::new();
        let lens = [1, 16, 17, 1000, SLAB / 16, SLAB / 16, SLAB / 16, SLAB / 16, SLAB / 2, 3];
        let mut pieces = lens.map(|len| slab.carve(len).expect("memory"));
        for (i, (piece, len)) in pieces.iter_mut().zip(lens).enumerate() {
            assert!(piece.len() == len && (piece.as_ptr() as usize).is_multiple_of(LINE));
            assert!(piece.iter().all(|x| *x == 0.0), "piece {i} is nobody else's");
            piece.fill(i as f32 + 1.0);
        }
        assert!(pieces.iter().enumerate().all(|(i, piece)| piece.iter().all(|x| *x == i as f32 + 1.0)));
        let lines = |len: usize| 4 * len.next_multiple_of(16);
        assert_eq!(slab.carved(), lens.into_iter().map(lines).sum::<usize>());
    }

    /// The flags of the mapping that holds an address, as the kernel tells them.
    fn flags(address: usize) -> String {
        let maps = fs::read_to_string("/proc/self/smaps").expect("Linux tells a process of its memory");
        let mut holds = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            if let Some((from, to)) = range
                && let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
            {
                holds = (from..to).contains(&address);
            }
            if let (true, Some(flags)) = (holds, line.strip_prefix("VmFlags:")) {
                return flags.into();
            }
        }
        panic!("no mapping holds {address:x}");
    }

    #[test]
    fn slabs_are_marked_for_large_pages() {
        if fs::metadata("/sys/kernel/mm/transparent_hugepage").is_err() {
            eprintln!("skipped: this system has no large pages");
            return;
        }
        let mut slab = Slab::<f64>::new();
        for len in [5, SLAB] {
            let piece = slab.carve(len).expect("memory");
            let flags = flags(piece.as_ptr() as usize);
            assert!(flags.split_whitespace().any(|flag| flag == "hg"), "{len} numbers: {flags}");
        }
    }

    #[test]
    fn what_the_system_has_not_is_not_carved() {
        assert!(Slab::<f64>::new().carve(1 << 55).is_none());
    }
}
