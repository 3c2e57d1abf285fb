//! Mini-batches.

use super::DataError;
use crate::random::Key;

/// What becomes of the rows of an epoch that do not fill a mini-batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LastBatch {
    /// They sit the epoch out, so that every step sees as many rows; shuffling picks others the next time.
    #[default]
    Drop,
    /// They make a shorter mini-batch, so that every epoch sees every row.
    Keep,
}

/// Seeded, shuffled mini-batches: which rows a step sees depends on the key, the epoch and the step alone.
///
/// ```
/// use nn::{data::{Batches, LastBatch}, random::Key};
/// let batches = Batches::new(10, 4, LastBatch::Keep, Key::new(0).named("shuffle"))?;
/// assert_eq!(batches.epoch(0).map(|rows| rows.len()).collect::<Vec<_>>(), [4, 4, 2]);
/// assert!(batches.epoch(5).eq(batches.epoch(5)));
/// # Ok::<(), nn::data::DataError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    rows: usize,
    batch: usize,
    last: LastBatch,
    key: Key,
}

impl Batches {
    /// Mini-batches of `batch` out of `rows` rows.
    ///
    /// # Errors
    /// If `batch` is 0 or more than `rows`.
    pub fn new(rows: usize, batch: usize, last: LastBatch, key: Key) -> Result<Self, DataError> {
        if batch == 0 || batch > rows {
            return Err(DataError::BatchSize { batch, rows });
        }
        Ok(Batches { rows, batch, last, key })
    }

    /// Number of mini-batches in an epoch.
    pub fn steps(&self) -> usize {
        match self.last {
            LastBatch::Drop => self.rows / self.batch,
            LastBatch::Keep => self.rows.div_ceil(self.batch),
        }
    }

    /// The mini-batches of an epoch, each a list of rows; no row occurs twice.
    pub fn epoch(&self, epoch: u64) -> impl ExactSizeIterator<Item = Vec<usize>> + use<> {
        let order = self.key.numbered(epoch).generator().permutation(self.rows);
        let batch = self.batch;
        (0..self.steps()).map(move |i| order[i * batch..order.len().min((i + 1) * batch)].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batches(rows: usize, batch: usize, last: LastBatch) -> Batches {
        Batches::new(rows, batch, last, Key::new(0)).unwrap()
    }

    proptest! {
        #[test]
        fn an_epoch_sees_each_row_at_most_once(rows in 1usize..100, share in 0.0f64..1.0, epoch: u64) {
            let batch = 1 + ((rows - 1) as f64 * share) as usize;
            for last in [LastBatch::Drop, LastBatch::Keep] {
                let batches = batches(rows, batch, last);
                let lists: Vec<Vec<usize>> = batches.epoch(epoch).collect();
                prop_assert_eq!(lists.len(), batches.steps());
                let full = lists.iter().filter(|list| list.len() == batch).count();
                prop_assert_eq!(full, rows / batch);
                let mut seen = lists.concat();
                prop_assert_eq!(seen.len(), if last == LastBatch::Keep { rows } else { full * batch });
                seen.sort_unstable();
                seen.dedup();
                prop_assert_eq!(seen.len(), if last == LastBatch::Keep { rows } else { full * batch });
                prop_assert!(seen.iter().all(|&row| row < rows));
            }
        }
    }

    #[test]
    fn an_epoch_is_reproduced_out_of_turn_and_differs_from_the_next() {
        let batches = batches(50, 8, LastBatch::Drop);
        let third = (0..3).map(|e| batches.epoch(e).collect::<Vec<_>>()).fold(vec![], |_, lists| lists);
        assert!(self::batches(50, 8, LastBatch::Drop).epoch(2).eq(third.iter().cloned()));
        assert!(!batches.epoch(3).eq(third.iter().cloned()));
        let other = Batches::new(50, 8, LastBatch::Drop, Key::new(1)).unwrap();
        assert!(!other.epoch(2).eq(third));
    }

    #[test]
    fn impossible_sizes_are_refused_naming_both() {
        let refusal = |batch| Batches::new(10, batch, LastBatch::Drop, Key::new(0)).unwrap_err().to_string();
        assert_eq!(refusal(0), "found a batch of 0 rows, expected 1 to 10, the number of rows of the data");
        assert_eq!(refusal(11), "found a batch of 11 rows, expected 1 to 10, the number of rows of the data");
        assert!(Batches::new(0, 1, LastBatch::Keep, Key::new(0)).is_err());
    }
}
