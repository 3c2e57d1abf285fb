//! Whether the tensors of a file are those of a model.

use std::collections::BTreeMap;
use std::path::Path;

use ad_core::{Params, Real, Tensor};

use super::{WeightsError, load};
use crate::module::Architecture;

/// The tensors found in the file `path`, in the order of the names and shapes that a model expects.
///
/// # Errors
/// If a tensor is missing, unexpected, or of another shape; one line lists the first few of each.
///
/// # Panics
/// If two tensors of either side have one name.
///
/// ```
/// use std::path::Path;
/// use ad_core::Tensor;
/// use nn::weights::match_parameters;
/// let found = vec![("bias".to_string(), Tensor::full(&[3], 0.0))];
/// let error = match_parameters(Path::new("a"), found, &[("bias", [2].as_slice()), ("weight", &[2, 5])]).unwrap_err();
/// assert_eq!(error.to_string(), "a: does not fit the model: missing weight [2, 5]; bias is [3], expected [2]");
/// ```
#[track_caller]
pub fn match_parameters<T: Real>(
    path: &Path,
    found: Vec<(String, Tensor<T>)>,
    expected: &[(impl AsRef<str>, impl AsRef<[usize]>)],
) -> Result<Vec<Tensor<T>>, WeightsError> {
    let mut left = BTreeMap::new();
    for (name, tensor) in found {
        assert!(!left.contains_key(&name), "match_parameters: two tensors are named {name:?}");
        left.insert(name, tensor);
    }
    let (mut matched, mut missing, mut misshapen) = (Vec::new(), Vec::new(), Vec::new());
    for (i, (name, shape)) in expected.iter().enumerate() {
        let (name, shape) = (name.as_ref(), shape.as_ref());
        let twice = expected[..i].iter().any(|(other, _)| other.as_ref() == name);
        assert!(!twice, "match_parameters: two parameters are named {name:?}");
        match left.remove(name) {
            None => missing.push(format!("{} {shape:?}", shown(name))),
            Some(tensor) if tensor.shape() == shape => matched.push(tensor),
            Some(tensor) => misshapen.push(format!("{} is {:?}, expected {shape:?}", shown(name), tensor.shape())),
        }
    }
    let unexpected: Vec<String> = left.iter().map(|(name, t)| format!("{} {:?}", shown(name), t.shape())).collect();
    let parts = [listed("missing ", &missing), listed("unexpected ", &unexpected), listed("", &misshapen)];
    let report: Vec<String> = parts.into_iter().flatten().collect();
    if report.is_empty() {
        return Ok(matched);
    }
    Err(WeightsError::Mismatch { path: path.into(), report: report.join("; ") })
}

/// The parameters of a module, read from a file that holds just them.
///
/// ```
/// use nn::{Activation, Architecture, Mlp, random::Key, weights};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("net.safetensors");
/// let net = Mlp::new(&[4, 8, 2], Activation::Relu);
/// let theta = net.init::<f32>(Key::new(0));
/// weights::save(&path, theta.iter())?;
/// let again = weights::load_parameters::<f32>(&path, &net)?;
/// assert_eq!((again.names(), again.arrays()), (theta.names(), theta.arrays()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As of [`load`](super::load), and if a tensor is missing, unexpected, or of another shape than the module's.
pub fn load_parameters<T: Real>(
    path: &Path,
    module: &(impl Architecture + ?Sized),
) -> Result<Params<Tensor<T>>, WeightsError> {
    let expected: Vec<_> = module.parameters().into_iter().map(|p| (p.name, p.shape)).collect();
    let tensors = match_parameters(path, load(path)?, &expected)?;
    Ok(Params::new(expected.into_iter().map(|(name, _)| name).zip(tensors)))
}

/// A name from a file, on one line.
fn shown(name: &str) -> String {
    name.escape_debug().to_string()
}

/// The first few items, or nothing where there are none.
fn listed(what: &str, items: &[String]) -> Option<String> {
    const SHOWN: usize = 4;
    let more = match items.len() {
        0 => return None,
        n if n > SHOWN => format!(" and {} more", n - SHOWN),
        _ => String::new(),
    };
    Some(format!("{what}{}{more}", items[..items.len().min(SHOWN)].join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tensors: &[(&str, &[usize])]) -> Vec<(String, Tensor<f32>)> {
        let zeros = |&(name, shape): &(&str, &[usize])| (name.to_string(), Tensor::full(shape, 0.0));
        tensors.iter().map(zeros).collect()
    }

    fn report(tensors: &[(&str, &[usize])], expected: &[(&str, &[usize])]) -> String {
        match_parameters(Path::new("m"), found(tensors), expected).unwrap_err().to_string()
    }

    #[test]
    fn tensors_are_put_in_the_order_of_the_model() {
        let expected: [(&str, &[usize]); 2] = [("weight", &[2, 3]), ("bias", &[2])];
        let tensors = match_parameters(Path::new("m"), found(&[("bias", &[2]), ("weight", &[2, 3])]), &expected);
        let shapes: Vec<Vec<usize>> = tensors.unwrap().iter().map(|t| t.shape().to_vec()).collect();
        assert_eq!(shapes, [vec![2, 3], vec![2]]);
    }

    #[test]
    fn every_kind_of_misfit_is_in_one_report() {
        assert_eq!(
            report(&[("a\n", &[1]), ("b", &[2, 3]), ("c", &[])], &[("b", &[3, 2]), ("d", &[4]), ("c", &[])]),
            "m: does not fit the model: missing d [4]; unexpected a\\n [1]; b is [2, 3], expected [3, 2]"
        );
        let many = [("a", &[1][..]), ("b", &[1]), ("c", &[1]), ("d", &[1]), ("e", &[1]), ("f", &[1])];
        assert_eq!(report(&[], &many), "m: does not fit the model: missing a [1], b [1], c [1], d [1] and 2 more");
    }

    #[test]
    #[should_panic(expected = "two tensors are named \"a\"")]
    fn a_name_given_twice_is_refused() {
        let _ = match_parameters(Path::new("m"), found(&[("a", &[1]), ("a", &[1])]), &[("a", &[1][..])]);
    }
}
