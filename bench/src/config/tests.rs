use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("a.toml"), text).map_err(|e| e.to_string())
}

#[test]
fn nothing_said_is_the_default_and_what_is_saved_is_read_again() {
    let default = parse("").unwrap();
    assert_eq!(default, Config::default());
    let layers = "[model]\nkind = \"layers\"\n[[model.layers]]\nkind = \"residual\"\n[[model.layers.layers]]\nkind = \"linear\"\noutputs = 64\n\
        [[model.layers]]\nkind = \"activation\"\nname = \"relu\"\n[[model.layers]]\nkind = \"linear\"\noutputs = 10\n";
    for text in [
        "",
        layers,
        "[data]\nkind = \"csv\"\nfile = \"a.csv\"\ntarget = \"y\"\nscaling = \"range\"\n[loss]\nkind = \"huber\"\ndelta = 0.5\n",
        "[data]\nkind = \"idx\"\nimages = \"i\"\nlabels = \"l\"\naugment = { shift = 2, flip = true }\n[model]\nkind = \"cnn\"\npool = \"avg\"\n",
        "[direction]\nkind = \"adamw\"\nbeta1 = 0.8\ngroups = [{ pattern = \"*.bias\", beta2 = 0.9, weight_decay = 0.0 }]\nclip_norm = 1.0\n",
        "[model]\nkind = \"layers\"\n[[model.layers]]\nkind = \"dropout\"\np = 0\n[[model.layers]]\nkind = \"linear\"\noutputs = 10\n",
        "[rule]\nkind = \"approx\"\nlr_max = 2.0\n[training]\nseed = 7\ndtype = \"f64\"\n[checkpoint]\nevery = 10\n",
        "[rule]\nkind = \"constant\"\nlr = 0.1\nwarm_up = 5\nschedule = { kind = \"cosine\" }\n",
        "[rule]\nkind = \"constant\"\nlr = 0.1\n[loss]\nkind = \"ce\"\nsmoothing = 0.1\n",
    ] {
        let config = parse(text).unwrap();
        let saved = config.to_toml();
        let again = parse(&saved).unwrap_or_else(|e| panic!("{e}\n{saved}"));
        assert_eq!(again.to_toml(), saved, "{text}");
        assert_eq!(
            (&again.data, &again.model, &again.loss),
            (&config.data.resolved(), &config.model, &config.loss),
            "{saved}"
        );
    }
}

