use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::report::metrics::{EvaluationRow, StepRow};

fn config(epochs: u32) -> String {
    format!("epochs = {epochs}\n")
}

fn write_run(path: &Path, existing: Existing, epochs: u32) -> Result<PathBuf, RunFolderError> {
    let mut run = RunFolder::create(path, existing, &config(epochs))?;
    run.record(METRICS, &json!({ "step": 0, "loss": 1.5 }))?;
    run.record(METRICS, &json!({ "step": 1, "loss": f64::NAN }))?;
    run.write("alpha.svg", "<svg/>")?;
    run.write_with(PARAMETERS, |p| fs::write(p, [1, 2, 3]))?;
    run.finish()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn epochs(folder: &Path) -> i64 {
    let table: toml::Table = fs::read_to_string(folder.join(CONFIG)).unwrap().parse().unwrap();
    table["epochs"].as_integer().unwrap()
}

#[test]
fn a_run_appears_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/er/first");
    assert_eq!(write_run(&path, Existing::Keep, 3).unwrap(), path);
    assert_eq!(names(&path), ["alpha.svg", CONFIG, METRICS, PARAMETERS]);
    let metrics = fs::read_to_string(path.join(METRICS)).unwrap();
    assert_eq!(metrics, "{\"loss\":1.5,\"step\":0}\n{\"loss\":null,\"step\":1}\n");
    assert_eq!(names(path.parent().unwrap()), ["first"]);
    assert_eq!(epochs(&path), 3);
}

#[test]
fn an_unfinished_run_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = RunFolder::create(&dir.path().join("a"), Existing::Keep, "").unwrap();
    run.record(METRICS, &json!({ "step": 0 })).unwrap();
    drop(run);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_finished_run_is_kept_unless_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    write_run(&path, Existing::Keep, 1).unwrap();
    let error = write_run(&path, Existing::Keep, 2).unwrap_err();
    assert!(matches!(error, RunFolderError::Finished { .. }));
    assert!(error.to_string().contains("--force") && !error.to_string().contains('\n'));
    assert_eq!(epochs(&path), 1);
    write_run(&path, Existing::Replace, 2).unwrap();
    assert_eq!(epochs(&path), 2);
    assert_eq!(names(dir.path()), ["a"]);
}

#[test]
fn an_earlier_run_survives_a_failed_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    write_run(&path, Existing::Replace, 1).unwrap();
    let run = RunFolder::create(&path, Existing::Replace, &config(2)).unwrap();
    let error = run.write_with(PARAMETERS, |_| Err("the disk is on fire")).unwrap_err();
    assert!(error.to_string().ends_with("cannot write parameters.safetensors: the disk is on fire"), "{error}");
    drop(run);
    assert_eq!((epochs(&path), names(dir.path())), (1, vec!["a".to_owned()]));
}

#[test]
fn what_is_no_run_is_refused_even_by_force() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    write_run(&path, Existing::Keep, 1).unwrap();
    fs::write(path.join("notes.txt"), "mine").unwrap();
    let error = write_run(&path, Existing::Replace, 2).unwrap_err();
    assert!(error.to_string().contains("holds `notes.txt`, which is not part of a run"), "{error}");
    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join(CONFIG), "mine = 1").unwrap();
    assert!(matches!(write_run(&foreign, Existing::Replace, 2), Err(RunFolderError::Foreign { .. })));
    fs::create_dir_all(dir.path().join("nested/data.csv")).unwrap();
    assert!(matches!(write_run(&dir.path().join("nested"), Existing::Replace, 2), Err(RunFolderError::Foreign { .. })));
}

#[test]
fn an_empty_folder_is_filled() {
    let dir = tempfile::tempdir().unwrap();
    write_run(&dir.path().join("."), Existing::Keep, 1).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(names(dir.path()).len(), 4);
}

#[test]
fn a_place_taken_meanwhile_keeps_both_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let slow = RunFolder::create(&path, Existing::Keep, &config(1)).unwrap();
    write_run(&path, Existing::Keep, 2).unwrap();
    let Err(RunFolderError::Move { kept, .. }) = slow.finish() else { panic!("the second run was overwritten") };
    assert_eq!((epochs(&kept), epochs(&path)), (1, 2));
}

#[test]
fn places_that_cannot_hold_a_run_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let create = |p: &Path| RunFolder::create(p, Existing::Replace, "").unwrap_err();
    assert!(matches!(create(&file), RunFolderError::File { .. }));
    assert!(matches!(create(Path::new("..")), RunFolderError::Unnamed { .. }));
    assert!(matches!(create(Path::new("/")), RunFolderError::Unnamed { .. }));
    let below = create(&file.join("below"));
    assert!(below.to_string().starts_with(&file.display().to_string()), "{below}");
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_folder_stays_a_link() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("real"), &link).unwrap();
    write_run(&link, Existing::Keep, 1).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(names(&dir.path().join("real")).len(), 4);
}

#[test]
#[should_panic(expected = "a run folder holds no file named `../x`")]
fn a_name_that_is_no_part_of_a_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunFolder::create(&dir.path().join("a"), Existing::Keep, "").unwrap();
    let _ = run.write("../x", "");
}

