//! What a reference model is: read from its name or from a JSON object.

use nn::{Activation, Loss};
use serde_json::{Map, Value};

use super::suggest::hint;

/// A multilayer perceptron with one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The name, where it was given by one.
    pub name: Option<String>,
    /// Inputs, hidden layers, outputs: at least two, all positive.
    pub sizes: Vec<usize>,
    /// Rows of the batch, at least one.
    pub batch: usize,
    /// The activation of the hidden layers.
    pub act: Activation,
    /// Whether the output is activated too.
    pub act_out: bool,
    /// The loss; cross-entropy takes labels below the number of outputs.
    pub loss: Loss,
    /// The seed of drawn parameters and batch.
    pub seed: u64,
    /// The factor of drawn parameters.
    pub scale: f64,
}

/// A reference model could not be understood. The message names the key, what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No model has this name.
    #[error("--model: unknown model `{name}`{hint}; expected one of {}, or a JSON object", known_names())]
    UnknownName {
        /// The name given.
        name: String,
        /// The nearest known name, in words.
        hint: String,
    },
    /// The text is not JSON.
    #[error("--model: invalid JSON: {0}")]
    Json(String),
    /// A known kind of model that is not supported.
    #[error("--model: models of kind `{0}` are not supported yet; expected kind mlp")]
    Unsupported(String),
    /// No such key.
    #[error("--model: unknown key `{key}`{hint}; expected {}", KEYS.join(", "))]
    UnknownKey {
        /// The key given.
        key: String,
        /// The nearest known key, in words.
        hint: String,
    },
    /// A required key is absent.
    #[error("--model: key `{0}` is missing")]
    Missing(&'static str),
    /// A value is not what the key takes.
    #[error("--model: {key}: found {found}, expected {expected}")]
    Value {
        /// The key, with the index in a list.
        key: String,
        /// The value given.
        found: String,
        /// What the key takes.
        expected: String,
    },
    /// A model without hidden layers cannot have more or wider ones.
    #[error("--scaling {axis}: a model of sizes {sizes:?} has no hidden layer, expected at least one")]
    NoHidden {
        /// What was to be varied.
        axis: &'static str,
        /// The layer sizes given.
        sizes: Vec<usize>,
    },
    /// The model has more numbers than [`MAX_NUMBERS`].
    #[error(
        "--model: sizes {sizes:?} with batch {batch}: the model needs more than the supported {MAX_NUMBERS} numbers"
    )]
    TooLarge {
        /// The layer sizes given.
        sizes: Vec<usize>,
        /// The batch given.
        batch: usize,
    },
}

/// The most parameters and activations together: 2³⁰, 8 GiB in `f64`.
pub const MAX_NUMBERS: usize = 1 << 30;

const KEYS: [&str; 9] = ["kind", "sizes", "batch", "act", "act_out", "loss", "seed", "scale", "timed"];

/// The activations of the reference models; their GELU is the tanh form.
const ACTIVATIONS: [(&str, Activation); 6] = [
    ("tanh", Activation::Tanh),
    ("relu", Activation::Relu),
    ("gelu", Activation::GeluTanh),
    ("sigmoid", Activation::Sigmoid),
    ("softplus", Activation::Softplus),
    ("silu", Activation::Silu),
];

