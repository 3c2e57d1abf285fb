//! Drawing the parameters and batch of a reference model where none are given.

use ad_core::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{Case, Loss, Spec, Target};

/// Draws parameters and batch: weights N(0, 1/inputs), biases N(0, 0.01), both times the spec's scale; inputs and
/// targets uniform on [0, 1), labels uniform. Everything is rounded to `f32`, so that `f32` and `f64` start from the
/// same numbers.
///
/// The distributions are those of the reference models; the numbers come from ChaCha8 and depend on the spec's seed
/// alone.
pub fn draw(spec: &Spec) -> Case {
    let mut rng = Draws(ChaCha8Rng::seed_from_u64(spec.seed));
    let mut parameters = Vec::with_capacity(2 * spec.layers());
    for (i, (inputs, outputs)) in spec.layer_sizes().enumerate() {
        let spread = spec.scale / (inputs as f64).sqrt();
        let weight = Tensor::from_fn(&[outputs, inputs], |_| rounded(spread * rng.normal()));
        let bias = Tensor::from_fn(&[outputs], |_| rounded(0.1 * spec.scale * rng.normal()));
        parameters.push((format!("layers.{i}.weight"), weight));
        parameters.push((format!("layers.{i}.bias"), bias));
    }
    let x = Tensor::from_fn(&[spec.batch, spec.inputs()], |_| rounded(rng.uniform()));
    let y = match spec.loss {
        Loss::Ce => Target::Labels((0..spec.batch).map(|_| rng.below(spec.outputs() as u32)).collect()),
        Loss::Nsq | Loss::Mse => {
            Target::Values(Tensor::from_fn(&[spec.batch, spec.outputs()], |_| rounded(rng.uniform())))
        }
    };
    Case { parameters, x, y }
}

fn rounded(x: f64) -> f64 {
    f64::from(x as f32)
}

/// The distributions, on one stream of random bits.
struct Draws(ChaCha8Rng);

impl Draws {
    /// Uniform on [0, 1), in steps of 2⁻⁵³.
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (-53f64).exp2()
    }

    /// Standard normal, by the transform of Box and Muller (1958); the second variate is dropped.
    fn normal(&mut self) -> f64 {
        // 1 − u is never 0, so the logarithm is finite.
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// Uniform on 0..n, up to a bias of n/2³².
    fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }
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
        let shapes: Vec<_> = case.parameters.iter().map(|(n, p)| (n.as_str(), p.shape())).collect();
        assert_eq!(shapes[0], ("layers.0.weight", &[24, 16][..]));
        assert_eq!(shapes[5], ("layers.2.bias", &[5][..]));
        assert_eq!(case.x.shape(), [12, 16]);
        assert!(matches!(case.y, Target::Values(v) if v.shape() == [12, 5]));
    }

    #[test]
    fn moments_are_those_of_the_reference_models() {
        let case = drawn(r#"{"kind":"mlp","sizes":[400,500],"batch":500,"act":"relu","loss":"nsq","scale":4}"#);
        let moments = |data: &[f64]| {
            let mean = data.iter().sum::<f64>() / data.len() as f64;
            (mean, (data.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / data.len() as f64).sqrt())
        };
        // 200,000 draws: five standard errors of the mean are 0.011 deviations, of the deviation 0.008.
        let (mean, deviation) = moments(case.parameters[0].1.data());
        assert!(mean.abs() < 0.2 * 0.0112 && (deviation / 0.2 - 1.0).abs() < 0.008, "weights: {mean} {deviation}");
        let (mean, deviation) = moments(case.x.data());
        assert!((mean - 0.5).abs() < 0.0033 && (deviation * 12f64.sqrt() - 1.0).abs() < 0.006, "x: {mean} {deviation}");
        let (mean, deviation) = moments(case.parameters[1].1.data());
        assert!(mean.abs() < 0.09 && (deviation / 0.4 - 1.0).abs() < 0.16, "biases: {mean} {deviation}");
    }

    #[test]
    fn every_label_occurs_and_none_else() {
        let case = drawn(r#"{"kind":"mlp","sizes":[2,7],"batch":1000,"act":"tanh","loss":"ce"}"#);
        let Target::Labels(y) = case.y else { panic!("cross-entropy needs labels") };
        let mut seen: Vec<u32> = y.clone();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((y.len(), seen), (1000, (0..7).collect()));
    }

    #[test]
    fn numbers_are_single_precision_and_depend_on_the_seed_alone() {
        let spec =
            |seed| format!(r#"{{"kind":"mlp","sizes":[3,2],"batch":2,"act":"tanh","loss":"mse","seed":{seed}}}"#);
        let case = drawn(&spec(1));
        assert_eq!(case, drawn(&spec(1)));
        assert_ne!(case, drawn(&spec(2)));
        assert!(case.parameters.iter().flat_map(|(_, p)| p.data()).chain(case.x.data()).all(|&v| v == rounded(v)));
    }

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut rng = Draws(ChaCha8Rng::seed_from_u64(0));
        assert_eq!([rng.0.next_u64(), rng.0.next_u64()], [13_080_132_717_333_068_652, 8_594_738_769_458_413_623]);
        assert_eq!(drawn("mlp-concave").parameters[0].1.data()[..2], [-1.535541296005249, 1.4404617547988892]);
    }
}
