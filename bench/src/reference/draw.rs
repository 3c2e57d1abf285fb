//! Drawing the parameters and batch of a reference model where none are given.

use ad_core::{Params, Tensor};
use nn::Loss;
use nn::data::{Batch, Targets};
use nn::random::Key;

use super::spec::Network;
use super::{Case, Spec};

/// Draws parameters and batch, all parameters times the spec's scale: weights N(0, 1/fan in), biases N(0, 0.01), gains of
/// normalisation N(1, 0.01), tables of embeddings N(0, 0.0025); inputs and values uniform on [0, 1), tokens and labels uniform. Everything
/// is rounded to `f32`, so that `f32` and `f64` start from the same numbers.
///
/// The distributions are those of the reference models; the numbers depend on the spec's seed alone.
pub fn draw(spec: &Spec) -> Case {
    let mut random = Key::new(spec.seed).named("reference").generator();
    let parameters: Vec<(String, Tensor<f64>)> = spec
        .parameter_specs()
        .into_iter()
        .map(|p| {
            let (mean, deviation) = moments(&p.name, &p.shape);
            let number = |_| rounded(spec.scale * (mean + deviation * random.normal()));
            let values = Tensor::from_fn(&p.shape, number);
            (p.name, values)
        })
        .collect();
    let classes = spec.network.outputs();
    let inputs = match spec.network {
        Network::Gpt { vocabulary, .. } => {
            Tensor::from_fn(&spec.input_shape(), |_| (random.uniform() * vocabulary as f64).floor())
        }
        _ => Tensor::from_fn(&spec.input_shape(), |_| rounded(random.uniform())),
    };
    let targets = match spec.loss {
        Loss::CrossEntropy { .. } => {
            let labels = spec.label_shape().iter().product();
            let labels = (0..labels).map(|_| (random.uniform() * classes as f64) as u32).collect();
            spec.targets(labels)
        }
        _ => Targets::Values(Tensor::from_fn(&[spec.batch, classes], |_| rounded(random.uniform()))),
    };
    Case { theta: Params::new(parameters), batch: Batch { inputs, targets } }
}

/// Mean and standard deviation of a parameter before scaling.
fn moments(name: &str, shape: &[usize]) -> (f64, f64) {
    match shape {
        [_] if name.ends_with("weight") => (1.0, 0.1),
        [_] => (0.0, 0.1),
        _ if matches!(name, "wte" | "wpe") => (0.0, 0.05),
        _ => (0.0, 1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt()),
    }
}

fn rounded(x: f64) -> f64 {
    f64::from(x as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(json: &str) -> Case {
        draw(&Spec::from_name_or_json(json).unwrap())
    }

    #[test]
    fn shapes_and_names_follow_the_spec() {
        let case = drawn("mlp-concave");
        let shapes: Vec<_> = case.theta.iter().map(|(n, p)| (n, p.shape())).collect();
        assert_eq!(shapes[0], ("layers.0.weight", &[24, 16][..]));
        assert_eq!(shapes[5], ("layers.2.bias", &[5][..]));
        assert_eq!(case.batch.inputs.shape(), [12, 16]);
        assert!(matches!(case.batch.targets, Targets::Values(v) if v.shape() == [12, 5]));
    }

    #[test]
    fn moments_are_those_of_the_reference_models() {
        let case = drawn(r#"{"kind":"mlp","sizes":[400,500],"batch":500,"act":"relu","loss":"nsq","scale":4}"#);
        let moments = |data: &[f64]| {
            let mean = data.iter().sum::<f64>() / data.len() as f64;
            (mean, (data.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / data.len() as f64).sqrt())
        };
        // 200,000 draws: five standard errors of the mean are 0.011 deviations, of the deviation 0.008.
        let (mean, deviation) = moments(case.theta.get("layers.0.weight").data());
        assert!(mean.abs() < 0.2 * 0.0112 && (deviation / 0.2 - 1.0).abs() < 0.008, "weights: {mean} {deviation}");
        let (mean, deviation) = moments(case.batch.inputs.data());
        assert!((mean - 0.5).abs() < 0.0033 && (deviation * 12f64.sqrt() - 1.0).abs() < 0.006, "x: {mean} {deviation}");
        let (mean, deviation) = moments(case.theta.get("layers.0.bias").data());
        assert!(mean.abs() < 0.09 && (deviation / 0.4 - 1.0).abs() < 0.16, "biases: {mean} {deviation}");
    }

    #[test]
    fn every_label_occurs_and_none_else() {
        let case = drawn(r#"{"kind":"mlp","sizes":[2,7],"batch":1000,"act":"tanh","loss":"ce"}"#);
        let Targets::Classes { labels, classes } = case.batch.targets else { panic!("cross-entropy needs labels") };
        let mut seen = labels.clone();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((labels.len(), classes, seen), (1000, 7, (0..7).collect()));
    }

    #[test]
    fn numbers_are_single_precision_and_depend_on_the_seed_alone() {
        let spec =
            |seed| format!(r#"{{"kind":"mlp","sizes":[3,2],"batch":2,"act":"tanh","loss":"mse","seed":{seed}}}"#);
        let numbers = |seed| {
            let Case { theta, batch } = drawn(&spec(seed));
            let parameters = theta.arrays().iter().flat_map(|p| p.data().to_vec());
            parameters.chain(batch.inputs.data().iter().copied()).collect::<Vec<f64>>()
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert!(numbers(1).iter().all(|&v| v == rounded(v)));
    }
}
