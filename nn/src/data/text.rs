//! Plain text for models of characters.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ad_core::{Real, Tensor};

use super::{Batch, DataError, Dataset, Targets};
use crate::random::Key;

/// A text as numbers of its characters, which a model learns to predict one by one from those before.
///
/// The vocabulary is the characters that occur, in the order of their code points; a character's number is its place there.
/// Parts of a text keep the vocabulary of the whole.
///
/// ```
/// use nn::data::{Targets, Text};
/// let text = Text::new("toy", "hello world")?;
/// assert_eq!(text.vocabulary().iter().collect::<String>(), " dehlorw");
/// assert_eq!(text.encode("held")?, [3, 2, 4, 1]);
/// assert_eq!(text.decode(&[3, 2, 4, 1]), "held");
///
/// // The character after each: "hell" → "ello", "o wo" → " wor".
/// let windows = text.windows::<f32>(4)?;
/// assert_eq!(windows.inputs().data(), [3.0, 2.0, 4.0, 4.0, 5.0, 0.0, 7.0, 5.0]);
/// let labels = vec![2, 4, 4, 5, 0, 7, 5, 6];
/// assert_eq!(windows.targets(), &Targets::Sequences { labels, length: 4, classes: 8 });
/// # Ok::<(), nn::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    name: String,
    vocabulary: Arc<[char]>,
    ids: Vec<u32>,
}

