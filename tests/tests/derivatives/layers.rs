//! Layers and a residual network against values that PyTorch computed in double precision: outputs in both modes, running statistics,
//! gradients and Hv.

use std::collections::BTreeMap;
use std::path::Path;

use ad_core::{HessianOperator, Ops, Params, Tensor, Var};
use nn::models::{Norm, ResNet};
use nn::random::Key;
use nn::{BatchNorm1d, BatchNorm2d, Context, Lstm, Net, Observations, Scope};

type T = Tensor<f64>;

/// All arrays, by case and name.
fn reference() -> BTreeMap<String, T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/layers.safetensors");
    nn::weights::load(&path).expect("the file stands in the repository").into_iter().collect()
}

#[track_caller]
fn assert_close(what: &str, found: &T, want: &T) {
    assert_eq!(found.shape(), want.shape(), "{what}");
    for (i, (a, b)) in found.data().iter().zip(want.data()).enumerate() {
        assert!((a - b).abs() <= 1e-10 * b.abs().max(1.0), "{what}[{i}]: {a}, expected {b}");
    }
}

/// vᵢ = sin(i + 1), i counted through all arrays.
fn probe(arrays: &[T]) -> Vec<T> {
    let mut i = 0;
    let mut next = |_| {
        i += 1;
        f64::from(i).sin()
    };
    arrays.iter().map(|t| Tensor::from_fn(t.shape(), &mut next)).collect()
}

fn check(case: &str, net: &dyn Net<f64>) {
    let all = reference();
    let get = |name: &str| all.get(&format!("{case}/{name}")).unwrap_or_else(|| panic!("{case}: no {name}"));
    let names: Vec<String> = net.parameters().into_iter().map(|p| p.name).collect();
    let mut arrays: Vec<T> = names.iter().map(|name| get(&format!("parameter.{name}")).clone()).collect();
    let theta = Params::new(names.iter().cloned().zip(arrays.iter().cloned()));
    let starts = net.buffers();
    let mut buffers =
        Params::new(starts.names().iter().map(|name| (name.clone(), get(&format!("before.{name}")).clone())));

    let run = |context| net.forward(&Scope::new(&theta).within(context), get("x"));
    assert_close(&format!("{case}, evaluated"), &run(Context::evaluation(&buffers)), get("evaluated"));
    let (seen, key) = (Observations::default(), Key::new(0));
    let trained = run(Context::training(key, &buffers).observed_by(&seen));
    assert_close(&format!("{case}, trained"), &trained, get("trained"));

    arrays.push(get("x").clone());
    let weights = probe(std::slice::from_ref(get("trained"))).remove(0);
    let f = |arrays: &Vec<Var<T>>| {
        let (x, theta) = arrays.split_last().expect("an input");
        let theta = Params::new(names.iter().cloned().zip(theta.iter().cloned()));
        let z = net.forward(&Scope::new(&theta).within(Context::training(key, &buffers)), x);
        (z.powi(2) * Var::fixed(weights.clone())).sum_all()
    };
    let h = HessianOperator::new(f, &arrays);
    let v = probe(&arrays);
    let (gradient, hv) = (h.gradient(), h.hvp(&v));
    for (i, name) in names.iter().map(String::as_str).chain(["x"]).enumerate() {
        assert_close(&format!("{case}, gradient of {name}"), &gradient[i], get(&format!("gradient.{name}")));
        assert_close(&format!("{case}, Hv of {name}"), &hv[i], get(&format!("hv.{name}")));
    }
    let want: f64 = v.iter().zip(&hv).map(|(v, hv)| v.times(hv).sum_all().item()).sum();
    let den = h.curvature(&v).total;
    assert!((den - want).abs() <= 1e-10 * want.abs().max(1.0), "{case}, v·Hv: {den}, expected {want}");

    seen.commit(&mut buffers);
    for (name, found) in buffers.iter() {
        assert_close(&format!("{case}, {name}"), found, get(&format!("after.{name}")));
    }
}

#[test]
fn batch_normalisation_agrees_with_pytorch() {
    check("features", &BatchNorm1d::new(3));
    check("sequences", &BatchNorm1d::new(3));
    check("images", &BatchNorm2d::new(2));
}

#[test]
fn lstm_agrees_with_pytorch() {
    check("lstm", &Lstm::new(3, 2).layers(2));
    check("lstm-last", &Lstm::new(3, 2).last());
}

#[test]
fn residual_networks_agree_with_pytorch() {
    check("resnet", &ResNet::new(2, &[2, 3], 1, 3, Norm::Batch));
    check("resnet-groups", &ResNet::new(2, &[2, 4], 2, 3, Norm::Group(2)));
}
