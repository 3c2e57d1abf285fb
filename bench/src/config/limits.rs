//! How large things may be: beyond what any machine holds, and so small that sums and products of sizes are whole numbers of 64 bits.

/// The most that a size may be.
pub(super) const LARGEST: usize = 1 << 24;
/// The largest kernel, stride or padding, in pixels.
pub(super) const MOST_PIXELS: usize = 1 << 14;
/// The most layers or blocks of a network.
pub(super) const MOST_LAYERS: usize = 1 << 12;
/// The most numbers of an array, or of all parameters: 8 GiB in double precision.
pub(super) const MOST_NUMBERS: usize = 1 << 30;
/// The most times that something is done, rows of a batch, and the like.
pub(super) const MOST_TIMES: usize = u32::MAX as usize;

/// Whether an array of this shape has no more than [`MOST_NUMBERS`].
pub(super) fn fits(shape: &[usize]) -> bool {
    let numbers = shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    numbers.is_some_and(|numbers| numbers <= MOST_NUMBERS)
}

/// What is wrong with a size, in words.
pub(super) fn misfit(found: usize, least: usize, most: usize) -> Option<String> {
    match (least..=most).contains(&found) {
        true => None,
        false if found < least => Some(format!("found {found}, expected at least {least}")),
        false => Some(format!("found {found}, expected at most {most}")),
    }
}