#[test]
fn complaints_name_file_line_key_found_and_expected() {
    for (text, complaint) in [
        (
            "[modle]\n",
            "a.toml: line 1, modle: unknown key (did you mean model?): expected one of data, model, loss, direction",
        ),
        ("x = [1\n", "a.toml: line "),
        ("[training]\nbatch = \"many\"\n", "a.toml: line 2, training.batch: found string \"many\", expected usize"),
        ("[training]\n\nbatch = 0\n", "a.toml: line 3, training.batch: found 0, expected at least 1"),
        ("[training]\nbatch = -1\n", "a.toml: line 2, training.batch: found integer -1, expected usize"),
        ("training = 3\n", "a.toml: line 1, training: found integer 3, expected a table"),
        (
            "[model]\nkind = \"cmm\"\n",
            "a.toml: line 2, model.kind: found \"cmm\" (did you mean cnn?), expected one of mlp, cnn, resnet, gpt, layers",
        ),
        (
            "[model]\nact = \"swish\"\n",
            "a.toml: line 2, model.act: unknown activation \"swish\": expected one of identity",
        ),
        ("[model]\nhidden = [8, 0]\n", "a.toml: line 2, model.hidden: found 0 at place 1, expected sizes from 1"),
        (
            "[model]\nkind = \"gpt\"\nheads = 3\n",
            "a.toml: line 3, model.heads: found 3, expected a divisor of the width 128",
        ),
        ("[model]\nkind = \"layers\"\n", "a.toml: line 1, model: missing key layers"),
        (
            "[model]\nkind = \"layers\"\n[[model.layers]]\nkind = \"linear\"\noutput = 3\n",
            "a.toml: line 5, model.layers[0].output: unknown key (did you mean outputs?)",
        ),
        (
            "[model]\nkind = \"layers\"\n[[model.layers]]\nkind = \"flatten\"\n[[model.layers]]\noutputs = 3\n",
            "a.toml: line 5, model.layers[1]: missing key kind: expected one of linear, conv2d",
        ),
        (
            "[model]\nkind = \"layers\"\n[[model.layers]]\nkind = \"conv2d\"\noutputs = 3\nkernel = 0\n",
            "a.toml: line 6, model.layers[0].kernel: found 0, expected at least 1",
        ),
        ("[data]\nkind = \"csv\"\nfile = \"a\"\n", "a.toml: line 1, data: missing key target"),
        ("[data]\ntest_share = 1.5\n", "a.toml: line 2, data.test_share: found 1.5, expected a number between 0 and 1"),
        (
            "[data]\nkind = \"idx\"\nimages = \"a\"\nlabels = \"b\"\ntest_images = \"c\"\n",
            "a.toml: line 5, data.test_images: found without test_labels, expected both or neither",
        ),
        (
            "[direction]\nkind = \"sgd\"\nbeta1 = 0.9\n",
            "a.toml: line 3, direction.beta1: unknown key: expected one of weight_decay",
        ),
        (
            "[direction]\nkind = \"adam\"\nbeta1 = 1.0\n",
            "a.toml: line 3, direction.beta1: found 1, expected a number from 0 to below 1",
        ),
        (
            "[direction]\ngroups = [{ pattern = \"*\", scale = -1.0 }]\n",
            "a.toml: line 2, direction.groups[0].scale: found -1, expected a number from 0",
        ),
        (
            "[direction]\nkind = \"adam\"\ngroups = [{ pattern = \"*\" }, { pattern = \"b\", beta2 = -1.0 }]\n",
            "a.toml: line 3, direction.groups[1].beta2: found -1, expected a number from 0 to below 1",
        ),
        (
            "[direction]\nkind = \"momentum\"\ngroups = [{ pattern = \"*\", beta1 = 0.5 }]\n",
            "a.toml: line 3, direction.groups[0].beta1: unknown key (did you mean beta?): expected one of beta, pattern",
        ),
        ("[rule]\nkind = \"constant\"\n", "a.toml: line 1, rule: missing key lr"),
        ("[rule]\nlr = 0.1\n", "a.toml: line 2, rule.lr: unknown key"),
        ("[rule]\nlr_min = 2.0\nlr_max = 1.0\n", "a.toml: line 3, rule.lr_max: found 1, expected at least lr_min, 2"),
        ("[loss]\nkind = \"mse\"\ndelta = 1.0\n", "a.toml: line 3, loss.delta: unknown key: expected one of kind"),
        ("[data]\ntest_shre = 0.1\n", "a.toml: line 2, data.test_shre: unknown key (did you mean test_share?)"),
        (
            "[data]\nkind = \"csv\"\nfile = \"a\"\ntarget = \"b\"\nscalin = \"unit\"\n",
            "a.toml: line 5, data.scalin: unknown key (did you mean scaling?): expected one of file, target, test_share",
        ),
        ("[data]\nknd = \"csv\"\n", "a.toml: line 2, data.knd: unknown key (did you mean kind?)"),
        ("[model]\nknd = \"gpt\"\n", "a.toml: line 2, model.knd: unknown key (did you mean kind?)"),
        ("[direction]\nknd = \"adam\"\n", "a.toml: line 2, direction.knd: unknown key (did you mean kind?)"),
        ("[loss]\nknd = \"mse\"\n", "a.toml: line 2, loss.knd: unknown key (did you mean kind?)"),
        ("[checkpoint]\nkeep = 0\n", "a.toml: line 2, checkpoint.keep: found 0, expected at least 1"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(
            error.starts_with(complaint) && !error.contains('\n'),
            "{text}\nfound    {error}\nexpected {complaint}"
        );
    }
}

#[test]
fn layers_take_the_shape_of_what_comes_before() {
    let build = |text: &str, item: &[usize], outputs| {
        let config = parse(&format!("[model]\nkind = \"layers\"\n{text}")).unwrap();
        let ends = Ends { item, outputs, is_text: false };
        config
            .model
            .build::<f32>(&ends)
            .map(|net| net.parameters().into_iter().map(|p| (p.name, p.shape)).collect::<Vec<_>>())
    };
    let conv = "[[model.layers]]\nkind = \"conv2d\"\noutputs = 4\nkernel = 3\n[[model.layers]]\nkind = \"max_pool2d\"\nkernel = 2\n";
    let head = "[[model.layers]]\nkind = \"flatten\"\n[[model.layers]]\nkind = \"linear\"\noutputs = 10\n";
    let shapes = build(&format!("{conv}{head}"), &[1, 8, 8], 10).unwrap();
    assert_eq!(shapes[0], ("0.weight".to_owned(), vec![4, 1, 3, 3]));
    assert_eq!(shapes[2], ("3.weight".to_owned(), vec![10, 36]));
    assert_eq!(
        build(&format!("{conv}{head}"), &[64], 10).unwrap_err(),
        "layers[0]: found an input of shape [64], expected [channels, height, width]"
    );
    assert_eq!(
        build(conv, &[1, 8, 8], 10).unwrap_err(),
        "layers: found an output of shape [4, 3, 3], expected [10] for these data"
    );
    assert_eq!(
        build(conv, &[1, 2, 2], 10).unwrap_err(),
        "layers[0]: found an input of shape [1, 2, 2], expected an image as large as the kernel"
    );
}

#[test]
fn every_rule_is_read_with_its_usual_settings_and_starts() {
    for name in Formula::NAMES {
        let lr = if *name == "constant" { "lr = 0.1\n" } else { "" };
        let text = format!("[rule]\nkind = \"{name}\"\n{lr}");
        let config = Config::parse(Path::new("a.toml"), &text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(config.rule.name(), *name);
        // A key of both would be one of them when it is saved.
        assert!(rule::keys_differ(name), "{name}");
        let again = Config::parse(Path::new("a.toml"), &config.to_toml()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(again.rule, config.rule);
        match config.rule.start::<f32>(10) {
            Started::Apart(rule) => assert!(rule.name() == *name && !config.rule.formula.is_joint(), "{name}"),
            Started::Joint(rule) => assert!(rule.name() == *name && config.rule.formula.is_joint(), "{name}"),
        }
    }
}

#[test]
fn settings_of_rules_and_policies_are_checked() {
    for (text, complaint) in [
        (
            "kind = \"exact\"\ndenominator = \"half\"\n",
            "line 3, rule.denominator: found \"half\", expected one of total",
        ),
        ("kind = \"exact\"\ngrowth = [2.0, 3.0]\n", "line 3, rule.growth: found [2, 3], expected a factor from 0 to 1"),
        ("kind = \"exact\"\nschedule = { kind = \"cosine\", least = 2.0 }\n", "rule.schedule: least: found 2"),
        ("kind = \"polynomial\"\ndegree = 5\n", "line 3, rule.degree: found 5, expected 2, 3 or 4"),
        (
            "kind = \"polynomial\"\noffsets = [1.0, 2.0]\n",
            "line 3, rule.offsets: found [1.0, 2.0], expected 4 distinct",
        ),
        ("kind = \"grouped\"\ngroups = \"layers\"\n", "line 3, rule.groups: found \"layers\", expected layer, kind"),
        (
            "kind = \"hessian_aware\"\nscaling = \"gmres\"\n",
            "line 3, rule.scaling: found \"gmres\", expected one of mr",
        ),
        ("kind = \"constant\"\n", "rule: missing key lr"),
        ("kind = \"constant\"\nlr = 0.1\ngamma = 0.5\n", "line 4, rule.gamma: unknown key"),
        ("kind = \"sps_max\"\nc = 0.0\n", "line 3, rule.c: found 0, expected a number above 0"),
        (
            "kind = \"prodigy\"\n[direction]\nkind = \"adam\"\n",
            "line 3, direction: found adam, expected none: prodigy owns",
        ),
        ("kind = \"exakt\"\n", "line 2, rule.kind: found \"exakt\" (did you mean exact?)"),
    ] {
        let error = Config::parse(Path::new("a.toml"), &format!("[rule]\n{text}")).expect_err(text).to_string();
        assert!(error.contains(complaint), "{text}: {error}");
    }
}
