//! The networks of the zoo, put together from layers.

use std::path::Path;

use ad_core::{Array, HessianOperator, Ops, Params, Tensor, Var};
use nn::random::Key;
use nn::{Context, Net, Scope};

use crate::config::{Config, Ends};

type T = Tensor<f64>;

fn net(text: &str, ends: &Ends<'_>) -> Box<dyn Net<f64>> {
    let config = Config::parse(Path::new("a.toml"), text).unwrap_or_else(|e| panic!("{e}"));
    config.model.build(ends).unwrap_or_else(|e| panic!("{e}"))
}

/// sin of 1, 2, …
fn waves(shape: &[usize], factor: f64) -> T {
    let mut i = 0;
    Tensor::from_fn(shape, |_| {
        i += 1;
        factor * f64::from(i).sin()
    })
}

/// Output, gradient and Hv of a sum of squared outputs in training, with these parameters in their order.
fn second_order(net: &dyn Net<f64>, arrays: &Vec<T>, x: &T) -> Vec<Vec<f64>> {
    let names: Vec<String> = net.parameters().into_iter().map(|p| p.name).collect();
    let buffers = net.buffers();
    let context = Context::training(Key::new(0), &buffers);
    let theta = Params::new(names.iter().cloned().zip(arrays.iter().cloned()));
    let z = net.forward(&Scope::new(&theta).within(context), x);
    let f = |arrays: &Vec<Var<T>>| {
        let theta = Params::new(names.iter().cloned().zip(arrays.iter().cloned()));
        let z = net.forward(&Scope::new(&theta).within(context), &Var::lift(x.clone()));
        (z.powi(2) * Var::fixed(waves(z.shape(), 1.0))).sum_all()
    };
    let h = HessianOperator::new(f, arrays);
    let v: Vec<T> = arrays.iter().map(|a| waves(a.shape(), 0.5)).collect();
    let all = [vec![z], h.gradient(), h.hvp(&v)].concat();
    all.iter().map(|t| t.data().to_vec()).collect()
}

/// Checks that both are one network but for the names: the same shapes and starts in the same order, and the same derivatives bit for bit.
#[track_caller]
fn assert_same(zoo: &str, layers: &str, ends: &Ends<'_>, x: &T) {
    let (zoo, layers) = (net(zoo, ends), net(layers, ends));
    let of = |net: &dyn Net<f64>| net.parameters().into_iter().map(|p| (p.shape, p.init)).collect::<Vec<_>>();
    assert_eq!(of(&*zoo), of(&*layers));
    let arrays: Vec<T> = of(&*zoo).iter().map(|(shape, _)| waves(shape, 0.3)).collect();
    let [want, found] = [&zoo, &layers].map(|net| second_order(&**net, &arrays, x));
    assert!(want == found && want.iter().flatten().all(|number| number.is_finite()));
}

#[test]
fn the_gpt_is_its_layers() {
    let ends = Ends { item: &[5], outputs: 7, is_text: true };
    let x = Tensor::from_fn(&[3, 5], |i| (i * i % 7) as f64);
    let layers = include_str!("../../../../examples/gpt-layers.toml");
    let zoo = "[model]\nkind = \"gpt\"\nwidth = 48\nheads = 4\nblocks = 1\n";
    assert_same(zoo, layers, &ends, &x);

    let embedding = "    { kind = \"embedding\", size = 48 },\n";
    let inner = layers
        .replace(embedding, "{ kind = \"tied_embedding\", size = 48, layers = [")
        .replace("    { kind = \"linear\" },   # with as many outputs as the text has characters\n", "] }");
    assert_same(&format!("{zoo}tied = true\n"), &inner, &ends, &x);
}

#[test]
fn the_resnet_is_its_layers() {
    let ends = Ends { item: &[1, 6, 6], outputs: 3, is_text: false };
    let layers = include_str!("../../../../examples/resnet-layers.toml");
    let zoo = "[model]\nkind = \"resnet\"\nwidths = [16, 32]\n";
    let x = waves(&[3, 1, 6, 6], 1.0);
    assert_same(zoo, layers, &ends, &x);
    let grouped = layers.replace("\"batch_norm\"", "\"group_norm\", groups = 4");
    assert_same(&format!("{zoo}groups = 4\n"), &grouped, &ends, &x);
}