impl Text {
    /// Reads a text in UTF-8; the file's path names it. Line ends are kept as they are.
    ///
    /// # Errors
    /// If the file cannot be read, is no UTF-8 or is empty. Messages name the file and the byte.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let bytes = fs::read(path).map_err(|source| DataError::Read { path: path.into(), source })?;
        match str::from_utf8(&bytes) {
            Ok(text) => Text::new(path.display().to_string(), text),
            Err(error) => {
                let at = error.valid_up_to();
                let found = format!("0x{:02x}", bytes[at]);
                Err(DataError::content(path, format!("byte {at}"), found, "UTF-8"))
            }
        }
    }

    /// The text of these characters; errors call it by its name.
    ///
    /// # Errors
    /// If there are none.
    pub fn new(name: impl Into<String>, text: &str) -> Result<Self, DataError> {
        let mut vocabulary: Vec<char> = text.chars().collect();
        vocabulary.sort_unstable();
        vocabulary.dedup();
        let mut empty = Text { name: name.into(), vocabulary: vocabulary.into(), ids: Vec::new() };
        empty.ids = empty.encode(text)?;
        if empty.ids.is_empty() {
            return Err(DataError::ShortText { name: empty.name, found: 0, expected: 1 });
        }
        Ok(empty)
    }

    /// Name of the text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The characters that occur in the whole text, in the order of their code points.
    pub fn vocabulary(&self) -> &[char] {
        &self.vocabulary
    }

    /// The text, each character as its number.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The numbers of these characters.
    ///
    /// # Errors
    /// If one is not in the vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let id = |(place, c): (usize, char)| match self.vocabulary.binary_search(&c) {
            Ok(id) => Ok(id as u32),
            Err(_) => {
                Err(DataError::Character { name: self.name.clone(), place, found: c, size: self.vocabulary.len() })
            }
        };
        text.chars().enumerate().map(id).collect()
    }

    /// The characters of these numbers.
    ///
    /// # Panics
    /// If a number is none of the vocabulary's.
    #[track_caller]
    pub fn decode(&self, ids: &[u32]) -> String {
        let size = self.vocabulary.len();
        if let Some(id) = ids.iter().find(|&&id| id as usize >= size) {
            panic!("decode: character {id} is out of range for the vocabulary of {}, of {size}", self.name);
        }
        ids.iter().map(|&id| self.vocabulary[id as usize]).collect()
    }

    /// Cuts off the last `share` of the characters, rounded to nearest, to validate on: the parts follow one another, so that
    /// no window of the one overlaps the other.
    ///
    /// # Errors
    /// If the share is not between 0 and 1, or either part would be empty.
    pub fn split(&self, share: f64) -> Result<(Text, Text), DataError> {
        if !(0.0 < share && share < 1.0) {
            return Err(DataError::TestShare { found: share });
        }
        let all = self.ids.len();
        let validation = (all as f64 * share).round() as usize;
        for (rows, side) in [(all - validation, "training"), (validation, "test")] {
            if rows == 0 {
                return Err(DataError::EmptySide { name: self.name.clone(), rows: all, share, side });
            }
        }
        let (first, last) = self.ids.split_at(all - validation);
        Ok((self.part(first), self.part(last)))
    }

    fn part(&self, ids: &[u32]) -> Self {
        Text { name: self.name.clone(), vocabulary: Arc::clone(&self.vocabulary), ids: ids.to_vec() }
    }

    /// The text in order, as windows of `context` characters side by side: inputs of shape (windows, context), which are the
    /// characters' numbers, and as targets the number of the character after each. What does not fill a window at the end
    /// is left out.
    ///
    /// # Errors
    /// If `context` is 0, or the text is too short for one window and the character after it.
    pub fn windows<T: Real>(&self, context: usize) -> Result<Dataset<T>, DataError> {
        self.fits(context)?;
        let starts: Vec<usize> = (0..(self.ids.len() - 1) / context).map(|i| i * context).collect();
        let Batch { inputs, targets } = self.cut(&starts, context);
        Dataset::new(self.name.clone(), inputs, targets)
    }

    /// `rows` windows of `context` characters that start anywhere, independently of each other, as the key has it: that of an
    /// epoch and a step, say. They look as those of [`windows`](Text::windows) do.
    ///
    /// # Errors
    /// As of [`windows`](Text::windows).
    pub fn sample<T: Real>(&self, context: usize, rows: usize, key: Key) -> Result<Batch<T>, DataError> {
        self.fits(context)?;
        let (mut random, places) = (key.generator(), self.ids.len() - context);
        let starts: Vec<usize> = (0..rows).map(|_| random.below(places)).collect();
        Ok(self.cut(&starts, context))
    }

    fn fits(&self, context: usize) -> Result<(), DataError> {
        if context == 0 {
            return Err(DataError::Context { name: self.name.clone() });
        }
        match self.ids.len().checked_sub(1) {
            Some(most) if context <= most => Ok(()),
            _ => Err(DataError::ShortText {
                name: self.name.clone(),
                found: self.ids.len(),
                expected: context.saturating_add(1),
            }),
        }
    }

    /// The windows that start at these places.
    fn cut<T: Real>(&self, starts: &[usize], context: usize) -> Batch<T> {
        let ids = |shift: usize| starts.iter().flat_map(move |&i| &self.ids[i + shift..i + shift + context]);
        let inputs = ids(0).map(|&id| T::from_f64(id.into())).collect();
        Batch {
            inputs: Tensor::from_vec(&[starts.len(), context], inputs),
            targets: Targets::Sequences {
                labels: ids(1).copied().collect(),
                length: context,
                classes: self.vocabulary.len(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::fuzz::{assert_names_file_in_one_line, mutated};

    fn read(bytes: &[u8]) -> Result<Text, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(&path, bytes).unwrap();
        let shown = format!("{}/", folder.path().display());
        Text::read(&path).map_err(|error| error.to_string().replace(&shown, ""))
    }

    #[test]
    fn the_vocabulary_is_sorted_and_shared_by_the_parts() {
        let text = read("naïve\r\nvoilà".as_bytes()).unwrap();
        assert_eq!(text.vocabulary(), ['\n', '\r', 'a', 'e', 'i', 'l', 'n', 'o', 'v', 'à', 'ï']);
        let (train, validation) = text.split(0.25).unwrap();
        assert_eq!((train.vocabulary(), validation.vocabulary()), (text.vocabulary(), text.vocabulary()));
        assert_eq!(
            (train.decode(train.ids()), validation.decode(validation.ids())),
            ("naïve\r\nvo".into(), "ilà".into())
        );
    }

    #[test]
    fn impossible_texts_parts_and_windows_are_refused() {
        assert_eq!(read(b"").unwrap_err(), "a.txt: found a text of 0 characters, expected at least 1");
        assert_eq!(read(b"ab\xff").unwrap_err(), "a.txt: byte 2: found 0xff, expected UTF-8");
        let text = Text::new("toy", "abcd").unwrap();
        let refusal = |context| text.windows::<f32>(context).unwrap_err().to_string();
        assert_eq!(refusal(4), "toy: found a text of 4 characters, expected at least 5");
        assert_eq!(refusal(0), "toy: found a context of 0 characters, expected at least 1");
        assert!(refusal(usize::MAX).starts_with("toy: found a text of 4 characters, expected at least "));
        assert_eq!(text.sample::<f32>(4, 1, Key::new(0)).unwrap_err().to_string(), refusal(4));
        assert_eq!(
            text.encode("abx").unwrap_err().to_string(),
            "toy: character 2: found 'x', expected one of the 4 of the vocabulary"
        );
        assert!(matches!(text.split(0.1).unwrap_err(), DataError::EmptySide { side: "test", .. }));
        assert!(matches!(text.split(0.9).unwrap_err(), DataError::EmptySide { side: "training", .. }));
        assert!(matches!(text.split(f64::NAN).unwrap_err(), DataError::TestShare { .. }));
        let error = Text::read(Path::new("absent.txt")).unwrap_err().to_string();
        assert!(error.starts_with("absent.txt: cannot be read: "), "{error}");
    }

    #[test]
    #[should_panic(expected = "decode: character 4 is out of range for the vocabulary of toy, of 4")]
    fn a_number_of_no_character_is_refused() {
        Text::new("toy", "abcd").unwrap().decode(&[0, 4]);
    }

    /// The rows of a batch as text, each with its targets.
    fn lines(text: &Text, batch: &Batch<f32>) -> Vec<(String, String)> {
        let (labels, _) = batch.targets.labels().unwrap();
        let context = batch.inputs.shape()[1];
        let ids: Vec<u32> = batch.inputs.data().iter().map(|&id| id as u32).collect();
        ids.chunks(context).zip(labels.chunks(context)).map(|(x, y)| (text.decode(x), text.decode(y))).collect()
    }

    #[test]
    fn samples_are_windows_of_the_text_that_the_key_alone_decides() {
        let all = "the quick brown fox jumps over";
        let text = Text::new("toy", all).unwrap();
        let batch = text.sample::<f32>(5, 2000, Key::new(3)).unwrap();
        assert_eq!(batch, text.sample(5, 2000, Key::new(3)).unwrap());
        assert_ne!(batch, text.sample(5, 2000, Key::new(4)).unwrap());
        let mut seen: Vec<(String, String)> = lines(&text, &batch);
        seen.sort();
        seen.dedup();
        let mut every: Vec<(String, String)> =
            (0..all.len() - 5).map(|i| (all[i..i + 5].to_string(), all[i + 1..i + 6].to_string())).collect();
        every.sort();
        every.dedup();
        assert_eq!(seen, every);
    }

    proptest! {
        #[test]
        fn windows_walk_the_text(chars in "[a-zé ]{2,60}", context in 1usize..20) {
            let text = Text::new("toy", &chars).unwrap();
            prop_assert_eq!(&text.decode(text.ids()), &chars);
            let count = text.ids().len();
            prop_assume!(context < count);
            let windows = text.windows::<f32>(context).unwrap();
            prop_assert_eq!(windows.rows(), (count - 1) / context);
            let (x, y): (Vec<String>, Vec<String>) = lines(&text, &windows.all()).into_iter().unzip();
            prop_assert!(chars.starts_with(&x.concat()));
            prop_assert!(chars.chars().skip(1).collect::<String>().starts_with(&y.concat()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop_oneof![any::<Vec<u8>>(), mutated("ħalf a tëxt".into())]) {
            match read(&bytes) {
                Ok(text) => prop_assert_eq!(text.decode(text.ids()).into_bytes(), bytes),
                Err(error) => assert_names_file_in_one_line(&error, "a.txt: "),
            }
        }
    }
}