/// The losses of the reference models.
fn losses() -> [(&'static str, Loss); 3] {
    [("nsq", Loss::NormSquared), ("mse", Loss::Mse), ("ce", Loss::cross_entropy())]
}

/// The named models that can be computed.
const MODELS: [(&str, &str); 6] = [
    ("single-layer", r#"{"kind":"mlp","sizes":[784,10],"batch":128,"act":"relu","act_out":true,"loss":"nsq"}"#),
    ("mlp-digits", r#"{"kind":"mlp","sizes":[64,128,128,10],"batch":64,"act":"tanh","loss":"ce"}"#),
    ("mlp-mnist", r#"{"kind":"mlp","sizes":[784,512,256,10],"batch":128,"act":"relu","loss":"ce"}"#),
    ("mlp-wide", r#"{"kind":"mlp","sizes":[1024,1024,1024,1024,10],"batch":32,"act":"gelu","loss":"ce"}"#),
    ("mlp-wide-256", r#"{"kind":"mlp","sizes":[1024,1024,1024,1024,10],"batch":256,"act":"gelu","loss":"ce"}"#),
    (
        "mlp-concave",
        r#"{"kind":"mlp","sizes":[16,24,24,5],"batch":12,"act":"sigmoid","act_out":true,"loss":"mse","scale":4}"#,
    ),
];
const UNSUPPORTED: [&str; 2] = ["cnn", "gpt"];

fn known_names() -> String {
    MODELS.map(|(name, _)| name).join(", ")
}

impl Spec {
    /// The model of this name, or the one that a JSON object describes.
    ///
    /// # Errors
    /// If there is no such model, or the object is not one: the message is one line and names the culprit.
    ///
    /// ```
    /// use bench::reference::Spec;
    /// use nn::Activation;
    /// let spec = Spec::from_name_or_json(r#"{"kind":"mlp","sizes":[8,4],"batch":2,"act":"gelu","loss":"mse"}"#)?;
    /// assert_eq!((spec.sizes, spec.act, spec.scale), (vec![8, 4], Activation::GeluTanh, 1.0));
    /// assert_eq!(Spec::from_name_or_json("mlp-digits")?.batch, 64);
    /// # Ok::<(), bench::reference::spec::SpecError>(())
    /// ```
    pub fn from_name_or_json(text: &str) -> Result<Spec, SpecError> {
        let text = text.trim();
        if let Some((name, json)) = MODELS.iter().find(|(name, _)| *name == text) {
            return Ok(Spec { name: Some((*name).to_owned()), ..Spec::from_json(json)? });
        }
        if UNSUPPORTED.contains(&text) {
            return Err(SpecError::Unsupported(text.to_owned()));
        }
        if text.starts_with(|c: char| c.is_alphabetic()) {
            return Err(SpecError::UnknownName {
                name: text.to_owned(),
                hint: hint(text, &MODELS.map(|(name, _)| name)),
            });
        }
        Spec::from_json(text)
    }

    fn from_json(json: &str) -> Result<Spec, SpecError> {
        let value: Value = serde_json::from_str(json).map_err(|e| SpecError::Json(e.to_string()))?;
        let Value::Object(map) = value else { return Err(mismatch("the model", &value, "a JSON object")) };
        let keys = Keys(map);
        keys.check()?;
        let spec = Spec {
            name: None,
            sizes: keys.sizes()?,
            batch: count("batch", keys.required("batch")?)?,
            act: choice("act", keys.required("act")?, &ACTIVATIONS)?,
            act_out: keys.optional("act_out", false, |v| v.as_bool(), "true or false")?,
            loss: choice("loss", keys.required("loss")?, &losses())?,
            seed: keys.optional("seed", 0, |v| v.as_u64(), "a whole number from 0")?,
            scale: keys.optional("scale", 1.0, moderate, "a number between -1e30 and 1e30")?,
        };
        spec.not_too_large()
    }

    /// The same model with other layer sizes and another batch.
    ///
    /// # Errors
    /// If it has more numbers than [`MAX_NUMBERS`].
    pub(super) fn resized(&self, sizes: Vec<usize>, batch: usize) -> Result<Spec, SpecError> {
        Spec { sizes, batch, ..self.clone() }.not_too_large()
    }

    fn not_too_large(self) -> Result<Spec, SpecError> {
        match self.numbers() {
            Some(n) if n <= MAX_NUMBERS => Ok(self),
            _ => Err(SpecError::TooLarge { sizes: self.sizes, batch: self.batch }),
        }
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.sizes.len() - 1
    }

    /// (inputs, outputs) of each layer.
    pub fn layer_sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.sizes.windows(2).map(|w| (w[0], w[1]))
    }

    /// The size of an input.
    pub fn inputs(&self) -> usize {
        self.sizes[0]
    }

    /// The size of the output; cross-entropy's labels lie below it.
    pub fn outputs(&self) -> usize {
        self.sizes[self.layers()]
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        self.layer_sizes().map(|(inputs, outputs)| (inputs + 1) * outputs).sum()
    }

    /// Parameters and activations together, or `None` where a `usize` cannot count them.
    fn numbers(&self) -> Option<usize> {
        let weights = self.layer_sizes().map(|(inputs, outputs)| inputs.checked_add(1)?.checked_mul(outputs));
        let activations = self.sizes.iter().map(|n| n.checked_mul(self.batch));
        weights.chain(activations).try_fold(0usize, |sum, n| sum.checked_add(n?))
    }
}

/// The keys of a JSON spec.
struct Keys(Map<String, Value>);

impl Keys {
    /// Refuses kinds still to come, then keys that no MLP has, then any other kind.
    fn check(&self) -> Result<(), SpecError> {
        let kind = self.0.get("kind").and_then(Value::as_str);
        if let Some(kind) = kind.filter(|k| UNSUPPORTED.contains(k)) {
            return Err(SpecError::Unsupported(kind.to_owned()));
        }
        if let Some(key) = self.0.keys().find(|k| !KEYS.contains(&k.as_str())) {
            return Err(SpecError::UnknownKey { key: key.clone(), hint: hint(key, &KEYS) });
        }
        match self.required("kind")? {
            Value::String(kind) if kind == "mlp" => Ok(()),
            other => Err(mismatch("kind", other, "mlp")),
        }
    }

    fn required(&self, key: &'static str) -> Result<&Value, SpecError> {
        self.0.get(key).ok_or(SpecError::Missing(key))
    }

    fn optional<T>(
        &self,
        key: &str,
        default: T,
        read: impl Fn(&Value) -> Option<T>,
        expected: &str,
    ) -> Result<T, SpecError> {
        self.0.get(key).map_or(Ok(default), |v| read(v).ok_or_else(|| mismatch(key, v, expected)))
    }

    fn sizes(&self) -> Result<Vec<usize>, SpecError> {
        let value = self.required("sizes")?;
        match value.as_array() {
            Some(sizes) if sizes.len() >= 2 => {
                sizes.iter().enumerate().map(|(i, n)| count(&format!("sizes[{i}]"), n)).collect()
            }
            _ => Err(mismatch("sizes", value, "a list of at least two sizes, inputs first and outputs last")),
        }
    }
}

/// A positive whole number that a `u32` holds.
fn count(key: &str, value: &Value) -> Result<usize, SpecError> {
    let number = value.as_u64().filter(|n| (1..=u64::from(u32::MAX)).contains(n));
    number.map(|n| n as usize).ok_or_else(|| mismatch(key, value, "a whole number from 1 to 4294967295"))
}

fn moderate(value: &Value) -> Option<f64> {
    value.as_f64().filter(|s| s.abs() <= 1e30)
}

/// The value of a key that names one of a few things.
fn choice<E: Clone>(key: &str, value: &Value, known: &[(&str, E)]) -> Result<E, SpecError> {
    let found = value.as_str().and_then(|s| known.iter().find(|(name, _)| *name == s));
    found.map(|(_, choice)| choice.clone()).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        mismatch(key, value, &format!("one of {}", names.join(", ")))
    })
}

fn mismatch(key: &str, found: &Value, expected: &str) -> SpecError {
    const SHOWN: usize = 60;
    let text = found.to_string();
    let found = if text.chars().count() > SHOWN { text.chars().take(SHOWN).collect::<String>() + "..." } else { text };
    SpecError::Value { key: key.to_owned(), found, expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"kind":"mlp","sizes":[4,3],"batch":2,"act":"relu","loss":"ce"}"#;

    fn error(json: &str) -> String {
        let message = Spec::from_name_or_json(json).expect_err(json).to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn every_named_model_is_read() {
        for (name, parameters) in [
            ("single-layer", 7850),
            ("mlp-digits", 26122),
            ("mlp-mnist", 535818),
            ("mlp-wide", 3159050),
            ("mlp-concave", 1133),
        ] {
            let spec = Spec::from_name_or_json(name).unwrap();
            assert_eq!((spec.parameters(), spec.name.as_deref()), (parameters, Some(name)));
        }
        assert_eq!(Spec::from_name_or_json("mlp-wide-256").unwrap().batch, 256);
        let concave = Spec::from_name_or_json("mlp-concave").unwrap();
        assert_eq!((concave.act_out, concave.scale, concave.loss), (true, 4.0, Loss::Mse));
    }

    #[test]
    fn defaults_are_those_of_the_reference() {
        let spec = Spec::from_name_or_json(SMALL).unwrap();
        assert_eq!((spec.act_out, spec.seed, spec.scale, spec.name), (false, 0, 1.0, None));
    }

    #[test]
    fn unknown_names_and_keys_name_the_nearest() {
        assert!(error("mlp-digit").contains("unknown model `mlp-digit` (did you mean mlp-digits?)"));
        assert!(error("resnet").contains("expected one of single-layer, mlp-digits"));
        assert!(error(&SMALL.replace("act\"", "atc\"")).contains("unknown key `atc` (did you mean act?)"));
        assert!(error(&SMALL.replace("{", r#"{"colour":1,"#)).contains("unknown key `colour`; expected kind, sizes"));
    }

    #[test]
    fn kinds_still_to_come_say_so() {
        assert!(error("cnn").contains("not supported yet"));
        assert!(error(r#"{"kind":"gpt","vocab":96}"#).contains("kind `gpt` are not supported yet"));
        assert!(error(r#"{"kind":"rnn"}"#).contains(r#"kind: found "rnn", expected mlp"#));
    }

    #[test]
    fn bad_values_name_key_found_and_expected() {
        let cases = [
            ("[4,3]", "[4]", "sizes: found [4], expected a list of at least two sizes"),
            ("[4,3]", "7", "sizes: found 7"),
            ("[4,3]", "[4,0]", "sizes[1]: found 0, expected a whole number from 1"),
            ("[4,3]", "[-4,3]", "sizes[0]: found -4"),
            ("[4,3]", "[4.5,3]", "sizes[0]: found 4.5"),
            ("[4,3]", "[4,\"3\"]", "sizes[1]: found \"3\""),
            ("[4,3]", "[99999999999999999999,3]", "sizes[0]: found"),
            ("[4,3]", "[4294967295,4294967295]", "more than the supported 1073741824 numbers"),
            ("\"batch\":2", "\"batch\":0", "batch: found 0"),
            ("\"batch\":2", "\"batch\":null", "batch: found null"),
            ("\"batch\":2", "\"batch\":4000000000", "more than the supported"),
            ("relu", "swish", "act: found \"swish\", expected one of tanh, relu, gelu, sigmoid, softplus, silu"),
            ("\"ce\"", "\"hinge\"", "loss: found \"hinge\", expected one of nsq, mse, ce"),
            ("\"ce\"", "3", "loss: found 3"),
            ("\"ce\"", "\"ce\",\"seed\":-1", "seed: found -1"),
            ("\"ce\"", "\"ce\",\"scale\":\"big\"", "scale: found \"big\""),
            ("\"ce\"", "\"ce\",\"scale\":1e300", "scale: found 1e+300"),
            ("\"ce\"", "\"ce\",\"act_out\":1", "act_out: found 1, expected true or false"),
            ("\"batch\":2,", "", "key `batch` is missing"),
            ("\"kind\":\"mlp\",", "", "key `kind` is missing"),
        ];
        for (from, to, message) in cases {
            let found = error(&SMALL.replace(from, to));
            assert!(found.contains(message), "{to}: {found}");
        }
    }

    #[test]
    fn text_that_is_no_object_is_refused() {
        assert!(error("{\"kind\":").contains("invalid JSON"));
        assert!(error("[1,2]").contains("the model: found [1,2], expected a JSON object"));
        assert!(error("").contains("invalid JSON"));
        assert!(error(&SMALL.replace("[4,3]", &format!("{:?}", vec![0; 1000]))).len() < 200);
    }
}