#[test]
fn the_cnn_and_the_mlp_are_their_layers() {
    let ends = Ends { item: &[1, 12, 12], outputs: 3, is_text: false };
    let relu = "{ kind = \"activation\", name = \"relu\" }";
    let conv = |outputs| format!("{{ kind = \"conv2d\", outputs = {outputs}, kernel = 3, gain = 1.4142135623730951 }}");
    let pool = "{ kind = \"max_pool2d\", kernel = 2 }";
    let hidden = "{ kind = \"linear\", outputs = 5, gain = 1.4142135623730951 }";
    let layers = format!(
        "[model]\nkind = \"layers\"\nlayers = [{}, {relu}, {pool}, {}, {relu}, {pool}, {{ kind = \"flatten\" }}, {hidden}, {relu}, {{ kind = \"linear\" }}]\n",
        conv(2),
        conv(4)
    );
    let zoo = "[model]\nkind = \"cnn\"\nchannels = [2, 4]\nkernel = 3\nhidden = [5]\n";
    assert_same(zoo, &layers, &ends, &waves(&[2, 1, 12, 12], 1.0));

    let ends = Ends { item: &[4], ..ends };
    let layers = format!("[model]\nkind = \"layers\"\nlayers = [{hidden}, {relu}, {{ kind = \"linear\" }}]\n");
    assert_same("[model]\nhidden = [5]\nact = \"relu\"\n", &layers, &ends, &waves(&[2, 4], 1.0));
}

#[test]
fn what_does_not_fit_is_named() {
    let error = |layers: &str, item: &[usize], is_text| {
        let text = format!("[model]\nkind = \"layers\"\nlayers = [{layers}]\n");
        let config = Config::parse(Path::new("a.toml"), &text).map_err(|e| e.to_string())?;
        config.model.build::<f64>(&Ends { item, outputs: 3, is_text }).map(|_| ())
    };
    let linear = |outputs: &str| format!("{{ kind = \"linear\"{outputs} }}");
    for (layers, item, is_text, message) in [
        (
            format!("{{ kind = \"residual\", layers = [{}] }}", linear(", outputs = 5")),
            &[4][..],
            false,
            "layers[0]: found inner layers that make [5] of [4], to be added to [4], expected the same shape, or a shortcut",
        ),
        (
            format!("{{ kind = \"residual\", layers = [{}], shortcut = [{}] }}", linear(", outputs = 5"), linear("")),
            &[4],
            false,
            "layers[0]: found inner layers that make [5] of [4], to be added to [3], expected the same of both",
        ),
        (
            "{ kind = \"residual\", layers = [{ kind = \"flatten\" }], shortcut = [{ kind = \"lstm\", hidden = 2 }] }"
                .to_owned(),
            &[4],
            false,
            "layers[0].shortcut[0]: found an input of shape [4], expected [steps, numbers]",
        ),
        (
            "{ kind = \"positions\" }".to_owned(),
            &[4],
            false,
            "layers[0]: found an input of shape [4], expected [positions, width]",
        ),
        (
            "{ kind = \"tied_embedding\", size = 4, layers = [] }".to_owned(),
            &[4],
            false,
            "layers[0]: found numbers, expected a text's characters, to look them up",
        ),
        (
            "{ kind = \"dropout\", p = 0.5 }, { kind = \"embedding\", size = 4 }".to_owned(),
            &[6],
            true,
            "layers[1]: found numbers, expected a text's characters",
        ),
        (
            format!("{{ kind = \"tied_embedding\", size = 4, layers = [{}] }}", linear(", outputs = 5")),
            &[6],
            true,
            "layers[0]: found inner layers that make [6, 5] of [6, 4], expected the same shape",
        ),
        (
            "{ kind = \"tied_embedding\", size = 4, layer = [] }".to_owned(),
            &[6],
            true,
            "a.toml: line 3, model.layers[0].layer: unknown key (did you mean layers?)",
        ),
        (
            "{ kind = \"linear\", gain = -1 }".to_owned(),
            &[6],
            true,
            "a.toml: line 3, model.layers[0].gain: found -1, expected a number from 0",
        ),
        (
            "{ kind = \"residual\", layers = [], shortcut = [{ kind = \"linaer\" }] }".to_owned(),
            &[6],
            true,
            "a.toml: line 3, model.layers[0].shortcut[0].kind: found \"linaer\" (did you mean linear?)",
        ),
    ] {
        let found = error(&layers, item, is_text).expect_err(&layers);
        assert!(found.starts_with(message), "{layers}\nfound    {found}\nexpected {message}");
    }
}