#[test]
fn default_paths_are_plain() {
    assert_eq!(default_path("my data/é", "exact", 7), Path::new("runs/my-data-é-exact-seed7"));
}

#[test]
fn a_run_that_ends_early_can_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut run = RunFolder::begin(&path, Existing::Keep, &config(5)).unwrap();
    for step in 0..5 {
        run.record(METRICS, &json!({ "step": step })).unwrap();
    }
    // Nobody else may write it meanwhile.
    assert!(matches!(RunFolder::resume(&path), Err(RunFolderError::Busy { .. })));
    assert!(matches!(RunFolder::begin(&path, Existing::Replace, ""), Err(RunFolderError::Busy { .. })));
    drop(run);
    assert_eq!(names(dir.path()), ["a.unfinished"]);
    // A half-written line is no line.
    let metrics = dir.path().join("a.unfinished").join(METRICS);
    fs::write(&metrics, fs::read_to_string(&metrics).unwrap() + "{\"st").unwrap();
    let error = RunFolder::begin(&path, Existing::Keep, "").unwrap_err().to_string();
    assert!(error.contains("--resume") && !error.contains('\n'), "{error}");
    for name in ["a", "a.unfinished", "a.unfinished/"] {
        let mut run = RunFolder::resume(&dir.path().join(name)).unwrap();
        let rows: Vec<serde_json::Value> =
            run.keep_lines(METRICS, |row: &serde_json::Value| row["step"].as_i64() < Some(3)).unwrap();
        assert_eq!(rows.len(), 3);
        run.record(METRICS, &json!({ "step": 3 })).unwrap();
        let kept = fs::read_to_string(&metrics).unwrap();
        assert_eq!(kept.lines().last(), Some("{\"step\":3}"));
    }
    let run = RunFolder::resume(&path).unwrap();
    fs::create_dir(run.folder().join(checkpoint::FOLDER)).unwrap();
    run.finish().unwrap();
    assert_eq!((names(dir.path()), names(&path)), (vec!["a".to_owned()], vec![CONFIG.to_owned(), METRICS.to_owned()]));
    // Killed at the very end, a run leaves what only a resumed one would need; it is finished all the same.
    for killed in [false, true] {
        if killed {
            fs::create_dir_all(path.join(checkpoint::FOLDER).join("5")).unwrap();
            fs::write(path.join(LOCK), "").unwrap();
        }
        let error = RunFolder::resume(&path).unwrap_err().to_string();
        assert!(error.ends_with("cannot be resumed: the run is finished"), "{error}");
        assert_eq!(names(&path), [CONFIG, METRICS]);
    }
    assert!(matches!(RunFolder::resume(&dir.path().join("b")), Err(RunFolderError::NothingToResume { .. })));
}

#[test]
fn an_unfinished_run_is_replaced_where_runs_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    drop(RunFolder::begin(&path, Existing::Replace, &config(1)).unwrap());
    RunFolder::begin(&path, Existing::Replace, &config(2)).unwrap().finish().unwrap();
    assert_eq!((epochs(&path), names(dir.path())), (2, vec!["a".to_owned()]));
}

const STEP: &str = r#"{"step":0,"loss":2.3,"num":0.5,"den":0.25,"gn":null,"fitted_num":null,"fitted_den":null,"alpha":2.0,"reason":"parabola","predicted":0.5,"actual":null,"values":0,"gradients":1,"curvatures":1,"hvps":0,"thirds":0,"cost":1.5,"ms":0.2}"#;

proptest! {
    #[test]
    fn no_bytes_make_reading_lines_panic(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        noise in vec(any::<u8>(), 0..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        drop(RunFolder::begin(&path, Existing::Keep, &config(3)).unwrap());
        let whole = format!("{STEP}\n{STEP}\n").into_bytes();
        let (mut bytes, length) = (whole.clone(), whole.len());
        changes.iter().for_each(|(place, byte)| bytes[place.index(length)] = *byte);
        bytes.truncate(cut.map_or(length, |cut| cut.index(length)));
        bytes.extend(noise);
        let run = RunFolder::resume(&path).unwrap();
        fs::write(run.folder().join(METRICS), &bytes).unwrap();
        if bytes == whole {
            prop_assert_eq!(read_lines::<StepRow>(run.folder(), METRICS).map(|rows| rows.len()).unwrap(), 2);
        }
        let messages = [
            read_lines::<StepRow>(run.folder(), METRICS).err(),
            read_lines::<EvaluationRow>(run.folder(), METRICS).err(),
            run.keep_lines(METRICS, |_: &StepRow| true).err(),
        ];
        for message in messages.into_iter().flatten().map(|error| error.to_string()) {
            prop_assert!(message.contains(METRICS) && !message.contains('\n'), "{message:?}");
        }
    }
}

#[test]
fn a_line_that_is_no_text_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(METRICS), [STEP.as_bytes(), b"\n\xff\n"].concat()).unwrap();
    let message = read_lines::<StepRow>(dir.path(), METRICS).unwrap_err().to_string();
    assert!(message.contains(METRICS) && message.contains("line 2: ") && message.contains("UTF-8"), "{message}");
}
